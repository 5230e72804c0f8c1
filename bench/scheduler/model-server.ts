/**
 * The server's part of one host's schedules on rows in memory: what fires.ts, pending-runs.ts and schedule-watch.ts do,
 * told again without a database. Decisions that are pure there are those here (`refusalOf`, `newestDue`, `lookAtOf`,
 * `backoffMs`); that the rest is told rightly is shown by playing a part of the year to the real watch (replay.ts).
 */
import { type CronTimes, scheduledJobId } from "@restic-manager/protocol";
import { refusalOf } from "../../packages/server/src/features/schedules/fires.ts";
import { backoffMs } from "../../packages/server/src/features/schedules/pending-runs.ts";
import { lookAtOf, newestDue } from "../../packages/server/src/features/schedules/planned-times.ts";
import type { PlanHost, PlanSchedule } from "./fleet-plan.ts";

export const settleMs = 60_000;
const offlineAfterMs = 90_000;
const heartbeatMs = 25_000;
const hourMs = 60 * 60_000;
const maxAheadMs = 10 * 60_000;
const firstPauseMs = 30_000;
const maxPauseMs = 30 * 60_000;
const retries = { retryMax: 3, retryBackoffSeconds: 60 };
const givenUpAfterMs = { "always-on": 24 * hourMs, intermittent: 7 * 24 * hourMs };

export interface FireRow {
  plannedAt: number;
  outcome: "run" | "skipped" | "expired";
  coversFrom: number;
}

export interface PendingRow {
  groupId: string;
  plannedAt: number;
  missedSince: number;
  tries: number;
  waits: "offline" | "failed" | "running";
  nextTryAt: number;
  jobId: string | null;
}

export interface ScheduleRows {
  plan: PlanSchedule;
  nextFireAt: number;
  lookAt: number;
  fires: Map<number, FireRow>;
  pending: PendingRow[];
}

export interface JobRow {
  id: string;
  schedule: ScheduleRows;
  groupId: string;
  plannedAt: number;
  tries: number;
  status: "queued" | "live" | "succeeded" | "failed" | "expired";
}

export type JobEnd = "succeeded" | "failed";
const isOver = ({ status }: JobRow): boolean => status !== "queued" && status !== "live";

export class ModelServer {
  readonly schedules: ScheduleRows[];
  readonly jobs = new Map<string, JobRow>();
  /** Queued, in the order in which they were made. */
  readonly queued: JobRow[] = [];
  private readonly host: PlanHost;
  /** Since when the host is connected, and to which server. */
  private link: { replica: number; since: number } | null = null;
  private seenAt = Number.NEGATIVE_INFINITY;

  constructor(host: PlanHost) {
    this.host = host;
    this.schedules = host.schedules.map((plan) => ({
      plan,
      nextFireAt: plan.firstPlannedAt,
      lookAt: lookAtOf(plan.id, plan.firstPlannedAt, plan.jitterSeconds),
      fires: new Map(),
      pending: [],
    }));
  }

  connect(replica: number, at: number): void {
    this.link = { replica, since: at };
    for (const { pending } of this.schedules)
      for (const run of pending)
        if (run.waits !== "running") run.nextTryAt = Math.min(run.nextTryAt, at + settleMs);
  }

  disconnect(at: number): void {
    this.seenAt = this.lastSeen(at);
    this.link = null;
  }

  lastSeen(at: number): number {
    if (this.link === null) return this.seenAt;
    const { since } = this.link;
    return since + Math.floor((at - since) / heartbeatMs) * heartbeatMs;
  }

