/**
 * Where a path lies in the house: its package, its part of the package, whether it is a test.
 *
 * Not here: what may be done at that place.
 */

/** A place inside `packages/`. */
export interface Place {
  /** Folder name of the workspace package. */
  readonly packageName: string;
  /** Path below `packages/<name>/src/`, or below the package when the file is not in `src`. */
  readonly inside: string;
  /** Server slice that the file belongs to. */
  readonly slice: string | undefined;
}

/** Finds the place of a repository path; undefined outside `packages/`. */
export function placeOf(path: string): Place | undefined {
  const match = /^packages\/([^/]+)\/(?:src\/)?(.+)$/.exec(path);
  const [, packageName, inside] = match ?? [];
  if (packageName === undefined || inside === undefined) return undefined;
  const slice = packageName === "server" ? /^features\/([^/]+)\//.exec(inside)?.[1] : undefined;
  return { packageName, inside, slice };
}

/** True for tests and for what only tests load. */
export function isTest(path: string): boolean {
  return /\.test\.tsx?$/.test(path) || path.startsWith("packages/testkit/");
}
