/**
 * Takes a program out of a package of a newer suite, without touching the system.
 *
 * Invariants: apt works on a private set of sources, lists and caches that is removed afterwards; apt itself
 * checks the signatures with the distribution's keyring, and unsigned sources are refused whatever the
 * machine's configuration says; nothing is installed. Works as root and as a normal user.
 */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  type AptSource,
  type Distribution,
  findMirrors,
  newerSuites,
  parseAptSources,
  parseDistribution,
  sourceLine,
} from "./apt-sources.ts";
import { type FoundTool, isUsable, keepInCache } from "./installed.ts";
import type { Tool } from "./tools.ts";

/** A list of one suite is 10 MB; minutes mean that the mirror hangs. */
const aptTimeoutMs = 120_000;

/** Tries the newer suites in turn and caches the first program that runs here. Throws when none does. */
export function takeFromPackage(tool: Tool, cacheFolder: string, say: (line: string) => void): FoundTool {
  const distribution = readDistribution();
  const mirrors = distribution === undefined ? [] : findMirrors(readMachineSources(), distribution);
  if (distribution === undefined || mirrors.length === 0) {
    throw new Error("this is neither Debian nor Ubuntu with its own apt sources");
  }
  const newer = newerSuites[distribution.id];
  const own = distribution.codename;
  // Another version than the best may well be the machine's own.
  const last = tool.exactVersion === undefined ? [] : [own];
  const suites = tool.prefersOwnSuite === true ? [own, ...newer] : [...newer, ...last];
  for (const suite of suites) {
    for (const mirror of mirrors) {
      try {
        return takeFromSuite(tool, cacheFolder, sourceLine(mirror, distribution, suite));
      } catch (error) {
        say(`${suite}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
  throw new Error(`none of ${suites.join(", ")} has a usable ${tool.packageName}`);
}

function readDistribution(): Distribution | undefined {
  return existsSync("/etc/os-release")
    ? parseDistribution(readFileSync("/etc/os-release", "utf8"))
    : undefined;
}

function readMachineSources(): AptSource[] {
  const parts = "/etc/apt/sources.list.d";
  const names = existsSync(parts) ? readdirSync(parts).filter((name) => /\.(list|sources)$/.test(name)) : [];
  const files = ["/etc/apt/sources.list", ...names.map((name) => join(parts, name))].filter(existsSync);
  return files.flatMap((file) => parseAptSources(file, readFileSync(file, "utf8")));
}

function takeFromSuite(tool: Tool, cacheFolder: string, line: string): FoundTool {
  mkdirSync(cacheFolder, { recursive: true });
  const folder = mkdtempSync(join(cacheFolder, "apt-"));
  try {
    const configuration = writePrivateConfiguration(folder, line);
    run("apt-get", ["-q", "update"], folder, configuration);
    run("apt-get", ["-q", "download", tool.packageName], folder, configuration);
    const file = readdirSync(folder).find((name) => name.endsWith(".deb"));
    if (file === undefined) throw new Error(`apt downloaded no ${tool.packageName}`);
    run("dpkg-deb", ["-x", file, "unpacked"], folder, configuration);
    const folders = ["usr/bin", "usr/sbin"].map((bin) => join(folder, "unpacked", bin));
    const paths = folders.flatMap((bin) => tool.executables.map((name) => join(bin, name)));
    const path = paths.find(existsSync);
    if (path === undefined) throw new Error(`the package holds none of ${tool.executables.join(", ")}`);
    const kept = keepInCache(tool, path, cacheFolder);
    if (!isUsable(kept)) throw new Error(`the program ${kept.reason}`);
    return kept;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Everything of apt in one folder; of the machine's settings only how to reach the network. */
function writePrivateConfiguration(folder: string, line: string): string {
  for (const part of [
    "etc/apt.conf.d",
    "etc/preferences.d",
    "state/lists/partial",
    "cache/archives/partial",
  ]) {
    mkdirSync(join(folder, part), { recursive: true });
  }
  writeFileSync(join(folder, "etc/sources.list"), line);
  const machine = spawnSync("apt-config", ["dump"], { encoding: "utf8" });
  const network = (machine.stdout ?? "").split("\n").filter((entry) => entry.startsWith("Acquire::"));
  const file = join(folder, "apt.conf");
  writeFileSync(
    file,
    `${network.join("\n")}
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Languages "none";
APT::Get::AllowUnauthenticated "false";
APT::Sandbox::User "root";
Dir::Etc "${folder}/etc";
Dir::Etc::netrc "/etc/apt/auth.conf";
Dir::Etc::netrcparts "/etc/apt/auth.conf.d";
Dir::State "${folder}/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "${folder}/cache";
`,
  );
  return file;
}

function run(program: string, args: readonly string[], folder: string, configuration: string): void {
  const environment = { ...process.env, APT_CONFIG: configuration, LC_ALL: "C" };
  const done = spawnSync(program, args, {
    cwd: folder,
    env: environment,
    encoding: "utf8",
    timeout: aptTimeoutMs,
  });
  if (done.error !== undefined) throw new Error(`${program} cannot be run: ${done.error.message}`);
  if (done.status === 0) return;
  const reason = done.stderr.split("\n").find((text) => text.startsWith("E: ")) ?? done.stderr.trim();
  throw new Error(`${program} ${args.join(" ")} failed: ${reason}`);
}