  /** When a look or a drain has something to do; infinite when never. */
  get lookDueAt(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const { lookAt } of this.schedules) if (lookAt < due) due = lookAt;
    return due;
  }

  get drainDueAt(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const { pending } of this.schedules)
      for (const run of pending) if (run.waits !== "running" && run.nextTryAt < due) due = run.nextTryAt;
    return due;
  }

  answerFire(schedule: ScheduleRows, plannedAt: number, at: number): "taken" | "refused" {
    const { plan } = schedule;
    if (refusalOf(this.host, plan, plannedAt, at, timesOfPlan) !== null) return "refused";
    this.claim(schedule, plannedAt, at);
    return "taken";
  }

  look(at: number, replica: number, startedAt: number): void {
    for (const schedule of this.schedules)
      while (schedule.lookAt <= at) this.lookAt(schedule, { at, replica, startedAt });
  }

  drain(at: number, replica: number, startedAt: number): void {
    for (const waits of ["offline", "failed"] as const) {
      for (const schedule of this.schedules) {
        if (!schedule.pending.some((run) => run.waits === waits && run.nextTryAt <= at)) continue;
        for (const run of [...schedule.pending]) {
          if (run.waits !== waits || run.nextTryAt > at || !schedule.pending.includes(run)) continue;
          const settledAt = this.settledAt(replica, startedAt);
          if (settledAt > at) run.nextTryAt = settledAt;
          else if (waits === "offline") this.tryOffline(schedule, run, at);
          else this.tryAgain(schedule, run, at);
        }
      }
    }
  }

  /** @returns false when the server refuses it */
  ran(schedule: ScheduleRows, groupId: string, plannedAt: number, at: number): boolean {
    if (plannedAt > at + maxAheadMs) return false;
    const id = scheduledJobId({ scheduleId: schedule.plan.id, plannedAt, sourceGroupId: groupId, tries: 0 });
    const job = this.jobs.get(id) ?? this.insertJob(schedule, { id, groupId, plannedAt, tries: 0 });
    if (job.status === "queued") this.begin(job);
    this.settleKey(schedule, plannedAt);
    if (!isOver(job)) this.awaitEnd(schedule, { groupId, plannedAt, at, job });
    return true;
  }

  end(job: JobRow, status: JobEnd, at: number): void {
    if (job.status === "queued") this.begin(job);
    job.status = status;
    const run = job.schedule.pending.find(({ jobId }) => jobId === job.id);
    if (!run) return;
    remove(job.schedule.pending, run);
    const tries = run.tries + 1;
    if (status === "succeeded" || tries > retries.retryMax) return;
    put(job.schedule, {
      ...run,
      tries,
      waits: "failed",
      nextTryAt: at + backoffMs(retries, tries),
      jobId: null,
    });
  }

  begin(job: JobRow): void {
    job.status = "live";
    remove(this.queued, job);
  }

  private lookAt(
    schedule: ScheduleRows,
    { at, replica, startedAt }: { at: number; replica: number; startedAt: number },
  ): void {
    const { plan, nextFireAt } = schedule;
    const { id, cron, timeZone, jitterSeconds } = plan;
    const plannedAt = newestDue({ id, cron, timeZone, jitterSeconds, nextFireAt }, at, plan.times);
    const settledAt = this.settledAt(replica, startedAt);
    if (plannedAt === null) advance(schedule, plan.times.next(at));
    else if (settledAt > at) schedule.lookAt = settledAt;
    else if (!this.isOnline(at)) this.noteMissed(schedule, plannedAt, at);
    else this.claim(schedule, plannedAt, at);
  }

  private isOnline(at: number): boolean {
    return at - this.lastSeen(at) < offlineAfterMs;
  }

  private settledAt(replica: number, startedAt: number): number {
    const connectedAt = this.link?.replica === replica ? this.link.since : 0;
    return Math.max(startedAt, connectedAt) + settleMs;
  }

  private claim(schedule: ScheduleRows, firedAt: number, at: number): void {
    const pending = [...schedule.pending];
    let plannedAt = firedAt;
    for (const run of pending) if (waitsFor(run, firedAt)) plannedAt = Math.max(plannedAt, run.plannedAt);
    const covering = findCovering(schedule, plannedAt);
    const fire: FireRow = {
      plannedAt,
      outcome: "run",
      coversFrom: firstMissed(schedule, plannedAt, covering),
    };
    advancePast(schedule, plannedAt);
    const taken = covering === undefined && insertFire(schedule, fire);
    dropSettled(schedule, plannedAt);
    if (!taken) return;
    let made = 0;
    for (const groupId of schedule.plan.groupIds) {
      const before = pending.find((run) => run.groupId === groupId);
      if (before && this.stillRuns(before)) continue;
      this.makeJob(schedule, { groupId, plannedAt, tries: 0, at });
      made++;
    }
    if (made === 0) fire.outcome = "skipped";
  }

  private makeJob(
    schedule: ScheduleRows,
    run: { groupId: string; plannedAt: number; tries: number; at: number },
  ): void {
    const { groupId, plannedAt, tries, at } = run;
    const id = scheduledJobId({ scheduleId: schedule.plan.id, plannedAt, sourceGroupId: groupId, tries });
    if (!this.jobs.has(id)) this.insertJob(schedule, { id, groupId, plannedAt, tries });
    put(schedule, awaited({ groupId, plannedAt, tries, at, jobId: id }));
  }

  private insertJob(
    schedule: ScheduleRows,
    job: Pick<JobRow, "id" | "groupId" | "plannedAt" | "tries">,
  ): JobRow {
    if (this.jobs.has(job.id)) throw new Error(`the job ${job.id} would be made twice`);
    const row: JobRow = { ...job, schedule, status: "queued" };
    this.jobs.set(job.id, row);
    this.queued.push(row);
    return row;
  }

  private stillRuns({ jobId }: PendingRow): boolean {
    const job = jobId === null ? undefined : this.jobs.get(jobId);
    return job !== undefined && !isOver(job);
  }

  private noteMissed(schedule: ScheduleRows, plannedAt: number, at: number): void {
    const coversFrom = schedule.nextFireAt;
    let waiting = 0;
    for (const groupId of schedule.plan.groupIds) {
      const before = schedule.pending.find((run) => run.groupId === groupId);
      if (before?.waits === "running") continue;
      waiting++;
      const missedSince = before?.waits === "offline" ? before.missedSince : coversFrom;
      const nextTryAt = at + firstPauseMs;
      put(schedule, { groupId, plannedAt, missedSince, tries: 0, waits: "offline", nextTryAt, jobId: null });
    }
    if (waiting === 0) insertFire(schedule, { plannedAt, outcome: "skipped", coversFrom });
    advance(schedule, schedule.plan.times.next(plannedAt));
  }

  private tryOffline(schedule: ScheduleRows, run: PendingRow, at: number): void {
    if (this.isOnline(at)) this.claim(schedule, run.plannedAt, at);
    else if (at - run.missedSince > givenUpAfterMs[this.host.mode]) this.expire(schedule, run);
    else run.nextTryAt = at + pauseMs(run, at);
  }

  private expire(schedule: ScheduleRows, run: PendingRow): void {
    const { groupId, plannedAt, missedSince } = run;
    remove(schedule.pending, run);
    insertFire(schedule, { plannedAt, outcome: "expired", coversFrom: missedSince });
    const id = scheduledJobId({ scheduleId: schedule.plan.id, plannedAt, sourceGroupId: groupId, tries: 0 });
    const job = this.insertJob(schedule, { id, groupId, plannedAt, tries: 0 });
    this.begin(job);
    job.status = "expired";
  }

  private tryAgain(schedule: ScheduleRows, run: PendingRow, at: number): void {
    if (!this.isOnline(at)) {
      run.nextTryAt = at + pauseMs(run, at);
      return;
    }
    remove(schedule.pending, run);
    this.makeJob(schedule, { groupId: run.groupId, plannedAt: run.plannedAt, tries: run.tries, at });
  }

  private settleKey(schedule: ScheduleRows, plannedAt: number): void {
    const { fires, plan } = schedule;
    const covering = findCovering(schedule, plannedAt);
    const coversFrom = firstMissed(schedule, plannedAt, covering);
    const known = fires.get(plannedAt);
    if (known) known.outcome = "run";
    else fires.set(plannedAt, { plannedAt, outcome: "run", coversFrom });
    const after = plan.times.next(plannedAt) ?? plannedAt;
    if (covering) covering.coversFrom = after;
    for (const run of schedule.pending) if (waitsFor(run, plannedAt)) run.missedSince = after;
    dropSettled(schedule, plannedAt);
    advancePast(schedule, plannedAt);
  }

  private awaitEnd(
    schedule: ScheduleRows,
    run: { groupId: string; plannedAt: number; at: number; job: JobRow },
  ): void {
    const { groupId, plannedAt, at, job } = run;
    const before = schedule.pending.find((other) => other.groupId === groupId);
    if (before && (before.plannedAt > plannedAt || this.stillRuns(before))) return;
    put(schedule, awaited({ groupId, plannedAt, tries: 0, at, jobId: job.id }));
  }
}

