/**
 * Many pieces of work that take a moment each, all wanted at once: on SQLite none of them waits for anything, so one after
 * the other they would keep sockets and requests waiting until the last is done.
 */
import { setImmediate as othersTurn } from "node:timers/promises";

export class Turns {
  private readonly atOnce: number;
  private begun = 0;
  private last: Promise<void> = Promise.resolve();

  /** @param atOnce so many begin before everybody else has a turn */
  constructor(atOnce: number) {
    this.atOnce = atOnce;
  }

  /** Resolves when it is the caller's turn; in the order of the calls. */
  next(): Promise<void> {
    this.begun += 1;
    if (this.begun % this.atOnce === 1 % this.atOnce) this.last = this.last.then(() => othersTurn());
    return this.last;
  }
}
