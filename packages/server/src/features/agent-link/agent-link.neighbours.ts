/**
 * The other replicas, asked about agents that are connected to them. A question goes straight to the replica that has
 * the agent, by the row, and is answered there or refused: it is never passed on.
 */
import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import {
  dumpStart,
  fsList,
  maxFrameBytes,
  parseAgentFrame,
  repositoryTest,
  treeCount,
  treeList,
  treeSearch,
  treeVersions,
} from "@restic-manager/protocol";
import type { Logger } from "pino";
import { z } from "zod";
import type { Clock } from "../../platform/clock.ts";
import { AppError, type ErrorKind, httpStatusOf } from "../../platform/errors.ts";
import { post, readJson } from "../../platform/http/post.ts";
import type { SecretBox } from "../../platform/secrets.ts";
import type { DumpQuestion } from "./agent-link.dumps.ts";
import { openAnswer, sealRequest } from "./agent-link.envelope.ts";
import type { Links } from "./agent-link.links.ts";
import { type AnswerTo, away, type Question } from "./agent-link.requests.ts";
import type { Machine } from "./agent-link.session.ts";

/** Where replicas answer each other. */
export const internalPaths = { ask: "/internal/agents/ask", dump: "/internal/agents/dump" } as const;

/** With the bytes of a download, which are not sealed: that they come from a server with our key. */
export const proofHeader = "x-sealed";

/** Above the longest time that a download may stand still. */
const dumpSilentMs = 11 * 60_000;
/** A frame of the agent in JSON, sealed. */
const maxAnswerBytes = 2 * maxFrameBytes;

const host_id = z.string().min(1).max(64);
const text = z.string().nullable();

/** What one replica asks of another. */
export const asked = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("question"),
    host_id,
    question: z.discriminatedUnion("type", [
      fsList,
      repositoryTest,
      treeList,
      treeSearch,
      treeVersions,
      treeCount,
    ]),
  }),
  /** Is an agent on another machine than this connected and alive? */
  z.object({ kind: z.literal("other_machine"), host_id, machine_id: text, boot_id: text }),
  /** Bring the agent the configuration that is stored now. */
  z.object({ kind: z.literal("deliver"), host_id }),
]);
export type Asked = z.infer<typeof asked>;

/**
 * How long a replica may be silent. A question: above the longest time that an agent may take to answer. The others: above
 * what a ping of an agent may take, and below what an agent that says hello waits for its welcome.
 */
const silentMsOf: Readonly<Record<Asked["kind"], number>> = {
  question: 75_000,
  other_machine: 7_000,
  deliver: 7_000,
};

export const askedDump = z.object({ host_id, question: dumpStart.omit({ type: true, request_id: true }) });

const kinds = Object.keys(httpStatusOf) as [ErrorKind, ...ErrorKind[]];
const answered = z.union([
  z.object({ error: z.object({ kind: z.enum(kinds), code: z.string(), message: z.string() }) }),
  z.object({ answer: z.unknown() }),
]);

/** Of a replica that did not even open the question. */
const refusal = z.object({ code: z.string() });

export interface NeighboursDeps {
  box: SecretBox;
  clock: Clock;
  log: Logger;
  links: Pick<Links, "findUrl">;
}

export class Neighbours {
  private readonly deps: NeighboursDeps;

  constructor(deps: NeighboursDeps) {
    this.deps = deps;
  }

  /** @throws AppError as the replica that has the agent says, `hosts.offline` or `hosts.elsewhere` */
  async ask<Q extends Question>(hostId: string, question: Q, gone?: AbortSignal): Promise<AnswerTo<Q>> {
    const answer = await this.call({ kind: "question", host_id: hostId, question }, gone);
    // Of its agent, in the protocol's words; it knows what was asked.
    const parsed = parseAgentFrame(JSON.stringify(answer));
    if (!parsed.ok) throw elsewhere();
    return parsed.message as AnswerTo<Q>;
  }

  /** Whether another replica has an agent of this host on another machine, alive. False, too, when nobody can say so. */
  async hasOtherMachine(hostId: string, { machineId, bootId }: Machine): Promise<boolean> {
    const question = { kind: "other_machine", machine_id: machineId, boot_id: bootId } as const;
    const answer = this.call({ ...question, host_id: hostId });
    return z.boolean().parse(await answer.catch(() => false));
  }

  /** Resolves when the agent was sent its configuration, or is nowhere. @throws AppError `hosts.elsewhere` */
  async deliver(hostId: string): Promise<void> {
    await this.call({ kind: "deliver", host_id: hostId }).catch((error: unknown) => {
      if (!(error instanceof AppError) || error.code !== "hosts.offline") throw error;
    });
  }

  /** As the hub's own: the stream breaks when it is not the whole. @throws AppError as ask */
  async openDump(hostId: string, question: DumpQuestion, gone: AbortSignal): Promise<Readable> {
    const { id, response } = await this.send(
      hostId,
      internalPaths.dump,
      { host_id: hostId, question },
      { silentMs: dumpSilentMs, gone },
    );
    const proof = response.headers[proofHeader];
    if (this.open(id, { sealed: proof })) return response;
    await this.read(id, response);
    throw elsewhere();
  }

  private async call(what: Asked, gone?: AbortSignal): Promise<unknown> {
    const { id, response } = await this.send(what.host_id, internalPaths.ask, what, {
      silentMs: silentMsOf[what.kind],
      gone,
    });
    return this.read(id, response);
  }

  private async send(
    hostId: string,
    path: string,
    what: unknown,
    { silentMs, gone }: { silentMs: number; gone?: AbortSignal | undefined },
  ): Promise<{ id: string; response: IncomingMessage }> {
    const { log, links } = this.deps;
    const found = await links.findUrl(hostId);
    if (!found) throw away();
    const { id, body } = sealRequest(this.deps, found.replicaId, what);
    const url = `${found.url}${path}`;
    try {
      return { id, response: await post({ url, body, silentMs, signal: gone }) };
    } catch (error) {
      if (!gone?.aborted) log.warn({ err: error, url }, "another replica could not be asked");
      throw elsewhere();
    }
  }

  private async read(id: string, response: IncomingMessage): Promise<unknown> {
    const body = await readJson(response, maxAnswerBytes).catch(() => null);
    const answer = this.open(id, body);
    if (!answer) {
      const { code } = refusal.safeParse(body).data ?? {};
      this.deps.log.warn({ status: response.statusCode, code }, "another replica refused to answer");
      throw code === "replicas.request_refused" ? refusing() : elsewhere();
    }
    if (!("error" in answer)) return answer.answer;
    const { kind, code, message } = answer.error;
    throw new AppError(kind, code, message);
  }

  private open(id: string, body: unknown): z.infer<typeof answered> | null {
    try {
      return answered.parse(openAnswer(this.deps.box, id, body));
    } catch {
      return null;
    }
  }
}

const elsewhere = (): AppError =>
  new AppError(
    "unavailable",
    "hosts.elsewhere",
    "The host is connected to another server of this installation, which can't be reached from here. Look at RM_REPLICA_URL of that server, then try again.",
  );

const refusing = (): AppError =>
  new AppError(
    "unavailable",
    "hosts.elsewhere_refused",
    "The host is connected to another server of this installation, which refuses this one's questions. Both need the same key file, and clocks that agree within half a minute.",
  );
