/** Paths in a snapshot, and a restore that fits a frame however much went wrong. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeMessage, restoreResult, snapshotPath } from "./index.ts";

const base64 = (bytes: string) => `base64:${btoa(bytes)}`;

describe("a path in a snapshot", () => {
  test.each(["/", "/etc/hosts", "/C/Users", "/a\nb", "/..a", "/a..", "/$HOME", base64("/srv/bad\xff")])(
    "may be %j",
    (path) => expect(snapshotPath.safeParse(path).success).toBe(true),
  );

  test.each([
    ...["", "etc", "//etc", "/etc/", "/etc//x", "/..", "/etc/../x", "/.", "/a/./b", "/a\0b", "C:\\Users"],
    ...[
      "base64:",
      "base64:%%",
      base64("etc"),
      base64("/etc/../\xff"),
      base64("/a\0"),
      "/".padEnd(40_000, "a"),
    ],
  ])("may not be %j", (path) => expect(snapshotPath.safeParse(path).success).toBe(false));

  test("is judged without throwing, whatever it is", () => {
    fc.assert(fc.property(fc.string(), (text) => typeof snapshotPath.safeParse(text).success === "boolean"));
    fc.assert(
      fc.property(
        fc.base64String(),
        (text) => typeof snapshotPath.safeParse(`base64:${text}`).success === "boolean",
      ),
    );
  });
});

test("the largest result fits a frame", () => {
  const result = restoreResult.parse({
    ...{ kind: "restore", dry_run: false, complete: false, in_place: false, target: "\u{ffff}".repeat(4096) },
    ...{ restored: 1, restored_bytes: null, replaced: 0, skipped: 0, skipped_bytes: 0, failed: 1_000_000 },
    failed_items: Array(50).fill({ path: "\u{ffff}".repeat(2048), message: "\u{ffff}".repeat(500) }),
    written: Array(20).fill({ from: "\u{ffff}".repeat(2048), to: "\u{ffff}".repeat(2048) }),
    ...{ ownership: "agent", verified: false, problem: "restore.partial" },
  });
  const frame = encodeMessage({
    ...{ type: "job.finished", seq: 1, job_id: "01KAQ2W4T9B3E6R8M1N5P7S0VX", attempt: 1 },
    ...{ at: "2026-11-23T04:12:09.104Z", status: "warning", exit_code: 1, summary: null, log_lines: 1 },
    error: {
      code: "restore.partial",
      message: "\u{ffff}".repeat(4000),
      last_lines: Array(20).fill("\u{ffff}".repeat(4096)),
    },
    result,
  });
  expect(frame.length).toBeGreaterThan(100_000);
});
