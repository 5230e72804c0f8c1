/**
 * Jobs that did not begin with a command of ours: a run that a host began by itself while we could not be asked, and
 * one that never began at all. Both become rows like any other, in the caller's transaction.
 */
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import { systemActor } from "../../platform/http/identity.ts";
import type { Host } from "../hosts/hosts.ts";
import { insertNewJob, isFinal, type Job, moveJob, type NewJob, recordEnd } from "./job.ts";
import * as store from "./jobs.store.ts";

/**
 * The row of a run that its host has begun, made or, where we had made it too and not sent it, taken as the one that
 * runs there. What the host tells of it from now on fits its attempt.
 * @throws AppError `jobs.unknown` when the id is another host's
 */
export async function recordOwnRun(
  tx: Db,
  host: Host,
  run: { newJob: NewJob & { scheduled: { jobId: string } }; attempt: number; at: number },
): Promise<Job> {
  const { newJob, attempt, at } = run;
  const known = await store.lockJob(tx, newJob.scheduled.jobId);
  if (known && known.hostId !== host.id)
    throw new AppError("not_found", "jobs.unknown", "This host has no such job.");
  const job = known ?? (await insertNewJob(tx, host, newJob, at));
  if (job.status === "running" || (isFinal(job.status) && job.status !== "expired")) return job;
  const taken = { attempt, dispatchedAt: job.dispatchedAt ?? at, acknowledgedAt: at };
  if (job.status === "queued") return (await moveJob(tx, job, "dispatched", taken)) ?? job;
  await store.updateJob(tx, job, { ...taken, status: job.status });
  return { ...job, ...taken };
}

/** A run that never began, as a job that says so. */
export async function insertExpired(
  tx: Db,
  host: Host,
  input: { newJob: NewJob; message: string; at: number },
): Promise<Job> {
  const { newJob, message, at } = input;
  const job = await insertNewJob(tx, host, newJob, at);
  const error = { code: "jobs.never_ran", message, last_lines: [] };
  const ended = await moveJob(tx, job, "expired", { finishedAt: at, error });
  if (!ended) return job;
  await recordEnd(tx, { job: ended, actor: systemActor, at });
  return ended;
}
