/** A job as JSON: the one place that maps names to snake_case. */
import { backupSummary, jobError, jobResult, progress } from "@restic-manager/protocol";
import { z } from "zod";
import { toInstant } from "../../platform/clock.ts";
import type { Job } from "./job.ts";

const when = z.string().nullable();

export const wireJob = z.object({
  id: z.string(),
  host_id: z.string(),
  kind: z.string(),
  status: z.string(),
  source_group: z.string().nullable(),
  source_group_id: z.string().nullable(),
  schedule_id: z.string().nullable(),
  planned_at: when,
  actor: z.object({ kind: z.string(), id: z.string().nullable(), name: z.string() }),
  created_at: z.string(),
  dispatched_at: when,
  started_at: when,
  finished_at: when,
  cancel_requested_at: when,
  progress: progress.nullable(),
  summary: backupSummary.nullable(),
  result: jobResult.nullable(),
  error: jobError.nullable(),
  exit_code: z.number().nullable(),
  log_lines: z.number().nullable(),
  log_pruned_at: when,
  /** What a queued job waits for; null in lists, and when it is its turn. */
  waits_for: z
    .object({
      reason: z.enum(["agent", "host", "repository", "turn"]),
      message: z.string(),
      job_id: z.string().nullable(),
    })
    .nullable(),
});
export type WireJob = z.infer<typeof wireJob>;

const orNull = (at: number | null): string | null => (at === null ? null : toInstant(at));

/**
 * @param live how far it is now, when it runs
 * @param waitsFor asked for one job at a time only
 */
export function toWireJob(job: Job, live: Job["progress"], waitsFor: WireJob["waits_for"] = null): WireJob {
  return {
    id: job.id,
    host_id: job.hostId,
    kind: job.kind,
    status: job.status,
    source_group: job.sourceGroup,
    source_group_id: job.sourceGroupId,
    schedule_id: job.scheduleId,
    planned_at: orNull(job.plannedAt),
    actor: job.actor,
    created_at: toInstant(job.createdAt),
    dispatched_at: orNull(job.dispatchedAt),
    started_at: orNull(job.startedAt),
    finished_at: orNull(job.finishedAt),
    cancel_requested_at: orNull(job.cancelRequestedAt),
    progress: live ?? job.progress,
    summary: job.summary,
    result: job.result,
    error: job.error,
    exit_code: job.exitCode,
    log_lines: job.logLines,
    log_pruned_at: orNull(job.logPrunedAt),
    waits_for: waitsFor,
  };
}
