/** Lines of a comparison's log, read back as what they say. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readChange } from "./diff.ts";

const read = (text: string, stream: "stdout" | "stderr" | "agent" = "stdout") => readChange({ stream, text });

describe("a line of a comparison", () => {
  it.each([
    [
      "+ - 12 - 644 /a b",
      { kind: "added", sizeBefore: null, sizeAfter: 12, modeBefore: null, modeAfter: "0644" },
    ],
    ["- 5 - 4755 - /gone", { kind: "removed", sizeBefore: 5, sizeAfter: null, modeBefore: "4755" }],
    ["M 1 2 644 644 /x", { kind: "content", suspicious: false, sizeBefore: 1, sizeAfter: 2 }],
    ["? 1 1 644 644 /x", { kind: "content", suspicious: true }],
    ["TU - - 777 755 /x/", { kind: "type", path: "/x/", sizeAfter: null }],
    ["U - - - - /x", { kind: "metadata", modeBefore: null, modeAfter: null }],
    ["M 1 2 644 644 /a - 5 - 644 - /b", { path: "/a - 5 - 644 - /b" }],
  ])("%j is read", (text, expected) => expect(read(text)).toMatchObject(expected));

  it.each([
    "",
    "What changed, size before and after",
    "M 1 2 644 644 ",
    "X 1 2 644 644 /x",
    "M 1 2 999 644 /x",
  ])("%j is none", (text) => expect(read(text)).toBeNull());

  it("is none when restic or the agent wrote it elsewhere", () => {
    expect(read("M 1 2 644 644 /x", "agent")).toBeNull();
    expect(read("M 1 2 644 644 /x", "stderr")).toBeNull();
  });

  it("may be anything without throwing", () => {
    fc.assert(fc.property(fc.string(), (text) => void read(text)));
  });
});
