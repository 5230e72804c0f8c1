/**
 * What another replica may ask about the agents that are connected here. Nothing is answered that it did not seal with
 * the key file that both have; an answer never leads to another question to anybody but the agent.
 */

import { maxFrameBytes } from "@restic-manager/protocol";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Clock } from "../../platform/clock.ts";
import { AppError } from "../../platform/errors.ts";
import { abortWhenGone } from "../../platform/http/gone.ts";
import type { App } from "../../platform/http/route.ts";
import type { SecretBox } from "../../platform/secrets.ts";
import { RequestOpener, type Sealed, sealAnswer, sealed } from "./agent-link.envelope.ts";
import type { AgentHub } from "./agent-link.hub.ts";
import { type Asked, asked, askedDump, internalPaths, proofHeader } from "./agent-link.neighbours.ts";

/** A frame in JSON, sealed, with room to spare. */
const maxBodyBytes = 4 * maxFrameBytes;
/** Of one replica; each is a click of somebody. */
const requestsPerMinute = 6000;

export interface InternalDeps {
  box: SecretBox;
  clock: Clock;
  hub: AgentHub;
  /** Of this server. */
  replicaId: string;
}

export function registerInternalRoutes(app: App, deps: InternalDeps): void {
  const opener = new RequestOpener(deps);
  const route = (
    url: string,
    answer: (asked: unknown, reply: FastifyReply) => Promise<{ answer: unknown } | { bytes: unknown }>,
  ) =>
    app.route({
      method: "POST",
      url,
      schema: { summary: "Between replicas of one server.", hide: true, body: sealed },
      bodyLimit: maxBodyBytes,
      config: { policy: "replica", rateLimit: { max: requestsPerMinute, timeWindow: 60_000 } },
      handler: async (request: FastifyRequest, reply: FastifyReply) => {
        const opened = opener.open(request.body as Sealed);
        const said = await answer(opened.asked, reply).catch(errorOf);
        if (!("bytes" in said)) return reply.send(sealAnswer(deps.box, opened.id, said));
        const { sealed: proof } = sealAnswer(deps.box, opened.id, { answer: "bytes" });
        return reply.header(proofHeader, proof).type("application/octet-stream").send(said.bytes);
      },
    });
  route(internalPaths.ask, async (body, reply) => ({
    answer: await answerTo(deps, asked.parse(body), abortWhenGone(reply)),
  }));
  route(internalPaths.dump, async (body, reply) => {
    const { host_id, question } = askedDump.parse(body);
    const bytes = await deps.hub.openDump(host_id, question, abortWhenGone(reply));
    // It may have broken with its first bytes: that is said in words while it still can be.
    if (bytes.errored) throw bytes.errored;
    return { bytes };
  });
}

async function answerTo({ hub }: InternalDeps, what: Asked, gone: AbortSignal): Promise<unknown> {
  switch (what.kind) {
    case "question":
      return hub.ask(what.host_id, what.question, gone);
    case "other_machine":
      return hub.hasOtherMachine(what.host_id, { machineId: what.machine_id, bootId: what.boot_id });
    case "deliver":
      return hub.pushConfiguration(what.host_id);
  }
}

/** An error keeps its kind, code and sentence; one that nobody foresaw stays here, in the log. */
const errorOf = (error: unknown) => {
  if (!(error instanceof AppError)) throw error;
  const { kind, code, message } = error;
  return { error: { kind, code, message } };
};
