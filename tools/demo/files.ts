/** Which files the demo backs up, and whether a restored tree is the same to the last byte. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";

/**
 * The paths that together are `folder` without anything called one of `names`, at any depth:
 * a folder that holds none of them is one path.
 */
export async function pathsWithout(folder: string, names: ReadonlySet<string>): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const kept: string[] = [];
  let whole = true;
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (names.has(entry.name)) {
      whole = false;
      continue;
    }
    const paths = entry.isDirectory() ? await pathsWithout(path, names) : [path];
    if (paths.length !== 1 || paths[0] !== path) whole = false;
    kept.push(...paths);
  }
  return whole ? [folder] : kept;
}

export interface Comparison {
  files: number;
  bytes: number;
  /** What differs, in words; empty when everything is equal. */
  differences: string[];
}

/** Compares each path with its copy below `restored`: kinds, link targets and every byte. */
export async function compareTrees(paths: string[], restored: string): Promise<Comparison> {
  const result: Comparison = { files: 0, bytes: 0, differences: [] };
  for (const path of paths) await compareOne(path, join(restored, path), result);
  return result;
}

async function compareOne(original: string, copy: string, result: Comparison): Promise<void> {
  const [a, b] = await Promise.all([lstat(original), lstat(copy).catch(() => null)]);
  if (!b) result.differences.push(`${original} was not restored`);
  else if (a.isSymbolicLink()) {
    if (!b.isSymbolicLink() || (await readlink(original)) !== (await readlink(copy))) {
      result.differences.push(`${original} is another link`);
    }
  } else if (a.isDirectory()) {
    const names = new Set([...(await readdir(original)), ...(await readdir(copy))]);
    for (const name of names) await compareEntry(join(original, name), join(copy, name), result);
  } else if (a.isFile()) {
    result.files++;
    result.bytes += a.size;
    if (a.size !== b.size || (await digest(original)) !== (await digest(copy))) {
      result.differences.push(`${original} has other bytes`);
    }
  }
}

async function compareEntry(original: string, copy: string, result: Comparison): Promise<void> {
  if (await lstat(original).catch(() => null)) await compareOne(original, copy, result);
  else result.differences.push(`${original} is only in the restored tree`);
}

async function digest(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}
