/** A clock that stands still until the test moves it. Same shape for server and agent. */

interface Sleeper {
  at: number;
  wake(): void;
}

export class FakeClock {
  private nowMs: number;
  /** By how much the wall clock was set, or went on while nothing ran. */
  private jumpedMs = 0;
  private sleepers: Sleeper[] = [];

  /** @param startMs epoch milliseconds; 2026-11-23T04:00:00Z by default */
  constructor(startMs: number = Date.UTC(2026, 10, 23, 4)) {
    this.nowMs = startMs;
  }

  now = (): number => this.nowMs;

  monotonic = (): number => this.nowMs - this.jumpedMs;

  sleep = (ms: number, signal?: AbortSignal): Promise<void> => {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const sleeper = { at: this.nowMs + ms, wake: resolve };
      this.sleepers.push(sleeper);
      signal?.addEventListener("abort", () => {
        this.sleepers = this.sleepers.filter((other) => other !== sleeper);
        resolve();
      });
    });
  };

  /** Moves the time and wakes, in order, who waited for it; lets the woken run between two wakings. */
  async advance(ms: number): Promise<void> {
    const target = this.nowMs + ms;
    for (;;) {
      const next = this.sleepers.filter((s) => s.at <= target).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.sleepers = this.sleepers.filter((other) => other !== next);
      this.nowMs = Math.max(this.nowMs, next.at);
      next.wake();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.nowMs = target;
  }

  /** Sets the wall clock to another time, as a person or NTP does: who sleeps still wakes after as long as it wanted. */
  jump(ms: number): void {
    this.nowMs += ms;
    this.jumpedMs += ms;
    for (const sleeper of this.sleepers) sleeper.at += ms;
  }

  /** So much time passes at once, as for a machine that was suspended: who slept wakes once, at its end. */
  async suspend(ms: number): Promise<void> {
    this.nowMs += ms;
    this.jumpedMs += ms;
    await this.advance(0);
  }

  /** How many wait now. */
  get sleeping(): number {
    return this.sleepers.length;
  }
}
