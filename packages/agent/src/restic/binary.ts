/**
 * Finds a restic that is new enough. Invariant: an explicit path is taken or refused, never silently replaced
 * by another restic; among the places we search ourselves the first that is new enough wins.
 */
import { access, constants, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { compareVersions } from "@restic-manager/protocol";
import { versionArgs } from "./args.ts";
import { toolEnv } from "./env.ts";
import { parseVersion } from "./output.ts";
import { runShort, type ShortDeps } from "./short.ts";

/** The oldest that the whole of the tests runs with (docs/compatibility.md). */
export const MINIMUM_RESTIC = "0.18.0";

export type BinarySearch = {
  /** From the agent's configuration or RM_RESTIC; when given, nothing else is looked at. */
  explicitPath?: string;
  /** PATH as the agent sees it. */
  searchPath: string;
  /** Where the agent's executable lies: packages put restic beside it. */
  executableDir: string;
  /** The agent's environment, for what the program needs to start at all. */
  inherited: Readonly<Record<string, string | undefined>>;
  platform: NodeJS.Platform;
  signal?: AbortSignal;
};

export type BinaryOutcome =
  | { kind: "ok"; path: string; version: string }
  | { kind: "missing"; code: "restic.missing"; message: string }
  | {
      kind: "too_old";
      code: "restic.too_old";
      path: string;
      version: string;
      minimum: string;
      message: string;
    };

/** Asks every candidate for its version, in order, until one is new enough. */
export async function findRestic(deps: ShortDeps, search: BinarySearch): Promise<BinaryOutcome> {
  let tooOld: BinaryOutcome | undefined;
  let broken: string | undefined;
  for (const path of candidates(search)) {
    if (!(await isExecutableFile(path))) continue;
    const version = await askVersion(deps, search, path);
    if (version === undefined) {
      broken ??= path;
      continue;
    }
    if ((compareVersions(version, MINIMUM_RESTIC) ?? -1) >= 0) return { kind: "ok", path, version };
    tooOld ??= {
      kind: "too_old",
      code: "restic.too_old",
      path,
      version,
      minimum: MINIMUM_RESTIC,
      message: adviceForOld(path, version),
    };
  }
  return tooOld ?? { kind: "missing", code: "restic.missing", message: adviceForMissing(search, broken) };
}

const HOW_TO_GET = `Install restic ${MINIMUM_RESTIC} or later (Debian 13 and Ubuntu 25.10 have one in their archives; "restic self-update" renews a copy of your own) and set its path in the agent's configuration if it is not on PATH.`;

function adviceForOld(path: string, version: string): string {
  return `restic ${version} at ${path} is too old: this agent was tried with ${MINIMUM_RESTIC} and later only. ${HOW_TO_GET}`;
}

function adviceForMissing(search: BinarySearch, broken: string | undefined): string {
  if (broken !== undefined) return `${broken} does not answer like restic. ${HOW_TO_GET}`;
  if (search.explicitPath !== undefined) {
    return `There is no executable restic at ${search.explicitPath}, where the configuration says it is. ${HOW_TO_GET}`;
  }
  return `restic was not found on PATH or beside the agent. ${HOW_TO_GET}`;
}

function candidates(search: BinarySearch): string[] {
  if (search.explicitPath !== undefined) return [search.explicitPath];
  const name = search.platform === "win32" ? "restic.exe" : "restic";
  // What lies beside the agent was put there for it, and is what an update replaces.
  const dirs = [search.executableDir, ...search.searchPath.split(delimiter)].filter((dir) => dir !== "");
  return [...new Set(dirs.map((dir) => join(dir, name)))];
}

async function isExecutableFile(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** `version` opens no repository and answers in milliseconds; a program that does not is not restic. */
const VERSION_TIMEOUT_MS = 15_000;

/** The version that the restic at `path` tells; undefined for what is not there, does not run or is no restic. */
export async function askVersion(
  deps: ShortDeps,
  search: Pick<BinarySearch, "inherited" | "platform" | "signal">,
  path: string,
): Promise<string | undefined> {
  const outcome = await runShort(deps, {
    argv: [path, ...versionArgs()],
    env: toolEnv(search.inherited, search.platform),
    redact: (text) => text,
    timeoutMs: VERSION_TIMEOUT_MS,
    maxOutputBytes: 64 * 1024,
    ...(search.signal === undefined ? {} : { signal: search.signal }),
  });
  return outcome.kind === "exited" && outcome.code === 0 ? parseVersion(outcome.stdout) : undefined;
}
