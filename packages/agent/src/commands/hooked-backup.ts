/**
 * A backup with the operator's scripts around it: pre hook, backup, post hook, in this order, across restarts of the
 * agent. Invariants: the backup begins only after a good pre hook; the post hook runs after whatever came before, also
 * a failure or a cancel, and never before the outcome of it is on the disk; a post hook that fails makes a good backup
 * a warning and never hides what the backup itself had to say.
 */
import type { BackupSpec, JobError } from "@restic-manager/protocol";
import type { EndedBackup } from "../journal/journal.ts";
import { toolEnv } from "../restic/env.ts";
import { backUp } from "./backup.ts";
import { warning } from "./backup-report.ts";
import { wasBegun } from "./follow-run.ts";
import { HOOKS_NOT_ALLOWED } from "./hook-report.ts";
import { runHook, wasHookBegun } from "./hook-run.ts";
import {
  type ActiveJob,
  type CommandDeps,
  type CommandOutcome,
  cancelledResult,
  failedResult,
  internalFailure,
  type JobResult,
} from "./job-context.ts";

export async function runBackup(
  deps: CommandDeps,
  job: ActiveJob,
  spec: BackupSpec,
): Promise<CommandOutcome> {
  if (!spec.pre_hook && !spec.post_hook) return backUp(deps, job, spec);
  if (!deps.hooksAllowed && !(await isUnderWay(job))) return failedResult(HOOKS_NOT_ALLOWED);
  const stored = job.entry.ended_backup;
  const result = stored ? restored(stored) : await untilEnded(deps, job, spec);
  if (result === "detached" || !spec.post_hook) return result;
  if (!stored) await keep(job, result);
  await tellResult(job, result);
  const post = await runHook(deps, job, {
    ...{ phase: "post" as const, hook: spec.post_hook },
    env: hookEnv(deps, job, spec, result),
  });
  if (post.kind === "detached") return "detached";
  return post.kind === "failed" ? withPostError(result, post.error) : { ...result, closing: [] };
}

/** An earlier agent began this job, when the configuration was perhaps another. */
async function isUnderWay(job: ActiveJob): Promise<boolean> {
  return (await wasHookBegun(job, "pre")) || (await wasBegun(job)) || job.entry.ended_backup != null;
}

/** The pre hook and the backup. What has ended already is read again from its files. */
async function untilEnded(deps: CommandDeps, job: ActiveJob, spec: BackupSpec): Promise<CommandOutcome> {
  if (spec.pre_hook) {
    const env = hookEnv(deps, job, spec, null);
    const pre = await runHook(deps, job, {
      phase: "pre",
      hook: spec.pre_hook,
      env,
      cancelled: job.cancelled,
    });
    if (pre.kind === "detached") return "detached";
    if (pre.kind === "cancelled") return cancelledResult();
    if (pre.kind === "failed") return failedResult(pre.error);
  }
  try {
    return await backUp(deps, job, spec);
  } catch (error) {
    // Even a mistake of ours must not keep the post hook from running.
    return job.detached.aborted ? "detached" : internalFailure(error);
  }
}

/**
 * Writes down how the backup ended: an agent that is restarted during the post hook must not back up again. A full
 * disk must not keep the post hook from running either, so it only costs what a restart in that time would find.
 */
async function keep(job: ActiveJob, result: JobResult): Promise<void> {
  const { status, error, exitCode, summary, closing, added = null } = result;
  await job
    .update({ ended_backup: { status, error, exit_code: exitCode, summary, added, closing } })
    .catch(() => undefined);
}

function restored({ status, error, exit_code, summary, added, closing }: EndedBackup): JobResult {
  const known = { status, error, exitCode: exit_code, summary, closing };
  return added === null ? known : { ...known, added };
}

/** The log tells the end of the backup before it tells of the post hook. */
async function tellResult(job: ActiveJob, result: JobResult): Promise<void> {
  for (const [index, draft] of result.closing.entries()) {
    const mark = { stream: "stdout" as const, endOffset: index + 1, part: "result" as const };
    if (!job.log.isTold(mark)) await job.log.add(draft, mark);
  }
  await job.log.flush();
}

function withPostError(result: JobResult, error: JobError): JobResult {
  const closing = [warning(error.message)];
  return result.status === "succeeded"
    ? { ...result, status: "warning", error, closing }
    : { ...result, closing };
}

/** @param result null before the backup */
function hookEnv(
  deps: CommandDeps,
  job: ActiveJob,
  spec: BackupSpec,
  result: JobResult | null,
): Record<string, string> {
  return {
    ...toolEnv(deps.inherited, deps.platform),
    RM_JOB_ID: job.entry.job_id,
    RM_JOB_STATUS: result?.status ?? "",
    RM_HOST: spec.host_name,
    RM_SOURCE_GROUP: spec.source_group,
    RM_SNAPSHOT_ID: result?.summary?.snapshot_id ?? "",
  };
}
