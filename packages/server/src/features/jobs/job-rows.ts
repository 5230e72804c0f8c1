/** Jobs in the shapes of pages: what every list and every page of a job shows alike. */
import type { Progress as WireProgress } from "@restic-manager/protocol";
import type { Progress } from "../../platform/html/progress.ts";
import type { Job } from "./job.ts";
import type { JobRow } from "./job-table.views.tsx";
import type { LiveProgress } from "./jobs.progress.ts";
import type { JobPageProps } from "./jobs.views.tsx";
import type { RestoreOrder } from "./restore-wish.views.tsx";

/** Progress as pages show it. restic's totals are still growing until its scan is done: 0 means not known yet. */
export function toViewProgress(progress: WireProgress | null): Progress | null {
  if (!progress) return null;
  const known = progress.total_bytes > 0;
  return {
    share: known ? progress.percent_done : null,
    totalFiles: known ? progress.total_files : null,
    filesDone: progress.files_done,
    totalBytes: known ? progress.total_bytes : null,
    bytesDone: progress.bytes_done,
    errorCount: progress.error_count,
    currentFiles: progress.current_files,
    remainingMs: progress.seconds_remaining === null ? null : progress.seconds_remaining * 1000,
    bytesPerSecond: progress.bytes_per_second,
  };
}

/** Agents act only through jobs that somebody else ordered, so an actor here is never one. */
export const viewActor = (job: Job): JobPageProps["actor"] => ({
  kind: job.actor.kind === "agent" ? "system" : job.actor.kind,
  name: job.actor.name,
});

/** What a job is about: a backup's source group, a restore's snapshot, the step of a rotation. */
export function subjectOf({ sourceGroup, spec }: Job): string | null {
  if (spec.kind === "restore") return spec.snapshot_id.slice(0, 8);
  if (spec.kind === "update") return `${spec.program} ${spec.version}`;
  return spec.kind === "key" ? spec.step : sourceGroup;
}

/** What a restore was asked to do, the first selections of it. */
export function orderOf({ spec }: Job): RestoreOrder | null {
  if (spec.kind !== "restore") return null;
  return {
    paths: spec.paths.slice(0, shownPaths).map(readablePath),
    pathCount: spec.paths.length,
    from: spec.from ? { id: spec.from.host_id, name: spec.from.host_name } : null,
    folder: spec.target.kind === "directory" ? (spec.target.path ?? null) : null,
    overwrite: spec.target.kind === "in_place" ? spec.target.overwrite : null,
    dryRun: spec.dry_run,
  };
}

/** More are in the audit trail. */
const shownPaths = 8;

/** A name that is not UTF-8 is spelled in base64; people see what can be read of it. */
const readablePath = (path: string): string =>
  path.startsWith("base64:") ? Buffer.from(path.slice("base64:".length), "base64").toString("utf8") : path;

/** A job as a row. @param host null when it was removed */
export function rowOf(
  deps: { progress: LiveProgress },
  job: Job,
  host: { id: string; name: string } | null,
): JobRow {
  return {
    id: job.id,
    kind: job.kind,
    status: job.status,
    host: host && { id: host.id, name: host.name },
    subject: subjectOf(job),
    actor: viewActor(job),
    createdAt: job.createdAt,
    startedAt: job.startedAt,
    finishedAt: job.finishedAt,
    share: toViewProgress(deps.progress.find(job.id))?.share ?? null,
    addedBytes: job.summary?.added_bytes ?? null,
  };
}
