/**
 * What becomes of a planned time. Invariants: a planned time is claimed once, by the primary key of `schedule_fires`, in
 * the transaction that makes its jobs; a job's id follows from the key, so that a run which the host began by itself
 * and the one that the server made are one row. Everything here runs in the caller's transaction; what is to be told
 * afterwards is returned.
 */
import { type ScheduleRan, scheduledJobId } from "@restic-manager/protocol";
import { fromInstant } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import type { Actor } from "../../platform/http/identity.ts";
import { getHost, type Host, type HostIdentity } from "../hosts/hosts.ts";
import { findJob, insertNewJob, isFinal, type Job, type NewJob, recordOwnRun } from "../jobs/jobs.ts";
import { listSourceGroups, specOfGroup } from "../sources/sources.ts";
import {
  type Fire,
  findFireBefore,
  findFireOver,
  insertFire,
  setCovers,
  setFireOutcome,
} from "./fires.store.ts";
import { timesOf } from "./planned-times.ts";
import { notFound, type Schedule } from "./schedule.ts";
import * as store from "./schedules.store.ts";

/** A host's clock may be this far ahead; what it fires earlier it must fire again. */
const maxAheadMs = 10 * 60_000;
/** A run whose job has not ended is looked at again after this, should its end have been missed. */
const endLookMs = 5 * 60_000;
const minuteMs = 60_000;

/** Who a scheduled job is by: its trigger survives retries. */
export const actorOf = (schedule: Pick<Schedule, "id" | "cron">): Actor => ({
  kind: "schedule",
  id: schedule.id,
  name: schedule.cron,
});

/** What a claim made. Nothing when the planned time has its outcome already. */
export interface Claimed {
  taken: boolean;
  jobs: Job[];
}

/**
 * Claims a planned time and makes one job for each group of the schedule. Missed times before it are covered by it. A
 * group whose run before has not ended gets no second one.
 */
export async function claimFire(
  tx: Db,
  host: Host,
  schedule: Schedule,
  input: { plannedAt: number; at: number },
): Promise<Claimed> {
  const pending = await store.listPending(tx, { scheduleId: schedule.id });
  const { at } = input;
  const plannedAt = newestWith(pending, input.plannedAt);
  const fire = { scheduleId: schedule.id, plannedAt, hostId: host.id, firedAt: at };
  const covering = await findCovering(tx, schedule, plannedAt);
  const coversFrom = await firstMissed(tx, schedule, { pending, plannedAt, covering });
  await advancePast(tx, schedule, plannedAt);
  const taken = covering === null && (await insertFire(tx, { ...fire, outcome: "run", coversFrom }));
  await dropSettled(tx, pending, plannedAt);
  if (!taken) return { taken, jobs: [] };
  const jobs: Job[] = [];
  for (const sourceGroupId of schedule.sourceGroupIds) {
    const before = pending.find((run) => run.sourceGroupId === sourceGroupId);
    if (before && (await stillRuns(tx, before))) continue;
    const job = await makeJob(tx, host, schedule, { sourceGroupId, plannedAt, tries: 0, at });
    if (job) jobs.push(job);
  }
  if (jobs.length === 0) await setFireOutcome(tx, fire, "skipped");
  return { taken: true, jobs };
}

/** Fired late, with newer ones that were missed and wait: the newest of them is what runs. */
const newestWith = (pending: store.PendingRun[], plannedAt: number): number =>
  Math.max(
    plannedAt,
    ...pending.filter((run) => waitsFor(run, plannedAt)).map((waiting) => waiting.plannedAt),
  );

const waitsFor = (run: store.PendingRun, plannedAt: number): boolean =>
  run.waits === "offline" && run.missedSince <= plannedAt && plannedAt < run.plannedAt;

/** The later outcome that stands for a planned time already. */
async function findCovering(tx: Db, schedule: Schedule, plannedAt: number): Promise<Fire | null> {
  // Before the next planned time nothing later has an outcome.
  if (schedule.nextFireAt !== null && schedule.nextFireAt <= plannedAt) return null;
  return findFireOver(tx, { scheduleId: schedule.id, plannedAt });
}

