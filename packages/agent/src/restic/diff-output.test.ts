/** What restic says of the inside of snapshots, read without ever throwing. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseChange, parseNode, parseRestoreProgress } from "./snapshot-output.ts";

describe("an entry of a listing", () => {
  const line = (more: object) =>
    JSON.stringify({
      ...{ name: "b", type: "file", path: "/s/b", uid: 0, gid: 0, size: 2, mode: 8389101 },
      ...{ mtime: "2026-11-26T00:12:38.454329182Z", message_type: "node", struct_type: "node", ...more },
    });

  test("has its size, its time to the millisecond, and a mode as Unix has it", () => {
    expect(parseNode(line({}))).toEqual({
      ...{ path: "/s/b", type: "file", sizeBytes: 2, mode: 0o4755 },
      mtimeMs: Date.UTC(2026, 10, 26, 0, 12, 38, 454),
    });
    expect(parseNode(line({ type: "dir", mode: 2147484141 }))).toMatchObject({ mode: 0o755, type: "dir" });
  });

  test("without a size has none, since restic leaves out zeros", () => {
    expect(parseNode(line({ size: undefined }))).toMatchObject({ sizeBytes: 0 });
  });

  test("with a time that is none has no time", () => {
    expect(parseNode(line({ mtime: "yesterday" }))).toMatchObject({ mtimeMs: null });
  });

  test("is not the snapshot, which stands in the first line", () => {
    expect(parseNode('{"struct_type":"snapshot","id":"6d127af3","paths":["/s"]}')).toBeUndefined();
  });
});

describe("a line of a comparison", () => {
  test.each(["+", "-", "M", "T", "U", "TU", "?"])("may be %s", (modifier) => {
    const line = JSON.stringify({ message_type: "change", path: "/a\nb", modifier });
    expect(parseChange(line)).toEqual({ path: "/a\nb", modifier });
  });

  test.each([
    '{"message_type":"statistics","changed_files":1}',
    '{"message_type":"change","path":"/a","modifier":"<script>"}',
    '{"message_type":"change","path":"","modifier":"+"}',
  ])("%s is no change", (line) => expect(parseChange(line)).toBeUndefined());
});

test("a status of a restore has zeros for what restic leaves out", () => {
  const line = '{"message_type":"status","percent_done":0.5,"total_files":9,"total_bytes":12}';
  expect(parseRestoreProgress(line)).toMatchObject({ percentDone: 0.5, totalFiles: 9, filesDone: 0 });
  expect(parseRestoreProgress('{"message_type":"summary","total_files":9}')).toBeUndefined();
});

test("no line, whatever it holds, makes reading throw", () => {
  const value = fc.oneof(fc.string(), fc.integer(), fc.double(), fc.constant(null), fc.object());
  const record = fc.record({
    ...{
      message_type: fc.constantFrom("node", "change", "status", "x"),
      struct_type: fc.constantFrom("node", "x"),
    },
    ...{
      path: value,
      type: value,
      size: value,
      mode: value,
      mtime: value,
      modifier: value,
      percent_done: value,
    },
  });
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        record.map((one) => JSON.stringify(one)),
      ),
      (line) => {
        for (const parse of [parseNode, parseChange, parseRestoreProgress]) parse(line);
      },
    ),
  );
});
