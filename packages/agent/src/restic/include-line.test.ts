/** Names as lines that restic reads as those names; that real restic does is in verify.integration.test.ts. */
import { describe, expect, test } from "vitest";
import { toIncludeLine } from "./include-line.ts";

describe("a line of an include file", () => {
  test.each([
    ["/etc/hosts", "/etc/hosts"],
    ["/we ird*[x]?.txt", "/we ird[*][[]x][?].txt"],
    ["/a/$HOME", "/a/$$HOME"],
    ["/back\\slash", "/back\\\\slash"],
    ["/trailing ", "/trailing[ ]"],
    ["/trailing\r", "/trailing[\r]"],
    ["/nbsp\u00a0", "/nbsp[\u00a0]"],
    ["/nel\u0085", "/nel[\u0085]"],
    ["/#no comment", "/#no comment"],
    ["/esc\u001b[31m", "/esc\u001b[[]31m"],
  ])("for %j is %j", (path, line) => expect(toIncludeLine(path)).toBe(line));

  test.each(["/new\nline", "/not utf-8 \ufffd", "relative", "", "/masked ***", `/${"x".repeat(40_000)}`])(
    "for %j does not exist",
    (path) => expect(toIncludeLine(path)).toBeUndefined(),
  );
});
