/**
 * Cron as both sides compute it: one implementation, because a run's key is its planned time, and two that differ by a
 * minute would make two runs of one. Five fields, an explicit zone, and summer time as in Vixie cron: a time that the
 * clock skips is the first moment after the gap, one that it repeats counts once; what runs every hour keeps running.
 */
import { Cron } from "croner";

/** Why an expression or its zone can't be used. */
export type CronProblem = {
  field: "cron" | "time_zone";
  code: "cron.fields" | "cron.syntax" | "cron.never" | "cron.zone";
  /** A sentence for the person who typed it. */
  message: string;
};

/** A schedule's times. Every time is epoch milliseconds at a whole minute. */
export interface CronTimes {
  /** The first planned time after `afterMs`; null when there is none within croner's horizon (year 10000). */
  next(afterMs: number): number | null;
  /** The next `count` planned times after `afterMs`, fewer when there are no more. */
  nextSome(afterMs: number, count: number): number[];
  /** The last planned time at or before `atMs`; null when there was none. */
  last(atMs: number): number | null;
}

const fieldRule = /^(?:\*|(?:\d{1,2}|[A-Za-z]{3})(?:-(?:\d{1,2}|[A-Za-z]{3}))?)(?:\/\d{1,3})?$/;
const fieldNames = ["minute", "hour", "day of the month", "month", "day of the week"] as const;

/** Longer than any that a person writes. */
export const maxCronChars = 256;

/**
 * Reads a five-field expression in an IANA time zone. Strict: lists, ranges, steps of `*` or of a range, and names of
 * months and days; no seconds, no `L`, `W`, `#` or `?`, no macros.
 */
export function readCron(
  expression: string,
  timeZone: string,
): { times: CronTimes } | { problem: CronProblem } {
  const fields = expression.trim().split(/\s+/);
  if (expression.length > maxCronChars || fields.length !== 5 || fields[0] === "") {
    const message = `A cron expression has five fields (${fieldNames.join(", ")}); this has ${fields[0] === "" ? 0 : fields.length}.`;
    return { problem: { field: "cron", code: "cron.fields", message } };
  }
  if (!isTimeZone(timeZone)) {
    const message = `There is no time zone “${timeZone.slice(0, 64)}”. Use a name such as Europe/Berlin or UTC.`;
    return { problem: { field: "time_zone", code: "cron.zone", message } };
  }
  const wrong = fields.findIndex((field) => !field.split(",").every((part) => isPart(part)));
  if (wrong >= 0) return { problem: syntaxProblem(fieldNames[wrong] ?? "minute", fields[wrong] ?? "") };
  return parse(fields.join(" "), timeZone);
}

/** `5/15` means one thing to one cron and another to the next. */
const isPart = (part: string): boolean => fieldRule.test(part) && !/^[A-Za-z0-9]+\//.test(part);

function syntaxProblem(name: string, field: string): CronProblem {
  const message = `The ${name} can't be “${field.slice(0, 40)}”. Use *, a number, a range 1-5, a list 1,15 or a step */15.`;
  return { field: "cron", code: "cron.syntax", message };
}

function parse(expression: string, timezone: string): { times: CronTimes } | { problem: CronProblem } {
  let cron: Cron;
  try {
    cron = new Cron(expression, { timezone, mode: "5-part", paused: true });
  } catch {
    const message = "One of the five fields is out of its range. Minutes go to 59, hours to 23, days to 31.";
    return { problem: { field: "cron", code: "cron.syntax", message } };
  }
  // Any fixed moment serves: what ever happens, happens in every 28 years.
  if (cron.nextRun(new Date(0)) === null) {
    const message = "This never happens: no year has that day. Check day and month.";
    return { problem: { field: "cron", code: "cron.never", message } };
  }
  return { times: timesOf(cron) };
}

function timesOf(cron: Cron): CronTimes {
  return {
    next: (afterMs) => cron.nextRun(new Date(afterMs))?.getTime() ?? null,
    nextSome: (afterMs, count) => cron.nextRuns(count, new Date(afterMs)).map((date) => date.getTime()),
    // croner's reference is exclusive, and its steps are whole seconds.
    last: (atMs) =>
      cron.previousRuns(1, new Date((Math.floor(atMs / 1000) + 1) * 1000))[0]?.getTime() ?? null,
  };
}

/** Whether this runtime knows the zone; both sides run on the same. */
export function isTimeZone(timeZone: string): boolean {
  if (timeZone === "" || timeZone.length > 64 || /[^A-Za-z0-9_+/-]/.test(timeZone)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone });
    return true;
  } catch {
    return false;
  }
}
