/**
 * A release, from the sources to the signature: one folder that a server serves and that anybody can check. Invariant:
 * the folder is there as a whole or not at all, and equal sources under equal keys give equal bytes.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  formatSums,
  type ReleaseArch,
  type ReleasePlatform,
  releaseArchitectures,
  releaseFiles,
  releasePlatformOf,
} from "../../packages/protocol/src/release.ts";
import { productVersion } from "../../packages/protocol/src/version.ts";
import { type ListedDeb, writeAptRepository } from "./apt.ts";
import { openAptKey } from "./apt-key.ts";
import { debFileName, writeDeb } from "./deb.ts";
import { debsOf } from "./packages.ts";
import { type Built, buildPrograms } from "./programs-built.ts";
import { collectRestic, type ResticFile, resticPart } from "./restic.ts";
import { writeLicences, writeSbom } from "./sbom.ts";
import type { SigningKey } from "./signing.ts";

const run = promisify(execFile);

export interface ReleaseWishes {
  readonly root: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly key: SigningKey;
  readonly say: (line: string) => void;
}

/** What goes along as it lies in the project, where it is there. */
const deployed = ["install.sh", "install.ps1", "restic-manager-agent.service"];

/** Files of the folder with their size in bytes, by name; the folder itself. */
export interface Release {
  readonly folder: string;
  readonly sizes: ReadonlyMap<string, number>;
}

export async function makeRelease(wishes: ReleaseWishes): Promise<Release> {
  const { root, key, say } = wishes;
  const target = join(root, "build/package");
  const folder = join(root, "build/package.new");
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const version = productVersion;
  const built = await buildPrograms({ root, folder, version, publicKey: key.publicKey, say });
  await checkVersions(built, folder, say);
  const restic = await collectRestic(built.programs[0]?.platforms ?? [], folder, say);
  for (const name of deployed) {
    const file = join(root, "deploy", name);
    if (existsSync(file)) await copyFile(file, join(folder, name));
  }
  await describe(wishes, folder, built, restic);
  await packForDebian(wishes, folder, built, restic);
  const sizes = await sign(folder, key);
  await rm(target, { recursive: true, force: true });
  await rename(folder, target);
  return { folder: target, sizes };
}

/** Every program is asked for its version, where it runs here: the name of its file must not say another one. */
async function checkVersions(
  { executables }: Built,
  folder: string,
  say: (line: string) => void,
): Promise<void> {
  for (const { name, ...platform } of executables) {
    const runner = await findRunner(platform);
    if (runner === undefined) {
      say(`not run: ${name} (nothing here runs programs of ${platform.os} ${platform.arch})`);
      continue;
    }
    const [program = "", ...args] = [...runner, join(folder, name), "--version"];
    const { stdout } = await run(program, args, { timeout: 60_000 });
    // Some say their name before it.
    if (stdout.trim().split(" ").at(-1) !== productVersion)
      throw new Error(`${name} says that it is ${stdout.trim()}.`);
  }
}

/** Debian's emulator of another processor, and where its packages for cross compiling put that one's libraries. */
const arm64Emulator = ["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"];

/** The words before a program of that platform; undefined when it can't run here. */
async function findRunner({ os, arch }: ReleasePlatform): Promise<string[] | undefined> {
  const own = releasePlatformOf(process.platform, process.arch);
  if (own?.os === os && own.arch === arch) return [];
  if (os !== "linux" || arch !== "arm64" || !existsSync("/usr/aarch64-linux-gnu/lib")) return undefined;
  const [emulator = ""] = arm64Emulator;
  return await run(emulator, ["--version"]).then(
    () => arm64Emulator,
    () => undefined,
  );
}

async function describe(
  { root }: ReleaseWishes,
  folder: string,
  built: Built,
  restic: readonly ResticFile[],
): Promise<void> {
  const versions = [...new Set(restic.map(({ version }) => version))].sort();
  const foreign = [built.node, ...versions.map(resticPart)];
  const contents = { version: productVersion, executables: built.executables, foreign };
  await writeFile(join(folder, "sbom.cdx.json"), writeSbom(contents));
  const own = await readFile(join(root, "LICENSE"), "utf8");
  await writeFile(join(folder, "THIRD-PARTY-LICENSES.txt"), writeLicences(contents, own));
}

async function packForDebian(
  { root, environment, say }: ReleaseWishes,
  folder: string,
  { programs }: Built,
  restic: readonly ResticFile[],
): Promise<void> {
  if (!(await run("dpkg-deb", ["--version"]).then(Boolean, () => false))) {
    say("no packages for Debian and no /apt: dpkg-deb is missing");
    return;
  }
  const key = openAptKey(root, environment);
  if (key.isOfCheckout)
    say(`apt: signed with the key of this checkout (${key.file}); RM_APT_KEY_FILE names another`);
  const epochSeconds = await releaseTime(root, environment);
  const onLinux = restic.filter(({ os }) => os === "linux");
  const resticVersions: Partial<Record<ReleaseArch, string>> = Object.fromEntries(
    onLinux.map(({ arch, version }) => [arch, version]),
  );
  const hasProgram = (name: string) => programs.some((program) => program.name === name);
  const debs: ListedDeb[] = [];
  for (const arch of releaseArchitectures) {
    for (const deb of debsOf({ root, folder, version: productVersion, resticVersions }, arch, hasProgram)) {
      const control = await writeDeb(deb, folder, { epochSeconds });
      debs.push({ file: join(folder, debFileName(deb)), name: deb.name, arch: deb.arch, control });
      say(debFileName(deb));
    }
  }
  await writeAptRepository(join(folder, "apt"), debs, key, epochSeconds);
}

/** The time that everything of a release has: SOURCE_DATE_EPOCH, else that of the last commit. */
async function releaseTime(root: string, environment: NodeJS.ProcessEnv): Promise<number> {
  const named = environment.SOURCE_DATE_EPOCH;
  const text = named ?? (await run("git", ["-C", root, "log", "-1", "--format=%ct"])).stdout;
  const seconds = Number(text);
  if (!Number.isInteger(seconds) || seconds <= 0)
    throw new Error(`SOURCE_DATE_EPOCH is no time in seconds since 1970: ${text}`);
  return seconds;
}

/** Sums over every file, the signature over the sums, and the key to check it with. */
async function sign(folder: string, key: SigningKey): Promise<Map<string, number>> {
  const sums = new Map<string, string>();
  const sizes = new Map<string, number>();
  const entries = await readdir(folder, { withFileTypes: true });
  for (const name of entries
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort()) {
    const file = join(folder, name);
    sums.set(
      name,
      createHash("sha256")
        .update(await readFile(file))
        .digest("hex"),
    );
    sizes.set(name, (await stat(file)).size);
  }
  const text = formatSums(sums);
  await writeFile(join(folder, releaseFiles.sums), text);
  await writeFile(join(folder, releaseFiles.signature), `${key.sign(Buffer.from(text))}\n`);
  await writeFile(join(folder, releaseFiles.publicKey), key.publicKey);
  return sizes;
}
