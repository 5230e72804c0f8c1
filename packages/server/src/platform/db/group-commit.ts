/**
 * Many small transactions as one: what is handed in while a transaction runs is taken into it or into the next, so
 * that a fleet's events cost a few disk syncs a second instead of one each. Invariant: whoever waits is answered
 * after the commit, never before. Nothing here knows what is written.
 */
import { setImmediate as socketsRead } from "node:timers/promises";
import type { Clock } from "../clock.ts";
import { type Db, inTransaction, isDeadlock } from "./db.ts";
import { explainDatabaseFailure } from "./failures.ts";

/** A transaction takes nothing more after this long, unless its owner says less: on SQLite, readers wait for it. */
const defaultTransactionMs = 25;
/** And never more than this, should the clock stand still. */
const maxGroup = 64;

/** After a commit the next one waits for as long as that one took, but never so long that a person would notice. */
const maxPauseMs = 5;

/** A transaction begins at the latest after this long, however much still comes. */
const maxGatherMs = 5;

/** After so many in a row something other than chance is wrong. */
const maxDeadlocks = 5;

interface Entry {
  /** Runs in the transaction. @returns what answers the waiter once that is committed */
  work(tx: Db): Promise<() => void>;
  reject(error: unknown): void;
}

/** One transaction in the making. */
interface Group {
  taken: Entry[];
  answers: (() => void)[];
  /** Whose work runs now; null before the first, and after the last. */
  current: Entry | null;
  /** When the last work was done and the commit began. */
  filledAt: number;
}

export class GroupCommit {
  private readonly db: Db;
  private readonly clock: Clock;
  private readonly maxTransactionMs: number;
  private waiting: Entry[] = [];
  private running = false;
  private failuresInRow = 0;
  private deadlocksInRow = 0;

  constructor(db: Db, clock: Clock, maxTransactionMs = defaultTransactionMs) {
    this.db = db;
    this.clock = clock;
    this.maxTransactionMs = maxTransactionMs;
  }

  /**
   * Runs `work` in a transaction that it shares with others. `work` MUST be fit to be run twice, so it changes
   * nothing but rows, and MUST NOT count on anything that others in the transaction write.
   * @throws whatever `work` throws, which is then rolled back while the others are tried again without it; when the
   * database is ill and that fails too, everybody is told
   */
  run<T>(work: (tx: Db) => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.waiting.push({
      async work(tx) {
        const value = await work(tx);
        return () => resolve(value);
      },
      reject,
    });
    if (!this.running) void this.commitAll();
    return promise;
  }

  /** Never rejects. */
  private async commitAll(): Promise<void> {
    this.running = true;
    while (this.waiting.length > 0) {
      await this.gather();
      const group: Group = { taken: [], answers: [], current: null, filledAt: 0 };
      try {
        await inTransaction(this.db, (tx) => this.fill(tx, group));
        this.failuresInRow = 0;
        this.deadlocksInRow = 0;
        for (const answer of group.answers) answer();
        // The slower the disk, the more goes into one transaction.
        const pauseMs = Math.min(this.clock.now() - group.filledAt, maxPauseMs);
        if (pauseMs > 1) await this.clock.sleep(pauseMs);
      } catch (error) {
        this.fail(group, error);
      }
    }
    this.running = false;
  }

  /**
   * Every socket that has something is read first, and again while that brings more: otherwise each frame would begin a
   * transaction of its own. Whoever is alone waits for one turn.
   */
  private async gather(): Promise<void> {
    const until = this.clock.now() + maxGatherMs;
    for (let known = 0; this.waiting.length > known && known < maxGroup && this.clock.now() <= until; ) {
      known = this.waiting.length;
      await socketsRead();
    }
  }

  private async fill(tx: Db, group: Group): Promise<void> {
    const until = this.clock.now() + this.maxTransactionMs;
    for (let next = this.waiting.shift(); next; next = this.waiting.shift()) {
      group.taken.push(next);
      group.current = next;
      group.answers.push(await next.work(tx));
      if (group.taken.length >= maxGroup || this.clock.now() >= until) break;
    }
    group.current = null;
    group.filledAt = this.clock.now();
  }

  private fail({ taken, current }: Group, error: unknown): void {
    // Another server's transaction has the same rows in another order: nobody's work is to blame.
    if (isDeadlock(error) && ++this.deadlocksInRow <= maxDeadlocks) {
      this.waiting.unshift(...taken);
      return;
    }
    this.failuresInRow++;
    const isIll = explainDatabaseFailure(error)?.kind === "unavailable";
    if (current && (!isIll || this.failuresInRow === 1)) {
      current.reject(error);
      this.waiting.unshift(...taken.filter((entry) => entry !== current));
      return;
    }
    // Each attempt may have waited seconds for a locked file: nobody is left to wait for the next one.
    this.failuresInRow = 0;
    for (const entry of [...taken, ...this.waiting.splice(0)]) entry.reject(error);
  }
}