/** `refusalOf` hands back the very plan that it was given. */
const timesOfPlan = (plan: { times?: CronTimes } & object) => {
  if (!plan.times) throw new Error("this is no plan");
  return plan.times;
};

const awaited = (run: {
  groupId: string;
  plannedAt: number;
  tries: number;
  at: number;
  jobId: string;
}): PendingRow => ({
  groupId: run.groupId,
  plannedAt: run.plannedAt,
  missedSince: run.plannedAt,
  tries: run.tries,
  waits: "running",
  nextTryAt: run.at + 5 * 60_000,
  jobId: run.jobId,
});

const pauseMs = (run: PendingRow, now: number): number =>
  Math.min(maxPauseMs, Math.max(firstPauseMs, (now - run.missedSince) / 4));

function insertFire({ fires }: ScheduleRows, fire: FireRow): boolean {
  if (fires.has(fire.plannedAt)) return false;
  fires.set(fire.plannedAt, fire);
  return true;
}

const waitsFor = (run: PendingRow, plannedAt: number): boolean =>
  run.waits === "offline" && run.missedSince <= plannedAt && plannedAt < run.plannedAt;

function findCovering({ fires, nextFireAt }: ScheduleRows, plannedAt: number): FireRow | undefined {
  if (nextFireAt <= plannedAt) return undefined;
  for (const fire of fires.values())
    if (fire.plannedAt > plannedAt && fire.coversFrom <= plannedAt) return fire;
  return undefined;
}

