/** Offsets of rows of different heights. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RowHeights } from "./row-heights.ts";

const filled = (heights: readonly number[]): RowHeights => {
  const rows = new RowHeights();
  for (const height of heights) rows.push(height);
  return rows;
};

describe("row heights", () => {
  it("sums what lies above", () => {
    const rows = filled([20, 40, 20]);
    expect([rows.topOf(0), rows.topOf(1), rows.topOf(2), rows.total]).toEqual([0, 20, 60, 80]);
  });

  it("moves what lies below a corrected row", () => {
    const rows = filled([20, 20, 20]);
    expect(rows.total).toBe(60);
    expect(rows.correct(1, 60)).toBe(true);
    expect(rows.correct(1, 60)).toBe(false);
    expect([rows.topOf(1), rows.topOf(2), rows.total]).toEqual([20, 80, 100]);
  });

  it("is empty after clearing", () => {
    const rows = filled([20]);
    rows.clear();
    expect([rows.count, rows.total, rows.indexAt(50)]).toEqual([0, 0, 0]);
  });

  it("finds the row at any distance as a slow search would", () => {
    const heights = fc.array(fc.integer({ min: 1, max: 80 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(heights, fc.integer({ min: 0, max: 4000 }), (given, distance) => {
        const rows = filled(given);
        let slow = 0;
        while (slow < given.length - 1 && rows.topOf(slow + 1) <= distance) slow += 1;
        expect(rows.indexAt(distance)).toBe(slow);
      }),
    );
  });
});
