/**
 * What restic's `forget` would keep of a group's snapshots and what it would remove: its policy (ApplyPolicy of restic
 * 0.17 and later, proved against the program in e2e/retention.test.ts), computed from our copy of the list. Pure.
 *
 * Periods are those of UTC. restic counts hours, days, weeks, months and years by the clock that a snapshot's time was
 * stored with, and every agent runs restic with TZ=UTC. So a day ends at midnight UTC, weeks are ISO weeks from Monday,
 * and summer time plays no part. A snapshot that somebody made by hand in another zone can fall into the period beside.
 * Of two snapshots of the same millisecond restic keeps either; here it is the one with the lesser id.
 */
import { isEmptyRetention, type Retention } from "../sources/sources.ts";

/** What the plan looks at of a snapshot; `time` in epoch milliseconds. */
export interface DatedSnapshot {
  id: string;
  time: number;
}

/** Both lists newest first. */
export interface RetentionPlan {
  /** With restic's reasons, such as `daily`, `oldest monthly` or `within 30d`; none where nothing is forgotten at all. */
  keep: (DatedSnapshot & { reasons: string[] })[];
  remove: DatedSnapshot[];
}

const hourMs = 60 * 60_000;
const dayMs = 24 * hourMs;

/** The number of the day, from Monday 1969-12-29 on. */
const dayFromMonday = (time: number): number => Math.floor(time / dayMs) + 3;

function monthOf(time: number): number {
  const date = new Date(time);
  return date.getUTCFullYear() * 12 + date.getUTCMonth();
}

/** The counted rules in restic's order; each keeps the newest of so many periods. */
const units = [
  { unit: "last", key: "keepLast", periodOf: (_time, nr) => nr },
  { unit: "hourly", key: "keepHourly", periodOf: (time) => Math.floor(time / hourMs) },
  { unit: "daily", key: "keepDaily", periodOf: (time) => Math.floor(time / dayMs) },
  { unit: "weekly", key: "keepWeekly", periodOf: (time) => Math.floor(dayFromMonday(time) / 7) },
  { unit: "monthly", key: "keepMonthly", periodOf: monthOf },
  { unit: "yearly", key: "keepYearly", periodOf: (time) => new Date(time).getUTCFullYear() },
] as const satisfies readonly {
  unit: string;
  key: keyof Retention;
  periodOf: (time: number, nr: number) => number;
}[];

const spanRule = /(\d+)([ymdh])/g;

/**
 * So long before a moment, by the calendar: a month before 31 March is 3 March, as in restic.
 * @param span restic's duration, such as `1y5m7d2h`
 */
export function momentBefore(moment: number, span: string): number {
  const amounts = { y: 0, m: 0, d: 0, h: 0 };
  for (const [, amount, unit] of span.matchAll(spanRule))
    amounts[unit as keyof typeof amounts] = Number(amount);
  const date = new Date(moment);
  date.setUTCFullYear(
    date.getUTCFullYear() - amounts.y,
    date.getUTCMonth() - amounts.m,
    date.getUTCDate() - amounts.d,
  );
  return date.getTime() - amounts.h * hourMs;
}

/** Why one snapshot is kept; no reason: it is not. */
export type Judge = (time: number, nr: number, isOldest: boolean) => string[];

/**
 * Judges snapshots that MUST be put before it newest first, numbered from 0.
 * @param latest the newest of them that is not in the future, from which keep-within counts; null when all are
 */
export function createJudge(retention: Retention, latest: number | null): Judge {
  const { keepWithin } = retention;
  const since = latest === null ? Number.NEGATIVE_INFINITY : momentBefore(latest, keepWithin ?? "");
  const rules = units.flatMap(({ unit, key, periodOf }) => {
    const left = retention[key];
    return left === null ? [] : [{ unit, periodOf, left, last: Number.NaN }];
  });
  const within = `within ${keepWithin}`;
  let hourBefore = Number.NaN;
  return (time, nr, isOldest) => {
    const reasons = keepWithin !== null && time > since ? [within] : [];
    const hour = Math.floor(time / hourMs);
    // Every period but that of `last` is made of whole hours: most runs of a frequent schedule need no look.
    const isNewHour = hour !== hourBefore || isOldest;
    hourBefore = hour;
    for (const rule of rules) {
      if (rule.left === 0 || !(isNewHour || rule.unit === "last")) continue;
      const period = rule.periodOf(time, nr);
      const isNew = period !== rule.last;
      // A rule that is not used up keeps the oldest there is, so that the history does not shrink while it fills.
      if (!isNew && !isOldest) continue;
      reasons.push(isNew ? rule.unit : `oldest ${rule.unit}`);
      rule.last = period;
      rule.left -= 1;
    }
    return reasons;
  };
}

/** An empty retention keeps everything: restic refuses to forget by it, and so do we. */
export function planRetention(
  snapshots: readonly DatedSnapshot[],
  retention: Retention,
  now: number,
): RetentionPlan {
  const newestFirst = snapshots.toSorted((a, b) => b.time - a.time || (a.id < b.id ? -1 : 1));
  const plan: RetentionPlan = { keep: [], remove: [] };
  const keepsAll = isEmptyRetention(retention);
  const latest = newestFirst.find(({ time }) => time < now)?.time ?? null;
  const judge = createJudge(retention, latest);
  for (const [nr, { id, time }] of newestFirst.entries()) {
    const reasons = judge(time, nr, nr === newestFirst.length - 1);
    if (keepsAll || reasons.length > 0) plan.keep.push({ id, time, reasons });
    else plan.remove.push({ id, time });
  }
  return plan;
}

/** So few go without a question, whatever their share. */
const alwaysAllowed = 10;

/** Whether so many removals of so many snapshots are more than forget does without being asked. */
export const isAboveLimit = (removed: number, total: number, maxRemovedPercent: number): boolean =>
  removed > alwaysAllowed && removed * 100 > total * maxRemovedPercent;