function firstMissed(
  { fires, pending, nextFireAt, plan }: ScheduleRows,
  plannedAt: number,
  covering: FireRow | undefined,
): number {
  let first = Math.min(plannedAt, nextFireAt, covering?.coversFrom ?? plannedAt);
  let waiting = false;
  for (const run of pending) {
    if (run.waits !== "offline") continue;
    waiting = true;
    first = Math.min(first, run.missedSince);
  }
  if (first === plannedAt || !waiting) return first;
  let before = Number.NEGATIVE_INFINITY;
  for (const fire of fires.values())
    if (fire.plannedAt < plannedAt && fire.plannedAt > before) before = fire.plannedAt;
  return before < first ? first : (plan.times.next(before) ?? plannedAt);
}

function dropSettled(schedule: ScheduleRows, plannedAt: number): void {
  const { pending } = schedule;
  if (pending.some((run) => run.waits === "offline"))
    schedule.pending = pending.filter((run) => run.waits !== "offline" || run.plannedAt > plannedAt);
}

function put(schedule: ScheduleRows, run: PendingRow): void {
  const at = schedule.pending.findIndex(({ groupId }) => groupId === run.groupId);
  if (at < 0) schedule.pending.push(run);
  else schedule.pending[at] = run;
}

function advance(schedule: ScheduleRows, nextFireAt: number | null): void {
  const { id, jitterSeconds } = schedule.plan;
  if (nextFireAt === null) throw new Error("the known times end too early");
  if (nextFireAt <= schedule.nextFireAt) return;
  schedule.nextFireAt = nextFireAt;
  schedule.lookAt = lookAtOf(id, nextFireAt, jitterSeconds);
}

function advancePast(schedule: ScheduleRows, plannedAt: number): void {
  if (schedule.nextFireAt <= plannedAt) advance(schedule, schedule.plan.times.next(plannedAt));
}

function remove<T>(from: T[], what: T): void {
  const at = from.indexOf(what);
  if (at >= 0) from.splice(at, 1);
}
