/** What goes over NOTIFY: nothing is lost by splitting, and whatever arrives is read without throwing. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fitsFrame, maxFrameBytes, parseFrame, takeEvents, writeFrame } from "./frames.ts";

const from = "01KB0000000000000000000001";
const eventText = fc
  .tuple(fc.string(), fc.jsonValue())
  .map((event) => JSON.stringify(event))
  .filter(fitsFrame);

describe("a frame", () => {
  it("is read as it was written", () => {
    const text = writeFrame(from, 7, ['["jobs.changed",{"jobId":"a"}]', '["hosts.changed",null]']);
    expect(parseFrame(text)).toEqual({
      from,
      n: 7,
      events: [
        ["jobs.changed", { jobId: "a" }],
        ["hosts.changed", null],
      ],
    });
    expect(parseFrame(writeFrame(from, 8, []))).toEqual({ from, n: 8, events: [] });
  });

  it("takes as many events as PostgreSQL takes bytes: all events get there, in their order", () => {
    const events = fc.uniqueArray(fc.oneof(eventText, fc.integer({ min: 1, max: 7_000 }).map(longEvent)), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(events, (texts) => {
        const waiting = new Set(texts);
        const sent: unknown[] = [];
        while (waiting.size > 0) {
          const text = writeFrame("x".repeat(64), Number.MAX_SAFE_INTEGER, takeEvents(waiting));
          expect(Buffer.byteLength(text)).toBeLessThanOrEqual(maxFrameBytes);
          const read = parseFrame(text);
          expect(read?.events).not.toEqual([]);
          sent.push(...(read?.events ?? []));
        }
        expect(sent).toEqual(texts.map((text) => JSON.parse(text)));
      }),
    );
  });

  it("of a size that PostgreSQL would refuse is not written", () => {
    expect(fitsFrame(longEvent(7_300))).toBe(true);
    expect(fitsFrame(longEvent(7_500))).toBe(false);
    // Bytes count, not letters.
    expect(fitsFrame(JSON.stringify(["t", "ü".repeat(4_000)]))).toBe(false);
  });

  it("is nothing but a frame: any other text is none, and nothing throws", () => {
    const almost = fc
      .record({ from: fc.anything(), n: fc.anything(), events: fc.anything() }, { requiredKeys: [] })
      .map((value) => safeJson(value));
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), almost), (text) => {
        const read = parseFrame(text);
        if (read !== null) expect(read.n).toBeGreaterThan(0);
      }),
      { numRuns: 1_000 },
    );
    for (const text of [
      "",
      "{}",
      "[]",
      "null",
      '{"from":"","n":1,"events":[]}',
      '{"from":"a","n":0,"events":[]}',
    ])
      expect(parseFrame(text)).toBeNull();
  });
});

function longEvent(bytes: number): string {
  return JSON.stringify(["t", "x".repeat(bytes)]);
}

function safeJson(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    return "";
  }
}
