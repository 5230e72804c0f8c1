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
  const platform = `${process.platform}-${process.arch}`;
  const release = tool.releases[platform];
  if (release === undefined)
    throw new Error(`no checked sum of ${tool.releaseVersion} for ${platform} is known`);
  const bytes = await download(release);
  mkdirSync(cacheFolder, { recursive: true });
  const folder = mkdtempSync(join(cacheFolder, "unpack-"));
  try {
    const kept = keepInCache(tool, unpack(tool, release, bytes, folder), cacheFolder);
    if (!isUsable(kept)) throw new Error(`the release ${kept.reason}`);
    return kept;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
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
  const isTar = release.url.endsWith(".tar.gz");
  const [program, ...args] = isTar ? ["tar", "-xz", "--strip-components=1", "-C", folder] : ["bzip2", "-dc"];
  const run = spawnSync(program ?? "", args, { input: bytes, maxBuffer: 256 * 1024 * 1024 });
  if (run.error !== undefined) throw new Error(`${program} is needed to unpack it: ${run.error.message}`);
  if (run.status !== 0) throw new Error(`${program} failed: ${run.stderr.toString().trim()}`);
  const file = join(folder, tool.name);
  if (!isTar) writeFileSync(file, run.stdout);
  if (!existsSync(file)) throw new Error(`the archive holds no ${tool.name}`);
  chmodSync(file, 0o755);
  return file;
}
