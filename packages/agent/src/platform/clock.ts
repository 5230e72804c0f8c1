/**
 * The agent's only source of time. Wall clock for records, monotonic clock for durations and time-outs (a
 * host's wall clock may jump while restic runs). Nothing else in the agent calls Date.now or setTimeout.
 */
import { setTimeout as sleepFor } from "node:timers/promises";

export type Clock = {
  /** Wall clock, epoch milliseconds. */
  nowMs(): number;
  /** Never goes back; only differences mean anything. Milliseconds. */
  monotonicMs(): number;
  /** MUST resolve after `ms`, or reject with the signal's reason as soon as `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
};

/** The clock of the machine. */
export function systemClock(): Clock {
  return {
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    sleep: (ms, signal) => sleepFor(ms, undefined, signal === undefined ? {} : { signal }),
  };
}

/**
 * Sleeps without throwing: true when the time has passed, false when `signal` ended the wait. For loops that
 * treat an abort as the normal way out.
 */
export async function slept(clock: Clock, ms: number, signal?: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(ms, signal);
    return true;
  } catch (error) {
    if (signal?.aborted === true) return false;
    throw error;
  }
}

/** Resolves once `signal` is aborted. */
export function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
