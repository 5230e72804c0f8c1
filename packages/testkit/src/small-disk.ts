/** A disk of a few megabytes that a test can fill: a tmpfs, which only root can mount. */
import { execFile } from "node:child_process";
import { mkdir, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * Mounts one over `folder`, for `maxFiles` files and folders, itself among them. @returns what takes it away again
 * @throws Error with a sentence where nobody may mount anything: these tests must not be skipped in silence
 */
export async function mountSmallDisk(
  folder: string,
  sizeBytes: number,
  maxFiles = 10_000,
): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    await run("mount", [
      "-t",
      "tmpfs",
      "-o",
      `size=${sizeBytes},nr_inodes=${maxFiles},mode=0700`,
      "tmpfs",
      folder,
    ]);
  } catch (cause) {
    throw new Error(
      "A full disk can't be tried here: mounting a tmpfs needs root and the right to mount. Run the tests as root, in a container with --cap-add SYS_ADMIN.",
      { cause },
    );
  }
  return async () => {
    await run("umount", ["--lazy", folder]);
  };
}

const filler = (folder: string): string => join(folder, "filler");

/** Takes every free block; what is written from now on fails. */
export async function fillDisk(folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  await writeFile(filler(folder), Buffer.alloc(bavail * bsize, 1)).catch((error: NodeJS.ErrnoException) => {
    // Somebody else wrote since we looked: then it is full all the same.
    if (error.code !== "ENOSPC") throw error;
  });
}

/** Gives the space back. */
export async function freeDisk(folder: string): Promise<void> {
  await rm(filler(folder), { force: true });
}
