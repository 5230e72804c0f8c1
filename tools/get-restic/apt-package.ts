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
  const wishes = {
    tool: tool.packageName,
    isExact: tool.exactVersion !== undefined,
    prefersOwn: tool.prefersOwnSuite === true,
  };
  return inSuites(wishes, cacheFolder, say, (suite) => takeFromSuite(tool, cacheFolder, suite));
}

/** One suite with its lists read, in a folder of its own that goes afterwards. */
export interface Suite {
  /** Where `run` works; what it downloads lies here. */
  readonly folder: string;
  /** Runs a program with apt's private configuration; throws with its own first word of complaint. */
  readonly run: (program: string, args: readonly string[]) => void;
}

interface SuiteWishes {
  /** What is looked for, for the sentence that nobody has it. */
  readonly tool: string;
  /** Another version than the best may well be in the machine's own suite. */
  readonly isExact: boolean;
  /** The machine's own suite first. */
  readonly prefersOwn?: boolean;
  /** In place of the newer ones of this distribution. */
  readonly suites?: readonly string[];
}

/** Does `work` in the first suite in which it does not throw, the newer ones of this distribution first. */
export function inSuites<Result>(
  { tool, isExact, prefersOwn = false, suites: wanted }: SuiteWishes,
  cacheFolder: string,
  say: (line: string) => void,
  work: (suite: Suite) => Result,
): Result {
  const distribution = readDistribution();
  const mirrors = distribution === undefined ? [] : findMirrors(readMachineSources(), distribution);
  if (distribution === undefined || mirrors.length === 0) {
    throw new Error("this is neither Debian nor Ubuntu with its own apt sources");
  }
  const newer = wanted ?? newerSuites[distribution.id];
  const own = distribution.codename;
  // Another version than the best may well be the machine's own.
  const last = isExact ? [own] : [];
  const suites = prefersOwn ? [own, ...newer] : [...newer, ...last];
  for (const suite of suites) {
    for (const mirror of mirrors) {
      try {
        return inSuite(cacheFolder, sourceLine(mirror, distribution, suite), work);
      } catch (error) {
        say(`${suite}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
  throw new Error(`none of ${suites.join(", ")} has a usable ${tool}`);
}

function inSuite<Result>(cacheFolder: string, line: string, work: (suite: Suite) => Result): Result {
  mkdirSync(cacheFolder, { recursive: true });
  const folder = mkdtempSync(join(cacheFolder, "apt-"));
  try {
    const configuration = writePrivateConfiguration(folder, line);
    const suite: Suite = { folder, run: (program, args) => run(program, args, folder, configuration) };
    suite.run("apt-get", ["-q", "update"]);
    return work(suite);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
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

function takeFromSuite(tool: Tool, cacheFolder: string, { folder, run: runHere }: Suite): FoundTool {
  runHere("apt-get", ["-q", "download", tool.packageName]);
  const file = readdirSync(folder).find((name) => name.endsWith(".deb"));
  if (file === undefined) throw new Error(`apt downloaded no ${tool.packageName}`);
  runHere("dpkg-deb", ["-x", file, "unpacked"]);
  const folders = ["usr/bin", "usr/sbin"].map((bin) => join(folder, "unpacked", bin));
  const paths = folders.flatMap((bin) => tool.executables.map((name) => join(bin, name)));
  const path = paths.find(existsSync);
  if (path === undefined) throw new Error(`the package holds none of ${tool.executables.join(", ")}`);
  const kept = keepInCache(tool, path, cacheFolder);
  if (!isUsable(kept)) throw new Error(`the program ${kept.reason}`);
  return kept;
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
