/** The only place that reads the time or starts a timer. Tests hand in the fake clock of testkit. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Milliseconds since some moment: only to be compared with itself. Nobody sets it, and it stands still while the machine is suspended. */
  monotonic(): number;
  /** Resolves after `ms`, or at once without throwing when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  // Not the one of timers/promises, which makes an error with a stack whenever it is aborted: for every agent that says hello.
  sleep(ms, signal) {
    if (signal?.aborted) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    signal?.addEventListener("abort", wake);
    return promise;
  },
};

/** Epoch milliseconds → RFC 3339 in UTC with milliseconds, the one spelling of time on every wire. */
export const toInstant = (epochMs: number): string => new Date(epochMs).toISOString();

/** RFC 3339 → epoch milliseconds. The text must already have passed a schema. */
export const fromInstant = (instant: string): number => Date.parse(instant);
