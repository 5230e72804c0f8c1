/** Names as restic's patterns; that real restic takes them is in verify and restore.integration.test.ts. */
import { describe, expect, test } from "vitest";
import { canBeLine, escapePattern, findPatternProblem, nameLines, patternLines } from "./patterns.ts";
import { toRaw } from "./raw-path.ts";

describe("a name as a pattern", () => {
  test.each([
    ["/*a?[b]\\c", "/[*]a[?][[]b]\\\\c"],
    ["/esc\u001b[31m", "/esc\u001b[[]31m"],
    ["/plain -x #y", "/plain -x #y"],
  ])("%j is escaped", (name, pattern) => expect(escapePattern(name)).toBe(pattern));

  test.each([
    ["/etc/hosts", "/etc/hosts"],
    ["/we ird*[x]?.txt", "/we ird[*][[]x][?].txt"],
    ["/a/$HOME", "/a/$$HOME"],
    ["/trailing ", "/trailing[ ]"],
    ["/trailing\r", "/trailing[\r]"],
    ["/nbsp\u00a0", "/nbsp[\u00a0]"],
    ["/nel\u0085", "/nel[\u0085]"],
    ["/wide\u3000", "/wide[\u3000]"],
    ["/à", "/à"],
    ["/#no comment", "/#no comment"],
  ])("%j is the line %j of a file", (name, line) => {
    expect(nameLines([toRaw(name)]).toString()).toBe(`${line}\n`);
  });

  test("that is not UTF-8 keeps its bytes", () => {
    expect(nameLines(["/bad\xa0", "/a"]).toString("latin1")).toBe("/bad\xa0\n/a\n");
  });
});

test.each([
  ["/a b*", true],
  ["/new\nline", false],
  ["/not utf-8 \ufffd", false],
  ["relative", false],
  ["", false],
  ["/masked ***", false],
  [`/${"x".repeat(40_000)}`, false],
])("whether a file can name %j: %j", (path, can) => expect(canBeLine(path)).toBe(can));

test("patterns of a person stay patterns, and those that can't work are named", () => {
  expect(patternLines(["*.tmp", "é*"]).toString("utf8")).toBe("*.tmp\né*\n");
  expect(findPatternProblem(["*.tmp", "cache/**"])).toBeUndefined();
  expect(findPatternProblem(["/etc/*"])).toContain("begins at the root");
  expect(findPatternProblem(["a\nb"])).toContain("spans lines");
});
