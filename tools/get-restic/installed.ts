/**
 * Programs that are already here: named by a variable, on PATH, or in the project's cache.
 *
 * Invariant: a program counts only after it has run and said a version that is new enough.
 * Not here: fetching anything.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants, copyFileSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import type { Tool } from "./tools.ts";
import { compareVersions, parseVersion } from "./version.ts";

/** A program that ran. */
export interface FoundTool {
  readonly path: string;
  readonly version: string;
}

/** Why a program at a path is of no use. */
export interface UnusableTool {
  readonly path: string;
  readonly reason: string;
}

/** A program that only prints its version is done at once; a hanging one must not hold everything up. */
const versionTimeoutMs = 10_000;

/** Runs the program at `path` and says its version or why it cannot be used. */
export function probe(tool: Tool, path: string): FoundTool | UnusableTool {
  const run = spawnSync(path, tool.versionArguments, { encoding: "utf8", timeout: versionTimeoutMs });
  if (run.error !== undefined) return { path, reason: `cannot be run: ${run.error.message}` };
  // nginx prints it on stderr.
  const version = parseVersion(run.stdout) ?? parseVersion(run.stderr);
  if (version === undefined) return { path, reason: `prints no version (exit ${run.status ?? run.signal})` };
  const { minimumVersion, exactVersion = version } = tool;
  if (version !== exactVersion) return { path, reason: `is ${version}, ${exactVersion} is wanted` };
  return compareVersions(version, minimumVersion) < 0
    ? { path, reason: `is ${version}, at least ${minimumVersion} is needed` }
    : { path, version };
}

/** True for a program that can be used. */
export function isUsable(result: FoundTool | UnusableTool): result is FoundTool {
  return "version" in result;
}

/** Every executable of that program on a PATH, in its order. */
export function listOnPath(tool: Tool, path: string): string[] {
  const folders = path.split(delimiter).filter((folder) => folder !== "");
  return folders
    .flatMap((folder) => tool.executables.map((name) => resolve(folder, name)))
    .filter(isExecutable);
}

/** Every version of that program in the cache, the newest first. */
export function listCached(tool: Tool, cacheFolder: string): string[] {
  const versionOf = (name: string) => name.slice(tool.name.length + 1);
  return namesIn(cacheFolder)
    .filter((name) => name.startsWith(`${tool.name}-`) && parseVersion(versionOf(name)) === versionOf(name))
    .sort((a, b) => compareVersions(versionOf(b), versionOf(a)))
    .map((name) => join(cacheFolder, name));
}

/**
 * Puts an executable into the cache as `<name>-<version>`; an unusable one is refused and not kept.
 * The last step is a rename, so that two runs at once never see half a file.
 */
export function keepInCache(tool: Tool, file: string, cacheFolder: string): FoundTool | UnusableTool {
  const result = probe(tool, file);
  if (!isUsable(result)) return result;
  mkdirSync(cacheFolder, { recursive: true });
  const path = join(cacheFolder, `${tool.name}-${result.version}`);
  const unfinished = `${path}.${process.pid}`;
  copyFileSync(file, unfinished);
  renameSync(unfinished, path);
  return { path, version: result.version };
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // No cache yet.
    return [];
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
