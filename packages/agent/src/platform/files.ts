/**
 * Durable, private files. Everything the agent writes is 0600 in directories of 0700, and a file is either
 * its old or its new self: a power cut never leaves a half-written one.
 */
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readFile, rename, rm, stat, statfs, truncate } from "node:fs/promises";
import { dirname, join } from "node:path";

const PRIVATE_FILE = 0o600;
const PRIVATE_DIR = 0o700;

export type WriteOptions = {
  /** Permission bits; default 0600. */
  mode?: number;
  /** False skips fsync: for files that mean nothing after a reboot. Default true. */
  durable?: boolean;
};

/** Replaces `path` in one step: temporary file beside it, fsync, rename, fsync of the directory. */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  options: WriteOptions = {},
): Promise<void> {
  const durable = options.durable ?? true;
  const temporary = join(dirname(path), `.${randomBytes(6).toString("hex")}.tmp`);
  try {
    const file = await open(temporary, "wx", options.mode ?? PRIVATE_FILE);
    try {
      await file.writeFile(data);
      if (durable) await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  if (durable) await syncDir(dirname(path));
}

/** Makes a rename in `dir` survive a power cut. Windows has no such call and needs none. */
export async function syncDir(dir: string): Promise<void> {
  if (process.platform === "win32") return;
  const directory = await open(dir, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Makes the content of a file survive a power cut. */
export async function syncFile(path: string): Promise<void> {
  // Windows wants the right to write. Elsewhere a program that is open for writing can't be started meanwhile.
  const file = await open(path, process.platform === "win32" ? "r+" : "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Creates a directory (and its parents) that only this user can enter. An existing one is left as it is. */
export async function ensurePrivateDir(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: PRIVATE_DIR });
}

/** Creates an empty private file unless it exists; its content is never touched. */
export async function touchPrivateFile(path: string): Promise<void> {
  const file = await open(path, "a", PRIVATE_FILE);
  await file.close();
}

/** Whole file as text, or undefined when there is none. Only for files the agent itself wrote (small). */
export async function readTextIfExists(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

export type BoundedRead = { kind: "read"; data: Buffer } | { kind: "too_large"; sizeBytes: number };

/** Whole file unless it is larger than `maxBytes`: then nothing of it is loaded. */
export async function readBounded(path: string, maxBytes: number): Promise<BoundedRead> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    if (size > maxBytes) return { kind: "too_large", sizeBytes: size };
    const buffer = Buffer.alloc(size);
    const { bytesRead } = await file.read(buffer, 0, size, 0);
    return { kind: "read", data: buffer.subarray(0, bytesRead) };
  } finally {
    await file.close();
  }
}

/** Size in bytes; 0 when the file does not exist. */
export async function fileSizeBytes(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return 0;
    throw error;
  }
}

/** SHA-256 of a file's bytes as they are on the disk, in hex. */
export async function fileDigest(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** Bytes that this user may still write to the disk of `dir`. */
export async function freeBytes(dir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dir);
  return bavail * bsize;
}

/** Whether two files or folders are on one disk, so that a file can be moved from one to the other without a copy. */
export async function isSameDevice(one: string, other: string): Promise<boolean> {
  return (await stat(one)).dev === (await stat(other)).dev;
}

/** When the file was last written, epoch milliseconds. Rejects when there is none. */
export async function fileTimeMs(path: string): Promise<number> {
  return (await stat(path)).mtimeMs;
}

/** Cuts a file to at most so many bytes. Rejects when there is none. */
export async function shortenFile(path: string, maxBytes: number): Promise<void> {
  if ((await stat(path)).size > maxBytes) await truncate(path, maxBytes);
}

/** Removes a file or a directory with everything in it; no error when it is already gone. */
export async function removeTree(dir: string): Promise<void> {
  await rm(dir, { recursive: true, force: true });
}

/** True for Node's system errors of that code, e.g. `ENOENT`. */
export function hasErrorCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
