/**
 * Which colour each state word has: one dictionary for every page. Colour is never alone: a dot or a tint
 * always comes with its word. No rule about how a state is reached belongs here.
 */
import type { JSX } from "preact";

/** The meaning a colour carries. `idle` is calm: waiting, asleep, gone on purpose. */
export type Tone = "ok" | "warn" | "fail" | "running" | "idle";

const STATES = {
  queued: { tone: "idle", word: "queued" },
  dispatched: { tone: "running", word: "dispatched" },
  running: { tone: "running", word: "running" },
  succeeded: { tone: "ok", word: "succeeded" },
  warning: { tone: "warn", word: "completed with warnings" },
  failed: { tone: "fail", word: "failed" },
  cancelled: { tone: "idle", word: "cancelled" },
  lost: { tone: "fail", word: "lost" },
  expired: { tone: "fail", word: "expired" },
  ok: { tone: "ok", word: "healthy" },
  offline: { tone: "fail", word: "offline" },
  asleep: { tone: "idle", word: "asleep" },
  waiting: { tone: "idle", word: "waiting for the agent" },
  new: { tone: "idle", word: "no backup yet" },
} as const satisfies Record<string, { tone: Tone; word: string }>;

/** Every state a dot, pill or word can show: the statuses of jobs and the conditions of hosts. */
export type StateName = keyof typeof STATES;

/** The statuses of a job, in the words of the product. */
export type JobStatus =
  | "queued"
  | "dispatched"
  | "running"
  | "succeeded"
  | "warning"
  | "failed"
  | "cancelled"
  | "lost"
  | "expired";

/** The colour of a state. */
export function toneOf(state: StateName): Tone {
  return STATES[state].tone;
}

/** The words of a state. */
export function wordOf(state: StateName): string {
  return STATES[state].word;
}

/** Whether a job with this status can still change. */
export function isLive(status: JobStatus): boolean {
  return status === "queued" || status === "dispatched" || status === "running";
}

/** A coloured dot. Put the word beside it, or name it with `label` where there is none. */
export function Dot({ tone, label }: { tone: Tone; label?: string | undefined }): JSX.Element {
  return label === undefined ? (
    <i class={`dot ${tone}`} aria-hidden="true" />
  ) : (
    <i class={`dot ${tone}`} role="img" aria-label={label} title={label} />
  );
}

/** Dot and word on a line of text. */
export function State({ state, word }: { state: StateName; word?: string | undefined }): JSX.Element {
  return (
    <span class={`state ${toneOf(state)}`}>
      <Dot tone={toneOf(state)} />
      <span>{word ?? wordOf(state)}</span>
    </span>
  );
}

/** The same as a tinted pill, for the heads of pages. */
export function Pill({ state, word }: { state: StateName; word?: string | undefined }): JSX.Element {
  return (
    <span class={`pill ${toneOf(state)}`}>
      <Dot tone={toneOf(state)} />
      {word ?? wordOf(state)}
    </span>
  );
}
