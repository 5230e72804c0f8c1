/** What restic says of restores: exact for what is known, deaf to anything else. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { restoreArgs } from "./args.ts";
import { parseRestoreLine } from "./restore-output.ts";

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
        totalFiles: 4,
        filesDone: 0,
        totalBytes: 10,
        bytesDone: 0,
        secondsElapsed: 2,
      },
    });
  });

  test("never throws, whatever it is", () => {
    fc.assert(fc.property(fc.string(), (text) => parseRestoreLine(text) !== undefined));
    fc.assert(fc.property(fc.json(), (text) => parseRestoreLine(text) !== undefined));
  });
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
