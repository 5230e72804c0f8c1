/**
 * Where a group's retention promises more than its schedules can give: a unit that is kept and is finer than any schedule
 * makes snapshots. Pure; computed when it is shown, so it is never out of date.
 */
import type { SourceGroup } from "../sources/sources.ts";
import { timesOf } from "./planned-times.ts";
import type { Schedule } from "./schedule.ts";

export type KeepUnit = "hourly" | "daily" | "weekly" | "monthly" | "yearly";

export interface RetentionConflict {
  groupId: string;
  keep: KeepUnit;
  /** For the banner. */
  sentence: string;
}

const hourMs = 60 * 60_000;
const dayMs = 24 * hourMs;

/** The longest gap between two snapshots with which each unit still gets one of its own: a day in autumn has 25 h. */
const units: readonly {
  keep: KeepUnit;
  key: keyof SourceGroup["retention"];
  maxGapMs: number;
  every: string;
}[] = [
  { keep: "hourly", key: "keepHourly", maxGapMs: hourMs, every: "hour" },
  { keep: "daily", key: "keepDaily", maxGapMs: 25 * hourMs, every: "day" },
  { keep: "weekly", key: "keepWeekly", maxGapMs: 7 * dayMs + hourMs, every: "week" },
  { keep: "monthly", key: "keepMonthly", maxGapMs: 31 * dayMs + hourMs, every: "month" },
  { keep: "yearly", key: "keepYearly", maxGapMs: 366 * dayMs + hourMs, every: "year" },
];
/** Planned times looked at: the shortest gaps of a cron show within its first few. */
const looked = 60;

/** The shortest gap between two planned times; null for a schedule that runs once at most. */
export function shortestGapMs(schedule: Pick<Schedule, "cron" | "timeZone">, now: number): number | null {
  const times = timesOf(schedule).nextSome(now, looked);
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? time));
  return gaps.length === 0 ? null : Math.min(...gaps);
}

/** Paused schedules count: they are meant to go on. A group that no schedule uses has no conflict. */
export function listRetentionConflicts(
  groups: readonly SourceGroup[],
  schedules: readonly Schedule[],
  now: number,
): RetentionConflict[] {
  const gaps = new Map(schedules.map((schedule) => [schedule.id, shortestGapMs(schedule, now)]));
  return groups.flatMap((group) => {
    const using = schedules.filter((schedule) => schedule.sourceGroupIds.includes(group.id));
    if (using.length === 0) return [];
    const finest = Math.min(...using.map(({ id }) => gaps.get(id) ?? Number.POSITIVE_INFINITY));
    return units
      .filter(({ key, maxGapMs }) => group.retention[key] !== null && finest > maxGapMs)
      .map(({ keep, every }) => {
        const sentence = `“${group.name}” keeps ${keep} snapshots, but no schedule that uses it runs every ${every}: fewer will be there than its retention says.`;
        return { groupId: group.id, keep, sentence };
      });
  });
}
