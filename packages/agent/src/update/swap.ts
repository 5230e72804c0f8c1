/**
 * Puts one version of the program in the place of another. Invariants: at every moment, whatever is killed or loses its
 * power, there is a whole program at its path; the way back needs no space on the disk. The one exception is Windows,
 * where a file that runs can't be replaced and is moved aside first.
 */
import { chmod, copyFile, link, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { fileSizeBytes, hasErrorCode, syncDir, syncFile } from "../platform/files.ts";
import { identifyProgram, readRecord, type UpdatePaths, type UpdateRecord, writeRecord } from "./record.ts";

const EXECUTABLE = 0o755;

/** Keeps the program that runs as the previous one. */
export async function keepPrevious({
  program,
  previous,
}: Pick<UpdatePaths, "program" | "previous">): Promise<void> {
  const kept = `${previous}.tmp`;
  await rm(kept, { force: true });
  // A second name costs no space; where there are no such links, it is a copy.
  await link(program, kept).catch(() => copyDurably(program, kept));
  await rename(kept, previous);
  // Two names of one file already: then the rename did nothing.
  await rm(kept, { force: true });
  await syncDir(dirname(previous));
}

/**
 * Brings a downloaded file into the folder of the program, executable and safe on the disk, under the name `to`. From
 * another disk it is copied, and the download stays for the caller to remove.
 */
export async function placeFresh(downloaded: string, to: string): Promise<void> {
  await rm(to, { force: true });
  try {
    await rename(downloaded, to);
  } catch (error) {
    if (!hasErrorCode(error, "EXDEV")) throw error;
    await copyDurably(downloaded, to);
  }
  await chmod(to, EXECUTABLE);
  await syncFile(to);
}

/**
 * Puts the fresh version in the place of the one that runs, with everything that the way back needs: in this order, so
 * that the note is there before the new version can be started, and the version that it leads back to before the note.
 */
export async function installFresh(
  paths: UpdatePaths,
  update: Pick<UpdateRecord, "job" | "from" | "to">,
  platform: NodeJS.Platform,
): Promise<void> {
  await keepPrevious(paths);
  const program = (await identifyProgram(paths.fresh)) ?? "";
  await writeRecord(paths.record, { ...update, program, starts: 0, deadline: null, rolled_back: null });
  await swapIn(paths.fresh, paths.program, platform);
}

/** From here on the next start is one of the new program. */
export async function swapIn(fresh: string, program: string, platform: NodeJS.Platform): Promise<void> {
  await replaceRunning(fresh, program, platform);
  await syncDir(dirname(program));
}

/**
 * Puts the previous program back and notes why, for the agent that comes back with it. The note is no condition: a full
 * disk must not keep a broken program in place. Nothing is done when there is no previous one, or when the program in
 * place is none of the record's.
 */
export async function rollBack(paths: UpdatePaths, reason: string, platform: NodeJS.Platform): Promise<void> {
  if ((await fileSizeBytes(paths.previous)) === 0) return;
  const record = await readRecord(paths.record).catch(() => undefined);
  if (record === undefined || record.program !== (await identifyProgram(paths.program))) return;
  if (record.rolled_back === null)
    await writeRecord(paths.record, { ...record, rolled_back: reason }).catch(() => undefined);
  await replaceRunning(paths.previous, paths.program, platform);
  await syncDir(dirname(paths.program));
}

async function replaceRunning(from: string, to: string, platform: NodeJS.Platform): Promise<void> {
  if (platform === "win32") {
    const aside = `${to}.old`;
    await rm(aside, { force: true });
    await rename(to, aside).catch((error: unknown) => {
      if (!hasErrorCode(error, "ENOENT")) throw error;
    });
  }
  await rename(from, to);
}

/** Leaves nothing of a copy that did not become whole. */
async function copyDurably(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to);
    await syncFile(to);
  } catch (error) {
    await rm(to, { force: true });
    throw error;
  }
}
