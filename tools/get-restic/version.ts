/**
 * Versions as restic and rest-server print them.
 *
 * Invariant: parsing never throws, whatever a program printed.
 */

/** Finds the first `1.2.3` in a program's output; undefined when there is none. */
export function parseVersion(output: string): string | undefined {
  return /(?<![\d.])\d+\.\d+\.\d+(?![\d.])/.exec(output)?.[0];
}

/** Negative when `a` is older than `b`, 0 when equal, positive when newer. Both are `1.2.3`. */
export function compareVersions(a: string, b: string): number {
  const left = a.split(".").map(Number);
  const right = b.split(".").map(Number);
  return [0, 1, 2].map((part) => (left[part] ?? 0) - (right[part] ?? 0)).find((step) => step !== 0) ?? 0;
}
