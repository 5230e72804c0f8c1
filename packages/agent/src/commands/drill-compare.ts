/**
 * One file that a drill brought back: compared with what the snapshot says of it, and byte by byte with its source where
 * that has the size and time of the snapshot. Reads only. A source that changes meanwhile is no evidence of anything.
 */
import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, open } from "node:fs/promises";
import { join } from "node:path";
import type { VerifyProblem } from "@restic-manager/protocol";
import { hasErrorCode } from "../platform/files.ts";
import type { Drawn } from "./drill-sample.ts";

export type Compared = { problem: VerifyProblem | null; withSource: boolean };

export type CompareOptions = {
  /** Where the files came back. */
  folder: string;
  platform: NodeJS.Platform;
  /** Of this program's user: only root can give a file setuid and setgid of others. */
  isRoot: boolean;
  /** Ends the reading of a large file. */
  signal: AbortSignal;
};

/** Compares one file. Rejects when aborted, and for a restored file that can't be read. */
export async function compareRestored(node: Drawn, options: CompareOptions): Promise<Compared> {
  const restoredPath = join(options.folder, node.path);
  const restored = await statIfExists(restoredPath);
  const problem = restored === undefined ? "missing" : findProblem(node, restored, options);
  if (problem !== undefined) return { problem, withSource: false };
  const sourcePath = toSourcePath(node.path, options.platform);
  if (!(await isUnchanged(sourcePath, node))) return { problem: null, withSource: false };
  const same = await haveSameBytes(restoredPath, sourcePath, options.signal);
  // What changed or went away while it was read says nothing.
  if (same === undefined || !(await isUnchanged(sourcePath, node)))
    return { problem: null, withSource: false };
  return { problem: same ? null : "source", withSource: true };
}

function findProblem(
  node: Drawn,
  stats: Stats,
  { platform, isRoot }: CompareOptions,
): VerifyProblem | undefined {
  if (!stats.isFile()) return "type";
  if (stats.size !== node.sizeBytes) return "size";
  if (!hasTime(stats, node)) return "mtime";
  // Windows has no such bits.
  if (platform === "win32") return undefined;
  const bits = isRoot ? 0o7777 : 0o777;
  return (stats.mode & bits) === (node.mode & bits) ? undefined : "mode";
}

/**
 * To the millisecond: not every file system keeps more. One off is the same: of a time just below the next millisecond
 * `mtimeMs`, a double, is that next one.
 */
function hasTime(stats: Stats, { modifiedAtMs }: Drawn): boolean {
  return modifiedAtMs === null || Math.abs(stats.mtimeMs - modifiedAtMs) <= 1;
}

/** A path of a snapshot where it lies on this host: restic writes `C:\Users` as `/C/Users`. */
export function toSourcePath(path: string, platform: NodeJS.Platform): string {
  if (platform !== "win32") return path;
  return path.replace(/^\/([A-Za-z])\//, "$1:/").replaceAll("/", "\\");
}

async function isUnchanged(path: string, node: Drawn): Promise<boolean> {
  const stats = await statIfExists(path);
  return (
    stats?.isFile() === true &&
    node.modifiedAtMs !== null &&
    stats.size === node.sizeBytes &&
    hasTime(stats, node)
  );
}

async function statIfExists(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EACCES"].some((code) => hasErrorCode(error, code))) return undefined;
    throw error;
  }
}

const CHUNK_BYTES = 256 * 1024;
/** Whatever has taken the file's place meanwhile is neither followed nor waited for. Windows knows neither flag. */
const READ_ONLY = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** Undefined when the source can't be read. */
async function haveSameBytes(
  restoredPath: string,
  sourcePath: string,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const restored = await open(restoredPath, "r");
  let source: FileHandle | undefined;
  try {
    source = await open(sourcePath, READ_ONLY).catch(() => undefined);
    return source === undefined ? undefined : await readBoth(restored, source, signal);
  } finally {
    await source?.close();
    await restored.close();
  }
}

async function readBoth(
  one: FileHandle,
  other: FileHandle,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const [a, b] = [Buffer.alloc(CHUNK_BYTES), Buffer.alloc(CHUNK_BYTES)];
  for (let position = 0; ; ) {
    signal.throwIfAborted();
    const read = await fill(one, a, position);
    const readOther = await fill(other, b, position).catch(() => undefined);
    if (readOther === undefined) return undefined;
    if (read !== readOther || !a.subarray(0, read).equals(b.subarray(0, read))) return false;
    if (read < CHUNK_BYTES) return true;
    position += read;
  }
}

/** A whole buffer, less only at the file's end. */
async function fill(file: FileHandle, buffer: Buffer, position: number): Promise<number> {
  let filled = 0;
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}
