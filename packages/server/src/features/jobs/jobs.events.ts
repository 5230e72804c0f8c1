/** What the agents' events about jobs do to the rows. Each runs in the link's transaction. */
import type { JobFinished, JobStarted, LogStream } from "@restic-manager/protocol";
import { fromInstant } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import type { AfterCommit } from "../agent-link/agent-link.ts";
import type { HostIdentity } from "../hosts/hosts.ts";
import { announce, isFinal, type Job, type JobsDeps, jobLogGrew, moveJob, recordEnd } from "./job.ts";
import { appendLog } from "./jobs.log.ts";
import type { LiveProgress } from "./jobs.progress.ts";
import * as store from "./jobs.store.ts";

export function createJobEventHandlers(deps: JobsDeps & { progress: LiveProgress }) {
  return {
    "job.started": (tx: Db, host: HostIdentity, event: JobStarted) => onStarted(deps, tx, host, event),
    "log.stream": (tx: Db, host: HostIdentity, event: LogStream) => onLog(deps, tx, host, event),
    "job.finished": (tx: Db, host: HostIdentity, event: JobFinished) => onFinished(deps, tx, host, event),
  };
}

/**
 * The host's own job of this attempt, which nobody moves meanwhile: the leader may take its dispatch back right now. A
 * stolen host can't touch another's. @throws AppError to refuse the event
 */
async function lockOwn(tx: Db, host: HostIdentity, event: { job_id: string; attempt: number }): Promise<Job> {
  return requireOwn(await store.lockJob(tx, event.job_id), host, event);
}

function requireOwn<J extends Pick<Job, "hostId" | "attempt">>(
  job: J | null,
  host: HostIdentity,
  event: { attempt: number },
): J {
  if (!job || job.hostId !== host.id) {
    throw new AppError("not_found", "jobs.unknown", "This host has no such job.");
  }
  if (job.attempt !== event.attempt) {
    throw new AppError("conflict", "jobs.attempt_superseded", "This job was dispatched again since.");
  }
  return job;
}

/** The agent runs it, whatever we believed: also when a dispatch was taken back because nobody acknowledged it. */
async function moveToRunning(deps: JobsDeps, tx: Db, job: Job, at: string): Promise<Job | null> {
  const dispatched = job.status === "queued" ? await moveJob(tx, job, "dispatched") : job;
  if (dispatched?.status !== "dispatched") return null;
  const acknowledgedAt = dispatched.acknowledgedAt ?? deps.clock.now();
  return moveJob(tx, dispatched, "running", { startedAt: fromInstant(at), acknowledgedAt });
}

async function onStarted(
  deps: JobsDeps,
  tx: Db,
  host: HostIdentity,
  event: JobStarted,
): Promise<AfterCommit | undefined> {
  const moved = await moveToRunning(deps, tx, await lockOwn(tx, host, event), event.at);
  return moved ? () => announce(deps.bus, moved) : undefined;
}

async function onLog(deps: JobsDeps, tx: Db, host: HostIdentity, event: LogStream): Promise<AfterCommit> {
  const jobId = event.job_id;
  const job = requireOwn(await store.findJobOwner(tx, jobId), host, event);
  // A log that was removed for its age stays removed: nobody would ever remove it again.
  const lines = job.logPrunedAt === null ? await appendLog(tx, jobId, event.lines) : [];
  return () => deps.bus.emit(jobLogGrew, { jobId, lines });
}

async function onFinished(
  deps: JobsDeps & { progress: LiveProgress },
  tx: Db,
  host: HostIdentity,
  event: JobFinished,
): Promise<AfterCommit | undefined> {
  const found = await lockOwn(tx, host, event);
  if (isFinal(found.status) && found.status !== "expired") return undefined;
  // An agent that could not even start the job reports only its end.
  const job = (await moveToRunning(deps, tx, found, event.at)) ?? found;
  const moved = await moveJob(tx, job, event.status, {
    finishedAt: fromInstant(event.at),
    error: event.error,
    summary: event.summary,
    result: event.result ?? null,
    exitCode: event.exit_code,
    logLines: event.log_lines,
    progress: deps.progress.find(job.id),
  });
  if (!moved) return undefined;
  await recordEnd(tx, {
    job: moved,
    actor: { kind: "agent", id: host.id, name: host.name },
    at: deps.clock.now(),
  });
  return () => announce(deps.bus, moved);
}
