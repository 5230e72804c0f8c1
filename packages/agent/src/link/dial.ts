/**
 * Keeps the agent connected: dials, runs a session, waits, dials again. Invariants: at most one connection;
 * waiting grows to a limit and is spread at random, so that a thousand agents do not come back in one second;
 * only a server that says so ends it.
 */
import type { ScheduleFire } from "@restic-manager/protocol";
import { slept } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import { type ConnectOutcome, connectToServer } from "./connect.ts";
import type { Network } from "./network.ts";
import { AgentSession, type JobProgress, type SessionDeps, type SessionEnd } from "./session.ts";

export type LinkDeps = Omit<SessionDeps, "newestProgress"> & {
  random: Random;
  server: string;
  bearer: string;
  network: Network;
};

export type LinkEnd = { kind: "stopped" } | { kind: "removed"; message: string };

const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 10_000;
/** After a reject only an update of one side helps: asking every minute is soon enough. */
const REJECTED_DELAY_MS = 60_000;
/** A connection that lasted this long was a good one: the next failure begins with the shortest wait again. */
const GOOD_CONNECTION_MS = 30_000;
/** Time for the closing frame to leave before the socket is torn down. */
const CLOSE_GRACE_MS = 500;

export class AgentLink {
  readonly #deps: LinkDeps;
  readonly #stopping = new AbortController();
  #session: AgentSession | undefined;
  #running: Promise<LinkEnd> | undefined;
  #newestProgress: JobProgress | undefined;

  constructor(deps: LinkDeps) {
    this.#deps = deps;
  }

  /** Begins to dial. `ended` resolves when the server removed this host, or after `stop`. Never rejects. */
  start(): { ended: Promise<LinkEnd> } {
    this.#running ??= this.#run();
    return { ended: this.#running };
  }

  /** Ends the connection. Whatever was not acknowledged stays in the outbox. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** True while the server listens to us. */
  get connected(): boolean {
    return this.#session?.welcomed ?? false;
  }

  /** Volatile: only the newest matters, and it may get lost. */
  reportProgress(message: JobProgress): void {
    this.#newestProgress = message;
    this.#session?.sendProgress(message);
  }

  /** The job has ended: its last progress must not be sent to a later connection. */
  forgetProgress(jobId: string): void {
    if (this.#newestProgress?.job_id === jobId) this.#newestProgress = undefined;
  }

  /** Volatile: false when there is no connection. */
  sendFire(message: ScheduleFire): boolean {
    return this.#session?.sendFire(message) ?? false;
  }

  async #run(): Promise<LinkEnd> {
    const { signal } = this.#stopping;
    for (let failures = 0; ; ) {
      const startedMs = this.#deps.clock.monotonicMs();
      const { delayMs, welcomed, end } = await this.#once(failures);
      if (end !== undefined) return end;
      // A server that welcomes and breaks at once (an event it can't store, say) must not be hammered.
      const good = welcomed && this.#deps.clock.monotonicMs() - startedMs >= GOOD_CONNECTION_MS;
      failures = good ? 0 : failures + 1;
      if (!(await slept(this.#deps.clock, delayMs, signal))) return { kind: "stopped" };
    }
  }

  async #once(failures: number): Promise<{ delayMs: number; welcomed: boolean; end?: LinkEnd }> {
    const { log, random, server, bearer, network } = this.#deps;
    const { signal } = this.#stopping;
    const delayMs = backoffMs(failures, random.fraction());
    const connected = await connectToServer({ server, bearer, network, signal });
    if (signal.aborted) {
      if (connected.kind === "open") connected.socket.terminate();
      return { delayMs, welcomed: false, end: { kind: "stopped" } };
    }
    if (connected.kind !== "open") {
      // Warned of ever more rarely: a server that is away for days must not fill the host's log.
      const level = Number.isInteger(Math.log2(failures + 1)) ? "warn" : "debug";
      log[level]({ failures: failures + 1, ...codeOf(connected) }, sentenceFor(connected));
      const slow = connected.kind === "unauthorized";
      return { delayMs: slow ? MAX_DELAY_MS : delayMs, welcomed: false };
    }
    return this.#afterSession(await this.#serve(connected.socket), delayMs);
  }

  #afterSession(end: SessionEnd, delayMs: number): { delayMs: number; welcomed: boolean; end?: LinkEnd } {
    const { log } = this.#deps;
    switch (end.kind) {
      case "closed":
        log.warn({ reason: end.reason }, "the connection to the server ended");
        return { delayMs, welcomed: end.welcomed };
      case "rejected":
        log.error({ code: end.code }, `the server refuses this agent: ${end.message}`);
        return { delayMs: REJECTED_DELAY_MS, welcomed: false };
      case "removed":
        return { delayMs, welcomed: false, end: { kind: "removed", message: end.message } };
      case "stopped":
        return { delayMs, welcomed: false, end: { kind: "stopped" } };
    }
  }

  async #serve(socket: ConstructorParameters<typeof AgentSession>[1]): Promise<SessionEnd> {
    const session = new AgentSession({ ...this.#deps, newestProgress: () => this.#newestProgress }, socket);
    this.#session = session;
    try {
      const end = await session.run(this.#stopping.signal);
      if (end.kind === "stopped") await slept(this.#deps.clock, CLOSE_GRACE_MS, closedSignal(socket));
      socket.terminate();
      return end;
    } finally {
      this.#session = undefined;
    }
  }
}

/** Full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/): 0 … min(cap, first × 2ⁿ). */
export function backoffMs(failures: number, fraction: number): number {
  return fraction * Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(failures, 10));
}

function codeOf(outcome: Exclude<ConnectOutcome, { kind: "open" }>): { code?: string } {
  return outcome.kind === "failed" ? { code: outcome.code } : {};
}

function sentenceFor(outcome: Exclude<ConnectOutcome, { kind: "open" }>): string {
  if (outcome.kind === "failed") return `no connection to the server: ${outcome.reason}`;
  return "the server does not know this host's credentials (HTTP 401): it was removed there, or the server lost its database; enrol it again, or wait until the database is restored";
}

function closedSignal(socket: ConstructorParameters<typeof AgentSession>[1]): AbortSignal {
  const closed = new AbortController();
  socket.once("close", () => closed.abort());
  if (socket.readyState === socket.CLOSED) closed.abort();
  return closed.signal;
}
