/**
 * The paths that a new host backs up from its first day, as typed before anybody knows the machine.
 * They MUST be absolute for Linux or Windows: restic would resolve a relative one against the agent's own folder.
 */

/** More belongs into a source group made on purpose. */
const maxPaths = 1000;
/** The longest that Windows knows. */
const maxPathLength = 32_768;

const absolute = /^(?:\/|[A-Za-z]:[\\/]|\\\\[^\\/]+[\\/][^\\/]+)/;

export interface PathProblem {
  code: "sources.path_relative" | "sources.path_invalid";
  problem: string;
}

/** The paths, each once; or the sentence that names the first wrong line, counted from 1. Empty ones are skipped. */
export function readInitialPaths(written: readonly string[]): { paths: string[] } | PathProblem {
  const paths = [...new Set(written.filter((path) => path !== ""))];
  if (paths.length > maxPaths) {
    const problem = `At most ${maxPaths} paths here; these are ${paths.length}.`;
    return { code: "sources.path_invalid", problem };
  }
  for (const [index, path] of written.entries()) {
    const found = problemOf(path);
    if (found) return { ...found, problem: `Line ${index + 1}: ${found.problem}` };
  }
  return { paths };
}

function problemOf(path: string): PathProblem | null {
  if (path === "") return null;
  if (path.length > maxPathLength) {
    return { code: "sources.path_invalid", problem: `a path has at most ${maxPathLength} characters.` };
  }
  // A lone surrogate can't be written as UTF-8: it would reach the host as another name.
  if (/[\0\p{Cs}]/u.test(path)) {
    return { code: "sources.path_invalid", problem: "no file name can hold these characters." };
  }
  if (absolute.test(path)) return null;
  const shown = path.length > 60 ? `${path.slice(0, 60)}…` : path;
  const problem = `“${shown}” is not absolute. Write the whole path, such as /etc or C:\\Users.`;
  return { code: "sources.path_relative", problem };
}
