/** The log's lines: no gap, no double, whatever the stream does. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { filterLines, findRows, LogBuffer, type LogLine } from "./log-buffer.ts";

const line = (n: number, level: LogLine["level"] = "info", text = `line ${n}`): LogLine => ({
  n,
  at: "2026-11-23T04:12:09.104Z",
  level,
  stream: "stdout",
  text,
});
const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => line(from + index));
const numbers = (buffer: LogBuffer) => buffer.lines.map(({ n }) => n);

describe("the log buffer", () => {
  it("asks for the line after the last one", () => {
    const buffer = new LogBuffer();
    expect(buffer.next).toBe(1);
    buffer.append(range(1, 5));
    expect(buffer.next).toBe(6);
  });

  it("takes only what is new from a batch that repeats", () => {
    const buffer = new LogBuffer();
    buffer.append(range(1, 5));
    expect(buffer.append(range(3, 8))).toBe("added");
    expect(buffer.append(range(1, 8))).toBe("known");
    expect(numbers(buffer)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it("refuses a batch that would leave a hole", () => {
    const buffer = new LogBuffer();
    buffer.append(range(1, 2));
    expect(buffer.append(range(4, 6))).toBe("gap");
    expect(numbers(buffer)).toEqual([1, 2]);
    expect(buffer.next).toBe(3);
  });

  it("lets the oldest go when it is full, and says how many", () => {
    const buffer = new LogBuffer(100);
    buffer.append(range(1, 250));
    expect(buffer.lines).toHaveLength(100);
    expect(buffer.droppedCount).toBe(150);
    expect(buffer.lines[0]?.n).toBe(151);
    buffer.append(range(251, 251));
    expect(buffer.lines[0]?.n).toBe(161);
    expect(buffer.next).toBe(252);
  });

  it("goes on after lines that it was too slow for, and one line in their place says so", () => {
    const buffer = new LogBuffer();
    buffer.append(range(1, 3));
    expect(buffer.skip({ from: 4, to: 9000 })).toBe("added");
    expect(buffer.append(range(9001, 9002))).toBe("added");
    expect(numbers(buffer)).toEqual([1, 2, 3, 4, 9001, 9002]);
    expect(buffer.lines[3]).toMatchObject({
      level: "warning",
      text: expect.stringContaining("Lines 4 to 9000"),
    });
    expect(buffer.skip({ from: 4, to: 9000 })).toBe("known");
    expect(buffer.skip({ from: 9005, to: 9010 })).toBe("gap");
  });

  it("counts warnings and errors once each", () => {
    const buffer = new LogBuffer();
    buffer.append([line(1, "error"), line(2, "warning"), line(3)]);
    buffer.append([line(1, "error"), line(2, "warning")]);
    expect([buffer.errorCount, buffer.warningCount]).toEqual([1, 1]);
  });

  it("is whole after any cuts, repeats and holes, as long as it is asked for what is missing", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 20 }))),
        (cuts) => {
          const buffer = new LogBuffer();
          for (const [from, length] of cuts) buffer.append(range(from, Math.min(60, from + length)));
          buffer.append(range(buffer.next, 60));
          expect(numbers(buffer)).toEqual(range(1, 60).map(({ n }) => n));
        },
      ),
    );
  });
});

describe("filters and search", () => {
  const lines = [line(1, "info", "Alpha"), line(2, "error", "beta"), line(3, "warning", "ALPHABET")];

  it("shows everything when no level is chosen", () => {
    expect(filterLines(lines, new Set())).toBe(lines);
    expect(filterLines(lines, new Set(["error", "warning"])).map(({ n }) => n)).toEqual([2, 3]);
  });

  it("finds words in any case, and nothing for nothing", () => {
    expect(findRows(lines, "alpha")).toEqual([0, 2]);
    expect(findRows(lines, "")).toEqual([]);
  });
});
