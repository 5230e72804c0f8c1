/** The programs that the tests run under Wine: agent and rmctl as `make package` makes them for Windows, and a restic of ours. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundleProgram } from "../package/bundle.ts";
import { writeExecutable } from "../package/executable.ts";
import { findNativeModules } from "../package/native-module.ts";
import { getNodeArchive, nodeArchives, unpackFile } from "../package/node-archive.ts";
import { openSigningKey } from "../package/signing.ts";

const platform = { os: "windows", arch: "x64" } as const;

export interface WindowsPrograms {
  readonly agent: string;
  readonly rmctl: string;
  readonly restic: string;
}

/** All, from the cache where nothing changed. @throws Error with a sentence when an archive can't be had */
export async function buildWindowsPrograms(root: string): Promise<WindowsPrograms> {
  return {
    agent: await build(root, "packages/agent/src/main.ts", "restic-manager-agent"),
    rmctl: await build(root, "packages/cli/src/main.ts", "rmctl"),
    restic: await build(root, "tools/test-windows/fake-restic.ts", "restic"),
  };
}

async function build(
  root: string,
  entry: string,
  name: "restic-manager-agent" | "rmctl" | "restic",
): Promise<string> {
  const cache = join(root, ".cache/package");
  const { publicKey } = openSigningKey(root, process.env);
  const { code } = await bundleProgram({ root, entry, publicKey });
  const digest = createHash("sha256").update(code).digest("hex").slice(0, 16);
  const target = join(cache, "windows", `${name}-${digest}.exe`);
  if (existsSync(target)) return target;
  const folder = await mkdtemp(join(tmpdir(), "rm-windows-"));
  try {
    const archive = await getNodeArchive(platform, cache);
    const nodePath = await unpackFile(archive, nodeArchives["windows-x64"]?.program ?? "", folder);
    const isAgent = name === "restic-manager-agent";
    const files = isAgent ? (await findNativeModules(name, platform, cache, folder)).files : {};
    await writeExecutable({ root, nodePath, code, files }, target);
    return target;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
