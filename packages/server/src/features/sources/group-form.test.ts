/** A source group as the text of its form, and back. */
import { describe, expect, it } from "vitest";
import { checkGroupDraft } from "./group-draft.ts";
import { groupProblems, groupValues, joinSize, linesOf, readGroupForm, splitSize } from "./group-form.ts";
import { hookValues } from "./hook-form.ts";

const empty = groupValues(null, hookValues(null));
const typed = { ...empty, name: "www", includes: "/srv" };

describe("the form of a source group", () => {
  it("gives back what is stored", () => {
    const group = {
      id: "G1",
      hostId: "H1",
      name: "www",
      includes: ["/srv/a b", "/etc"],
      excludes: ["*.tmp"],
      options: {
        excludeIfPresent: [".nobackup"],
        excludeLargerThanBytes: 1536 * 1024 ** 2,
        oneFileSystem: true,
        excludeCaches: false,
        minSizeBytes: 1000,
      },
      retention: { ...readGroupForm(empty).retention, keepDaily: 7, keepWithin: "1y6m" },
      retryMax: 0,
      retryBackoffSeconds: 90,
      version: 3,
      createdAt: 1,
      updatedAt: null,
    };
    const hooks = { preHook: { script: "a\nb", timeoutSeconds: 5 }, postHook: null };
    const {
      id: _id,
      hostId: _host,
      version: _version,
      createdAt: _created,
      updatedAt: _updated,
      ...rest
    } = group;
    // Bytes that are no whole KiB keep their fraction.
    expect(readGroupForm(groupValues(group, hookValues(hooks)))).toEqual({ ...rest, ...hooks });
  });

  it("reads lines as a browser sends them, and each path once", () => {
    expect(linesOf(" /a \r\n\r\n/b c\r\n")).toEqual(["/a", "/b c"]);
    expect(readGroupForm({ ...typed, includes: "/a\r\n/a" }).includes).toEqual(["/a"]);
    expect(readGroupForm({ ...typed, pre_hook: "a\r\nb" }).preHook?.script).toBe("a\nb");
  });

  it("leaves no rule empty-handed: what is no number is refused beside its field", () => {
    const wrong = {
      ...typed,
      keep_daily: "seven",
      retry_max: "",
      min_size: "big",
      pre_hook: "x",
      pre_hook_timeout_seconds: "x",
    };
    const problems = checkGroupDraft(readGroupForm(wrong), "linux");
    const errors = groupProblems(Object.fromEntries(problems.map(({ path, message }) => [path, message])));
    expect(Object.keys(errors).sort()).toEqual([
      "keep_daily",
      "min_size",
      "pre_hook_timeout_seconds",
      "retry_max",
    ]);
  });

  it("removes a hook whose field was emptied", () => {
    expect(readGroupForm({ ...typed, post_hook: "  " })).toMatchObject({ preHook: null, postHook: null });
  });
});

describe("a size", () => {
  it.each([
    { bytes: null, value: "", unit: "MiB" },
    { bytes: 1024 ** 4 * 3, value: "3", unit: "TiB" },
    { bytes: 1024 ** 2 * 1536, value: "1536", unit: "MiB" },
    { bytes: 2048, value: "2", unit: "KiB" },
  ])("of $bytes bytes is $value $unit, and back", ({ bytes, value, unit }) => {
    expect(splitSize(bytes)).toEqual({ value, unit });
    expect(joinSize(value, unit)).toBe(bytes);
  });

  it("takes a comma for a point and nothing else for a number", () => {
    expect(joinSize("1,5", "KiB")).toBe(1536);
    for (const text of ["x", "-1", "1e3", "1.2.3"]) expect(joinSize(text, "MiB")).toBeNaN();
    expect(joinSize("1", "furlong")).toBeNaN();
  });
});
