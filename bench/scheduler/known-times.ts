/**
 * A cron's planned times in a span, computed once by the real `readCron` and looked up from then on: hosts share a few
 * dozen expressions, and a year asks for their times a hundred million times.
 */
import { type CronTimes, readCron } from "@restic-manager/protocol";

const dayMs = 24 * 60 * 60_000;
/** Clocks go astray by days; questions reach so far beyond the span. */
const marginMs = 60 * dayMs;

export class KnownTimes implements CronTimes {
  readonly all: number[] = [];
  /** Where the last question was answered: the next is mostly close by. */
  private near = 0;

  constructor(times: CronTimes, from: number, to: number) {
    for (let at = times.next(from - 1); at !== null && at <= to; at = times.next(at)) this.all.push(at);
  }

  next = (afterMs: number): number | null => this.all[this.above(afterMs)] ?? null;

  last = (atMs: number): number | null => this.all[this.above(atMs) - 1] ?? null;

  nextSome = (afterMs: number, count: number): number[] => {
    const first = this.above(afterMs);
    return this.all.slice(first, first + count);
  };

  /** The index in `all` of the first planned time after `ms`. */
  above(ms: number): number {
    const { all } = this;
    for (let i = Math.max(0, this.near - 1); i < this.near + 3; i++) {
      if ((i === 0 || (all[i - 1] ?? 0) <= ms) && (all[i] ?? Number.POSITIVE_INFINITY) > ms) {
        this.near = Math.min(i, all.length);
        return this.near;
      }
    }
    let low = 0;
    for (let high = all.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if ((all[middle] ?? 0) <= ms) low = middle + 1;
      else high = middle;
    }
    this.near = low;
    return low;
  }
}

const known = new Map<string, KnownTimes>();

/** The same object for the same words. @throws when the expression is none */
export function knownTimes(cron: string, timeZone: string, from: number, to: number): KnownTimes {
  const key = [cron, timeZone, from, to].join("\n");
  const before = known.get(key);
  if (before) return before;
  const read = readCron(cron, timeZone);
  if ("problem" in read) throw new Error(read.problem.message);
  const times = new KnownTimes(read.times, from - marginMs, to + marginMs);
  known.set(key, times);
  return times;
}
