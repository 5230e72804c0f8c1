/** A schedule's planned times, and when the server looks whether one of them has its outcome. Pure. */
import { type CronTimes, jitterMs, readCron } from "@restic-manager/protocol";
import { AppError } from "../../platform/errors.ts";

/**
 * After the moment at which the host should have fired: how long the server waits for it before it looks itself. The
 * agent asks at once and needs a moment to connect again when the line was cut.
 */
export const graceMs = 60_000;

/** When the server looks whether a planned time has its outcome. */
export const lookAtOf = (scheduleId: string, plannedAt: number, jitterSeconds: number): number =>
  plannedAt + jitterMs(scheduleId, plannedAt, jitterSeconds) + graceMs;

/** Reading an expression costs more than all rows of its run, and a fleet shares a few dozen of them. */
const readBefore = new Map<string, CronTimes>();
const maxReadBefore = 1000;

/** The times of a stored schedule. @throws AppError `schedules.cron_invalid`: a time zone that this system lost */
export function timesOf({ cron, timeZone }: { cron: string; timeZone: string }): CronTimes {
  const key = `${cron}\n${timeZone}`;
  const known = readBefore.get(key);
  if (known) return known;
  const read = readCron(cron, timeZone);
  if ("problem" in read) throw new AppError("internal", "schedules.cron_invalid", read.problem.message);
  const oldest = readBefore.keys().next();
  if (readBefore.size >= maxReadBefore && !oldest.done) readBefore.delete(oldest.value);
  const times = remembering(read.times);
  readBefore.set(key, times);
  return times;
}

/** Ten thousand hosts that back up at three ask in one minute for the times around three. */
function remembering(times: CronTimes): CronTimes {
  /** No planned time lies between the two; the second is one. */
  let ahead = { after: Number.NaN, planned: Number.NaN };
  /** As ahead; the first is one. */
  let behind = { planned: Number.NaN, until: Number.NaN };
  return {
    ...times,
    next(afterMs) {
      if (afterMs >= ahead.after && afterMs < ahead.planned) return ahead.planned;
      const planned = times.next(afterMs);
      if (planned !== null) ahead = { after: afterMs, planned };
      return planned;
    },
    last(atMs) {
      if (atMs >= behind.planned && atMs <= behind.until) return behind.planned;
      const planned = times.last(atMs);
      if (planned !== null) behind = { planned, until: atMs };
      return planned;
    },
  };
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
