/**
 * How this machine becomes a host without a token: it announces itself with a key of its own, shows the key's
 * fingerprint to the person in front of it, and waits until another person, who sees the same fingerprint at the
 * server, accepts it. The proof names the server that was dialled, so nobody in between can pass it on. Writes nothing
 * but the key; start.ts does the rest.
 */
import {
  type AnnounceRequest,
  type AnnounceResponse,
  announceProof,
  announceRequest,
  announceResponse,
  serverNameOf,
} from "@restic-manager/protocol";
import { productVersion } from "@restic-manager/protocol/version";
import { type AnnounceKey, openAnnounceKey } from "./announce-key.ts";
import { type EnrolDeps, type Enrolment, type EnrolOptions, findResticHere, warningsAbout } from "./enrol.ts";
import { connectToServer } from "./link/connect.ts";
import type { Network } from "./link/network.ts";
import { type PendingEnd, waitPending } from "./link/pending.ts";
import { callServer, parseServer, ServerRefusal, writtenServer } from "./link/server-call.ts";
import { AgentError, reasonOf } from "./platform/errors.ts";

export type AnnounceOptions = Omit<EnrolOptions, "token"> & {
  /** Where the key is, or will be. */
  keyPath: string;
  /** What the person here wants to say to the one who accepts. */
  note: string | undefined;
};

export type AnnounceDeps = Omit<EnrolDeps, "fetch"> & {
  network: Network;
  /** Tells the person in front of the machine: one line. */
  say: (line: string) => void;
  /** The same, of what should be mended. */
  warn: (line: string) => void;
};

export type AcceptedHost = Omit<Enrolment, "warnings"> & { host_name: string };

const FIRST_DELAY_MS = 2_000;
/** Each try is an announcement, and an address may make ten a minute. */
const MAX_DELAY_MS = 60_000;

/**
 * Announces this machine and waits, however long the server lets it, over broken connections too.
 * Throws AgentError: that it was rejected, that nobody accepted it in time, or why it can't announce itself.
 */
export async function announce(deps: AnnounceDeps, options: AnnounceOptions): Promise<AcceptedHost> {
  const server = parseServer(options.server);
  const key = await openAnnounceKey(options.keyPath);
  const request = await buildRequest(deps, options, key);
  return new Announcement(deps, server, key, request).run();
}

async function buildRequest(
  deps: AnnounceDeps,
  options: AnnounceOptions,
  key: AnnounceKey,
): Promise<AnnounceRequest> {
  const { os, arch, machineId, hostname } = deps.machine;
  const restic = await findResticHere(deps, options);
  const parsed = announceRequest.safeParse({
    ...{ os, arch, agent_version: productVersion, hostname: options.hostname ?? hostname },
    restic_version: "version" in restic ? restic.version : null,
    ...{ public_key: key.publicKey, machine_id: machineId, note: options.note ?? null },
  });
  const field = parsed.error?.issues[0]?.path.join(".") ?? "";
  if (!parsed.success)
    throw new AgentError("announce.invalid_input", `The ${field} is not valid; see --hostname and --note.`);
  if (restic.kind !== "ok") deps.warn(restic.message);
  return parsed.data;
}

/** What one try came to: the end, or another try. */
type Round =
  | { kind: "accepted"; host: Omit<AcceptedHost, "server"> }
  | { kind: "again"; good: boolean; afterMs?: number };

/** The tries of one machine to be accepted, one connection after the other. */
class Announcement {
  readonly #deps: AnnounceDeps;
  readonly #server: URL;
  readonly #key: AnnounceKey;
  readonly #request: AnnounceRequest;
  #pendingId: string | undefined;
  #isWaiting = false;
  /** What was said about the connection last: a server that is away for an hour is told of once. */
  #said = "";

  constructor(deps: AnnounceDeps, server: URL, key: AnnounceKey, request: AnnounceRequest) {
    this.#deps = deps;
    this.#server = server;
    this.#key = key;
    this.#request = request;
  }

