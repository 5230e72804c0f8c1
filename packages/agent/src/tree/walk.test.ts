/** A walk over a snapshot: everything once, also when it was interrupted anywhere, and nothing that has no path. */
import { describe, expect, test } from "vitest";
import { compilePattern } from "./pattern.ts";
import { SnapshotIndex } from "./snapshot-index.ts";
import { MAX_TO_OPEN, Walk } from "./walk.ts";

const lineOf = (path: string, type = "file"): string =>
  JSON.stringify({
    struct_type: "node",
    path,
    name: path.slice(path.lastIndexOf("/") + 1),
    type,
    uid: 0,
    gid: 0,
  });
const tree = [
  '{"struct_type":"snapshot"}',
  lineOf("/a", "dir"),
  lineOf("/a/b", "dir"),
  lineOf("/a/b/one"),
  lineOf("/a/bad\ufffd", "dir"),
  lineOf("/a/bad\ufffd/below", "dir"),
  lineOf("/a/bad\ufffd/below/in"),
  lineOf("/a/c", "dir"),
  lineOf("/a/c/link", "symlink"),
  lineOf("/a/c/two"),
  lineOf("/a/last"),
  lineOf("/z"),
];

function takeAll(index: SnapshotIndex, lines: readonly string[]): Walk {
  const walk = new Walk(index);
  index.batch(() => {
    for (const line of lines) walk.take(line);
  });
  return walk;
}

async function listAll(index: SnapshotIndex): Promise<string[]> {
  const { matches } = await index.search(compilePattern("*"), null, 500, async () => undefined);
  return matches.map(({ folder, name }) => `${folder === "/" ? "" : folder}/${name}`);
}

const paths = ["/a", "/a/b", "/a/b/one", "/a/c", "/a/c/link", "/a/c/two", "/a/last", "/z"];

describe("a walk", () => {
  test("takes in every entry with its path, and notes the folders of which it is not told all", async () => {
    const index = new SnapshotIndex(":memory:");
    const walk = takeAll(index, tree);
    expect({ toOpen: walk.toOpen, left: walk.left }).toEqual({ toOpen: ["/a"], left: 0 });
    expect(index.page("/a/b", null, 10)).toBeUndefined();
    index.finishWalk(0);
    expect(await listAll(index)).toEqual(paths);
    expect(index.entries).toBe(paths.length);
  });

  test("goes on where it was, wherever that is", async () => {
    for (let cut = 0; cut <= tree.length; cut += 1) {
      const index = new SnapshotIndex(":memory:");
      takeAll(index, tree.slice(0, cut));
      const walk = takeAll(index, tree);
      expect(await listAll(index)).toEqual(paths);
      expect(index.entries).toBe(paths.length);
      expect(walk.toOpen).toEqual(["/a"]);
    }
  });

  test("leaves a folder alone that was opened, before or meanwhile", async () => {
    const one = {
      name: "one",
      kind: "file",
      sizeBytes: 1,
      mode: null,
      uid: 0,
      gid: 0,
      user: "root",
      group: "",
    } as const;
    for (const cut of [0, 3, 4]) {
      const index = new SnapshotIndex(":memory:");
      takeAll(index, tree.slice(0, cut));
      const folder = index.openFolder("/a/b");
      folder.add([{ ...one, modifiedAtMs: null, target: null, subtree: null }]);
      folder.finish();
      takeAll(index, tree);
      index.finishWalk(0);
      expect((await listAll(index)).toSorted()).toEqual(paths);
      expect(index.page("/a/b", null, 10)?.entries).toMatchObject([
        { name: "one", user: "root", group: null },
      ]);
    }
  });

  test("tells a page only of a folder of which everything is known", () => {
    const index = new SnapshotIndex(":memory:");
    takeAll(index, tree);
    index.finishWalk(0);
    // Nobody has told who 0 is.
    expect(index.page("/a/b", null, 10)).toBeUndefined();
    const root = index.openFolder("/");
    const a = {
      name: "a",
      kind: "folder",
      sizeBytes: null,
      mode: 0o755,
      uid: 0,
      gid: 0,
      user: "root",
      group: "root",
    } as const;
    root.add([{ ...a, modifiedAtMs: null, target: null, subtree: null }]);
    root.finish();
    expect(index.page("/a/b", null, 10)).toMatchObject({
      entries: [{ name: "one", user: "root" }],
      more: false,
    });
    expect(index.page("/a/c", null, 10)).toBeUndefined();
    expect(index.page("/a", null, 10)).toBeUndefined();
    expect(index.page("/nowhere", null, 10)).toBeUndefined();
  });

  test("counts what it can't take in", () => {
    const index = new SnapshotIndex(":memory:");
    const deep = Array.from({ length: 125 }, (_, n) => `/${"x".repeat(250)}`.repeat(n + 1));
    const folders = Array.from({ length: MAX_TO_OPEN + 3 }, (_, n) => [
      lineOf(`/f${n}`, "dir"),
      lineOf(`/f${n}/\ufffd`),
    ]);
    const walk = takeAll(index, [...deep.map((path) => lineOf(path, "dir")), ...folders.flat()]);
    expect({ toOpen: walk.toOpen.length, left: walk.left }).toEqual({ toOpen: MAX_TO_OPEN, left: 4 });
  });

  test("of a batch that fails leaves nothing, and what comes after it is counted right", () => {
    const index = new SnapshotIndex(":memory:");
    const walk = new Walk(index);
    expect(() =>
      index.batch(() => {
        walk.take(lineOf("/a"));
        throw new Error("the disk is full");
      }),
    ).toThrow("the disk is full");
    expect(index.entries).toBe(0);
  });
});
