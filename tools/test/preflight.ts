/**
 * Finds everything that the tests need from outside before the first test runs, and installs what it can.
 *
 * Invariants: a test is never skipped for want of a program; a missing one is one line with the command that
 * gets it. Only root on Debian and Ubuntu installs anything, through apt; no database cluster is created.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { parseDistribution } from "../get-restic/apt-sources.ts";
import { getTool, toolCacheFolder } from "../get-restic/get-tool.ts";
import { type Tool, tools } from "../get-restic/tools.ts";

/** What was found, ready for the environment of the tests, and one line for each thing that was not. */
export interface Preflight {
  readonly environment: Readonly<Record<string, string>>;
  readonly missing: readonly string[];
}

/** A program that comes from the system. */
interface SystemPart {
  /** The tests read the path in this variable. */
  readonly variable: string;
  readonly packageName: string;
  readonly find: () => string | undefined;
  readonly install: () => void;
}

/** Where Debian and Ubuntu keep one folder per major version. */
const postgresFolder = "/usr/lib/postgresql";

const systemParts: readonly SystemPart[] = [
  {
    variable: "RM_CHROMIUM",
    packageName: "chromium",
    // Ubuntu has a file of that name that only asks for a snap, so it has to run.
    find: () => findOnPath(["chromium", "chromium-browser", "google-chrome"]).find(printsVersion),
    install: () => aptInstall("chromium"),
  },
  {
    // restic's SFTP goes through it. A client: it listens nowhere.
    variable: "RM_SSH",
    packageName: "openssh-client",
    find: () => findOnPath(["ssh"])[0],
    install: () => aptInstall("openssh-client"),
  },
  {
    variable: "RM_POSTGRES_BIN",
    packageName: "postgresql",
    find: findPostgres,
    install: installPostgres,
  },
];

/** What the throw-away machines of the installer's tests are made with and look for, by the package that has it. */
const machinePrograms: Readonly<Record<string, string>> = {
  systemd: "systemd-analyze",
  dash: "dash",
  busybox: "busybox",
  shellcheck: "shellcheck",
  "libcap2-bin": "setcap",
  openssl: "openssl",
  curl: "curl",
  wget: "wget",
  iproute2: "ip",
  sudo: "sudo",
  cron: "crontab",
};

/** Looks for every part; what is missing is installed where that is possible. Says what it installs. */
export async function preflight(
  outer: Readonly<Record<string, string | undefined>>,
  say: (line: string) => void,
): Promise<Preflight> {
  const environment: Record<string, string> = {};
  const missing: string[] = [];
  if (findOnPath(["git"]).length === 0) missing.push("git is missing; get it with: apt-get install git");
  for (const tool of Object.values(tools)) {
    const result = await findTool(tool, outer, say);
    if ("path" in result) environment[tool.variable] = result.path;
    else missing.push(result.reason);
  }
  for (const part of systemParts) {
    const result = findSystemPart(part, outer[part.variable], say);
    if ("path" in result) environment[part.variable] = result.path;
    else missing.push(result.reason);
  }
  for (const [packageName, program] of Object.entries(machinePrograms))
    missing.push(...findProgram(packageName, program, say));
  return { environment, missing };
}

/** @returns nothing, or the line about what is missing */
function findProgram(packageName: string, program: string, say: (line: string) => void): string[] {
  const isThere = () => findOnPath([program]).length > 0;
  if (!isThere() && mayInstall()) {
    say(`${packageName}: installing it with apt-get`);
    aptInstall(packageName);
  }
  if (isThere()) return [];
  return [`${program} is missing; get it with: apt-get install ${packageName} (as root)`];
}

type PartResult = { readonly path: string } | { readonly reason: string };

async function findTool(
  tool: Tool,
  environment: Readonly<Record<string, string | undefined>>,
  say: (line: string) => void,
): Promise<PartResult> {
  try {
    return await getTool(tool, { environment, cacheFolder: toolCacheFolder, say });
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

function findSystemPart(
  part: SystemPart,
  named: string | undefined,
  say: (line: string) => void,
): PartResult {
  if (named !== undefined && named !== "") {
    return existsSync(named) ? { path: named } : { reason: `${part.variable}=${named} does not exist` };
  }
  const found = part.find();
  if (found !== undefined) return { path: found };
  if (mayInstall()) {
    say(`${part.packageName}: installing it with apt-get`);
    part.install();
  }
  const installed = part.find();
  if (installed !== undefined) return { path: installed };
  const command = `apt-get install ${part.packageName}`;
  return {
    reason: `${part.packageName} is missing; get it with: ${command} (as root), or set ${part.variable}`,
  };
}

function findOnPath(names: readonly string[]): string[] {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return names
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .filter((path) => existsSync(path));
}

function printsVersion(path: string): boolean {
  return spawnSync(path, ["--version"], { stdio: "ignore", timeout: 20_000 }).status === 0;
}

/** The folder that holds `initdb` and `postgres`; of several the newest major version. */
function findPostgres(): string | undefined {
  const versions = existsSync(postgresFolder) ? readdirSync(postgresFolder) : [];
  const folders = versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(postgresFolder, version, "bin"));
  const onPath = (process.env.PATH ?? "").split(delimiter);
  const found = [...onPath, ...folders].find((folder) =>
    ["initdb", "postgres"].every((name) => existsSync(join(folder, name))),
  );
  // PATH often holds links; the programs beside the real file are the ones that belong together.
  return found === undefined ? undefined : dirname(realpathSync(join(found, "initdb")));
}

function mayInstall(): boolean {
  const isDebianLike =
    existsSync("/etc/os-release") && parseDistribution(readFileSync("/etc/os-release", "utf8")) !== undefined;
  return isDebianLike && process.getuid?.() === 0;
}

function aptInstall(packageName: string): void {
  // A failure shows as the part still missing; apt's own words are on the terminal by then.
  const options = {
    stdio: ["ignore", "ignore", "inherit"] satisfies ["ignore", "ignore", "inherit"],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  };
  spawnSync("apt-get", ["-q", "update"], options);
  spawnSync("apt-get", ["-q", "-y", "--no-install-recommends", "install", packageName], options);
}

/** Debian creates and starts a cluster with the server package unless this file says otherwise before. */
function installPostgres(): void {
  const file = "/etc/postgresql-common/createcluster.conf";
  const isFirst = !existsSync(file);
  if (isFirst) aptInstall("postgresql-common");
  if (isFirst && existsSync(file)) {
    const settings = readFileSync(file, "utf8");
    writeFileSync(file, settings.replace(/^#?create_main_cluster.*$/m, "create_main_cluster = false"));
  }
  aptInstall("postgresql");
}
