/** What a search finds, and that no pattern is slow. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compilePattern } from "./pattern.ts";

function find(pattern: string, path: string): boolean {
  const key = path.slice(path.lastIndexOf("/") + 1).toLowerCase();
  const folder = path.slice(0, path.lastIndexOf("/")).toLowerCase() || "/";
  const compiled = compilePattern(pattern);
  const matches = compiled.matches(key, folder);
  // The index looks for this before it asks any further.
  if (matches) expect(key).toContain(compiled.nameContains);
  return matches;
}

describe("a search", () => {
  test.each([
    ["host", "/etc/hosts.conf"],
    ["HOST", "/etc/MyHosts"],
    ["*.conf", "/etc/hosts.conf"],
    ["h?sts", "/etc/hosts"],
    ["[a-c]*[!0-9]", "/tmp/box"],
    ["/etc/*.conf", "/etc/a.conf"],
    ["/etc/**", "/etc/a/b"],
    ["etc/*.conf", "/srv/etc/a.conf"],
    ["etc/ho", "/etc/hosts"],
    ["/etc/", "/etc/hosts"],
    ["**/b/*", "/a/b/c"],
    ["[", "/a[b"],
    ["*", "/a"],
    ["a[b", "/a[b"],
    ["😀?", "/😀😀"],
    ["/etc/", "/etc/a/b"],
    ["x[a/b]y", "/x[a/b]y"],
  ])("for %j finds %j", (pattern, path) => expect(find(pattern, path)).toBe(true));

  test.each([
    ["host", "/hosts/a"],
    ["*.conf", "/etc/a.conf.bak"],
    ["h?sts", "/etc/hsts"],
    ["/etc/*.conf", "/etc/a/b.conf"],
    ["/etc/*.conf", "/srv/etc/a.conf"],
    ["[a-c]", "/d"],
    ["[!a]", "/a"],
    ["c/*", "/etc/x"],
    ["etc/ho", "/etc/hosts/config"],
    ["etc/ho", "/etc/hosts/ghost"],
    ["/]", "/]/"],
    ["x[a/b]y", "/xay"],
  ])("for %j does not find %j", (pattern, path) => expect(find(pattern, path)).toBe(false));

  test("for any pattern ends, and never throws", () => {
    const part = fc.constantFrom("*", "?", "[", "]", "/", "**", "a", "-", "!", "\\", "é");
    fc.assert(
      fc.property(fc.array(part, { maxLength: 40 }), fc.array(part, { maxLength: 40 }), (pattern, name) => {
        find(pattern.join("") || "*", `/${name.join("")}`);
      }),
    );
  });

  test("that would be tried again and again from every place is not", () => {
    const { matches } = compilePattern("*a".repeat(400));
    for (let round = 0; round < 20; round += 1) expect(matches("a".repeat(399), "/")).toBe(false);
  });
});
