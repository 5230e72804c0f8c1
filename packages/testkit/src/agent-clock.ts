/**
 * The agent's clock, standing still until the test moves it. Wall and monotonic time move together, unless the test
 * sets the wall clock or sends the machine to sleep.
 */

type Sleeper = { atMs: number; wake: () => void };

export class AgentFakeClock {
  #nowMs: number;
  /** What the wall clock is ahead of the monotonic one. */
  #aheadMs = 0;
  #sleepers: Sleeper[] = [];

  /** @param startMs epoch milliseconds; 2026-11-23T04:00:00Z by default */
  constructor(startMs: number = Date.UTC(2026, 10, 23, 4)) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs + this.#aheadMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(signal?.reason instanceof Error ? signal.reason : new Error("aborted"));
      };
      const wake = () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      };
      const sleeper = { atMs: this.#nowMs + ms, wake };
      if (signal?.aborted === true) return abort();
      this.#sleepers.push(sleeper);
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  /** Moves the time and wakes, in order, who waited for it; lets the woken run between two wakings. */
  async advance(ms: number): Promise<void> {
    const target = this.#nowMs + ms;
    for (;;) {
      const next = this.#sleepers.filter(({ atMs }) => atMs <= target).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#sleepers = this.#sleepers.filter((other) => other !== next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.wake();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#nowMs = target;
  }

  /**
   * Sets the wall clock forward, or back when negative. A machine that sleeps looks the same on Linux, where the
   * monotonic clock stands still meanwhile and nobody who waits is woken.
   */
  jump(ms: number): void {
    this.#aheadMs += ms;
  }

  /** How many wait now. */
  get sleeping(): number {
    return this.#sleepers.length;
  }
}
