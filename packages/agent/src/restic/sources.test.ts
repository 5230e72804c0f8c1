import { mkdtemp, readFile, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { removeTree } from "../platform/files.ts";
import { missingSources, writeSourceFiles } from "./sources.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "agent-sources-"));
});
afterEach(() => removeTree(dir));

describe("writeSourceFiles", () => {
  it("ends every path with a NUL and every pattern with a line feed", async () => {
    const outcome = await writeSourceFiles(dir, ["/a\nb", "/-c"], ["*.tmp", "/x y/"]);
    if (outcome.kind !== "written") throw new Error(outcome.message);
    expect(await readFile(outcome.files.sourcesPath, "utf8")).toBe("/a\nb\0/-c\0");
    expect(await readFile(outcome.files.excludesPath ?? "", "utf8")).toBe("*.tmp\n/x y/\n");
  });

  it.each([
    { pattern: "/srv/$cache", line: "/srv/$$cache" },
    { pattern: "/srv/$HOME/$$", line: "/srv/$$HOME/$$$$" },
    { pattern: "#work", line: "[#]work" },
    { pattern: "a#b", line: "a#b" },
    { pattern: "!*.txt", line: "!*.txt" },
    { pattern: "  two ", line: "[ ] two[ ]" },
    { pattern: "end\\ ", line: "end[ ]" },
    { pattern: " ", line: "[ ]" },
  ])("writes the pattern $pattern so that restic reads it back as it is", async ({ pattern, line }) => {
    const outcome = await writeSourceFiles(dir, ["/a"], [pattern]);
    if (outcome.kind !== "written") throw new Error(outcome.message);
    expect(await readFile(outcome.files.excludesPath ?? "", "utf8")).toBe(`${line}\n`);
  });

  it("writes no exclude file when nothing is excluded", async () => {
    const outcome = await writeSourceFiles(dir, ["/a"], []);
    expect(outcome).toEqual({ kind: "written", files: { sourcesPath: join(dir, "sources.raw") } });
  });

  it.each([
    ["no path", [], []],
    ["a relative path", ["a/b"], []],
    ["a NUL in a path", ["/a\0b"], []],
    ["a pattern of two lines", ["/a"], ["x\ny"]],
  ])("refuses %s with a sentence", async (_, paths, excludes) => {
    const outcome = await writeSourceFiles(dir, paths, excludes);
    expect(outcome).toMatchObject({ kind: "invalid", code: "restic.invalid_source" });
  });
});

describe("missingSources", () => {
  it("names what is not there, and takes a dangling link for there", async () => {
    await writeFile(join(dir, "file"), "");
    await symlink(join(dir, "nowhere"), join(dir, "link"));
    const paths = ["gone", "file", "file/below", "link"].map((name) => join(dir, name));
    expect(await missingSources(paths)).toEqual([paths[0], paths[2]]);
  });
});
