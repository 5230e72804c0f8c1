/** What of a repository's data was read by checks, slice by slice. Pure. */
import type { ReadData } from "@restic-manager/protocol";
import type { CheckedSlice } from "./maintenance.store.ts";

/**
 * Since when every pack was read: the oldest reading of a whole set of slices, of the set for which that is newest.
 * Null while no set is whole.
 */
export function coveredSince(slices: readonly CheckedSlice[]): number | null {
  const whole = [...Map.groupBy(slices, ({ of }) => of)]
    .filter(([of, read]) => new Set(read.map(({ slice }) => slice)).size === of)
    .map(([, read]) => Math.min(...read.map(({ checkedAt }) => checkedAt)));
  return whole.length === 0 ? null : Math.max(...whole);
}

/** How far a rotation of `of` slices is. */
export const readSlices = (slices: readonly CheckedSlice[], of: number): number =>
  slices.filter((checked) => checked.of === of).length;

/** The slice whose turn it is: the first that was never read, else the one read longest ago. */
export function nextSlice(slices: readonly CheckedSlice[], of: number): number {
  const readAt = new Map(
    slices.filter((checked) => checked.of === of).map((checked) => [checked.slice, checked.checkedAt]),
  );
  let next = 1;
  for (let slice = 2; slice <= of; slice++) {
    if ((readAt.get(slice) ?? 0) < (readAt.get(next) ?? 0)) next = slice;
  }
  return next;
}

/** The slice that such a check reads; everything is the one slice of one. Null for a part that is drawn at random. */
export function sliceOf(readData: ReadData | null | undefined): { slice: number; of: number } | null {
  if (!readData) return null;
  if ("slice" in readData) return readData;
  return readData.percent === 100 ? { slice: 1, of: 1 } : null;
}
