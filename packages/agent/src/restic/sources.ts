/**
 * What a backup takes in and leaves out, as files for restic, and the check that restic leaves to its caller:
 * up to 0.18 a missing source is skipped with exit 0. Paths never become arguments: names may start with a
 * dash, hold newlines, and thousands of them hang Windows.
 */
import { lstat } from "node:fs/promises";
import { isAbsolute } from "node:path";
import { hasErrorCode, writeFileAtomic } from "../platform/files.ts";
import { jobFiles } from "./job-dir.ts";

export type SourceFiles = { sourcesPath: string; excludesPath?: string };

export type SourceFilesOutcome =
  | { kind: "written"; files: SourceFiles }
  | { kind: "invalid"; code: "restic.invalid_source"; message: string };

/** After a power cut nobody reads these any more: restic is not started a second time for a job. */
const FOR_ONE_RUN = { durable: false };

/** Writes the lists of one job into its directory. Nothing is written when a path or pattern is unusable. */
export async function writeSourceFiles(
  jobDir: string,
  paths: readonly string[],
  excludes: readonly string[],
): Promise<SourceFilesOutcome> {
  const problem = findSourceProblem(paths, excludes);
  if (problem !== undefined) return { kind: "invalid", code: "restic.invalid_source", message: problem };
  const files = jobFiles(jobDir);
  // restic wants every name ended by a NUL, the last one too.
  const sources = paths.map((path) => `${path}\0`).join("");
  await writeFileAtomic(files.sources, sources, FOR_ONE_RUN);
  if (excludes.length === 0) return { kind: "written", files: { sourcesPath: files.sources } };
  const lines = excludes.map((pattern) => `${asLine(pattern)}\n`).join("");
  await writeFileAtomic(files.excludes, lines, FOR_ONE_RUN);
  return { kind: "written", files: { sourcesPath: files.sources, excludesPath: files.excludes } };
}

/**
 * A pattern as a line of an exclude file. restic puts variables of its environment in place of `$name`: left as it
 * is, `/srv/$cache` would exclude /srv and the backup would look good. It also trims blanks and skips comments.
 */
export function asLine(pattern: string): string {
  return pattern
    .replaceAll("$", "$$$$")
    .replace(/^#/, "[#]")
    .replace(/^\s/, "[$&]")
    .replace(/\\?(\s)$/, "[$1]");
}

/** Why these can't be handed to restic, in a sentence; undefined when they can. */
export function findSourceProblem(paths: readonly string[], excludes: readonly string[]): string | undefined {
  if (paths.length === 0) return "There is no path to back up. Add at least one.";
  for (const path of paths) {
    if (!isAbsolute(path)) return `The path ${JSON.stringify(path)} is not absolute. Start it at the root.`;
    if (path.includes("\0"))
      return `The path ${JSON.stringify(path)} contains a NUL byte, which no file name can.`;
  }
  for (const pattern of excludes) {
    if (/[\0\r\n]/.test(pattern)) {
      return `The exclude pattern ${JSON.stringify(pattern)} spans lines. Use ? in place of the line break.`;
    }
  }
  return undefined;
}

/** The paths that do not exist now, in the order given. A path we may not look at counts as there. */
export async function missingSources(paths: readonly string[]): Promise<string[]> {
  const found = await Promise.all(paths.map(exists));
  return paths.filter((_, index) => found[index] === false);
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    return !(hasErrorCode(error, "ENOENT") || hasErrorCode(error, "ENOTDIR"));
  }
}
