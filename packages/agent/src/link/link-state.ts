/**
 * What the server last told this agent, in a file: `restic-manager-agent status` and the installer read it, since the agent
 * listens nowhere. Invariants: it says who wrote it, so that the word of an agent that ended counts for nothing; it is
 * written only when something changed; losing it loses nothing.
 */
import { z } from "zod";
import { identifyPid, isAlive, type PidIdentity } from "../platform/child.ts";
import { type Clock, slept } from "../platform/clock.ts";
import { readTextIfExists, writeFileAtomic } from "../platform/files.ts";

const writer: z.ZodType<PidIdentity> = z.object({
  pid: z.int().positive(),
  startTicks: z.string().nullable(),
  bootId: z.string().nullable(),
});

const linkState = z.object({
  writer,
  online: z.boolean(),
  /** RFC 3339; when it became so. */
  since: z.iso.datetime(),
  /** Why there is no connection; a sentence without secrets. */
  reason: z.string().nullable(),
});

export type LinkStateDeps = {
  path: string;
  nowMs: () => number;
  /** Told when the file can't be written; the agent works on. */
  warn: (error: unknown) => void;
};

/** The agent's side: keeps the file true. */
export class LinkState {
  readonly #deps: LinkStateDeps;
  #known: string | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(deps: LinkStateDeps) {
    this.#deps = deps;
  }

  /** The server has welcomed this agent. */
  online(): void {
    this.#set({ online: true, reason: null });
  }

  /** There is no connection (any more). */
  offline(reason: string): void {
    this.#set({ online: false, reason });
  }

  /** Resolves when the last change is in the file. */
  written(): Promise<void> {
    return this.#writing;
  }

  #set(state: { online: boolean; reason: string | null }): void {
    const key = JSON.stringify(state);
    if (key === this.#known) return;
    this.#known = key;
    const { path, nowMs, warn } = this.#deps;
    const text = JSON.stringify({
      writer: identifyPid(process.pid),
      ...state,
      since: new Date(nowMs()).toISOString(),
    });
    this.#writing = this.#writing.then(() => writeFileAtomic(path, text, { durable: false }).catch(warn));
  }
}

export type LinkStatus =
  | { kind: "online"; since: string }
  | { kind: "offline"; reason: string }
  /** No agent runs, or it has not tried yet. */
  | { kind: "unknown" };

/** What the running agent says. Any file gives an answer. */
export async function readLinkStatus(path: string): Promise<LinkStatus> {
  const state = parseState(await readTextIfExists(path));
  if (state === undefined || !isAlive(state.writer)) return { kind: "unknown" };
  if (state.online) return { kind: "online", since: state.since };
  return { kind: "offline", reason: state.reason ?? "no reason is known" };
}

const POLL_MS = 250;

/** Waits until the agent is online, for `waitMs` at most; the last answer otherwise. */
export async function awaitOnline(path: string, clock: Clock, waitMs: number): Promise<LinkStatus> {
  const deadline = clock.monotonicMs() + waitMs;
  for (;;) {
    const status = await readLinkStatus(path);
    if (status.kind === "online" || clock.monotonicMs() >= deadline) return status;
    await slept(clock, POLL_MS);
  }
}

function parseState(text: string | undefined): z.infer<typeof linkState> | undefined {
  try {
    return linkState.safeParse(JSON.parse(text ?? "null")).data;
  } catch {
    return undefined;
  }
}
