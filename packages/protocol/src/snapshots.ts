/** The list of snapshots that one host owns in its repository: restic's truth, copied for display. */
import { z } from "zod";
import { count, id, instant, path, snapshotId, text } from "./primitives.ts";

/** Figures of a snapshot are null when restic did not store them (written by restic before 0.17). */
export const snapshot = z.object({
  id: snapshotId,
  time: instant,
  hostname: text(253),
  username: text(256).nullable(),
  paths: z.array(path).max(1000),
  tags: z.array(text(256)).max(100),
  size_bytes: count.nullable(),
  file_count: count.nullable(),
  added_bytes: count.nullable(),
});
export type Snapshot = z.infer<typeof snapshot>;

/**
 * Agent → server after a backup: the full list, cut into parts that each fit a frame. The server shows
 * the new list when the last part (`part === parts`) is in, never a mixture.
 */
export const snapshotsReport = z.object({
  type: z.literal("snapshots.report"),
  seq: count,
  report_id: id,
  job_id: id.nullable(),
  part: count.min(1),
  parts: count.min(1).max(1000),
  snapshots: z.array(snapshot).max(2000),
});
export type SnapshotsReport = z.infer<typeof snapshotsReport>;

/**
 * Agent → server, durable, before the `job.finished` of the backup that made it: the new snapshot, added to the list
 * that is shown. The full list follows after the job's end, so that no backup waits for it.
 */
export const snapshotsAdded = z.object({
  type: z.literal("snapshots.added"),
  seq: count,
  job_id: id,
  snapshot,
});
export type SnapshotsAdded = z.infer<typeof snapshotsAdded>;
