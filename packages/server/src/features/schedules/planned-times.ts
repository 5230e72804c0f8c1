/** A schedule's planned times, and when the server looks whether one of them has its outcome. Pure. */
import { type CronTimes, jitterMs } from "@restic-manager/protocol";
import { readCronTimes } from "../../platform/cron-times.ts";
import { AppError } from "../../platform/errors.ts";

/**
 * After the moment at which the host should have fired: how long the server waits for it before it looks itself. The
 * agent asks at once and needs a moment to connect again when the line was cut.
 */
export const graceMs = 60_000;

/** When the server looks whether a planned time has its outcome. */
export const lookAtOf = (scheduleId: string, plannedAt: number, jitterSeconds: number): number =>
  plannedAt + jitterMs(scheduleId, plannedAt, jitterSeconds) + graceMs;

/** The times of a stored schedule. @throws AppError `schedules.cron_invalid`: a time zone that this system lost */
export function timesOf({ cron, timeZone }: { cron: string; timeZone: string }): CronTimes {
  const read = readCronTimes(cron, timeZone);
  if ("times" in read) return read.times;
  throw new AppError("internal", "schedules.cron_invalid", read.problem.message);
}

/**
 * The newest planned time whose look is due; null when none is. Those before it since the schedule's next one were
 * missed together with it.
 */
export function newestDue(
  schedule: { id: string; cron: string; timeZone: string; jitterSeconds: number; nextFireAt: number | null },
  now: number,
  times: CronTimes = timesOf(schedule),
): number | null {
  const { id, jitterSeconds, nextFireAt } = schedule;
  if (nextFireAt === null) return null;
  // A spread of hours can put several planned times of a frequent schedule behind now and their looks before it.
  let candidate = times.last(now - graceMs);
  while (candidate !== null && candidate >= nextFireAt && lookAtOf(id, candidate, jitterSeconds) > now)
    candidate = times.last(candidate - 1);
  return candidate !== null && candidate >= nextFireAt ? candidate : null;
}
