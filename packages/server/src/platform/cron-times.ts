/**
 * Planned times of cron expressions that many share. Reading an expression costs more than all rows of a run, and asking
 * it nearly as much; a fleet shares a few dozen of them, and ten thousand ask for the times around three in one minute.
 */
import { type CronTimes, readCron } from "@restic-manager/protocol";

const readBefore = new Map<string, CronTimes>();
const maxReadBefore = 1000;

/** As `readCron`. What can't be read is read again each time. */
export function readCronTimes(expression: string, timeZone: string): ReturnType<typeof readCron> {
  const key = `${expression}\n${timeZone}`;
  const known = readBefore.get(key);
  if (known) return { times: known };
  const read = readCron(expression, timeZone);
  if ("problem" in read) return read;
  const oldest = readBefore.keys().next();
  if (readBefore.size >= maxReadBefore && !oldest.done) readBefore.delete(oldest.value);
  const times = remembering(read.times);
  readBefore.set(key, times);
  return { times };
}

/** Whoever asks from `from` to `to` is answered with the same planned time. */
interface Span {
  from: number;
  to: number;
  planned: number;
}

/** A spread of beginnings makes callers ask for the time before, too, in turns. */
const maxSpans = 4;

function remembering(times: CronTimes): CronTimes {
  const [ahead, behind]: [Span[], Span[]] = [[], []];
  return {
    ...times,
    next: (afterMs) =>
      answer(ahead, afterMs, () => {
        const planned = times.next(afterMs);
        return planned === null ? null : { from: afterMs, to: planned - 1, planned };
      }),
    last: (atMs) =>
      answer(behind, atMs, () => {
        const planned = times.last(atMs);
        return planned === null ? null : { from: planned, to: atMs, planned };
      }),
  };
}

function answer(spans: Span[], at: number, ask: () => Span | null): number | null {
  const known = spans.find(({ from, to }) => from <= at && at <= to);
  if (known) return known.planned;
  const found = ask();
  if (found === null) return null;
  const same = spans.find(({ planned }) => planned === found.planned);
  if (same) {
    same.from = Math.min(same.from, found.from);
    same.to = Math.max(same.to, found.to);
  } else {
    spans.unshift(found);
    spans.length = Math.min(spans.length, maxSpans);
  }
  return found.planned;
}
