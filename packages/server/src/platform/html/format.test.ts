/** Numbers as people read them. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  formatBytes,
  formatClock,
  formatCount,
  formatDuration,
  formatNoun,
  formatPercent,
  formatRelative,
  formatUtc,
  splitBytes,
} from "./format.ts";

const NOW = Date.UTC(2026, 10, 23, 4, 12, 9, 104);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

describe("sizes", () => {
  it.each([
    [0, "0 B"],
    [812, "812 B"],
    [1023, "1023 B"],
    [1023.4, "1023 B"],
    [1023.7, "1.00 KiB"],
    [1024, "1.00 KiB"],
    [1536, "1.50 KiB"],
    [10 * 1024, "10.0 KiB"],
    [184.2 * 1024 ** 3, "184.2 GiB"],
    [1.31 * 1024 ** 4, "1.31 TiB"],
    [2 ** 62, "4.00 EiB"],
  ])("%d bytes are %s", (size, text) => {
    expect(formatBytes(size)).toBe(text);
  });

  it("climbs to the next unit instead of saying 1024.0", () => {
    expect(formatBytes(1024 ** 2 - 1)).toBe("1.00 MiB");
  });

  it("never prints a number above 1024, and never NaN, whatever comes", () => {
    fc.assert(
      fc.property(fc.double(), (size) => {
        const { value } = splitBytes(size);
        expect(Number(value)).toBeGreaterThanOrEqual(0);
        if (size < 1e20) expect(Number(value)).toBeLessThan(1024);
      }),
    );
    // Doubles of any size are hardly ever near the border between two units.
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 5 }),
        fc.double({ min: 1023, max: 1025, noNaN: true }),
        (step, near) => {
          expect(Number(splitBytes(near * 1024 ** step).value)).toBeLessThan(1024);
        },
      ),
    );
  });
});

describe("durations", () => {
  it.each([
    [0, "0s"],
    [40, "0.1s"],
    [400, "0.4s"],
    [59_999, "59s"],
    [252_000, "4m 12s"],
    [2 * HOUR + 5 * MINUTE, "2h 05m"],
    [3 * DAY + 4 * HOUR, "3d 4h"],
    [-5, "0s"],
  ])("%d ms are %s", (durationMs, text) => {
    expect(formatDuration(durationMs)).toBe(text);
  });
});

describe("relative times", () => {
  it.each([
    [NOW, "just now"],
    [NOW - 4000, "just now"],
    [NOW - 20_000, "20s ago"],
    [NOW - 12 * MINUTE, "12m ago"],
    [NOW - 26 * HOUR, "26h ago"],
    [NOW - 2 * DAY, "2d ago"],
    [NOW - 400 * DAY, "1y ago"],
    [NOW + 48 * MINUTE, "in 48m"],
  ])("%d is %s", (at, text) => {
    expect(formatRelative(at, NOW)).toBe(text);
  });
});

describe("the rest", () => {
  it("writes absolute times in UTC, with and without the day", () => {
    expect(formatUtc(NOW)).toBe("2026-11-23 04:12:09 UTC");
    expect(formatClock(NOW)).toBe("04:12:09.104");
  });

  it("separates thousands", () => {
    expect([0, 999, 1204, 1_234_567].map(formatCount)).toEqual(["0", "999", "1,204", "1,234,567"]);
  });

  it("never says 100 % before it is", () => {
    expect([0, 0.634, 0.9999, 1].map(formatPercent)).toEqual(["0%", "63%", "99%", "100%"]);
  });

  it("puts nouns into the plural", () => {
    expect([formatNoun(1, "job"), formatNoun(0, "job"), formatNoun(2, "entry", "entries")]).toEqual([
      "1 job",
      "0 jobs",
      "2 entries",
    ]);
  });
});
