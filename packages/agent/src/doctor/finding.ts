/** What the doctor finds: one line for each thing that was looked at. */
import { type Clock, slept } from "../platform/clock.ts";
import { AgentError, reasonOf } from "../platform/errors.ts";

export type Finding = {
  /** What was looked at: one word, stable. */
  name: string;
  /** `skipped`: it could not be looked at, because of another line. */
  status: "ok" | "warning" | "failed" | "skipped";
  /** What is, and for a warning or a failure what to do. Without any secret. */
  message: string;
  /** Stable, of an error that has one. */
  code?: string;
};

export const ok = (name: string, message: string): Finding => ({ name, status: "ok", message });
export const warning = (name: string, message: string): Finding => ({ name, status: "warning", message });
export const failed = (name: string, message: string): Finding => ({ name, status: "failed", message });
export const skipped = (name: string, message: string): Finding => ({ name, status: "skipped", message });

/** The line for an error; ours have a code and are sentences already. */
export function failedBy(name: string, error: unknown): Finding {
  const code = error instanceof AgentError ? { code: error.code } : {};
  return { ...failed(name, reasonOf(error)), ...code };
}

/** No look takes longer: whoever calls the doctor is waiting for it. */
export const LOOK_TIMEOUT_MS = 5_000;

/** Looks once, bounded. `signal` aborts when time is up. Never rejects. */
export async function look(
  clock: Clock,
  name: string,
  work: (signal: AbortSignal) => Promise<Finding>,
): Promise<Finding> {
  const [over, late] = [new AbortController(), new AbortController()];
  const timedOut = slept(clock, LOOK_TIMEOUT_MS, over.signal).then((passed) => {
    if (passed) late.abort();
    return failed(name, "No answer within 5 seconds.");
  });
  try {
    return await Promise.race([work(late.signal).catch((error: unknown) => failedBy(name, error)), timedOut]);
  } finally {
    over.abort();
  }
}
