/**
 * A run of a schedule that this agent begins by itself, because the server could not be asked: its place in the journal
 * and how the server is told. Its job has the id that the server would have given it.
 */
import type { BackupSpec, JobSpec } from "@restic-manager/protocol";
import type { JournalEntry } from "../journal/journal.ts";
import type { EventDraft } from "../link/outbox.ts";

export type OwnRun = {
  jobId: string;
  scheduleId: string;
  plannedAt: number;
  sourceGroupId: string;
  spec: BackupSpec;
};

/** A job that has not begun. */
export function newEntry(jobId: string, attempt: number, spec: JobSpec): JournalEntry {
  return { version: 1, job_id: jobId, attempt, spec, cancel_requested: false, missing_sources: null };
}

/** The server's first dispatch would be attempt 1 as well: its command, should it come after all, is this job's. */
export function ownEntry(run: OwnRun): JournalEntry {
  const own = {
    schedule_id: run.scheduleId,
    planned_at: new Date(run.plannedAt).toISOString(),
    source_group_id: run.sourceGroupId,
  };
  return { ...newEntry(run.jobId, 1, run.spec), own };
}

/** What the server must know before it hears of the job; undefined for a job that the server gave. */
export function ranEvent({ job_id, attempt, own, spec }: JournalEntry, at: string): EventDraft | undefined {
  if (own === undefined || spec.kind !== "backup") return undefined;
  // Hooks are secret, and the server has them.
  const told = { ...spec, pre_hook: undefined, post_hook: undefined };
  return { type: "schedule.ran", job_id, attempt, ...own, at, spec: told };
}
