/**
 * The folder that a restore writes to: where it is, that it may be used, and making it. Invariants: only `$HOME`, `${HOME}`
 * and `~/` at its beginning stand for something, on Windows also `%USERPROFILE%` and `%ProgramData%`; what is made is for
 * the agent's user alone on every level; a folder that holds anything is not taken, because what was there could not be
 * told from what was restored; never inside the repository or the agent's data.
 */
import { constants } from "node:fs";
import { access, mkdir, readdir, realpath, stat } from "node:fs/promises";
import { dirname, isAbsolute, join, posix, resolve, win32 } from "node:path";
import type { JobError } from "@restic-manager/protocol";
import { reasonOf } from "../platform/errors.ts";
import { hasErrorCode } from "../platform/files.ts";
import { protectFolder } from "../platform/windows/access-list.ts";
import { visible } from "./job-context.ts";

export type TargetOutcome = { kind: "ok"; path: string } | { kind: "refused"; error: JobError };

/** What the words at the beginning of a folder stand for on this host. */
export type TargetPlaces = {
  platform: NodeJS.Platform;
  home: string;
  /** Windows' folder for the data of programs. The home of SYSTEM is deep in Windows, where nobody looks for anything. */
  programData: string;
};

/** Where the folder shall be, as an absolute path. */
export function resolveTarget(given: string | null, places: TargetPlaces, jobId: string): TargetOutcome {
  const paths = pathsOf(places.platform);
  const top = places.platform === "win32" ? places.programData : places.home;
  const expanded = given === null ? paths.join(top, "rm-restore", jobId) : expand(given, places);
  if (!paths.isAbsolute(expanded) || expanded.includes("\0"))
    return invalid(expanded, "is not an absolute path. Begin it at the root, or with $HOME/ or ~/");
  if (expanded.split(/[/\\]/).includes(".."))
    return invalid(expanded, "leads upward with “..”. Write the path without it");
  return { kind: "ok", path: paths.resolve(expanded) };
}

const pathsOf = (platform: NodeJS.Platform) => (platform === "win32" ? win32 : posix);

function expand(given: string, { platform, home, programData }: TargetPlaces): string {
  if (platform !== "win32") return given.replace(/^(?:\$HOME|\$\{HOME\}|~)(?=\/|$)/, () => home);
  return given
    .replace(/^(?:\$HOME|\$\{HOME\}|~|%USERPROFILE%)(?=[/\\]|$)/i, () => home)
    .replace(/^%ProgramData%(?=[/\\]|$)/i, () => programData);
}

/** What an ext file system puts at its root: a new disk that is mounted is an empty folder. */
const OF_THE_SYSTEM = new Set(["lost+found"]);

/** Whether the folder is new, or there and empty. Changes nothing. */
export async function checkNew(path: string): Promise<TargetOutcome> {
  try {
    const names = (await readdir(path)).filter((name) => !OF_THE_SYSTEM.has(name));
    if (names.length === 0) return { kind: "ok", path };
    const sentence = "is not empty. Choose a new folder, or restore in place";
    return refused("restore.target_not_empty", path, sentence);
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return { kind: "ok", path };
    if (hasErrorCode(error, "ENOTDIR"))
      return invalid(path, "is no folder, or leads through something that is none");
    return unusable(path, error);
  }
}

/** Makes the folder with every level that is missing, and tries whether it can be written to. */
export async function makeFolder(path: string): Promise<TargetOutcome> {
  try {
    await makeLevels(path);
    await access(path, constants.W_OK | constants.X_OK);
    return { kind: "ok", path };
  } catch (error) {
    return unusable(path, error);
  }
}

/** Level by level: Node's own `recursive` tries for ever where the system answers ENOENT, as below /proc. */
async function makeLevels(path: string): Promise<void> {
  const missing: string[] = [];
  for (let level = path; !(await isFolder(level)); level = dirname(level)) {
    missing.push(level);
    if (level === dirname(level)) break;
  }
  const [highest] = missing.reverse();
  for (const level of missing) await mkdir(level, { mode: 0o700 });
  // Modes mean nothing there, and what lies in it inherits from it.
  if (highest !== undefined && process.platform === "win32") protectFolder(highest);
}

/** Whether a folder that is there can be written to; one that is not is made later. */
export async function checkWritable(path: string): Promise<TargetOutcome> {
  try {
    await access(path, constants.W_OK | constants.X_OK);
    return { kind: "ok", path };
  } catch (error) {
    return hasErrorCode(error, "ENOENT") ? { kind: "ok", path } : unusable(path, error);
  }
}

/** Links followed. */
export async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

/** Where a path really is, as far as it exists: links of its folders followed. */
export async function realPlace(path: string): Promise<string> {
  const missing: string[] = [];
  for (let part = resolve(path); ; part = resolve(part, "..")) {
    try {
      return join(await realpath(part), ...missing);
    } catch {
      if (part === resolve(part, "..")) return resolve(path);
      missing.unshift(part.slice(resolve(part, "..").length).replace(/^[/\\]/, ""));
    }
  }
}

/** The folder of a repository that lies on this host; undefined for one that is reached in another way. */
export function localFolder(location: string): string | undefined {
  const path = location.replace(/^local:/, "");
  return isAbsolute(path) ? path : undefined;
}

/** What nobody may restore over: a path, and what it is. */
export type Protected = { path: string; what: string };

/** The refusal of a place that lies in what must stay as it is; undefined when it does not. */
export async function findForbidden(
  place: string,
  guarded: readonly Protected[],
  platform: NodeJS.Platform,
): Promise<JobError | undefined> {
  const real = await realPlace(place);
  for (const { path, what } of guarded) {
    if (isInside(real, await realPlace(path), platform))
      return forbidden(place, `lies in ${what} (${visible(path)})`);
  }
  return undefined;
}

/** Whether a place is a folder or lies in it; on Windows whatever case and slashes they are written with. */
export function isInside(place: string, folder: string, platform: NodeJS.Platform): boolean {
  const paths = pathsOf(platform);
  const way = paths.relative(folder, place);
  return way === "" || (!/^\.\.(?:[/\\]|$)/.test(way) && !paths.isAbsolute(way));
}

export function forbidden(place: string, why: string): JobError {
  return {
    code: "restore.target_forbidden",
    message: `${quoted(place)} ${why}, which a restore must not write to. Choose another folder.`,
    last_lines: [],
  };
}

function invalid(path: string, why: string): TargetOutcome {
  return refused("restore.target_invalid", path, why);
}

/** Why the system does not let us use a folder. */
export function unusable(path: string, error: unknown): TargetOutcome {
  const isAny = (...codes: string[]) => codes.some((code) => hasErrorCode(error, code));
  if (isAny("EACCES", "EPERM", "EROFS", "ENOENT")) {
    const sentence = `can't be written to (${reasonOf(error)}). Give the agent's user the right, or choose another folder`;
    return refused("restore.target_not_writable", path, sentence);
  }
  if (isAny("ENOSPC", "EDQUOT"))
    return refused("restore.target_full", path, "is on a disk that is full. Free space");
  return refused("restore.target_invalid", path, `can't be used: ${reasonOf(error)}`);
}

function refused(code: string, path: string, why: string): TargetOutcome {
  const message = `The folder ${quoted(path)} ${why}. Nothing was restored.`.slice(0, 4000);
  return { kind: "refused", error: { code, message, last_lines: [] } };
}

function quoted(path: string): string {
  return `“${visible(path.length > 500 ? `${path.slice(0, 500)}…` : path)}”`;
}
