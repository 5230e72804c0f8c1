/** How a restore ended, from what restic said and did not say: its own figures never make a success. */
import type { RestoreSpec } from "@restic-manager/protocol";
import { jobResult } from "@restic-manager/protocol";
import { describe, expect, test } from "vitest";
import { concludeRestore, type Ending } from "./restore-report.ts";
import { RestoreTally } from "./restore-tally.ts";

const spec: RestoreSpec = {
  ...{ kind: "restore", snapshot_id: "9f86d081", paths: ["/a"], target: { kind: "directory" } },
  ...{ keep_ownership: false, includes: [], excludes: [], dry_run: false, verify: true, path_map: [] },
};

/** What restic says of items that it claims to have restored, and of those that failed. */
function heard(restored: string[], failed: Record<string, string> = {}): RestoreTally {
  const tally = new RestoreTally();
  const say = (line: object) => tally.hear("/", JSON.stringify(line));
  for (const item of restored) say({ message_type: "verbose_status", action: "restored", item, size: 10 });
  for (const [item, message] of Object.entries(failed))
    say({ message_type: "error", error: { message }, during: "restore", item });
  return tally;
}

const conclude = (tally: RestoreTally, changes: Partial<Ending> = {}) => {
  const ended = concludeRestore({
    ...{ spec, root: "/new", plan: { runs: [], destinations: [] }, tally, ownership: "agent" },
    ...{ exitCode: 0, stderrTail: [], fatal: null, cancelled: false },
    ...changes,
  });
  expect(jobResult.safeParse(ended.result).success).toBe(true);
  return ended;
};

describe("a restore", () => {
  test("of which everything is there has succeeded", () => {
    expect(conclude(heard(["/a", "/b"]))).toMatchObject({
      ...{ status: "succeeded", error: null },
      result: { complete: true, restored: 2, restored_bytes: 20, verified: true, problem: null },
    });
  });

  test("does not count as restored what restic calls restored and failed", () => {
    const ended = conclude(heard(["/a", "/b"], { "/b": "permission denied" }), { exitCode: 1 });
    expect(ended).toMatchObject({
      ...{ status: "warning", error: { code: "restore.partial" } },
      result: { complete: false, restored: 1, restored_bytes: null, failed: 1 },
    });
    expect(ended.error?.message).toContain("1 item was not restored");
    expect(ended.error?.message).toContain("/b: permission denied");
  });

  test("counts an item that failed twice once, with its first reason", () => {
    const tally = heard(["/a", "/b"], { "/b": "mkdir: read-only file system" });
    tally.hear("/", '{"message_type":"error","error":{"message":"lchown: no such file"},"item":"/b"}');
    expect(conclude(tally).result).toMatchObject({
      failed: 1,
      failed_items: [{ path: "/b", message: "mkdir: read-only file system" }],
    });
  });

  test("onto a full disk has failed, though restic claims all of it", () => {
    const ended = conclude(heard(["/a", "/b"], { "/b": "write /new/b: no space left on device" }), {
      exitCode: 1,
    });
    expect(ended).toMatchObject({ status: "failed", error: { code: "restore.target_full" } });
    expect(ended.error?.message).toContain("The disk of /new is full");
  });

  test("of which nothing could be written has failed, with the reason", () => {
    const ended = conclude(heard([], { "/a": "open /new/a: permission denied" }), { exitCode: 1 });
    expect(ended).toMatchObject({ status: "failed", error: { code: "restore.target_not_writable" } });
  });

  test("of nothing is no success, whatever restic's exit code", () => {
    expect(conclude(heard([]))).toMatchObject({
      status: "failed",
      error: { code: "restore.nothing_restored" },
    });
    const byPattern = conclude(heard([]), { spec: { ...spec, includes: ["*.none"] } });
    expect(byPattern.error?.message).toContain("no file of the selection fits the patterns");
  });

  test("of files that are all there already has succeeded", () => {
    const tally = heard([]);
    tally.hear("/", '{"message_type":"verbose_status","action":"unchanged","item":"/a","size":5}');
    expect(conclude(tally)).toMatchObject({
      status: "succeeded",
      result: { restored: 0, skipped: 1, skipped_bytes: 5 },
    });
  });

  test("whose owners could not be kept is a warning, and complete", () => {
    expect(conclude(heard(["/a"]), { root: null, ownership: "not_kept" })).toMatchObject({
      ...{ status: "warning", error: { code: "restore.ownership_not_kept" } },
      result: { complete: true, in_place: true, ownership: "not_kept" },
    });
  });

  test("that was tried only says what would be", () => {
    const ended = conclude(heard(["/a"]), { spec: { ...spec, dry_run: true }, ownership: "not_kept" });
    expect(ended).toMatchObject({ status: "succeeded", result: { dry_run: true, verified: false } });
    expect(ended.closing[0]?.text).toBe(
      "Dry run, nothing was written: 1 file or folder (10 B) would be restored to /new.",
    );
  });

  test("that was cancelled tells what is complete and warns of the rest", () => {
    const ended = conclude(heard(["/a"]), { cancelled: true, exitCode: 130 });
    expect(ended).toMatchObject({
      status: "cancelled",
      error: null,
      result: { complete: false, restored: 1 },
    });
    expect(ended.closing.map(({ text }) => text).join(" ")).toContain("holes");
  });

  test("that ended in the middle says why, and what is there", () => {
    const fatal = { code: "restic.unreachable", message: "The storage cannot be reached.", last_lines: [] };
    const ended = conclude(heard(["/a"]), { fatal, exitCode: 1 });
    expect(ended).toMatchObject({
      status: "failed",
      error: fatal,
      result: { restored: 1, problem: fatal.code },
    });
  });
});

describe("its progress", () => {
  const status = (figures: object) =>
    JSON.stringify({ message_type: "status", seconds_elapsed: 2, ...figures });

  test("runs over all runs of restic, with the item that was written last", () => {
    const tally = heard(["/a"]);
    expect(tally.progress({ index: 0, of: 2 })).toBeUndefined();
    tally.hear(
      "/",
      status({ percent_done: 0.5, total_files: 4, files_restored: 2, total_bytes: 100, bytes_restored: 50 }),
    );
    expect(tally.progress({ index: 0, of: 2 })).toEqual({
      ...{
        percent_done: 0.25,
        total_files: 4,
        files_done: 2,
        total_bytes: 100,
        bytes_done: 50,
        error_count: 0,
      },
      ...{ current_files: ["/a"], seconds_elapsed: 2, seconds_remaining: 6, bytes_per_second: 25 },
    });
    tally.endRun();
    tally.hear("/srv", '{"message_type":"verbose_status","action":"updated","item":"/x\\ny","size":1}');
    tally.hear(
      "/srv",
      status({ percent_done: 1, total_files: 1, files_restored: 1, total_bytes: 1, bytes_restored: 1 }),
    );
    expect(tally.progress({ index: 1, of: 2 })).toMatchObject({
      ...{
        percent_done: 1,
        files_done: 3,
        bytes_done: 51,
        current_files: ["/srv/x\\ny"],
        seconds_remaining: 0,
      },
    });
    expect(tally.replaced).toBe(1);
  });
});
