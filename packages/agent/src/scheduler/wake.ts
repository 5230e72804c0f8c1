/**
 * Notices that the machine slept or its clock was set forward. A missed run waits until a machine that just came up
 * has its network and has stopped being busy with itself.
 */

/** How long a machine that came up or woke is left alone. */
export const SETTLE_MS = 60_000;
/** More than this between wall and monotonic clock, or between two looks, is sleep and no slow look. */
const GAP_MS = 60_000;

export type Moment = { wallMs: number; monotonicMs: number };

export class WakeWatch {
  #last: Moment;
  #settledAtMs: number;

  /** `now`: the agent starts. */
  constructor(now: Moment) {
    this.#last = now;
    this.#settledAtMs = now.monotonicMs + SETTLE_MS;
  }

  /** MUST be told every look. Milliseconds until the machine has settled; 0 when it has. */
  look(now: Moment, maxPauseMs: number): number {
    const passedMs = now.monotonicMs - this.#last.monotonicMs;
    const sleptMs = now.wallMs - this.#last.wallMs - passedMs;
    this.#last = now;
    // A monotonic clock that counts sleep (Windows) shows it as a pause that took too long.
    if (sleptMs > GAP_MS || passedMs > maxPauseMs + GAP_MS) this.#settledAtMs = now.monotonicMs + SETTLE_MS;
    return Math.max(0, this.#settledAtMs - now.monotonicMs);
  }
}