  async run(): Promise<AcceptedHost> {
    const { clock, random } = this.#deps;
    for (let failures = 0; ; ) {
      const round = await this.#try();
      if (round.kind === "accepted") return { ...round.host, server: writtenServer(this.#server) };
      failures = round.good ? 0 : failures + 1;
      const longest = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(failures, 10));
      // Never at once, and spread: a rack of machines waits behind one address.
      await clock.sleep((round.afterMs ?? 0) + longest * (0.5 + random.fraction() / 2));
    }
  }

  async #try(): Promise<Round> {
    const announced = await this.#announce();
    if ("kind" in announced) return announced;
    const { network, clock } = this.#deps;
    const connected = await connectToServer({
      ...{ server: writtenServer(this.#server), path: "/ws/agent/pending", bearer: null, network },
      signal: new AbortController().signal,
    });
    if (connected.kind !== "open") {
      this.#sayOnce(connected.kind === "failed" ? connected.reason : "The server refused the connection.");
      return { kind: "again", good: false };
    }
    const serverName = serverNameOf(this.#server);
    const pendingId = announced.pending_id;
    const proof = {
      type: "pending.prove" as const,
      ...{ pending_id: pendingId, server_name: serverName },
      signature: this.#key.sign(announceProof({ nonce: announced.nonce, serverName, pendingId })),
    };
    const end = await waitPending(clock, connected.socket, proof, (at) => this.#sayWaiting(at));
    return this.#after(end);
  }

  /** The first announcement must succeed; later ones are repeated until the server says what became of this one. */
  async #announce(): Promise<AnnounceResponse | Round> {
    const body = { ...this.#request, pending_id: this.#pendingId ?? null };
    try {
      const { answer, date } = await callServer({
        ...{ fetch: this.#deps.network.fetch, server: this.#server, path: "/api/agents/announce", body },
        ...{ answer: announceResponse, secrets: [] },
      });
      if (this.#pendingId === undefined) this.#sayFingerprint(date);
      this.#pendingId = answer.pending_id;
      return answer;
    } catch (error) {
      return this.#afterRefusal(error);
    }
  }

  #afterRefusal(error: unknown): Round {
    const refusal = error instanceof ServerRefusal ? error : undefined;
    if (refusal?.status === 429) {
      this.#sayOnce("The server takes no more announcements from this address for a moment; waiting.");
      return { kind: "again", good: true, afterMs: refusal.retryAfterMs ?? MAX_DELAY_MS };
    }
    const hopeless = refusal !== undefined && refusal.status < 500;
    if (this.#pendingId === undefined || hopeless) throw error;
    this.#sayOnce(`${reasonOf(error)} Trying again.`);
    return { kind: "again", good: false };
  }

  #after(end: PendingEnd): Round {
    if (end.kind === "closed") {
      this.#sayOnce("The connection to the server ended; dialling again.");
      return { kind: "again", good: end.proved };
    }
    const { message } = end;
    if (message.type === "pending.accepted") {
      const { host_id, host_name, bearer, cert_pin } = message;
      return { kind: "accepted", host: { host_id, host_name, bearer, cert_pin } };
    }
    if (message.retry) return { kind: "again", good: false };
    throw new AgentError(message.code, `The server refused: ${message.message}`);
  }

  #sayFingerprint(date: string | null): void {
    const { say, warn, clock } = this.#deps;
    for (const warning of warningsAbout(this.#server, date, clock)) warn(warning);
    say(`This machine announced itself to ${writtenServer(this.#server)} as ${this.#request.hostname}.`);
    say(
      "At the server, under “Waiting to be accepted” on the dashboard, compare this fingerprint and accept it:",
    );
    say("");
    say(this.#key.fingerprint);
    say("");
  }

  #sayWaiting(expiresAt: string): void {
    this.#said = "";
    const { say } = this.#deps;
    if (this.#isWaiting) {
      say("Connected again; still waiting.");
      return;
    }
    this.#isWaiting = true;
    const until = `${expiresAt.slice(0, 16).replace("T", " ")} UTC`;
    say(
      `Waiting to be accepted, until ${until} at the longest. Ctrl-C ends this; the next run is the same machine.`,
    );
  }

  #sayOnce(line: string): void {
    if (this.#said === line) return;
    this.#said = line;
    this.#deps.say(line);
  }
}