/**
 * The first planned time without an outcome of its own, among those that the one at `plannedAt` stands for. Each is
 * stood for once, so none before the outcome before it.
 */
async function firstMissed(
  tx: Db,
  schedule: Schedule,
  input: { pending: store.PendingRun[]; plannedAt: number; covering: Fire | null },
): Promise<number> {
  const { pending, plannedAt, covering } = input;
  const waiting = pending.filter((run) => run.waits === "offline").map((run) => run.missedSince);
  const known = [schedule.nextFireAt ?? plannedAt, covering?.coversFrom ?? plannedAt];
  const first = Math.min(plannedAt, ...known, ...waiting);
  if (first === plannedAt || waiting.length === 0) return first;
  const before = await findFireBefore(tx, { scheduleId: schedule.id, plannedAt });
  if (before === null || before.plannedAt < first) return first;
  return timesOf(schedule).next(before.plannedAt) ?? plannedAt;
}

/** What waited for its host has its outcome now, be it by a run of the host's own. */
async function dropSettled(tx: Db, pending: store.PendingRun[], plannedAt: number): Promise<void> {
  for (const run of pending)
    if (run.waits === "offline" && run.plannedAt <= plannedAt) await store.deletePending(tx, run);
}

async function stillRuns(tx: Db, run: store.PendingRun): Promise<boolean> {
  if (run.jobId === null) return false;
  const job = await findJob(tx, run.jobId);
  return job !== null && !isFinal(job.status);
}

/** The next planned time is the first after this one, unless it is beyond already. */
async function advancePast(tx: Db, schedule: Schedule, plannedAt: number): Promise<void> {
  if (schedule.nextFireAt === null || schedule.nextFireAt > plannedAt) return;
  await store.advanceSchedule(tx, schedule, timesOf(schedule).next(plannedAt));
}

interface RunInput {
  sourceGroupId: string;
  plannedAt: number;
  /** Tries that failed before this one. */
  tries: number;
  at: number;
}

/** One job of a scheduled run and the note that its end is awaited. @returns null when its group is gone */
export async function makeJob(tx: Db, host: Host, schedule: Schedule, run: RunInput): Promise<Job | null> {
  const { sourceGroupId, plannedAt, tries, at } = run;
  const group = (await listSourceGroups(tx, host.id)).find(({ id }) => id === sourceGroupId);
  if (!group) return null;
  const jobId = scheduledJobId({ scheduleId: schedule.id, plannedAt, sourceGroupId, tries });
  const scheduled = { jobId, scheduleId: schedule.id, plannedAt };
  const newJob: NewJob = {
    ...{
      hostId: host.id,
      spec: specOfGroup(host, group),
      actor: actorOf(schedule),
      sourceGroupId,
      scheduled,
    },
  };
  // A job of this very key can be there only if its outcome is.
  const job = (await findJob(tx, jobId)) ?? (await insertNewJob(tx, host, newJob, at));
  await store.putPending(tx, awaited(schedule, { sourceGroupId, plannedAt, tries, at, jobId }));
  return job;
}

const awaited = (schedule: Schedule, run: RunInput & { jobId: string }): store.PendingRun => ({
  scheduleId: schedule.id,
  hostId: schedule.hostId,
  sourceGroupId: run.sourceGroupId,
  plannedAt: run.plannedAt,
  missedSince: run.plannedAt,
  tries: run.tries,
  waits: "running",
  nextTryAt: run.at + endLookMs,
  jobId: run.jobId,
});

/** Why a fire is refused; null when it may be claimed. */
export function refusalOf(
  host: Pick<HostIdentity, "id">,
  schedule: Pick<Schedule, "hostId" | "deletedAt" | "pausedAt" | "cron" | "timeZone"> | null,
  plannedAt: number,
  now: number,
  readTimes: typeof timesOf = timesOf,
): string | null {
  if (schedule?.hostId !== host.id || schedule.deletedAt !== null) return "schedules.not_found";
  if (schedule.pausedAt !== null) return "schedules.paused";
  if (plannedAt > now + maxAheadMs) return "schedules.clock_ahead";
  // A set from before an edit: the agent gets the new one with its own times.
  return readTimes(schedule).last(plannedAt) === plannedAt ? null : "schedules.not_planned";
}

