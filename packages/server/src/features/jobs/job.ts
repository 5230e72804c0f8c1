/**
 * Jobs: one run of one restic operation on one host. The row is the truth: it is written before anything is
 * sent, and its status changes only along `transitions`, by compare-and-set on (status, attempt).
 */
import {
  type BackupSummary,
  type JobError,
  type JobResult,
  type JobSpec,
  type LogLine,
  type Progress,
  progress,
} from "@restic-manager/protocol";
import { z } from "zod";
import type { Clock } from "../../platform/clock.ts";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import { type EventBus, sharedTopic } from "../../platform/events.ts";
import { type Actor, systemActor } from "../../platform/http/identity.ts";
import { newId } from "../../platform/random.ts";
import type { AfterCommit } from "../agent-link/agent-link.ts";
import { recordAudit } from "../audit/audit.ts";
import { getHost, type Host } from "../hosts/hosts.ts";
import * as store from "./jobs.store.ts";

export const jobStatuses = [
  "queued",
  "dispatched",
  "running",
  "succeeded",
  "warning",
  "failed",
  "cancelled",
  "lost",
  "expired",
] as const;
export type JobStatus = (typeof jobStatuses)[number];

/** Which status may follow which. Everything else is refused by `moveJob`. */
export const transitions: Record<JobStatus, readonly JobStatus[]> = {
  queued: ["dispatched", "cancelled", "expired"],
  dispatched: ["queued", "running", "failed", "cancelled", "lost", "expired"],
  running: ["succeeded", "warning", "failed", "cancelled", "lost", "expired"],
  succeeded: [],
  warning: [],
  failed: [],
  cancelled: [],
  lost: [],
  // Its host came back after all: what it says about the end is the truth.
  expired: ["succeeded", "warning", "failed", "cancelled"],
};

const finalStatuses: ReadonlySet<JobStatus> = new Set([
  "succeeded",
  "warning",
  "failed",
  "cancelled",
  "lost",
  "expired",
]);

export const isFinal = (status: JobStatus): boolean => finalStatuses.has(status);

export interface Job {
  id: string;
  hostId: string;
  /** Where the host backs up to when the job was made: exclusive operations share a lane by it. */
  repositoryId: string | null;
  kind: JobSpec["kind"];
  status: JobStatus;
  /** Counts dispatches from 1; 0 while never dispatched. Events of another attempt are not this job's. */
  attempt: number;
  sourceGroup: string | null;
  /** The group itself, which may have another name by now, or be gone. */
  sourceGroupId: string | null;
  /** Set for a run of a schedule, with its planned time: the two survive retries. */
  scheduleId: string | null;
  plannedAt: number | null;
  /** As it is stored: without hooks, which are secret and are put in when it is sent. */
  spec: JobSpec;
  actor: Actor;
  createdAt: number;
  dispatchedAt: number | null;
  acknowledgedAt: number | null;
  startedAt: number | null;
  finishedAt: number | null;
  cancelRequestedAt: number | null;
  /** How far it came, stored when it ended; while it runs see LiveProgress. */
  progress: Progress | null;
  summary: BackupSummary | null;
  /** What a job of another kind than a backup did; null when it told nothing. */
  result: JobResult | null;
  error: JobError | null;
  exitCode: number | null;
  /** How many lines its log has; null until the agent said so. */
  logLines: number | null;
  /** When its log was removed for its age. */
  logPrunedAt: number | null;
}

export interface JobsDeps {
  db: Db;
  clock: Clock;
  bus: EventBus;
}

