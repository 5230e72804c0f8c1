import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LineCutter } from "./lines.ts";

function cut(chunks: readonly Uint8Array[], maxLineBytes = 1_000, startOffset = 0) {
  const cutter = new LineCutter(startOffset, maxLineBytes);
  const lines = chunks.flatMap((chunk) => [...cutter.push(chunk)]);
  const rest = cutter.flush();
  return rest === undefined ? lines : [...lines, rest];
}

function split(bytes: Uint8Array, size: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

describe("LineCutter", () => {
  it("keeps a character whole that spans two chunks", () => {
    const bytes = Buffer.from("grüße 😀\nzwei\n");
    for (let size = 1; size <= bytes.length; size += 1) {
      expect(cut(split(bytes, size)).map((line) => line.text)).toEqual(["grüße 😀", "zwei"]);
    }
  });

  it("tells the offset behind each line, counted from where it began", () => {
    expect(cut([Buffer.from("a\nbcd\r\n\nrest")], 1_000, 100)).toEqual([
      { text: "a", truncated: false, endOffset: 102 },
      { text: "bcd", truncated: false, endOffset: 107 },
      { text: "", truncated: false, endOffset: 108 },
      { text: "rest", truncated: false, endOffset: 112 },
    ]);
  });

  it("cuts a line that is too long, says so, and goes on with the next", () => {
    const lines = cut(split(Buffer.from(`${"x".repeat(5_000)}\nshort\n`), 64), 10);
    expect(lines).toEqual([
      { text: "xxxxxxxxxx", truncated: true, endOffset: 5_001 },
      { text: "short", truncated: false, endOffset: 5_007 },
    ]);
  });

  it("gives the same lines however any bytes are cut into chunks, and never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 50 }), (bytes, size) => {
        expect(cut(split(bytes, size), 20)).toEqual(cut([bytes], 20));
      }),
    );
  });

  it("can be taken up at the offset of any line without losing or repeating one", () => {
    const bytes = Buffer.from("one\ntwo\nthree\nfour");
    const all = cut([bytes]);
    for (const [index, line] of all.entries()) {
      const resumed = cut([bytes.subarray(line.endOffset)], 1_000, line.endOffset);
      expect(resumed).toEqual(all.slice(index + 1));
    }
  });
});
