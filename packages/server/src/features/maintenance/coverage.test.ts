/** Which slice is next, and since when everything was read. */
import { describe, expect, it } from "vitest";
import { coveredSince, nextSlice, sliceOf } from "./coverage.ts";

const read = (of: number, ...checkedAt: number[]) =>
  checkedAt.map((at, i) => ({ slice: i + 1, of, checkedAt: at }));

describe("coverage", () => {
  it("is the oldest slice of a set that is whole", () => {
    expect(coveredSince([])).toBeNull();
    expect(coveredSince(read(3, 10, 20))).toBeNull();
    expect(coveredSince(read(3, 30, 10, 20))).toBe(10);
  });

  it("is that of the newest whole set when slices were cut otherwise", () => {
    expect(coveredSince([...read(2, 5, 6), ...read(3, 30, 10, 20)])).toBe(10);
    expect(coveredSince([...read(2, 50, 60), ...read(3, 30, 10)])).toBe(50);
    expect(coveredSince([...read(1, 70), ...read(3, 30, 10, 20)])).toBe(70);
  });
});

describe("the next slice", () => {
  it("is the first that was never read, then the one read longest ago", () => {
    expect(nextSlice([], 3)).toBe(1);
    expect(nextSlice(read(3, 10, 20), 3)).toBe(3);
    expect(nextSlice(read(3, 30, 10, 20), 3)).toBe(2);
    expect(nextSlice(read(5, 1, 2, 3), 3)).toBe(1);
  });
});

describe("what a check reads", () => {
  it("is a slice, everything as one slice, or nothing that adds up", () => {
    expect(sliceOf({ slice: 2, of: 5 })).toEqual({ slice: 2, of: 5 });
    expect(sliceOf({ percent: 100 })).toEqual({ slice: 1, of: 1 });
    expect(sliceOf({ percent: 99.9 })).toBeNull();
    expect(sliceOf(null)).toBeNull();
  });
});
