/**
 * What a retention promises, written once more and without a look at ours or restic's: the newest snapshot of each of
 * the last so many days that have any, and the same for weeks (ISO, UTC).
 */

export interface Policy {
  keepLast?: number;
  keepDaily?: number;
  keepWeekly?: number;
}

const dayMs = 24 * 60 * 60_000;

const dayOf = (atMs: number): number => Math.floor(atMs / dayMs);
/** Day 0 was a Thursday; weeks begin on Mondays. */
const weekOf = (atMs: number): number => Math.floor((dayOf(atMs) + 3) / 7);

/** @param times epoch milliseconds of all snapshots of one host and tag. @returns those that stay, the newest first */
export function promised(times: readonly number[], policy: Policy): number[] {
  const newestFirst = [...times].sort((a, b) => b - a);
  const newestOfEach = (bucketOf: (atMs: number) => number, count = 0) => {
    const firstOf = new Map<number, number>();
    for (const at of newestFirst) if (!firstOf.has(bucketOf(at))) firstOf.set(bucketOf(at), at);
    return [...firstOf.values()].slice(0, count);
  };
  const kept = new Set([
    ...newestFirst.slice(0, policy.keepLast ?? 0),
    ...newestOfEach(dayOf, policy.keepDaily),
    ...newestOfEach(weekOf, policy.keepWeekly),
  ]);
  return newestFirst.filter((at) => kept.has(at));
}
