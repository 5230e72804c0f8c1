/** Where days and figures stand in a chart, with none, one, two and a year of them. */
import { describe, expect, it } from "vitest";
import {
  areaPath,
  axisBytes,
  chartBox,
  chartRange,
  type HistoryPoint,
  linePath,
  roundBytes,
  roundCount,
  seriesOf,
  sparkPath,
  xOf,
} from "./size-chart.ts";

const dayMs = 86_400_000;
const now = Date.UTC(2026, 10, 23, 4, 53);
const range = chartRange(30, now);
const today = Date.UTC(2026, 10, 23);

const point = (daysAgo: number, rawBytes: number | null): HistoryPoint => ({
  ...{ at: today - daysAgo * dayMs, rawBytes, snapshotCount: null },
});
const sizes = (history: HistoryPoint[]) => seriesOf(history, ({ rawBytes }) => rawBytes, roundBytes);

describe("the range of a chart", () => {
  it("ends with today and holds as many days as it says", () => {
    expect(range).toEqual({ from: today - 29 * dayMs, to: today });
    expect([xOf(range.from, range), xOf(range.to, range)]).toEqual([0, chartBox.width]);
  });
});

describe("a line", () => {
  it("is nothing but a dot for one day, at its place", () => {
    const series = sizes([point(0, 100)]);
    expect(linePath(series, range)).toBe("M1000 0h0.01");
    expect(areaPath(series, range)).toBe("");
  });

  it("leaves out days of which nothing was told", () => {
    const series = sizes([point(29, 50), point(15, null), point(0, 100)]);
    expect(linePath(series, range)).toBe("M0 100L1000 0");
    expect(areaPath(series, range)).toBe("M0 100L1000 0V200H0Z");
  });

  it("stays in its box for an empty repository", () => {
    expect(linePath(sizes([point(1, 0), point(0, 0)]), range)).toMatch(/ 200L1000 200$/);
  });

  it("holds a year", () => {
    const year = Array.from({ length: 365 }, (_, index) => point(364 - index, index * 1024));
    expect(linePath(sizes(year), chartRange(365, now)).split("L")).toHaveLength(365);
  });
});

describe("the top of an axis", () => {
  it.each([
    [0, 2],
    [1, 2],
    [7, 8],
    [96, 100],
    [412, 500],
    [1204, 1400],
    [98_765, 100_000],
  ])("for %i snapshots is not below and divides in half", (most) => {
    const top = roundCount(most);
    expect(top).toBeGreaterThanOrEqual(most);
    expect(Number.isInteger(top / 2)).toBe(true);
    expect(top).toBeLessThanOrEqual(Math.max(2, most * 1.5));
  });

  it("is round in the unit in which a size is said", () => {
    const gib = 1024 ** 3;
    expect([412.6 * gib, 1.31 * 1024 * gib, 1010 * gib, 3].map(roundBytes).map(axisBytes)).toEqual([
      "500 GiB",
      "1.5 TiB",
      "1 TiB",
      "3 B",
    ]);
    expect(axisBytes(0)).toBe("0");
  });
});

describe("a sparkline", () => {
  const sizesOf = (...pairs: [daysAgo: number, rawBytes: number][]) => ({
    days: pairs.map(([daysAgo]) => today / dayMs - daysAgo),
    rawBytes: pairs.map(([, rawBytes]) => rawBytes),
  });

  it("is none for less than two days", () => {
    expect(sparkPath(sizesOf(), range)).toBeNull();
    expect(sparkPath(sizesOf([0, 5]), range)).toBeNull();
  });

  it("spans from the least to the most, and is a level line when nothing changes", () => {
    expect(sparkPath(sizesOf([29, 10], [0, 20]), range)).toBe("M0 13 58 1");
    const level = Array.from({ length: 30 }, (_, index): [number, number] => [29 - index, 7]);
    expect(sparkPath(sizesOf(...level), range)).toBe("M0 7 58 7");
  });

  it("turns where the size does", () => {
    expect(sparkPath(sizesOf([29, 10], [20, 10], [10, 10], [9, 20], [0, 20]), range)).toBe(
      "M0 13 38 13 40 1 58 1",
    );
  });
});
