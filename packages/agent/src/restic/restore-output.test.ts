/** What restic says of restores and of trees, and names as its patterns: exact for what is known, deaf to anything else. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { restoreArgs } from "./args.ts";
import { escapePattern, findPatternProblem, nameLines, patternLines } from "./patterns.ts";
import { isPathMissing, isSnapshotGone, parseRestoreLine } from "./restore-output.ts";
import {
  isWithin,
  joinRaw,
  parentOf,
  parseTree,
  rawOfSnapshotPath,
  toRaw,
  toText,
  unquoteName,
} from "./tree-nodes.ts";

describe("a line of a restore", () => {
  test.each([
    [
      '{"message_type":"verbose_status","action":"updated","item":"/a/b","size":3}',
      { kind: "item", action: "updated", item: "/a/b", sizeBytes: 3 },
    ],
    [
      '{"message_type":"error","error":{"message":"open /t/a: permission denied"},"during":"restore","item":"/a"}',
      { kind: "error", item: "/a", message: "open /t/a: permission denied" },
    ],
    ['{"message_type":"summary","total_files":3,"files_restored":3}', { kind: "other" }],
    ['{"message_type":"exit_error","code":1,"message":"Fatal: There were 1 errors"}', { kind: "other" }],
    ["anything", { kind: "other" }],
  ])("%s is understood", (line, expected) => expect(parseRestoreLine(line)).toEqual(expected));

  test("of progress has zeros for what restic leaves out", () => {
    const line =
      '{"message_type":"status","seconds_elapsed":2,"percent_done":0.5,"total_files":4,"total_bytes":10}';
    expect(parseRestoreLine(line)).toEqual({
      kind: "status",
      progress: {
        percentDone: 0.5,
        totalItems: 4,
        itemsDone: 0,
        totalBytes: 10,
        bytesDone: 0,
        secondsElapsed: 2,
      },
    });
  });

  test("never throws, whatever it is", () => {
    fc.assert(fc.property(fc.string(), (text) => parseRestoreLine(text) !== undefined));
    fc.assert(fc.property(fc.json(), (text) => parseRestoreLine(text) !== undefined));
    fc.assert(fc.property(fc.json(), (text) => parseTree(text) === undefined || true));
  });
});

test("a snapshot or a path that is not there is told from other failures", () => {
  expect(isSnapshotGone(["Fatal: failed to find snapshot: failed to load snapshot deadbeef: open …"])).toBe(
    true,
  );
  expect(
    isSnapshotGone([
      '{"message_type":"exit_error","code":1,"message":"Fatal: no matching ID found for prefix"}',
    ]),
  ).toBe(true);
  expect(isPathMissing(["path tmp/new\nline/x: not found"])).toBe(true);
  expect(isPathMissing(["path etc/hosts/x: not a directory"])).toBe(true);
  for (const judge of [isSnapshotGone, isPathMissing])
    expect(judge(["Fatal: wrong password or no key found"])).toBe(false);
});

describe("a name in a tree", () => {
  test.each([
    ["plain", "plain"],
    ["é😀", toRaw("é😀")],
    ["bad\\xff", "bad\xff"],
    ['new\\nline\\t\\\\\\"', 'new\nline\t\\"'],
    ["\\u200b\\U000e0001", toRaw("\u200b\u{e0001}")],
    ["\\a\\v\\x7f", "\x07\v\x7f"],
  ])("%s has its bytes back", (quoted, raw) => expect(unquoteName(quoted)).toBe(raw));

  test("comes with its kind and size", () => {
    const nodes = [
      { name: "f", type: "file", size: 5, uid: 1, gid: 2 },
      { name: "e", type: "file" },
      { name: "d", type: "dir", subtree: "0".repeat(64) },
      { name: "l", type: "symlink" },
      { name: "s", type: "socket" },
      { type: "file" },
    ];
    expect(parseTree(JSON.stringify({ nodes }))).toEqual([
      { name: "f", kind: "file", sizeBytes: 5, owner: { uid: 1, gid: 2 }, subtree: null },
      { name: "e", kind: "file", sizeBytes: 0, owner: null, subtree: null },
      { name: "d", kind: "folder", sizeBytes: null, owner: null, subtree: "0".repeat(64) },
      { name: "l", kind: "link", sizeBytes: null, owner: null, subtree: null },
      { name: "s", kind: "other", sizeBytes: null, owner: null, subtree: null },
    ]);
    expect(parseTree('{"nodes":null}')).toEqual([]);
    expect(parseTree("path tmp: not found")).toBeUndefined();
  });
});

test("paths are bytes that text can be made of where it can", () => {
  expect(toText(rawOfSnapshotPath("/é"))).toBe("/é");
  expect(
    toText(rawOfSnapshotPath(`base64:${Buffer.from("/\xff", "latin1").toString("base64")}`)),
  ).toBeUndefined();
  expect([parentOf("/a/b"), parentOf("/a"), parentOf("/")]).toEqual(["/a", "/", "/"]);
  expect([joinRaw("/", "/a"), joinRaw("/a", "b"), joinRaw("/a", "/")]).toEqual(["/a", "/a/b", "/a"]);
  expect([isWithin("/a/b", "/a"), isWithin("/ab", "/a"), isWithin("/x", "/")]).toEqual([true, false, true]);
});

describe("a name as a pattern", () => {
  test.each([
    ["/*a?[b]\\c", "/\\*a\\?\\[b]\\\\c"],
    ["/plain -x #y", "/plain -x #y"],
  ])("%s is escaped", (name, pattern) => expect(escapePattern(name, "linux")).toBe(pattern));

  test("is escaped in another way on Windows, where a backslash escapes nothing", () => {
    expect(escapePattern("/C/a[1].txt", "win32")).toBe("/C/a[[]1].txt");
  });

  test("keeps its last blank, of whatever sort, and its dollars in a file", () => {
    const names = ["/a ", toRaw("/b\u00a0"), toRaw("/c\u3000"), toRaw("/à"), "/$HOME", "/bad\xa0"];
    expect(nameLines(names, "linux").toString("latin1").split("\n")).toEqual([
      ...[
        "/a[ ]",
        `/b[${toRaw("\u00a0")}]`,
        `/c[${toRaw("\u3000")}]`,
        toRaw("/à"),
        "/$$HOME",
        "/bad\xa0",
        "",
      ],
    ]);
  });
});

test("patterns of a person stay patterns, and those that can't work are named", () => {
  expect(patternLines(["*.tmp", "é*"]).toString("utf8")).toBe("*.tmp\né*\n");
  expect(findPatternProblem(["*.tmp", "cache/**"])).toBeUndefined();
  expect(findPatternProblem(["/etc/*"])).toContain("begins at the root");
  expect(findPatternProblem(["a\nb"])).toContain("spans lines");
});

test("the arguments of a restore", () => {
  const target = "/t";
  expect(restoreArgs({ snapshotId: "ID", folder: "/", target })).toEqual([
    ...["restore", "--json", "-vv", "--retry-lock", "10m", "--target", "/t", "ID"],
  ]);
  const all = restoreArgs({
    ...{
      snapshotId: "ID",
      folder: "/srv",
      target,
      includesPath: "/i",
      excludesPath: "/e",
      includesOfLines: ["/a\nb"],
    },
    ...{ overwrite: "if-newer", sparse: true, verify: true, limits: { download_kib: 7 } },
  });
  expect(all.slice(5)).toEqual([
    ...["--target", "/t", "--include-file", "/i", "--include=/a\nb", "--exclude-file", "/e"],
    ...["--overwrite", "if-newer", "--sparse", "--verify", "--limit-download", "7", "ID:/srv"],
  ]);
  expect(restoreArgs({ snapshotId: "ID", folder: "/", target, dryRun: true, verify: true })).not.toContain(
    "--verify",
  );
  for (const args of [all]) expect(args).not.toContain("--delete");
  expect(() => restoreArgs({ snapshotId: "ID", folder: "/", target: "t" })).toThrow(RangeError);
});
