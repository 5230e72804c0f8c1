/** Frames of the job stream: read without trust, answered in order. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseStreamMessage, reconnectWaitMs, toProgress } from "./job-stream.ts";
import { printable } from "./log-view.ts";
import { clockSkewMs } from "./times.ts";

describe("a frame of the stream", () => {
  it("is read when it is known", () => {
    expect(parseStreamMessage('{"type":"end"}')).toEqual({ type: "end" });
    expect(parseStreamMessage('{"type":"job","job":{"status":"running","x":1}}')).toEqual({
      type: "job",
      status: "running",
    });
  });

  it("keeps the lines that are lines", () => {
    const good = { n: 4, at: "2026-11-23T04:12:09.104Z", level: "info", stream: "agent", text: "hello" };
    const frame = JSON.stringify({ type: "log", first: 4, lines: [good, { n: "5" }, null] });
    expect(parseStreamMessage(frame)).toEqual({ type: "log", lines: [good] });
  });

  it("says which lines this browser was too slow for", () => {
    expect(parseStreamMessage('{"type":"lagged","from":4,"to":9000}')).toEqual({
      type: "lagged",
      skipped: { from: 4, to: 9000 },
    });
    expect(parseStreamMessage('{"type":"lagged","from":"4"}')).toBeNull();
  });

  it("is ignored when it is of a type of tomorrow, or nothing at all", () => {
    for (const frame of ['{"type":"weather"}', "[]", "null", "", "{", '{"type":"log","lines":7}']) {
      expect(parseStreamMessage(frame)).toBeNull();
    }
  });

  it("never throws, whatever it holds", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (frame) => {
        parseStreamMessage(frame);
      }),
    );
  });
});

describe("progress on the wire", () => {
  it("is unknown while restic scans", () => {
    expect(toProgress({ percent_done: 0, total_bytes: 0, total_files: 0, files_done: 3 }).share).toBeNull();
  });

  it("becomes milliseconds and shares", () => {
    const wire = {
      percent_done: 0.5,
      total_bytes: 10,
      bytes_done: 5,
      seconds_remaining: 146,
      current_files: ["/a", 7],
    };
    expect(toProgress(wire)).toMatchObject({
      share: 0.5,
      totalBytes: 10,
      totalFiles: null,
      remainingMs: 146_000,
      currentFiles: ["/a"],
    });
  });
});

describe("coming back", () => {
  it("waits longer each time, up to eight seconds, never nothing", () => {
    expect([0, 1, 2, 10].map((attempt) => reconnectWaitMs(attempt, 1))).toEqual([500, 1000, 2000, 8000]);
    expect(reconnectWaitMs(0, 0)).toBe(250);
  });
});

describe("a line's text", () => {
  it("stays on one row whatever control characters it has", () => {
    expect(printable("a\nb\r\u001b[31m\u0000\tz")).toBe("a\\nb\\r\\x1b[31m\\x00\tz");
  });

  it("is cut where no one would read on", () => {
    expect(printable("x".repeat(9000))).toHaveLength(4001);
  });
});

describe("the clock of the page", () => {
  it("is the server's", () => {
    expect(clockSkewMs("1000", 61_000)).toBe(60_000);
    expect(clockSkewMs(undefined, 61_000)).toBe(0);
    expect(clockSkewMs("soon", 61_000)).toBe(0);
  });
});
