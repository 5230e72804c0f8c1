/** How schedules stand, for pages and the API: read-only, put together when somebody asks. */
import type { Db } from "../../platform/db/db.ts";
import { type JobStatus, listLatestScheduled } from "../jobs/jobs.ts";
import { listFleet, listPending, type PendingRun } from "./schedules.store.ts";

export interface ScheduleState {
  /** Its newest job; `at` is when that ended, or was made. */
  last: { at: number; status: JobStatus; jobId: string } | null;
  /** What has no good end yet: of several groups the one that has tried the most. */
  pending: PendingRun | null;
}

/** Of every schedule of a host that ever ran or that waits. */
export async function scheduleStates(db: Db, hostId: string): Promise<Map<string, ScheduleState>> {
  const states = new Map<string, ScheduleState>();
  for (const job of await listLatestScheduled(db, hostId)) {
    const last = { at: job.finishedAt ?? job.createdAt, status: job.status, jobId: job.id };
    states.set(job.scheduleId ?? "", { last, pending: null });
  }
  for (const run of await listPending(db, { hostId })) {
    const state = states.get(run.scheduleId) ?? { last: null, pending: null };
    if (!state.pending || run.tries > state.pending.tries) state.pending = run;
    states.set(run.scheduleId, state);
  }
  return states;
}

/** What the dashboard says of a host's schedules. */
export interface FleetSchedules {
  /** The first planned time of all its active schedules. */
  nextFireAt: number | null;
  /** Its schedules, each with how many groups it covers. */
  schedules: { scheduleId: string; groupCount: number; active: boolean }[];
}

/** By host; hosts without a schedule are absent. One query. */
export async function listFleetSchedules(
  db: Db,
  hostIds: readonly string[],
): Promise<Map<string, FleetSchedules>> {
  const fleet = new Map<string, FleetSchedules>();
  for (const { hostId, scheduleId, nextFireAt, groupCount } of await listFleet(db, hostIds)) {
    const host = fleet.get(hostId) ?? { nextFireAt: null, schedules: [] };
    host.schedules.push({ scheduleId, groupCount, active: nextFireAt !== null });
    if (nextFireAt !== null) host.nextFireAt = Math.min(host.nextFireAt ?? nextFireAt, nextFireAt);
    fleet.set(hostId, host);
  }
  return fleet;
}
