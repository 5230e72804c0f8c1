/**
 * A comparison of two snapshots in figures and lines: pure functions from what restic said. A line is
 * `letters size-before size-after mode-before mode-after path`, with `-` for what is not there or not known.
 */
import type { DiffResult } from "@restic-manager/protocol";
import type { SnapshotChange } from "../restic/diff-output.ts";
import type { TreeNode } from "../restic/tree-output.ts";
import { visible } from "./job-context.ts";

/** What a snapshot says of one side of a change; the size of files only. */
export type Side = { sizeBytes: number | null; mode: number };
export type Sides = { before?: Side; after?: Side };

/** Under this name a listing has what a comparison calls a folder with a slash at its end. */
export const listedPath = (path: string): string =>
  path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;

/** restic leaves out a mode of zero. */
export const toSide = ({ sizeBytes, mode }: TreeNode): Side => ({ sizeBytes, mode: mode ?? 0 });

export const DIFF_HEADLINE = "What changed, size before and after, mode before and after, path:";

export function changeLine({ path, modifier }: SnapshotChange, { before, after }: Sides): string {
  const size = (side: Side | undefined) => side?.sizeBytes ?? "-";
  const mode = (side: Side | undefined) => side?.mode.toString(8).padStart(3, "0") ?? "-";
  return `${modifier} ${size(before)} ${size(after)} ${mode(before)} ${mode(after)} ${visible(path)}`;
}

/** Adds one change to the figures. */
export function countChange(
  result: DiffResult,
  { modifier }: SnapshotChange,
  { before, after }: Sides,
): void {
  const add = (figure: DiffResult["added"], side: Side | undefined) => {
    figure.count += 1;
    figure.bytes += side?.sizeBytes ?? 0;
  };
  if (modifier === "+") add(result.added, after);
  else if (modifier === "-") add(result.removed, before);
  else if (modifier === "U") result.metadata += 1;
  else add(result.changed, after);
}

export const emptyDiff = (): DiffResult => ({
  kind: "diff",
  added: { count: 0, bytes: 0 },
  removed: { count: 0, bytes: 0 },
  changed: { count: 0, bytes: 0 },
  metadata: 0,
  sized: true,
});

export function diffSentence({ added, removed, changed, metadata }: DiffResult): string {
  if (added.count + removed.count + changed.count + metadata === 0) return "The snapshots do not differ.";
  return `${added.count} added, ${removed.count} removed, ${changed.count} changed, ${metadata} with other metadata only.`;
}