/** What goes between replicas has to fit into 7,500 bytes; names of files that are longer stay here. */
const maxSharedFilesBytes = 6_000;
const jobOfHost = z.object({ jobId: z.string(), hostId: z.string() });
/** A job's row changed. */
export const jobChanged = sharedTopic("jobs.changed", {
  payload: jobOfHost.extend({ status: z.enum(jobStatuses) }),
});
/** These lines, perhaps none, were added to a job's log. Other replicas read them from the rows: null. */
export const jobLogGrew = sharedTopic<{ jobId: string; lines: LogLine[] | null }>("jobs.log_grew", {
  payload: z.object({ jobId: z.string() }).transform(({ jobId }) => ({ jobId, lines: null })),
  toWire: ({ jobId }) => ({ jobId }),
});
/** A running job told how far it is. */
export const jobProgressed = sharedTopic("jobs.progressed", {
  payload: jobOfHost.extend({ attempt: z.number().int(), progress }),
  toWire: ({ progress: all, ...job }) => {
    const fits = Buffer.byteLength(JSON.stringify(all.current_files)) <= maxSharedFilesBytes;
    return { ...job, progress: fits ? all : { ...all, current_files: [] } };
  },
});
/** A job shall be stopped on its host. */
export const jobCancelRequested = sharedTopic("jobs.cancel_requested", { payload: jobOfHost });

/** @throws AppError `jobs.not_found` */
export async function getJob(db: Db, jobId: string): Promise<Job> {
  const job = await store.findJob(db, jobId);
  if (!job) throw notFound();
  return job;
}

const notFound = (): AppError =>
  new AppError("not_found", "jobs.not_found", "This job does not exist, or its host was removed.");

export interface NewJob {
  hostId: string;
  spec: JobSpec;
  actor: Actor;
  sourceGroupId?: string | null;
  /** The one that the job reads or writes when that is not the host's own. */
  repositoryId?: string | null;
  /** A new one by default. Jobs that must run in an order have ids in that order. */
  jobId?: string;
  /** A run of a schedule. Its id follows from its key (`scheduledJobId`), so it exists once. */
  scheduled?: { jobId: string; scheduleId: string; plannedAt: number };
}

/**
 * Writes jobs as queued, each with its audit entry, all or none; the dispatcher sends them when their turn comes.
 * @throws AppError `hosts.not_found`
 */
export async function createJobs(deps: JobsDeps, newJobs: NewJob[]): Promise<Job[]> {
  const at = deps.clock.now();
  const jobs: Job[] = [];
  await inTransaction(deps.db, async (tx) => {
    for (const input of newJobs)
      jobs.push(await insertNewJob(tx, await getHost(tx, input.hostId), input, at));
  });
  for (const job of jobs) announce(deps.bus, job);
  return jobs;
}

/** The row and its audit entry, in the caller's transaction; `announce` it after the commit. */
export async function insertNewJob(tx: Db, host: Host, input: NewJob, at: number): Promise<Job> {
  const job = makeJob(input, host, at);
  await store.insertJob(tx, job);
  await recordAudit(tx, {
    at,
    actor: job.actor,
    action: "job.create",
    target: { kind: "host", id: host.id, name: host.name },
    payload: { job_id: job.id, kind: job.kind, source_group: job.sourceGroup },
  });
  return job;
}

function makeJob(input: NewJob, host: Host, at: number): Job {
  const { spec, actor, sourceGroupId, jobId, scheduled } = input;
  return {
    id: scheduled?.jobId ?? jobId ?? newId(at),
    hostId: host.id,
    // An update touches no repository, and waits for none.
    repositoryId: spec.kind === "update" ? null : (input.repositoryId ?? host.repositoryId),
    kind: spec.kind,
    status: "queued",
    attempt: 0,
    sourceGroup: spec.kind === "backup" || spec.kind === "verify" ? spec.source_group : null,
    sourceGroupId: sourceGroupId ?? null,
    scheduleId: scheduled?.scheduleId ?? null,
    plannedAt: scheduled?.plannedAt ?? null,
    spec,
    actor,
    createdAt: at,
    dispatchedAt: null,
    acknowledgedAt: null,
    startedAt: null,
    finishedAt: null,
    cancelRequestedAt: null,
    progress: null,
    summary: null,
    result: null,
    error: null,
    exitCode: null,
    logLines: null,
    logPrunedAt: null,
  };
}

