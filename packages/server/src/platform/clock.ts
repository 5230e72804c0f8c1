/** The only place that reads the time or starts a timer. Tests hand in the fake clock of testkit. */
import { setTimeout as delay } from "node:timers/promises";

export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Resolves after `ms`, or at once without throwing when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, signal) {
    await delay(ms, undefined, signal ? { signal } : {}).catch(() => undefined);
  },
};

/** Epoch milliseconds → RFC 3339 in UTC with milliseconds, the one spelling of time on every wire. */
export const toInstant = (epochMs: number): string => new Date(epochMs).toISOString();

/** RFC 3339 → epoch milliseconds. The text must already have passed a schema. */
export const fromInstant = (instant: string): number => Date.parse(instant);
