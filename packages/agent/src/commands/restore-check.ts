/**
 * Whether the target has what was asked for: each selection, and what lies directly in the first selected folders, of the
 * kind and size that the snapshot says. The content is what `--verify` is for. What differs is named by its path in the
 * snapshot, as in restic's own errors.
 */
import type { Stats } from "node:fs";
import { lstat } from "node:fs/promises";
import type { RestoreSpec } from "@restic-manager/protocol";
import { joinRaw, type NodeKind, type RawPath, shownRaw } from "../restic/tree-nodes.ts";
import { formatBytes } from "./backup-report.ts";
import type { CommandDeps } from "./job-context.ts";
import type { Destination } from "./restore-plan.ts";
import { readFolder, type TreeSource } from "./restore-selection.ts";
import type { FailedItem } from "./restore-tally.ts";

/** Each costs opening the repository once. */
const FOLDERS = 20;
const CHILDREN = 2_000;

type Wanted = { path: RawPath; to: RawPath; kind: NodeKind; sizeBytes: number | null };

/** @param source absent when the repository can't be asked any more: then the selections alone are compared */
export async function compareTarget(
  deps: CommandDeps,
  spec: RestoreSpec,
  destinations: readonly Destination[],
  source: TreeSource | undefined,
): Promise<FailedItem[]> {
  // A policy that keeps what is there keeps it whatever it is.
  const exact = spec.target.kind === "directory" || ["always", "if-changed"].includes(spec.target.overwrite);
  const failed: FailedItem[] = [];
  for (const { path, kind, to, sizeBytes, byPattern } of destinations) {
    if (kind === "unknown" || byPattern) continue;
    await compare({ path, to, kind, sizeBytes }, exact, deps.platform, failed);
  }
  const folders = destinations.filter(({ kind, byPattern }) => kind === "folder" && !byPattern);
  for (const folder of source === undefined ? [] : folders.slice(0, FOLDERS)) {
    const read = source === undefined ? undefined : await readFolder(deps, source, folder.path);
    if (read?.kind !== "ok") continue;
    for (const { name, kind, sizeBytes } of read.nodes.slice(0, CHILDREN)) {
      const path = joinRaw(folder.path, name);
      await compare({ path, to: joinRaw(folder.to, name), kind, sizeBytes }, exact, deps.platform, failed);
    }
  }
  return failed;
}

async function compare(
  { path: raw, to, kind, sizeBytes }: Wanted,
  exact: boolean,
  platform: NodeJS.Platform,
  failed: FailedItem[],
): Promise<void> {
  const path = shownRaw(raw);
  const stats = await lstat(platform === "win32" ? shownRaw(to) : Buffer.from(to, "latin1")).catch(
    () => undefined,
  );
  if (stats === undefined) failed.push({ path, message: "is not there after the restore" });
  else if (!exact || kind === "other") return;
  else if (kindOf(stats) !== kind)
    failed.push({ path, message: `is a ${kindOf(stats)}, in the snapshot a ${kind}` });
  else if (sizeBytes !== null && stats.size !== sizeBytes) {
    const message = `has ${formatBytes(stats.size)}, in the snapshot ${formatBytes(sizeBytes)}: it is not complete, or was changed since`;
    failed.push({ path, message });
  }
}

function kindOf(stats: Stats): NodeKind {
  if (stats.isDirectory()) return "folder";
  if (stats.isFile()) return "file";
  if (stats.isSymbolicLink()) return "link";
  if (stats.isFIFO()) return "fifo";
  return stats.isBlockDevice() || stats.isCharacterDevice() ? "device" : "other";
}
