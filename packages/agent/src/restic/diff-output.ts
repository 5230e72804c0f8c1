/**
 * What restic prints about what is inside snapshots: a listing, a comparison, a restore under way. As tolerant as
 * output.ts: no bytes ever make these functions throw, and a line that is something else is undefined.
 */
import { z } from "zod";
import { parseJson } from "./output.ts";

/** One entry of a snapshot. */
export type SnapshotNode = {
  /** As restic spells it: bytes that are not UTF-8 are already U+FFFD. May hold control characters. */
  path: string;
  /** restic's word, such as `file`, `dir` or `symlink`. */
  type: string;
  sizeBytes: number;
  /** Unix permission bits with setuid, setgid and sticky. */
  mode: number;
  /** Epoch milliseconds; null for a time that no clock shows. */
  mtimeMs: number | null;
};

const amount = z.number().nonnegative().catch(0);
const node = z.object({
  struct_type: z.literal("node"),
  path: z.string().min(1),
  type: z.string(),
  size: amount,
  mode: amount,
  mtime: z.string().catch(""),
});

/** One line of `ls --json`; undefined for the snapshot itself and what is no entry. */
export function parseNode(line: string): SnapshotNode | undefined {
  const { data } = node.safeParse(parseJson(line));
  if (data === undefined) return undefined;
  const { path, type, size: sizeBytes } = data;
  const mtimeMs = Date.parse(data.mtime);
  return {
    path,
    type,
    sizeBytes,
    mode: toUnixMode(data.mode),
    mtimeMs: Number.isNaN(mtimeMs) ? null : mtimeMs,
  };
}

/** Go keeps these three above the permissions, https://pkg.go.dev/io/fs#FileMode. */
const GO_BITS = [
  [1 << 23, 0o4000],
  [1 << 22, 0o2000],
  [1 << 20, 0o1000],
] as const;

function toUnixMode(goMode: number): number {
  return GO_BITS.reduce((mode, [go, unix]) => mode | (goMode & go ? unix : 0), goMode & 0o777);
}

/** One entry in which two snapshots differ. */
export type SnapshotChange = {
  /** With a slash at the end for a folder. */
  path: string;
  /** restic's letters: `+` added, `-` removed, `M` content, `T` type, `U` metadata, `?` content with the same metadata. */
  modifier: string;
};

const change = z.object({
  message_type: z.literal("change"),
  path: z.string().min(1),
  modifier: z.string().regex(/^(\+|-|[MTU?]{1,4})$/),
});

/** One line of `diff --json`; undefined for its statistics and what is no change. */
export function parseChange(line: string): SnapshotChange | undefined {
  const { data } = change.safeParse(parseJson(line));
  return data === undefined ? undefined : { path: data.path, modifier: data.modifier };
}

export type RestoreProgress = {
  percentDone: number;
  totalFiles: number;
  filesDone: number;
  totalBytes: number;
  bytesDone: number;
  secondsElapsed: number;
};

const restoreStatus = z.object({
  message_type: z.literal("status"),
  percent_done: z.number().min(0).max(1).catch(0),
  total_files: amount,
  files_restored: amount,
  total_bytes: amount,
  bytes_restored: amount,
  seconds_elapsed: amount,
});

/** One status line of `restore --json`. */
export function parseRestoreProgress(line: string): RestoreProgress | undefined {
  const { data } = restoreStatus.safeParse(parseJson(line));
  if (data === undefined) return undefined;
  return {
    percentDone: data.percent_done,
    totalFiles: data.total_files,
    filesDone: data.files_restored,
    totalBytes: data.total_bytes,
    bytesDone: data.bytes_restored,
    secondsElapsed: data.seconds_elapsed,
  };
}
