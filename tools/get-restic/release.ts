/**
 * Fetches the pinned upstream release and checks its SHA-256 before anything of it is used.
 *
 * Invariant: nothing is unpacked, let alone run, before its sum is right. Being offline is quick:
 * many machines have no way to the release host and must go on to the next source.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type FoundTool, isUsable, keepInCache } from "./installed.ts";
import type { PinnedRelease, Tool } from "./tools.ts";

/** Until the host answers; longer means that there is no way to it. */
const answerTimeoutMs = 8_000;

/** For the 10 MB after that, on a slow line. */
const bodyTimeoutMs = 180_000;

/** Fetches, checks and caches the pinned release. Throws an Error that says why it did not work. */
export async function fetchRelease(tool: Tool, cacheFolder: string): Promise<FoundTool> {
  if (tool.exactVersion !== undefined && tool.exactVersion !== tool.releaseVersion)
    throw new Error(`of ${tool.exactVersion} no release is pinned`);
  mkdirSync(cacheFolder, { recursive: true });
  const folder = mkdtempSync(join(cacheFolder, "unpack-"));
  try {
    const file = await unpackRelease(tool, `${process.platform}-${process.arch}`, folder);
    const kept = keepInCache(tool, file, cacheFolder);
    if (!isUsable(kept)) throw new Error(`the release ${kept.reason}`);
    return kept;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Fetches the pinned release for one of Node's `platform-arch`, checks it and unpacks its program into the folder.
 * Throws an Error that says why it did not work. Nothing of it is run.
 */
export async function unpackRelease(tool: Tool, platform: string, folder: string): Promise<string> {
  const release = tool.releases[platform];
  if (release === undefined)
    throw new Error(`no checked sum of ${tool.releaseVersion} for ${platform} is known`);
  return unpack(tool, release, await download(release), folder);
}

async function download(release: PinnedRelease): Promise<Buffer> {
  const slow = new AbortController();
  const timer = setTimeout(() => slow.abort(new Error("no answer in 8 s")), answerTimeoutMs);
  try {
    const signal = AbortSignal.any([slow.signal, AbortSignal.timeout(bodyTimeoutMs)]);
    const answer = await fetch(release.url, { signal });
    clearTimeout(timer);
    if (!answer.ok) throw new Error(`the release host answered ${answer.status}`);
    const bytes = Buffer.from(await answer.arrayBuffer());
    checkSum(bytes, release.sha256);
    return bytes;
  } catch (cause) {
    throw new Error(`the release could not be fetched: ${reasonOf(cause)}`, { cause });
  } finally {
    clearTimeout(timer);
  }
}

/** Throws unless the bytes have this SHA-256 (hex). */
export function checkSum(bytes: Uint8Array, sha256: string): void {
  const actual = createHash("sha256").update(bytes).digest("hex");
  if (actual !== sha256) throw new Error(`its SHA-256 is ${actual}, expected ${sha256}`);
}

/** fetch says only "fetch failed"; the reason is in its cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

function unpack(tool: Tool, release: PinnedRelease, bytes: Buffer, folder: string): string {
  const file = join(folder, tool.name);
  const archive = join(folder, "archive");
  writeFileSync(archive, bytes);
  const [program, args, printsFile] = unpackCommand(release.url, archive, folder);
  const run = spawnSync(program, args, { maxBuffer: 256 * 1024 * 1024 });
  if (run.error !== undefined) throw new Error(`${program} is needed to unpack it: ${run.error.message}`);
  if (run.status !== 0) throw new Error(`${program} failed: ${run.stderr.toString().trim()}`);
  if (printsFile) writeFileSync(file, run.stdout);
  if (!existsSync(file)) throw new Error(`the archive holds no ${tool.name}`);
  chmodSync(file, 0o755);
  return file;
}

/** The program that unpacks it, and whether that prints the file or writes it into the folder. */
function unpackCommand(url: string, archive: string, folder: string): [string, string[], boolean] {
  if (url.endsWith(".tar.gz")) return ["tar", ["-xzf", archive, "--strip-components=1", "-C", folder], false];
  if (url.endsWith(".zip")) return ["unzip", ["-p", archive], true];
  return ["bzip2", ["-dc", archive], true];
}
