/** What covers a path, and how much of what was read is remembered. */
import { FakeClock } from "@restic-manager/testkit";
import { describe, expect, it, test } from "vitest";
import { covers } from "./tree.ts";
import { TreePages } from "./tree-pages.ts";

describe("a source of a backup", () => {
  test.each([
    ["/", "/etc/hosts"],
    ["/etc", "/etc"],
    ["/etc/", "/etc/hosts"],
    ["C:\\Users", "/C/Users/a"],
    ["C:\\", "/C/Users/a"],
    ["/srv", "base64:L3Nydi9iYWT/"],
  ])("%s covers %s", (source, path) => expect(covers(source, path)).toBe(true));

  test.each([
    ["/etc", "/etcetera"],
    ["/etc/hosts", "/etc"],
    ["C:\\Users", "/D/Users"],
  ])("%s does not cover %s", (source, path) => expect(covers(source, path)).toBe(false));
});

describe("pages that were read", () => {
  const key = (path: string) => ({ hostId: "H", snapshotId: "S", path, after: null });
  const page = { text: "x".repeat(1000) };

  it("are forgotten when there are too many, the one used longest ago first", () => {
    const pages = new TreePages<typeof page>(new FakeClock(), 7000);
    for (const path of ["/a", "/b", "/c"]) pages.keep(key(path), page);
    expect(pages.find(key("/a"))).toBe(page);
    pages.keep(key("/d"), page);
    expect(["/a", "/b", "/c", "/d"].map((path) => pages.find(key(path)) !== null)).toEqual([
      true,
      false,
      true,
      true,
    ]);
    pages.keep(key("/huge"), { text: "x".repeat(10_000) });
    expect(pages.find(key("/huge"))).toBeNull();
    expect(pages.find(key("/d"))).toBe(page);
  });

  it("are counted once when they are kept again", () => {
    const pages = new TreePages<typeof page>(new FakeClock(), 7000);
    for (let times = 0; times < 10; times++) pages.keep(key("/a"), page);
    pages.keep(key("/b"), page);
    expect(pages.find(key("/a"))).toBe(page);
  });
});
