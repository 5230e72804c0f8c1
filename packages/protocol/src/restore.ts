/**
 * Getting files back, on the wire: what shall be restored where, and what came of it. A restore never deletes anything
 * and never runs twice: its target and its snapshot are in the command. Invariant: a result fits one frame.
 */
import { z } from "zod";
import { bandwidth, code, count, hostName, id, path, snapshotId, text } from "./primitives.ts";
import { snapshotPath } from "./tree.ts";

/** As many selections as one restore takes. */
export const maxRestorePaths = 1000;

/** When a file is there already: restic's own words for `--overwrite`. */
export const overwritePolicy = z.enum(["always", "if-changed", "if-newer", "never"]);
export type OverwritePolicy = z.infer<typeof overwritePolicy>;

export const restoreTarget = z.discriminatedUnion("kind", [
  /**
   * A folder that is new or empty; default `$HOME/rm-restore/<job_id>`. Of a given path `$HOME`, `${HOME}` and `~/` at its
   * beginning stand for the home of the agent's user, and nothing else does.
   */
  z.object({ kind: z.literal("directory"), path: path.nullish() }),
  z.object({ kind: z.literal("in_place"), overwrite: overwritePolicy }),
]);
export type RestoreTarget = z.infer<typeof restoreTarget>;

/** A glob of restic without a folder in front: it holds inside the selected folders. */
const pattern = text(4096).min(1);

export const restoreSpec = z.object({
  kind: z.literal("restore"),
  /** Full id. */
  snapshot_id: snapshotId,
  /** The host that the snapshot is of, when that is another one. */
  from: z.object({ host_id: id, host_name: hostName }).nullish(),
  paths: z.array(snapshotPath).min(1).max(maxRestorePaths),
  target: restoreTarget,
  /** Files of a new folder belong to the agent's user otherwise; in place they always keep it. */
  keep_ownership: z.boolean(),
  /** Of the selected folders only what fits one of these, or all but what fits; not both. Selected files stay selected. */
  includes: z.array(pattern).max(1000),
  excludes: z.array(pattern).max(1000),
  /** Says what would change, and changes nothing. */
  dry_run: z.boolean(),
  /** Reads again what was written. */
  verify: z.boolean(),
  /** What lies at or below `from` goes to `to` instead. */
  path_map: z.array(z.object({ from: snapshotPath, to: path })).max(100),
  limits: bandwidth.nullish(),
});
export type RestoreSpec = z.infer<typeof restoreSpec>;

/** Items in a list that stands for a longer one. */
const listed = 50;

/** What a restore did, in figures. Those that are not known are null, never 0. */
export const restoreResult = z.object({
  kind: z.literal("restore"),
  dry_run: z.boolean(),
  /** True: everything that was asked for was found and written, or would be. */
  complete: z.boolean(),
  in_place: z.boolean(),
  /** The folder that everything went to; null in place, and when there was none. */
  target: text(4096).nullable(),
  /** Files, folders, links and so on that restic wrote or would write, without those that failed. */
  restored: count.nullable(),
  restored_bytes: count.nullable(),
  /** Of `restored`, those that took the place of something else. */
  replaced: count.nullable(),
  /** Left as they were: the same already, or kept by the overwrite policy. */
  skipped: count.nullable(),
  skipped_bytes: count.nullable(),
  failed: count,
  /** The first of them, each with its reason. */
  failed_items: z.array(z.object({ path: text(2048), message: text(500) })).max(listed),
  /** What went where, the first of them. */
  written: z.array(z.object({ from: text(2048), to: text(2048) })).max(20),
  /** Whose the files are: their own owner's, the agent's user's, or the agent's because it may not change it. */
  ownership: z.enum(["kept", "agent", "not_kept"]),
  verified: z.boolean(),
  /** Why it is not complete, when one thing is to blame. */
  problem: code.nullish(),
});
export type RestoreResult = z.infer<typeof restoreResult>;
