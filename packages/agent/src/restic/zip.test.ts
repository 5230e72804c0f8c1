import { expect, test } from "vitest";
import { ZipEnd } from "./zip.ts";

/** An archive with nothing in it is its end alone. */
const empty = Buffer.concat([Buffer.from("PK\x05\x06", "latin1"), Buffer.alloc(18)]);
const archive = Buffer.concat([Buffer.alloc(100, 7), empty]);

test.each([1, 3, 21, 22, 23, 1000])(
  "an archive in pieces of %i bytes passes unchanged and is whole",
  (size) => {
    const end = new ZipEnd();
    const passed = [];
    for (let at = 0; at < archive.length; at += size) passed.push(end.push(archive.subarray(at, at + size)));
    expect(Buffer.concat(passed)).toEqual(archive);
    expect(end.isWhole).toBe(true);
  },
);

test.each([0, 1, 22, 100, 121])("the first %i bytes of an archive are not the whole", (bytes) => {
  const end = new ZipEnd();
  end.push(archive.subarray(0, bytes));
  expect(end.isWhole).toBe(false);
});
