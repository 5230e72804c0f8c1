/** The paths of a source group: absolute on their host's system, for restic would resolve others against the agent's folder. */
import type { GroupProblem } from "./group-problems.ts";

export const maxIncludes = 10_000;
/** The longest that Windows knows. */
const maxPathLength = 32_768;
/** `C:\…` or `\\server\share`; Windows takes the slash as well, except in front. */
const windowsPath = /^(?:[A-Za-z]:[\\/]|\\\\[^\\/]+[\\/][^\\/]+)/;
const unixPath = /^\//;

/** The first wrong path of a list; the list itself when it is empty or too long. */
export function checkIncludes(includes: readonly string[], os: string): GroupProblem[] {
  const problem = (code: GroupProblem["code"], message: string) => [{ path: "includes", message, code }];
  if (includes.length === 0)
    return problem("sources.invalid", "Say what to back up: at least one path, such as /etc or C:\\Users.");
  if (includes.length > maxIncludes)
    return problem(
      "sources.invalid",
      `At most ${maxIncludes} paths in a group; these are ${includes.length}.`,
    );
  for (const include of includes) {
    const found = problemOf(include, os);
    if (found) return problem(found.code, found.message);
  }
  return [];
}

function problemOf(path: string, os: string): Omit<GroupProblem, "path"> | null {
  if (path.length > maxPathLength)
    return { code: "sources.path_invalid", message: `A path has at most ${maxPathLength} characters.` };
  // A lone surrogate can't be written as UTF-8: it would reach the host as another name.
  if (/[\0\p{Cs}]/u.test(path))
    return { code: "sources.path_invalid", message: "A path holds a character that no file name can have." };
  const [own, foreign] = os === "windows" ? [windowsPath, unixPath] : [unixPath, windowsPath];
  if (own.test(path)) return null;
  const shown = `“${path.length > 60 ? `${path.slice(0, 60)}…` : path}”`;
  const example = os === "windows" ? "C:\\Users" : "/etc";
  if (foreign.test(path)) {
    const [theirs, ours] = os === "windows" ? ["Unix", "Windows"] : ["Windows", "no Windows"];
    const message = `${shown} is a path of ${theirs}, but this host runs ${ours}. Write it like ${example}.`;
    return { code: "sources.path_foreign", message };
  }
  const message = `${shown} is not absolute. Write the whole path, such as ${example}.`;
  return { code: "sources.path_relative", message };
}
