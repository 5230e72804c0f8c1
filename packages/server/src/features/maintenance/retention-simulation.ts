/**
 * How many snapshots a retention would hold over the coming months, if every planned run made one and forget ran every
 * day. Pure.
 *
 * Forgetting in between changes nothing at the end: what is kept in the end was kept on every day before, and a rule that
 * is used up stays so. So it is thinned once a month, which bounds the work, and the count is that of the last day.
 */
import { isEmptyRetention, type Retention } from "../sources/sources.ts";
import { createJudge } from "./retention-plan.ts";

/** The snapshots kept at the end of a month. */
export interface MonthKept {
  /** Of UTC, as `2026-11`. */
  month: string;
  kept: number;
}

/** The ends of this month of UTC and of those after it, each the first moment of the next. */
export function endsOfMonths(from: number, months: number): number[] {
  const date = new Date(from);
  return Array.from({ length: months }, (_, index) =>
    Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + index + 1, 1),
  );
}

/**
 * @param existing the times of what is there now, in any order
 * @param runs the times of all runs to come, ascending
 * @returns this month first
 */
export function simulateRetention(
  retention: Retention,
  times: { existing: readonly number[]; runs: readonly number[] },
  fromMs: number,
  months = 12,
): MonthKept[] {
  let kept = times.existing.toSorted((a, b) => a - b);
  let next = 0;
  return endsOfMonths(fromMs, months).map((end) => {
    const start = next;
    while (next < times.runs.length && (times.runs[next] ?? end) < end) next += 1;
    kept = thin(retention, kept.concat(times.runs.slice(start, next)));
    return { month: new Date(end - 1).toISOString().slice(0, 7), kept: kept.length };
  });
}

/** What is kept of times that are ascending, ascending. */
function thin(retention: Retention, times: number[]): number[] {
  const latest = times.at(-1);
  if (latest === undefined || isEmptyRetention(retention)) return times;
  const judge = createJudge(retention, latest);
  const kept: number[] = [];
  for (let index = times.length - 1; index >= 0; index -= 1) {
    const time = times[index] ?? latest;
    if (judge(time, times.length - 1 - index, index === 0).length > 0) kept.push(time);
  }
  return kept.reverse();
}
