import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareVersions, versionText } from "./version-order.ts";

/** Each is older than the next; the pre-releases as in https://semver.org, item 11. */
const ascending = [
  "0.0.9",
  "0.1.0",
  "0.1.1",
  "0.2.0",
  "0.10.0",
  "1.0.0-alpha",
  "1.0.0-alpha.1",
  "1.0.0-alpha.beta",
  "1.0.0-beta",
  "1.0.0-beta.2",
  "1.0.0-beta.11",
  "1.0.0-rc.1",
  "1.0.0",
  "1.0.10",
  "2.0.0",
];

describe("versions", () => {
  it("are ordered by their numbers, and a pre-release comes before its release", () => {
    for (const [i, a] of ascending.entries())
      for (const [j, b] of ascending.entries())
        expect(Math.sign(compareVersions(a, b) ?? Number.NaN), `${a} and ${b}`).toBe(Math.sign(i - j));
  });

  it.each([
    "",
    "1",
    "1.2",
    "1.2.3.4",
    "v1.2.3",
    "01.2.3",
    "1.2.3-",
    "1.2.3-a..b",
    "1.2.3+build",
    " 1.2.3",
    "dev",
  ])("%j is none, and is not compared", (text) => {
    expect(versionText.safeParse(text).success).toBe(false);
    expect(compareVersions(text, "1.0.0")).toBeUndefined();
    expect(compareVersions("1.0.0", text)).toBeUndefined();
  });

  it("are read from any text without throwing", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        const order = compareVersions(a, b);
        expect(order === undefined || Number.isFinite(order)).toBe(true);
      }),
    );
  });
});
