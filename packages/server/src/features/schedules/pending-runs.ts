/**
 * Runs that have no good end yet: one that waits for its host, one whose job failed and is tried again, one whose job's
 * end is awaited. Invariants: waiting for a host that is away is no try; a run that is given up leaves an audit entry,
 * and where it never began a job that says so. Everything runs in the caller's transaction, and of several servers one
 * goes on with a run.
 */
import { scheduledJobId } from "@restic-manager/protocol";
import { toInstant } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import { systemActor } from "../../platform/http/identity.ts";
import { recordAudit } from "../audit/audit.ts";
import { type Host, type HostMode, isOnline } from "../hosts/hosts.ts";
import { insertExpired, isFinal, type Job, type JobStatus } from "../jobs/jobs.ts";
import { listSourceGroups, type SourceGroup, specOfGroup } from "../sources/sources.ts";
import { insertFire } from "./fires.store.ts";
import { actorOf, claimFire, makeJob } from "./fires.ts";
import { timesOf } from "./planned-times.ts";
import type { Schedule } from "./schedule.ts";
import * as store from "./schedules.store.ts";

/** The longest pause between two tries. */
export const maxBackoffMs = 30 * 60_000;
const firstPauseMs = 30_000;
const hourMs = 60 * 60_000;
/** A host that is away for so long gets no catch-up any more for what it missed first: the run is called expired. */
const givenUpAfterMs: Record<HostMode, number> = { "always-on": 24 * hourMs, intermittent: 7 * 24 * hourMs };

/** Exponential from the group's first pause, capped. @param tries how many have failed, from 1 */
export const backoffMs = (group: Pick<SourceGroup, "retryBackoffSeconds">, tries: number): number =>
  Math.min(maxBackoffMs, group.retryBackoffSeconds * 1000 * 2 ** Math.min(tries - 1, 16));

/** The longer a host is away, the more rarely it is looked for: a quarter of its absence, from 30 s to 30 min. */
const pauseMs = (run: store.PendingRun, now: number): number =>
  Math.min(maxBackoffMs, Math.max(firstPauseMs, (now - run.missedSince) / 4));

/** The planned times from the schedule's next to `plannedAt` came and went while the host was away. */
export async function noteMissed(tx: Db, schedule: Schedule, plannedAt: number, now: number): Promise<void> {
  const pending = await store.listPending(tx, { scheduleId: schedule.id });
  const { id: scheduleId, hostId } = schedule;
  const coversFrom = schedule.nextFireAt ?? plannedAt;
  let waiting = 0;
  for (const sourceGroupId of schedule.sourceGroupIds) {
    const before = pending.find((run) => run.sourceGroupId === sourceGroupId);
    if (before?.waits === "running") continue;
    waiting++;
    const missedSince = before?.waits === "offline" ? before.missedSince : coversFrom;
    const run = { scheduleId, sourceGroupId, hostId, plannedAt, missedSince };
    await store.putPending(tx, {
      ...run,
      tries: 0,
      waits: "offline",
      nextTryAt: now + firstPauseMs,
      jobId: null,
    });
  }
  // Every group of it still runs on the host that is away.
  if (waiting === 0)
    await insertFire(tx, { scheduleId, plannedAt, hostId, firedAt: now, outcome: "skipped", coversFrom });
  await store.advanceSchedule(tx, schedule, timesOf(schedule).next(plannedAt));
}

/** A run that waits for its host: caught up when the host is back, given up when it is away for too long. */
export async function tryOffline(
  tx: Db,
  host: Host,
  schedule: Schedule,
  input: { run: store.PendingRun; now: number },
): Promise<Job[]> {
  const { run, now } = input;
  if (isOnline(host, now))
    return (await claimFire(tx, host, schedule, { plannedAt: run.plannedAt, at: now })).jobs;
  if (now - run.missedSince > givenUpAfterMs[host.mode]) return expire(tx, host, schedule, input);
  await store.postponePending(tx, run, now + pauseMs(run, now));
  return [];
}

async function expire(
  tx: Db,
  host: Host,
  schedule: Schedule,
  { run, now }: { run: store.PendingRun; now: number },
): Promise<Job[]> {
  if (!(await store.takePending(tx, run))) return [];
  const { scheduleId, sourceGroupId, plannedAt, hostId } = run;
  const group = (await listSourceGroups(tx, hostId)).find(({ id }) => id === sourceGroupId);
  await insertFire(tx, {
    scheduleId,
    plannedAt,
    hostId,
    firedAt: now,
    outcome: "expired",
    coversFrom: run.missedSince,
  });
  await recordAbandoned(tx, host, run, { now, why: "host_away" });
  if (!group) return [];
  const jobId = scheduledJobId({ scheduleId, plannedAt, sourceGroupId, tries: 0 });
  const spec = specOfGroup(host, group);
  const scheduled = { jobId, scheduleId, plannedAt };
  const newJob = { hostId, spec, actor: actorOf(schedule), sourceGroupId, scheduled };
  const message = `${host.name} was away from ${toInstant(run.missedSince)} on and did not come back in time, so this backup never began. The schedule goes on with its next planned time.`;
  return [await insertExpired(tx, host, { newJob, message, at: now })];
}

/** The next try of a run whose job failed; put off while its host is away. */
export async function tryAgain(
  tx: Db,
  host: Host,
  schedule: Schedule,
  { run, now }: { run: store.PendingRun; now: number },
): Promise<Job[]> {
  if (!isOnline(host, now)) {
    await store.postponePending(tx, run, now + pauseMs(run, now));
    return [];
  }
  if (!(await store.takePending(tx, run))) return [];
  const job = await makeJob(tx, host, schedule, { ...run, at: now });
  return job ? [job] : [];
}

/** Done, or what somebody wanted: not to be tried again. */
const goodEnds: ReadonlySet<JobStatus> = new Set(["succeeded", "warning", "cancelled"]);

/** A run's job has ended: it is settled, tried again later, or given up. */
export async function settleEnd(
  tx: Db,
  host: Host,
  input: { run: store.PendingRun; job: Job; now: number },
): Promise<void> {
  const { run, job, now } = input;
  if (!isFinal(job.status) || !(await store.takePending(tx, run)) || goodEnds.has(job.status)) return;
  const group = (await listSourceGroups(tx, run.hostId)).find(({ id }) => id === run.sourceGroupId);
  const tries = run.tries + 1;
  if (!group || tries > group.retryMax) {
    await recordAbandoned(tx, host, { ...run, tries }, { now, why: "retries_exhausted", job });
    return;
  }
  const nextTryAt = now + backoffMs(group, tries);
  await store.putPending(tx, { ...run, tries, waits: "failed", nextTryAt, jobId: null });
}

async function recordAbandoned(
  tx: Db,
  host: Host,
  run: store.PendingRun,
  end: { now: number; why: "host_away" | "retries_exhausted"; job?: Job },
): Promise<void> {
  await recordAudit(tx, {
    at: end.now,
    actor: systemActor,
    action: "schedule.abandon",
    target: { kind: "host", id: host.id, name: host.name },
    payload: {
      schedule_id: run.scheduleId,
      source_group_id: run.sourceGroupId,
      planned_at: toInstant(run.plannedAt),
      missed_since: toInstant(run.missedSince),
      tries: run.tries,
      why: end.why,
      ...(end.job ? { job_id: end.job.id, status: end.job.status } : {}),
    },
  });
}
