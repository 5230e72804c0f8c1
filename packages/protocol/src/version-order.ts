/**
 * The order of versions, for every program that compares two: which agent is behind, which update would go backwards.
 * The subset of Semantic Versioning 2.0 (https://semver.org) that our programs and restic use: MAJOR.MINOR.PATCH and
 * perhaps a pre-release such as `-rc.1`. Build metadata (`+…`) is no part of a version here. Pure.
 */
import { z } from "zod";

const pattern =
  /^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?$/;

/** A version that can be compared. */
export const versionText = z.string().max(64).regex(pattern);

/**
 * Negative when `a` is older than `b`, 0 when they are equal, positive when it is newer; undefined when one of them is no
 * version, such as that of a program that somebody built themselves. A pre-release is older than its release.
 */
export function compareVersions(a: string, b: string): number | undefined {
  const left = pattern.exec(a);
  const right = pattern.exec(b);
  if (!left || !right) return undefined;
  for (const part of [1, 2, 3]) {
    const step = Number(left[part]) - Number(right[part]);
    if (step !== 0) return step;
  }
  return comparePreReleases(left[4], right[4]);
}

function comparePreReleases(a: string | undefined, b: string | undefined): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  const left = a.split(".");
  const right = b.split(".");
  for (const [at, part] of left.entries()) {
    const other = right[at];
    // Of two that are the same until one ends, the longer is newer.
    if (other === undefined) return 1;
    const step = comparePart(part, other);
    if (step !== 0) return step;
  }
  return left.length - right.length;
}

/** Numbers by their value, and before words; words by their characters. */
function comparePart(a: string, b: string): number {
  const [isNumber, isOtherNumber] = [/^\d+$/.test(a), /^\d+$/.test(b)];
  if (isNumber && isOtherNumber) return Number(a) - Number(b);
  if (isNumber !== isOtherNumber) return isNumber ? -1 : 1;
  return a === b ? 0 : a < b ? -1 : 1;
}
