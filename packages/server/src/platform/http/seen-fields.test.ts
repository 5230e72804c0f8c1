/** What somebody else changed since a form was opened. */
import { describe, expect, it } from "vitest";
import { changedSince, seenOf } from "./seen-fields.ts";

describe("what a form showed", () => {
  const shown = { name: "a", paths: "/etc\n/home", note: "" };

  it("names the fields that differ from what is stored now, and no others", () => {
    expect(changedSince(seenOf(shown), shown)).toEqual([]);
    expect(changedSince(seenOf(shown), { name: "a", paths: "/etc", note: "x" })).toEqual(["paths", "note"]);
  });

  it("says nothing about fields that it does not know, whatever it holds", () => {
    for (const seen of ["", "nonsense", "a:b:c  :", "name"])
      expect(changedSince(seen, { other: "1" })).toEqual([]);
  });

  it("is short and holds nothing of the values", () => {
    const seen = seenOf({ script: "a secret of some length ".repeat(100) });
    expect(seen).toMatch(/^script:[\w-]{8}$/);
  });
});
