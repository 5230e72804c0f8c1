/**
 * Lets progress through once a second: the first at once (a throttle that starts at "now" swallows it), the
 * newest at the end of each second (so that the last figures are not swallowed either). Keeps one value only.
 */
import { type Clock, slept } from "../platform/clock.ts";

const INTERVAL_MS = 1_000;

export class ProgressThrottle<T> {
  readonly #clock: Clock;
  readonly #emit: (value: T) => void;
  readonly #stopped = new AbortController();
  #newest: { value: T } | undefined;
  #resting = false;

  constructor(clock: Clock, emit: (value: T) => void) {
    this.#clock = clock;
    this.#emit = emit;
  }

  offer(value: T): void {
    if (this.#stopped.signal.aborted) return;
    this.#newest = { value };
    if (!this.#resting) this.#emitNewest();
  }

  /** Nothing is emitted afterwards. */
  stop(): void {
    this.#stopped.abort();
  }

  #emitNewest(): void {
    const newest = this.#newest;
    this.#newest = undefined;
    if (newest === undefined) return;
    this.#resting = true;
    this.#emit(newest.value);
    void slept(this.#clock, INTERVAL_MS, this.#stopped.signal).then((passed) => {
      this.#resting = false;
      if (passed) this.#emitNewest();
    });
  }
}
