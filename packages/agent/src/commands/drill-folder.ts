/**
 * Where a drill's files come back: a private folder for each job, in the agent's data folder. Invariant: it goes with its
 * job, however that ends; what a crash has left goes at the next start.
 */
import { chmod, readdir, statfs } from "node:fs/promises";
import { join } from "node:path";
import { ensurePrivateDir, hasErrorCode, removeTree } from "../platform/files.ts";

export const drillFolder = (drillsDir: string, jobId: string): string => join(drillsDir, jobId);

/** Bytes that may be written below this folder, which is made. */
export async function findRoom(dir: string): Promise<number> {
  await ensurePrivateDir(dir);
  const { bavail, bsize } = await statfs(dir);
  return bavail * bsize;
}

/** Removes what came back. Folders that came back without the right to change them are given it first. */
export async function removeRestored(folder: string): Promise<void> {
  try {
    await removeTree(folder);
  } catch (error) {
    if (!hasErrorCode(error, "EACCES") && !hasErrorCode(error, "EPERM")) throw error;
    await openFolders(folder);
    await removeTree(folder);
  }
}

async function openFolders(folder: string): Promise<void> {
  await chmod(folder, 0o700);
  for (const entry of await readdir(folder, { withFileTypes: true }))
    if (entry.isDirectory()) await openFolders(join(folder, entry.name));
}

/** Removes the folders of drills that are over. @returns the names of those that could not be removed */
export async function removeLeftDrills(
  drillsDir: string,
  isUnfinished: (jobId: string) => boolean,
): Promise<string[]> {
  const names = await readdir(drillsDir).catch((error: unknown) => {
    if (hasErrorCode(error, "ENOENT")) return [];
    throw error;
  });
  const stuck: string[] = [];
  for (const name of names.filter((jobId) => !isUnfinished(jobId)))
    await removeRestored(join(drillsDir, name)).catch(() => stuck.push(name));
  return stuck;
}
