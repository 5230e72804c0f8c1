/** The rules of a source group's fields: each wrong one is named with a sentence, all at once, and nothing throws. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkGroupDraft, type GroupBody, groupBody, readGroupDraft } from "./group-draft.ts";
import { isEmptyRetention } from "./source-group.ts";

const body = (more: Partial<GroupBody> = {}): GroupBody => ({ name: "web", includes: ["/srv"], ...more });
const check = (more: Partial<GroupBody>, os = "linux") => checkGroupDraft(readGroupDraft(body(more)), os);
const hook = (script: string, timeout_seconds?: number) => ({
  script,
  ...(timeout_seconds === undefined ? {} : { timeout_seconds }),
});
const many = (count: number) => Array.from({ length: count }, (_, i) => `/srv/${i}`);

describe("a source group", () => {
  it("needs a name and a path, and is off in everything that was left out", () => {
    const draft = readGroupDraft(body());
    expect(draft).toEqual({
      name: "web",
      includes: ["/srv"],
      excludes: [],
      options: {
        excludeIfPresent: [],
        excludeLargerThanBytes: null,
        oneFileSystem: false,
        excludeCaches: false,
        minSizeBytes: null,
      },
      retention: {
        keepLast: null,
        keepHourly: null,
        keepDaily: null,
        keepWeekly: null,
        keepMonthly: null,
        keepYearly: null,
        keepWithin: null,
      },
      retryMax: 3,
      retryBackoffSeconds: 60,
      preHook: undefined,
      postHook: undefined,
    });
    expect(isEmptyRetention(draft.retention)).toBe(true);
    expect(checkGroupDraft(draft, "linux")).toEqual([]);
  });

  it("names each path and pattern once", () => {
    const draft = readGroupDraft(body({ includes: ["/b", "/a", "/b"], excludes: ["*.o", "*.o"] }));
    expect(draft).toMatchObject({ includes: ["/b", "/a"], excludes: ["*.o"] });
  });

  it.each<[string, Partial<GroupBody>, string?]>([
    ["ten thousand paths and patterns", { includes: many(10_000), excludes: many(10_000) }],
    [
      "a drive and a share of Windows",
      { includes: ["C:\\Users", "d:/data", "\\\\nas\\share\\x"] },
      "windows",
    ],
    ["paths with blanks, line breaks and other scripts", { includes: ["/srv/ a\nb ", "/srv/é/日本"] }],
    ["files that mark a folder", { exclude_if_present: [".nobackup", "CACHEDIR.TAG:Signature: 8a47/7f"] }],
    ["every rule of keeping", { retention: { keep_last: 1, keep_daily: 10_000, keep_within: "1y5m7d2h" } }],
    ["retries at their edges", { retry_max: 20, retry_backoff_seconds: 1800 }],
    ["no retries", { retry_max: 0, retry_backoff_seconds: 10 }],
    ["a hook of 64 KiB", { pre_hook: hook("é".repeat(32_768)), post_hook: hook("a\r\n\tb", 86_400) }],
    ["hooks to be removed", { pre_hook: null, post_hook: null }],
  ])("takes %s", (_what, more, os) => {
    expect(check(more, os)).toEqual([]);
  });

  it.each<[string, Partial<GroupBody>, string, string, string?]>([
    ["an empty name", { name: "" }, "name", "sources.invalid"],
    ["a name with a comma", { name: "a,b" }, "name", "sources.invalid"],
    ["a name of 81 characters", { name: "a".repeat(81) }, "name", "sources.invalid"],
    ["no path", { includes: [] }, "includes", "sources.invalid"],
    ["10,001 paths", { includes: many(10_001) }, "includes", "sources.invalid"],
    ["an empty path", { includes: [""] }, "includes", "sources.path_relative"],
    ["a relative path", { includes: ["/ok", "etc"] }, "includes", "sources.path_relative"],
    ["a Windows path on Linux", { includes: ["C:\\Users"] }, "includes", "sources.path_foreign"],
    ["a share on Linux", { includes: ["\\\\nas\\x"] }, "includes", "sources.path_foreign"],
    ["a Linux path on Windows", { includes: ["/etc"] }, "includes", "sources.path_foreign", "windows"],
    ["a drive without its root", { includes: ["C:x"] }, "includes", "sources.path_relative", "windows"],
    ["a path with NUL", { includes: ["/a\0b"] }, "includes", "sources.path_invalid"],
    ["a path of half a character", { includes: ["/a\ud800"] }, "includes", "sources.path_invalid"],
    ["a path too long", { includes: [`/${"a".repeat(32_768)}`] }, "includes", "sources.path_invalid"],
    ["10,001 patterns", { excludes: many(10_001) }, "excludes", "sources.invalid"],
    ["a pattern of two lines", { excludes: ["a\nb"] }, "excludes", "sources.invalid"],
    ["an empty pattern", { excludes: [""] }, "excludes", "sources.invalid"],
    ["a pattern too long", { excludes: ["a".repeat(4097)] }, "excludes", "sources.invalid"],
    ["21 marks", { exclude_if_present: many(21) }, "exclude_if_present", "sources.invalid"],
    ["a mark in a folder", { exclude_if_present: ["a/b"] }, "exclude_if_present", "sources.invalid"],
    ["a mark without a name", { exclude_if_present: [":x"] }, "exclude_if_present", "sources.invalid"],
    ["a size of zero", { exclude_larger_than_bytes: 0 }, "exclude_larger_than_bytes", "sources.invalid"],
    ["a negative guard", { min_size_bytes: -1 }, "min_size_bytes", "sources.invalid"],
    ["to keep none", { retention: { keep_last: 0 } }, "retention.keep_last", "sources.invalid"],
    ["to keep too many", { retention: { keep_yearly: 10_001 } }, "retention.keep_yearly", "sources.invalid"],
    ["a week", { retention: { keep_within: "1w" } }, "retention.keep_within", "sources.invalid"],
    ["no time at all", { retention: { keep_within: "0d" } }, "retention.keep_within", "sources.invalid"],
    ["21 retries", { retry_max: 21 }, "retry_max", "sources.invalid"],
    ["to retry at once", { retry_backoff_seconds: 9 }, "retry_backoff_seconds", "sources.invalid"],
    ["a hook of 1 MiB", { pre_hook: hook("a".repeat(2 ** 20)) }, "pre_hook.script", "sources.hook_too_large"],
    [
      "a hook of 64 KiB and a byte",
      { post_hook: hook(`${"é".repeat(32_768)}a`) },
      "post_hook.script",
      "sources.hook_too_large",
    ],
    ["a hook of blanks", { pre_hook: hook(" \n") }, "pre_hook.script", "sources.invalid"],
    ["a hook with NUL", { pre_hook: hook("a\0") }, "pre_hook.script", "sources.invalid"],
    [
      "a hook that may run for ever",
      { post_hook: hook("x", 86_401) },
      "post_hook.timeout_seconds",
      "sources.invalid",
    ],
    [
      "600 KiB of paths",
      { includes: many(60).map((p) => p + "a".repeat(10_240)) },
      "includes",
      "sources.too_large",
    ],
  ])("refuses %s", (_what, more, path, code, os) => {
    const problems = check(more, os);
    expect(problems).toMatchObject([{ path, code }]);
    expect(problems[0]?.message).toMatch(/^[\p{Lu}“].* .*\.$/u);
  });

  it("says everything that is wrong at once", () => {
    const problems = check({ name: " ", includes: [], excludes: [""], retry_max: -1 });
    expect(problems.map(({ path }) => path)).toEqual(["name", "includes", "excludes", "retry_max"]);
  });

  it("names the system that a path belongs to", () => {
    expect(check({ includes: ["C:\\Users"] })[0]?.message).toContain("is a path of Windows");
    expect(check({ includes: ["/etc"] }, "windows")[0]?.message).toContain("this host runs Windows");
  });

  it("has no unknown field", () => {
    expect(groupBody.safeParse({ ...body(), colour: "red" }).success).toBe(false);
    expect(groupBody.safeParse(body({ retention: { keep_all: 1 } as object })).success).toBe(false);
  });

  it("is read and checked without an error, whatever it says", () => {
    const text = fc.string({ unit: "binary" });
    const anything = fc.record({
      name: text,
      includes: fc.array(text),
      excludes: fc.array(text),
      exclude_if_present: fc.array(text),
      min_size_bytes: fc.option(fc.integer()),
      retention: fc.record({ keep_last: fc.option(fc.integer()), keep_within: fc.option(text) }),
      retry_max: fc.integer(),
      pre_hook: fc.option(fc.record({ script: text, timeout_seconds: fc.integer() })),
    });
    fc.assert(
      fc.property(anything, fc.constantFrom("linux", "windows", "plan9"), (wire, os) => {
        const problems = checkGroupDraft(readGroupDraft(wire), os);
        expect(problems.every(({ message }) => message.length < 400)).toBe(true);
      }),
    );
  });
});
