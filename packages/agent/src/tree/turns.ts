/** So many at once, and so many that wait for their turn. */

export class Turns {
  readonly #maxWaiting: number;
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(atOnce: number, maxWaiting: number) {
    this.#free = atOnce;
    this.#maxWaiting = maxWaiting;
  }

  /** Undefined, and nothing was done, when too many wait already. Rejects as `work` does. */
  async take<T>(work: () => Promise<T>): Promise<T | undefined> {
    if (this.#free === 0 && this.#waiting.length >= this.#maxWaiting) return undefined;
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((begin) => this.#waiting.push(begin));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
