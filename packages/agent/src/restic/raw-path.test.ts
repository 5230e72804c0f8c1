/** Paths as bytes. */
import { expect, test } from "vitest";
import { isWithin, joinRaw, parentOf, rawOfSnapshotPath, toText } from "./raw-path.ts";

test("paths are bytes that text can be made of where it can", () => {
  expect(toText(rawOfSnapshotPath("/é"))).toBe("/é");
  expect(
    toText(rawOfSnapshotPath(`base64:${Buffer.from("/\xff", "latin1").toString("base64")}`)),
  ).toBeUndefined();
  expect([parentOf("/a/b"), parentOf("/a"), parentOf("/")]).toEqual(["/a", "/", "/"]);
  expect([joinRaw("/", "/a"), joinRaw("/a", "b"), joinRaw("/a", "/")]).toEqual(["/a", "/a/b", "/a"]);
  expect([isWithin("/a/b", "/a"), isWithin("/ab", "/a"), isWithin("/x", "/")]).toEqual([true, false, true]);
});
