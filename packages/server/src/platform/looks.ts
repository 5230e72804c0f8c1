/**
 * Looks at rows, wished for by many events: one after the other, and a thousand wishes in one moment are one look. A look
 * begins after the wish, so it sees the row that the wish was about.
 */
import { setImmediate as othersTurn } from "node:timers/promises";
import type { Clock } from "./clock.ts";

export interface LooksDeps {
  clock: Clock;
  look(): Promise<void>;
  /** A look that failed; the next one goes on, by `askLater` where none comes by itself. */
  failed(error: unknown): void;
  /** Beside the wishes; never when absent. */
  everyMs?: number;
  /** Of the time, at most so much is spent on looks that many may wish for, 0 to 1; all of it when absent. */
  maxShare?: number;
}

/** However long a look took: it may have waited for the database. */
const maxRestMs = 5000;
const laterMs = 5000;

export class Looks {
  private readonly deps: LooksDeps;
  private readonly ending = new AbortController();
  private ticking: Promise<void> | null = null;
  private round: Promise<void> = Promise.resolve();
  private isAsked = false;
  private isAskedLater = false;
  private restsUntil = 0;

  constructor(deps: LooksDeps) {
    this.deps = deps;
  }

  /** Begins with a look. */
  start(): void {
    this.ask();
    this.ticking = this.keepTicking();
  }

  /** No look begins any more. Resolves when the last one is done. */
  async stop(): Promise<void> {
    this.ending.abort();
    await this.ticking;
    await this.round;
  }

  get isStopping(): boolean {
    return this.ending.signal.aborted;
  }

  /** One more look, soon. */
  ask = (): void => {
    if (this.isAsked || this.isStopping) return;
    this.isAsked = true;
    this.round = this.round.then(async () => {
      await this.rest();
      this.isAsked = false;
      if (!this.isStopping) await this.look();
      // Agents that say hello at once wish for the same.
      await othersTurn();
    });
  };

  /** One more look after a pause: what failed now may work then. */
  askLater(): void {
    if (this.isAskedLater) return;
    this.isAskedLater = true;
    void this.deps.clock.sleep(laterMs, this.ending.signal).then(() => {
      this.isAskedLater = false;
      this.ask();
    });
  }

  private async look(): Promise<void> {
    const { clock, failed, maxShare = 1 } = this.deps;
    const since = clock.now();
    await this.deps.look().catch(failed);
    const tookMs = clock.now() - since;
    this.restsUntil = clock.now() + Math.min(tookMs / maxShare - tookMs, maxRestMs);
  }

  private async rest(): Promise<void> {
    const restMs = this.restsUntil - this.deps.clock.now();
    if (restMs > 0) await this.deps.clock.sleep(restMs, this.ending.signal);
  }

  /** Resolves when every look that was asked for until now is made. */
  async idle(): Promise<void> {
    for (let seen: Promise<void> | null = null; seen !== this.round; ) {
      seen = this.round;
      await seen;
    }
  }

  private async keepTicking(): Promise<void> {
    const { clock, everyMs } = this.deps;
    if (everyMs === undefined) return;
    for (;;) {
      await clock.sleep(everyMs, this.ending.signal);
      if (this.isStopping) return;
      this.ask();
    }
  }
}
