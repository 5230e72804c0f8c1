/** Joining archives: whatever the pieces, only the end goes, and what is no whole archive is noticed. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ARCHIVE_END, fileHead, filling, OpenEnd } from "./tar.ts";

const about = { mode: 0o644, uid: 1000, gid: 1000, modifiedAtMs: 1_763_870_000_000 };

/** The pieces as they come out without the end. */
function opened(pieces: readonly Buffer[]): { bytes: Buffer; isWhole: boolean } {
  const end = new OpenEnd();
  const bytes = Buffer.concat(pieces.map((piece) => Buffer.from(end.push(piece))));
  return { bytes, isWhole: end.isWhole };
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let from = 0;
  for (const size of sizes) {
    pieces.push(bytes.subarray(from, from + size));
    from += size;
  }
  return [...pieces, bytes.subarray(from)];
}

describe("the end of an archive", () => {
  it("is all that goes, wherever the archive is cut", () => {
    const blocks = fc.integer({ min: 0, max: 6 });
    const sizes = fc.array(fc.integer({ min: 0, max: 1500 }), { maxLength: 8 });
    fc.assert(
      fc.property(blocks, sizes, (count, pieces) => {
        const content = Buffer.alloc(count * 512, 7);
        expect(opened(cut(Buffer.concat([content, ARCHIVE_END]), pieces))).toEqual({
          bytes: content,
          isWhole: true,
        });
      }),
    );
  });

  it.each([
    ["nothing at all", Buffer.alloc(0)],
    ["one block of zeros", Buffer.alloc(512)],
    ["no end", Buffer.alloc(2048, 7)],
    ["half a block more", Buffer.concat([Buffer.alloc(256, 7), ARCHIVE_END])],
  ])("is missed after %s", (_what, bytes) => {
    expect(opened([bytes]).isWhole).toBe(false);
  });
});

describe("a file's head", () => {
  it("is one block with a sum that fits", () => {
    const head = fileHead({ ...about, name: Buffer.from("srv/a"), sizeBytes: 5 });
    expect(head.length).toBe(512);
    const stored = Number.parseInt(head.toString("latin1", 148, 154), 8);
    head.fill(" ", 148, 156);
    expect(head.reduce((sum, byte) => sum + byte, 0)).toBe(stored);
  });

  it("has an extension for a long name and for sizes and ids that no field holds", () => {
    const name = Buffer.from(`srv/${"ä".repeat(120)}`);
    const head = fileHead({ ...about, name, sizeBytes: 9 * 2 ** 30, uid: 3_000_000 });
    const text = head.toString("utf8");
    expect(text).toContain(` path=${name.toString("utf8")}\n`);
    expect(text).toContain(" size=9663676416\n");
    expect(text).toContain(" uid=3000000\n");
    expect(head.length % 512).toBe(0);
  });

  it("counts an extension's length with its own digits, whatever the name", () => {
    fc.assert(
      fc.property(fc.integer({ min: 101, max: 4096 }), (length) => {
        const head = fileHead({ ...about, name: Buffer.alloc(length, "n"), sizeBytes: 0 });
        const [, digits = ""] = /^(\d+) path=/.exec(head.toString("latin1", 512)) ?? [];
        expect(head[512 + Number(digits) - 1]).toBe(0x0a);
      }),
    );
  });

  it("is followed by as much as fills the file's last block", () => {
    expect([0, 1, 511, 512, 513].map((size) => filling(size).length)).toEqual([0, 511, 1, 0, 511]);
  });
});
