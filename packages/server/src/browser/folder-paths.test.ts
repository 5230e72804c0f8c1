/** Paths in the browser of folders. */
import { describe, expect, it } from "vitest";
import { addLine, dropLine, hasLine, isLine, pathOf, wayTo } from "./folder-paths.ts";

describe("a path", () => {
  it.each([
    { parent: "/", name: "etc", path: "/etc" },
    { parent: "/srv/a b", name: "c", path: "/srv/a b/c" },
    { parent: null, name: "C:\\", path: "C:\\" },
    { parent: "C:\\", name: "Users", path: "C:\\Users" },
    { parent: "C:\\Users", name: "x", path: "C:\\Users\\x" },
    { parent: "/odd\\name", name: "x", path: "/odd\\name/x" },
  ])("of $name in $parent is $path", ({ parent, name, path }) => {
    expect(pathOf(parent, name)).toBe(path);
  });

  it.each([
    { path: null, way: [] },
    { path: "/", way: [] },
    { path: "/srv/data", way: ["/srv", "/srv/data"] },
    { path: "C:\\", way: ["C:\\"] },
    { path: "C:\\Users\\x", way: ["C:\\", "C:\\Users", "C:\\Users\\x"] },
  ])("$path is reached by its folders", ({ path, way }) => {
    expect(wayTo(path).map((step) => step.path)).toEqual(way);
  });
});

describe("a list of lines", () => {
  it("takes a path once, at its end, and leaves what was typed as it is", () => {
    expect(addLine("", "/etc")).toBe("/etc");
    expect(addLine("/a\n /b \n\n", "/etc")).toBe("/a\n /b\n/etc");
    expect(addLine("/a\n /etc ", "/etc")).toBe("/a\n /etc ");
    expect(hasLine("/a\r\n/etc", "/etc")).toBe(true);
    expect(hasLine("/etcetera", "/etc")).toBe(false);
  });

  it("can't hold every path that a host has", () => {
    for (const path of ["/a\nb", "/a\r", "/a ", "/bad-\uFFFD"]) expect(isLine(path)).toBe(false);
    expect(isLine("/a b/ä")).toBe(true);
  });

  it("gives a path back wherever it stands", () => {
    expect(dropLine("/a\n /etc \n/b\n/etc", "/etc")).toBe("/a\n/b");
    expect(dropLine("/a", "/etc")).toBe("/a");
  });
});
