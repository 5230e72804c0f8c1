/** What restic prints about what is in a snapshot: names of any bytes, documents of any length, and nonsense. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ObjectCutter,
  parseFound,
  parseListedNode,
  parseTree,
  parseTreeNode,
  unquote,
} from "./tree-output.ts";

const latin1 = (text: string) => unquote(text)?.toString("latin1");

describe("a quoted name", () => {
  test.each([
    ["plain é😀", Buffer.from("plain é😀").toString("latin1")],
    ["a\\nb\\tc\\r", "a\nb\tc\r"],
    ['quote\\"and\\\\', 'quote"and\\'],
    ["bad\\xff\\x1b", "bad\xff\x1b"],
    ["\\u00ad\\U0001f600", Buffer.from("\u00ad😀").toString("latin1")],
    ["\\a\\b\\f\\v\\x7f", "\x07\b\f\v\x7f"],
  ])("%s is taken for the bytes behind it", (quoted, bytes) => expect(latin1(quoted)).toBe(bytes));

  test.each(["\\q", "\\U00110000"])("%s is none", (quoted) => expect(unquote(quoted)).toBeUndefined());
});

describe("a node of cat tree", () => {
  const parse = (more: object) => parseTreeNode(JSON.stringify({ name: "a", type: "file", ...more }));

  test("says everything", () => {
    const time = "2026-01-02T03:04:05.678901+02:00";
    const who = { uid: 0, gid: 7, user: "root", group: "" };
    expect(parse({ name: "a\\xff", mode: 8388608 + 0o755, mtime: time, size: 5, ...who })).toEqual({
      ...{ name: "base64:Yf8=", kind: "file", sizeBytes: 5, mode: 0o4755, ...who },
      ...{ modifiedAtMs: Date.UTC(2026, 0, 2, 1, 4, 5, 678), target: null, subtree: null },
    });
  });

  test.each([
    ["dir", "folder"],
    ["symlink", "link"],
    ["dev", "device"],
    ["chardev", "device"],
    ["fifo", "fifo"],
    ["irregular", "other"],
    ["constructor", "other"],
  ])("of type %s is a %s without a size", (type, kind) => {
    expect(parse({ type, size: 3 })).toMatchObject({ kind, sizeBytes: null });
  });

  test("has the mode that Unix has", () => {
    expect(parse({ type: "dir", mode: 2 ** 31 + 2 ** 20 + 0o777 })?.mode).toBe(0o1777);
    expect(parse({ mode: 2 ** 22 + 0o710 })?.mode).toBe(0o2710);
  });

  test("leaves out what is not there: restic omits zeros", () => {
    expect(parse({})).toMatchObject({ sizeBytes: 0, mode: null, uid: null, modifiedAtMs: null });
    expect(parse({ mtime: "0001-01-01T00:00:00Z" })?.modifiedAtMs).toBeNull();
    expect(parse({ mtime: "12026-01-01T00:00:00Z", size: 1e300 })).toMatchObject({
      ...{ modifiedAtMs: null, sizeBytes: Number.MAX_SAFE_INTEGER },
    });
  });

  test.each(["", ".", "..", "a/b", "\\x00", "a\\x2fb", "x".repeat(2000)])(
    "with the name %j is none",
    (name) => {
      expect(parse({ name })).toBeUndefined();
    },
  );
});

test("a document of cat tree has the nodes that are some", () => {
  const nodes = [
    { name: "f", type: "file", size: 5 },
    { name: "d", type: "dir", subtree: "0".repeat(64) },
  ];
  expect(parseTree(JSON.stringify({ nodes: [...nodes, { type: "file" }, 7] }))).toMatchObject([
    { name: "f", kind: "file", sizeBytes: 5, subtree: null },
    { name: "d", kind: "folder", sizeBytes: null, subtree: "0".repeat(64) },
  ]);
  expect(parseTree('{"nodes":null}')).toEqual([]);
  expect(parseTree("path tmp: not found")).toBeUndefined();
});

describe("a line of ls", () => {
  const line = {
    struct_type: "node",
    name: "a\ufffd",
    type: "file",
    path: "/s/a\ufffd",
    uid: 0,
    size: 3,
    user: "x",
  };

  test("tells its path, and no owner by name", () => {
    expect(parseListedNode(JSON.stringify(line))).toMatchObject({
      ...{ path: "/s/a\ufffd", node: { name: "a\ufffd", sizeBytes: 3, user: undefined } },
    });
  });

  test("that is no entry is left out", () => {
    for (const other of [
      "",
      "text",
      "{}",
      JSON.stringify({ ...line, struct_type: "snapshot" }),
      JSON.stringify({ ...line, path: "s" }),
    ])
      expect(parseListedNode(other)).toBeUndefined();
  });
});

test("a snapshot of find counts only for the path that was asked for", () => {
  const snapshot = "0".repeat(64);
  const match = { path: "/a", type: "file", size: 2, mode: 420 };
  const found = JSON.stringify({ snapshot, hits: 2, matches: [{ path: "/A", type: "dir" }, match] });
  expect(parseFound(found, "/a")).toMatchObject({
    snapshotId: snapshot,
    node: { kind: "file", sizeBytes: 2 },
  });
  expect(parseFound(found, "/b")).toBeUndefined();
  for (const nonsense of ["", "[]", '{"snapshot":"x","matches":[]}'])
    expect(parseFound(nonsense, "/a")).toBeUndefined();
});

describe("a document of any length", () => {
  test("is cut into its objects wherever its pieces end", () => {
    const names = fc.array(
      fc.string({ unit: fc.constantFrom("{", "}", "[", "]", '"', "\\", "é", "a", "\n") }),
    );
    fc.assert(
      fc.property(names, fc.array(fc.nat(30)), (all, cuts) => {
        const nodes = all.map((name) => ({ name, content: ["x", { deeper: [name] }] }));
        const document = Buffer.from(JSON.stringify({ nodes }));
        const cutter = new ObjectCutter(3);
        const found: unknown[] = [];
        let from = 0;
        for (const size of [...cuts, document.length]) {
          for (const json of cutter.push(document.subarray(from, from + size))) found.push(JSON.parse(json));
          from += size;
        }
        expect(found).toEqual(nodes);
      }),
    );
  });

  test("may be any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.string(), (bytes, text) => {
        for (const json of new ObjectCutter(2).push(Buffer.from(bytes))) parseTreeNode(json);
        for (const json of new ObjectCutter(1).push(Buffer.from(`{${text}}`))) parseListedNode(json);
        parseTreeNode(text);
        parseTree(text);
        parseListedNode(text);
        parseFound(text, "/");
        unquote(text);
      }),
    );
    const value = fc.oneof(fc.string(), fc.integer(), fc.double(), fc.constant(null), fc.object());
    const entry = fc.record({
      ...{ struct_type: fc.constant("node"), name: value, path: fc.constant("/a"), type: value },
      ...{ size: value, mode: value, mtime: value, uid: value, user: value, subtree: value },
    });
    fc.assert(
      fc.property(fc.oneof(entry, fc.anything()), (one) => {
        parseListedNode(JSON.stringify(one) ?? "");
        parseTree(JSON.stringify({ nodes: [one] }));
      }),
    );
  });
});
