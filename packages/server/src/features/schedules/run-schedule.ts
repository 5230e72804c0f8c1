/** Running a schedule because somebody asked for it now: its groups at once, beside its planned times. */
import { AppError } from "../../platform/errors.ts";
import { type Job, type RunDeps, runNow } from "../jobs/jobs.ts";
import { getSchedule } from "./schedule.ts";

/**
 * One job for each of its groups, by the person who asked. Never queued for a host that is away.
 * @param input.confirmPaused that the person knows it is paused
 * @throws AppError `schedules.not_found`, `schedules.paused`, `hosts.offline`
 */
export async function runScheduleNow(
  deps: RunDeps,
  input: { hostId: string; scheduleId: string; confirmPaused: boolean; actor: Job["actor"] },
): Promise<Job[]> {
  const schedule = await getSchedule(deps.db, input.hostId, input.scheduleId);
  if (schedule.pausedAt !== null && !input.confirmPaused) {
    const message = "This schedule is paused. Confirm that it shall run now; it stays paused.";
    throw new AppError("conflict", "schedules.paused", message);
  }
  const request = { kind: "backup" as const, source_group_ids: schedule.sourceGroupIds };
  return runNow(deps, { hostId: input.hostId, request, actor: input.actor });
}
