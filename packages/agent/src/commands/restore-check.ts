/**
 * Whether the target has what was asked for: each selection, and what lies directly in the first selected folders, of the
 * kind, size and owner that the snapshot says. The content is what `--verify` is for. What differs is named by its path in the
 * snapshot, as in restic's own errors.
 */
import type { Stats } from "node:fs";
import { lstat } from "node:fs/promises";
import type { RestoreSpec } from "@restic-manager/protocol";
import { joinRaw, type NodeKind, type Owner, type RawPath, shownRaw } from "../restic/tree-nodes.ts";
import { formatBytes } from "./backup-report.ts";
import type { CommandDeps } from "./job-context.ts";
import type { Destination } from "./restore-plan.ts";
import { readFolder, type TreeSource } from "./restore-selection.ts";
import type { FailedItem } from "./restore-tally.ts";

/** Each costs opening the repository once. */
const FOLDERS = 20;
const CHILDREN = 2_000;

type Wanted = { path: RawPath; to: RawPath; kind: NodeKind; sizeBytes: number | null; owner: Owner | null };

export type Comparison = {
  failed: FailedItem[];
  /** Items whose owner could be compared, and those of them that have another than in the snapshot. */
  owners: { seen: number; differing: number };
};

/** @param source absent when the repository can't be asked any more: then the selections alone are compared */
export async function compareTarget(
  deps: CommandDeps,
  spec: RestoreSpec,
  destinations: readonly Destination[],
  source: TreeSource | undefined,
): Promise<Comparison> {
  // A policy that keeps what is there keeps it whatever it is.
  const exact = spec.target.kind === "directory" || ["always", "if-changed"].includes(spec.target.overwrite);
  const found: Comparison = { failed: [], owners: { seen: 0, differing: 0 } };
  for (const { kind, byPattern, ...wanted } of destinations) {
    if (kind === "unknown" || byPattern) continue;
    await compare({ ...wanted, kind }, exact, deps.platform, found);
  }
  const folders = destinations.filter(({ kind, byPattern }) => kind === "folder" && !byPattern);
  for (const folder of source === undefined ? [] : folders.slice(0, FOLDERS)) {
    const read = source === undefined ? undefined : await readFolder(deps, source, folder.path);
    if (read?.kind !== "ok") continue;
    for (const { name, ...node } of read.nodes.slice(0, CHILDREN)) {
      const wanted = { ...node, path: joinRaw(folder.path, name), to: joinRaw(folder.to, name) };
      await compare(wanted, exact, deps.platform, found);
    }
  }
  return found;
}

async function compare(
  { path: raw, to, kind, sizeBytes, owner }: Wanted,
  exact: boolean,
  platform: NodeJS.Platform,
  { failed, owners }: Comparison,
): Promise<void> {
  const path = shownRaw(raw);
  const stats = await lstat(platform === "win32" ? shownRaw(to) : Buffer.from(to, "latin1")).catch(
    () => undefined,
  );
  if (stats === undefined) {
    failed.push({ path, message: "is not there after the restore" });
    return;
  }
  if (!exact) return;
  if (owner !== null) {
    owners.seen += 1;
    if (stats.uid !== owner.uid || stats.gid !== owner.gid) owners.differing += 1;
  }
  if (kind === "other") return;
  if (kindOf(stats) !== kind)
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
