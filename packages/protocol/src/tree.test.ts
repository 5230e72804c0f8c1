/** Paths and names in a snapshot: one spelling for any bytes, and nothing that could lead elsewhere. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  joinSnapshotPath,
  shownSnapshotPath,
  snapshotName,
  snapshotNameBytes,
  snapshotPath,
  snapshotPathBytes,
  splitSnapshotPath,
  toSnapshotName,
  toSnapshotPath,
} from "./tree.ts";

const isPath = (path: string) => snapshotPath.safeParse(path).success;
const isName = (name: string) => snapshotName.safeParse(name).success;
const base64 = (latin1: string) => `base64:${Buffer.from(latin1, "latin1").toString("base64")}`;

describe("a path in a snapshot", () => {
  test.each([
    "/",
    "/etc",
    "/C/Users/a b",
    "/a/..b/.c",
    "/new\nline",
    "/😀 ",
    base64("/bad\xff"),
    "/back\\slash",
  ])("may be %j", (path) => expect(isPath(path)).toBe(true));

  test.each([
    ...[
      "",
      "etc",
      "./etc",
      "/etc/",
      "//etc",
      "/a//b",
      "/a/../b",
      "/..",
      "/.",
      "/a/./b",
      "/a\0b",
      "C:\\Users",
    ],
    ...[
      "\ud800",
      "/\ud800",
      "base64:",
      "base64:!",
      base64("bad\xff"),
      base64("/a/../\xff"),
      base64("/\xff/"),
      base64("/\0\xff"),
    ],
    // Another spelling of what can be written as it is, and one that is not what encoding gives.
    ...[base64("/etc"), "base64:L2JhZP8", "base64:L2JhZP9="],
  ])("can't be %j", (path) => expect(isPath(path)).toBe(false));

  test("is put together and taken apart without losing a byte", () => {
    const segment = fc.uint8Array({ minLength: 1, maxLength: 12 }).map((bytes) => Buffer.from(bytes));
    const usable = segment.filter((bytes) => isName(toSnapshotName(bytes)));
    fc.assert(
      fc.property(fc.array(usable, { minLength: 1, maxLength: 4 }), (names) => {
        const path = names.reduce((folder, name) => joinSnapshotPath(folder, toSnapshotName(name)), "/");
        expect(isPath(path)).toBe(true);
        expect(toSnapshotPath(snapshotPathBytes(path))).toBe(path);
        const parts = splitSnapshotPath(path);
        expect(joinSnapshotPath(parts?.folder ?? "", parts?.name ?? "")).toBe(path);
        expect(snapshotNameBytes(parts?.name ?? "")).toEqual(names.at(-1));
      }),
    );
    expect(splitSnapshotPath("/")).toBeNull();
  });

  test("is shown with a sign in place of what is not UTF-8", () => {
    expect(shownSnapshotPath(base64("/bad\xff"))).toBe("/bad\ufffd");
    expect(shownSnapshotPath("/\ufeffé")).toBe("/\ufeffé");
  });
});

describe("a name in a snapshot", () => {
  test.each(["a", " ", "..a", base64("bad\xff"), base64("base64:x")])("may be %j", (name) => {
    expect(isName(name)).toBe(true);
  });

  test.each(["", ".", "..", "a/b", "a\0", "base64:x", base64("a"), base64("/\xff"), "\ud800"])(
    "can't be %j",
    (name) => {
      expect(isName(name)).toBe(false);
    },
  );

  test("any text never throws", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.base64String()), (any) => {
        for (const spelling of [any, `base64:${any}`]) {
          isName(spelling);
          isPath(spelling);
        }
      }),
    );
  });
});