/**
 * Takes in a run that the host began by itself. Its key can only be its own: the id of the job is computed again from
 * what was told, and the schedule is the host's. The planned time must be a whole minute, so that a stolen host makes
 * no more rows than a schedule could.
 * @throws AppError `schedules.not_found`, `schedules.key_mismatch`, `schedules.clock_ahead`
 */
export async function recordRan(
  tx: Db,
  { id: hostId }: HostIdentity,
  event: ScheduleRan,
  now: number,
): Promise<Job> {
  const schedule = await store.lockSchedule(tx, event.schedule_id);
  if (schedule?.hostId !== hostId) throw notFound();
  const host = await getHost(tx, hostId);
  const plannedAt = fromInstant(event.planned_at);
  const sourceGroupId = event.source_group_id;
  refuseForeignKey(event, { scheduleId: schedule.id, plannedAt, sourceGroupId }, now);
  const newJob = {
    ...{ hostId: host.id, spec: withoutHooks(event), actor: actorOf(schedule), sourceGroupId },
    scheduled: { jobId: event.job_id, scheduleId: schedule.id, plannedAt },
  };
  const job = await recordOwnRun(tx, host, { newJob, attempt: event.attempt, at: now });
  await settleKey(tx, schedule, plannedAt, now);
  // One that was given up has its trace already; its end is no reason to try again.
  if (!isFinal(job.status))
    await awaitEnd(tx, schedule, { sourceGroupId, plannedAt, tries: 0, at: now, jobId: job.id });
  return job;
}

function refuseForeignKey(
  event: ScheduleRan,
  key: { scheduleId: string; plannedAt: number; sourceGroupId: string },
  now: number,
): void {
  if (key.plannedAt > now + maxAheadMs) {
    const message = "This run is planned for the future: the host's clock is ahead.";
    throw new AppError("invalid", "schedules.clock_ahead", message);
  }
  if (key.plannedAt % minuteMs === 0 && scheduledJobId({ ...key, tries: 0 }) === event.job_id) return;
  throw new AppError("invalid", "schedules.key_mismatch", "This job's id does not follow from its key.");
}

/** The agent leaves them out; one that does not must not make us store them. */
function withoutHooks({ spec }: ScheduleRan): ScheduleRan["spec"] {
  const { pre_hook: _pre, post_hook: _post, ...rest } = spec;
  return rest;
}

/** It ran: with it is settled what was missed before it, and what stands for later ones stands for those only. */
async function settleKey(tx: Db, schedule: Schedule, plannedAt: number, now: number): Promise<void> {
  const key = { scheduleId: schedule.id, plannedAt };
  const pending = await store.listPending(tx, { scheduleId: schedule.id });
  const covering = await findCovering(tx, schedule, plannedAt);
  const coversFrom = await firstMissed(tx, schedule, { pending, plannedAt, covering });
  const fire = { ...key, hostId: schedule.hostId, firedAt: now, outcome: "run" as const, coversFrom };
  if (!(await insertFire(tx, fire))) await setFireOutcome(tx, key, "run");
  const after = timesOf(schedule).next(plannedAt);
  if (covering && after !== null)
    await setCovers(tx, { ...key, plannedAt: covering.plannedAt, coversFrom: after });
  for (const run of pending)
    if (after !== null && waitsFor(run, plannedAt)) await store.narrowPending(tx, run, after);
  await dropSettled(tx, pending, plannedAt);
  await advancePast(tx, schedule, plannedAt);
}

/** A run that is newer, or that is under way, stays what is awaited. Of a deleted schedule nothing is. */
async function awaitEnd(tx: Db, schedule: Schedule, run: RunInput & { jobId: string }): Promise<void> {
  const { sourceGroupId } = run;
  if (!schedule.sourceGroupIds.includes(sourceGroupId)) return;
  const pending = await store.listPending(tx, { scheduleId: schedule.id });
  const before = pending.find((other) => other.sourceGroupId === sourceGroupId);
  if (before && (before.plannedAt > run.plannedAt || (await stillRuns(tx, before)))) return;
  await store.putPending(tx, awaited(schedule, run));
}