/** A repository is made, or found to exist, by the host that first uses it. */
export async function queueFirstInit(
  { clock, bus }: Pick<JobsDeps, "clock" | "bus">,
  tx: Db,
  hostId: string,
): Promise<AfterCommit | undefined> {
  const host = await getHost(tx, hostId);
  if (host.repositoryId === null) return undefined;
  const spec = { kind: "init", host_name: host.name } as const;
  const job = await insertNewJob(tx, host, { hostId, spec, actor: systemActor }, clock.now());
  return () => announce(bus, job);
}

/** What a move may write besides the status. */
export type JobPatch = Partial<
  Pick<
    Job,
    | "dispatchedAt"
    | "acknowledgedAt"
    | "startedAt"
    | "finishedAt"
    | "progress"
    | "summary"
    | "result"
    | "error"
    | "exitCode"
    | "logLines"
  >
> & { attempt?: number };

/**
 * The only way to change a status: compare-and-set on the status and attempt that the caller saw.
 * @returns the job as it is now, or null when somebody else moved it first
 * @throws AppError `jobs.transition_invalid` for a move that the table does not have: a mistake of ours
 */
export async function moveJob(tx: Db, job: Job, to: JobStatus, patch: JobPatch = {}): Promise<Job | null> {
  if (!transitions[job.status].includes(to)) {
    throw new AppError("internal", "jobs.transition_invalid", `A job can't go from ${job.status} to ${to}.`);
  }
  const moved = await store.updateJob(tx, job, { ...patch, status: to });
  return moved ? { ...job, ...patch, status: to } : null;
}

/** The end of a job in the audit trail; in the transaction that ends it. */
export async function recordEnd(tx: Db, end: { job: Job; actor: Actor; at: number }): Promise<void> {
  const { job, actor, at } = end;
  await recordAudit(tx, {
    at,
    actor,
    action: "job.finish",
    target: { kind: "job", id: job.id, name: job.kind },
    payload: { status: job.status, code: job.error?.code ?? null },
  });
}

/** Tells listeners that a job's row changed; call it after the commit. */
export function announce(bus: EventBus, job: Job): void {
  bus.emit(jobChanged, { jobId: job.id, hostId: job.hostId, status: job.status });
}

/**
 * Takes a job back that was not sent, in the transaction of whoever made it; `announce` it after the commit.
 * @returns null when it was sent this moment
 */
export async function withdrawQueued(
  tx: Db,
  job: Job,
  by: { actor: Actor; at: number },
): Promise<Job | null> {
  const moved = await moveJob(tx, job, "cancelled", { finishedAt: by.at });
  if (moved) await recordEnd(tx, { job: moved, ...by });
  return moved;
}

/** What became of a wish to cancel. */
export type CancelOutcome = "cancelled" | "requested" | "already_finished";

/**
 * Cancels a job in whatever status it is: one that was never sent is cancelled at once, a live one is stopped by
 * its agent (now, or when it is back), a finished one stays as it is.
 * @throws AppError `jobs.not_found`
 */
export async function cancelJob(
  deps: JobsDeps,
  input: { jobId: string; actor: Actor },
): Promise<CancelOutcome> {
  const at = deps.clock.now();
  const { job, outcome } = await inTransaction(deps.db, async (tx) => {
    const before = await store.lockJob(tx, input.jobId);
    if (!before) throw notFound();
    if (isFinal(before.status)) return { job: before, outcome: "already_finished" as const };
    await recordAudit(tx, {
      at,
      actor: input.actor,
      action: "job.cancel",
      target: { kind: "job", id: before.id, name: before.kind },
      payload: { host_id: before.hostId, status: before.status },
    });
    if (before.status === "queued") {
      const moved = await moveJob(tx, before, "cancelled", { finishedAt: at });
      if (moved) return { job: moved, outcome: "cancelled" as const };
    }
    await store.markCancelRequested(tx, before.id, at);
    return { job: before, outcome: "requested" as const };
  });
  if (outcome !== "already_finished") announce(deps.bus, job);
  if (outcome === "requested") deps.bus.emit(jobCancelRequested, { jobId: job.id, hostId: job.hostId });
  return outcome;
}
