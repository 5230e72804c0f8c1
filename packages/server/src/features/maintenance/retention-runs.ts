/**
 * The planned times of schedules over months, fast: a schedule of every minute has half a million a year, and asking cron
 * for each takes minutes. Minutes and hours repeat on every day, so cron is asked for the days only, and for the times of
 * the few days around a change of summer time. Pure.
 */
import { type CronTimes, readCron } from "@restic-manager/protocol";
import { AppError } from "../../platform/errors.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/**
 * Where summer time begins or ends, cron answers for each run of a day with up to so many. Beyond it would take too long,
 * and an hour's runs more or less of hundreds a day are no matter here.
 */
const exactRunsADay = 100;

/** At most so many runs a year; less where days are left out. */
export function countRunsAYear({ cron }: { cron: string }): number {
  const [minute = "", hour = ""] = cron.trim().split(/\s+/);
  return 366 * expand(minute, 59).length * expand(hour, 23).length;
}

/** All planned times after `from` and up to `to`, ascending; a minute in which several run is there for each. */
export function listRuns(
  schedules: readonly { cron: string; timeZone: string }[],
  from: number,
  to: number,
): number[] {
  const runs = schedules.flatMap((schedule) => runsOf(schedule, from, to));
  return schedules.length < 2 ? runs : Array.from(Float64Array.from(runs).sort());
}

function runsOf({ cron, timeZone }: { cron: string; timeZone: string }, from: number, to: number): number[] {
  const times = timesOf(cron, timeZone);
  const [minute = "", hour = "", ...dayFields] = cron.trim().split(/\s+/);
  const minutes = expand(minute, 59);
  const timesOfDay = expand(hour, 23).flatMap((hours) => minutes.map((m) => hours * hourMs + m * minuteMs));
  const zone = createZone(timeZone);
  const runs: number[] = [];
  const addBetween = (time: number): void => {
    if (time > from && time <= to) runs.push(time);
  };
  for (const day of daysOf(dayFields.join(" "), from, to)) {
    const offset = zone.offsetAround(day);
    if (offset !== null) for (const time of timesOfDay) addBetween(day + time - offset);
    else for (const time of runsOfOddDay(times, zone, day, timesOfDay)) addBetween(time);
  }
  return runs;
}

/** @throws AppError `schedules.cron_invalid`: a time zone that this system lost */
function timesOf(cron: string, timeZone: string): CronTimes {
  const read = readCron(cron, timeZone);
  if ("times" in read) return read.times;
  throw new AppError("internal", "schedules.cron_invalid", read.problem.message);
}

/** The values of a field of numbers that cron has accepted, ascending. */
function expand(field: string, most: number): number[] {
  const values = field.split(",").flatMap((part) => {
    const [range = "", step = "1"] = part.split("/");
    const [first, last] = range === "*" ? [0, most] : range.split("-").map(Number);
    const from = first ?? 0;
    const count = Math.floor(((last ?? from) - from) / Number(step)) + 1;
    return Array.from({ length: count }, (_, index) => from + index * Number(step));
  });
  return [...new Set(values)].sort((a, b) => a - b);
}

/** The days that the last three fields mean, as midnights of UTC, from a day before to a day after. */
function daysOf(dayFields: string, from: number, to: number): number[] {
  const first = Math.floor(from / dayMs) * dayMs - dayMs;
  const count = Math.floor((to - first) / dayMs) + 2;
  if (dayFields === "* * *") return Array.from({ length: count }, (_, index) => first + index * dayMs);
  const { next } = timesOf(`0 0 ${dayFields}`, "UTC");
  const days: number[] = [];
  for (let day = next(first - 1); day !== null && day <= to + dayMs; day = next(day)) days.push(day);
  return days;
}

/** The runs of a local day near a change of its zone's offset. */
function runsOfOddDay(times: CronTimes, zone: Zone, day: number, timesOfDay: readonly number[]): number[] {
  if (timesOfDay.length > exactRunsADay)
    return [...new Set(timesOfDay.map((time) => zone.toUtc(day + time)))].sort((a, b) => a - b);
  const end = zone.toUtc(day + dayMs);
  // An hour that comes twice doubles its runs.
  const some = times.nextSome(zone.toUtc(day) - 1, 2 * timesOfDay.length + 1);
  return some.filter((time) => time < end);
}

type Zone = ReturnType<typeof createZone>;

function createZone(timeZone: string) {
  const format = new Intl.DateTimeFormat("en-US", { timeZone, timeZoneName: "longOffset" });
  const known = new Map<number, number>();
  /** What local time is ahead of UTC. */
  const offsetAt = (utc: number): number => {
    const stored = known.get(utc);
    if (stored !== undefined) return stored;
    const [, sign = "+", hours = 0, minutes = 0] = /GMT(?:([+-])(\d+):(\d+))?/.exec(format.format(utc)) ?? [];
    const offset = (Number(hours) * hourMs + Number(minutes) * minuteMs) * (sign === "-" ? -1 : 1);
    known.set(utc, offset);
    return offset;
  };
  return {
    /** The offset all through a local day and some hours around it; null where it changes. */
    offsetAround(day: number): number | null {
      const offset = offsetAt(day - dayMs);
      return [0, 1, 2].every((later) => offsetAt(day + later * dayMs) === offset) ? offset : null;
    },
    toUtc: (wall: number): number => wall - offsetAt(wall - offsetAt(wall)),
  };
}
