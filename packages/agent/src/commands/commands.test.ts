/** A backup in words and in the protocol's bounds, whatever restic and the file system come up with. */
import { agentMessage, maxFrameBytes, type Snapshot } from "@restic-manager/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseBackupLine } from "../restic/output.ts";
import {
  allMissing,
  formatBytes,
  missingSentence,
  notCovered,
  summaryLines,
  toLogLine,
  tooSmall,
  toWireProgress,
  toWireSummary,
  withoutSnapshot,
} from "./backup-report.ts";
import { hookError } from "./hook-report.ts";
import { visible } from "./job-context.ts";
import { cutIntoParts, toWireSnapshot } from "./list-snapshots.ts";
import { cancelledRun } from "./restic-access.ts";

const JOB = "01KAQ2W4T9B3E6R8M1N5P7S0VX";
const EMPTY_SUMMARY = {
  ...{ filesNew: 0, filesChanged: 0, filesUnmodified: 0, dirsNew: 0, dirsChanged: 0, dirsUnmodified: 0 },
  ...{ addedBytes: 0, addedPackedBytes: 0, totalFiles: 0, totalBytes: 0, reportedSeconds: 0 },
};

describe("control characters", () => {
  test("are shown, not obeyed", () => {
    expect(visible('a\nb\tc\x1b[31m\x00\x7fd"é😀')).toBe('a\\nb\\tc\\x1b[31m\\x00\\x7fd"é😀');
  });
});

describe("bytes", () => {
  test.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [80_000_000, "76.3 MiB"],
    [3 * 1024 ** 4, "3.0 TiB"],
  ])("%d are written as %s", (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});

describe("a cancelled run", () => {
  const followed = {
    outcome: { kind: "cancelled" as const },
    exitCode: null,
    ran: { fromMs: 1, toMs: 2 },
    stderrTail: ["unable to remove lock"],
    forced: false,
  };

  test("that ended by itself is cancelled and nothing more", () => {
    expect(cancelledRun(followed)).toMatchObject({ status: "cancelled", error: null });
  });

  test("that had to be killed says that its lock may be left", () => {
    const result = cancelledRun({ ...followed, forced: true });
    expect(result).toMatchObject({ status: "cancelled", error: { code: "restic.stop_forced" } });
    expect(result.closing[0]?.text).toContain("lock");
  });
});

describe("files that were read without a snapshot of their volume", () => {
  const reasons = ["VSS error: no room.", "VSS error: another"];

  test("are a warning with restic's reason and what to do", () => {
    expect(withoutSnapshot(null, reasons)).toMatchObject({
      code: "restic.no_volume_snapshot",
      message: expect.stringMatching(/VSS error: no room.*volume_snapshots: false/s),
    });
  });

  test("do not hide what was not covered at all", () => {
    const partial = { code: "restic.partial", message: "Some files could not be read.", last_lines: [] };
    expect(withoutSnapshot(partial, [])).toBe(partial);
    expect(withoutSnapshot(partial, reasons)).toMatchObject({
      code: "restic.partial",
      message: expect.stringMatching(/^Some files could not be read\. Windows made no snapshot/),
    });
  });
});

describe("what was not covered", () => {
  test("is named, one path or many", () => {
    expect(missingSentence(["/a"])).toBe("This path does not exist and is not covered: /a.");
    expect(missingSentence(["/a", "/b\n"])).toBe("These paths do not exist and are not covered: /a, /b\\n.");
    const many = Array.from({ length: 30 }, (_, index) => `/path-${index}`);
    expect(missingSentence(many)).toMatch(/\/path-19 and 10 more\.$/);
  });

  test("is nothing, missing paths, unreadable files, or both", () => {
    const partial = { code: "restic.partial", message: "Some files could not be read.", last_lines: [] };
    expect(notCovered(null, [])).toBeNull();
    expect(notCovered(partial, [])).toBe(partial);
    expect(notCovered(null, ["/a"])).toMatchObject({ code: "restic.source_missing" });
    expect(notCovered(partial, ["/a"])).toMatchObject({
      code: "restic.partial",
      message: "This path does not exist and is not covered: /a. Some files could not be read.",
    });
  });

  test("fits the protocol however long the paths are", () => {
    const paths = Array.from({ length: 20 }, () => `/${"x".repeat(4000)}`);
    expect(allMissing(paths).message.length).toBeLessThanOrEqual(4000);
  });
});

describe("a snapshot that is smaller than it should be", () => {
  const summaryOf = (bytes: number, files: number) =>
    toWireSummary({ ...EMPTY_SUMMARY, totalBytes: bytes, totalFiles: files }, 1);

  test("is a warning that says how large it is and how large it should be", () => {
    expect(tooSmall(null, summaryOf(1024, 1), 2048)).toMatchObject({
      code: "restic.below_min_size",
      message: expect.stringContaining("only 1.0 KiB, less than the 2.0 KiB"),
    });
    expect(tooSmall(null, summaryOf(0, 0), 1)?.message).toContain("no file at all");
  });

  test("does not hide what else was not covered", () => {
    const partial = { code: "restic.partial", message: "Some files.", last_lines: ["denied"] };
    const error = tooSmall(partial, summaryOf(0, 0), 1);
    expect(error?.message).toMatch(/Some files\.$/);
    expect(error?.last_lines).toEqual(["denied"]);
  });

  test("is not one that is large enough, or of a group without a bound", () => {
    expect(tooSmall(null, summaryOf(2048, 1), 2048)).toBeNull();
    expect(tooSmall(null, summaryOf(0, 0), null)).toBeNull();
  });
});

describe("a hook that did not end well", () => {
  const hook = { script: "secret-in-script", timeout_seconds: 600 };

  test.each([
    ["pre" as const, { kind: "exited" as const, code: 3, signal: null }, "hook.pre_failed", "exit code 3"],
    [
      "post" as const,
      { kind: "exited" as const, code: null, signal: "SIGKILL" },
      "hook.post_failed",
      "SIGKILL",
    ],
    ["pre" as const, { kind: "timeout" as const }, "hook.pre_timeout", "600 s"],
    ["post" as const, { kind: "timeout" as const }, "hook.post_timeout", "600 s"],
    ["post" as const, { kind: "not_run" as const, reason: "ENOSPC" }, "hook.post_failed", "ENOSPC"],
    ["pre" as const, { kind: "vanished" as const }, "hook.pre_failed", "not known"],
    ["pre" as const, { kind: "output" as const }, "hook.pre_failed", "16 MiB"],
  ])("(%s, %j) has the code %s", (phase, end, code, words) => {
    const error = hookError(phase, hook, end, ["last words"]);
    expect(error).toMatchObject({ code, last_lines: ["last words"] });
    expect(error.message).toContain(words);
    expect(JSON.stringify(error)).not.toContain("secret-in-script");
  });
});

describe("restic's lines", () => {
  test.each([
    ['{"message_type":"status","percent_done":1}', undefined],
    ['{"message_type":"summary"}', undefined],
    ["   ", undefined],
    ["Fatal: no", { level: "error", stream: "stderr", text: "Fatal: no" }],
    ["retrying", { level: "warning", stream: "stderr", text: "retrying" }],
    [
      '{"message_type":"error","error":{"message":"denied"},"item":"/a\\nb"}',
      { level: "error", stream: "stderr", text: "/a\\nb: denied" },
    ],
  ])("%j becomes log as it should", (line, expected) => {
    expect(toLogLine(parseBackupLine(line), "stderr")).toEqual(expected);
  });

  test("any status or summary becomes a message that the protocol takes", () => {
    const figure = fc.oneof(fc.integer(), fc.double(), fc.constant(null), fc.string());
    const fields = ["percent_done", "total_files", "bytes_done", "seconds_elapsed", "seconds_remaining"];
    const record = fc.record(Object.fromEntries(fields.map((name) => [name, figure])));
    fc.assert(
      fc.property(record, fc.array(fc.string(), { maxLength: 40 }), (figures, files) => {
        const line = JSON.stringify({ message_type: "status", ...figures, current_files: files });
        const parsed = parseBackupLine(line);
        if (parsed.kind !== "status") return;
        const progress = toWireProgress(parsed.progress);
        const message = { type: "job.progress", job_id: JOB, attempt: 1, progress };
        expect(agentMessage.safeParse(message).success).toBe(true);
      }),
    );
  });

  test("a summary is told in figures and in two lines", () => {
    const parsed = parseBackupLine(
      '{"message_type":"summary","files_new":3,"data_added":7.5,"snapshot_id":"0123456789abcdef"}',
    );
    if (parsed.kind !== "summary") throw new Error("no summary");
    const summary = toWireSummary(parsed.summary, 1500);
    expect(summary).toMatchObject({ files_new: 3, added_bytes: 7, duration_ms: 1500 });
    expect(summaryLines(summary).map(({ text }) => text)).toEqual([
      "Files: 3 new, 0 changed, 0 unmodified; 0 B in all, 7 B added to the repository.",
      "Snapshot 01234567 saved in 1.5 s.",
    ]);
  });
});

describe("the list of snapshots", () => {
  const restic = {
    ...{ id: "0123abcd", shortId: "0123abcd", timeMs: 0, hostname: "h", paths: ["/a"], tags: ["default"] },
  };
  const frameOf = (snapshots: Snapshot[], part = 1, parts = 1) => ({
    ...{ type: "snapshots.report", seq: 1, report_id: JOB, job_id: JOB },
    ...{ part, parts, snapshots },
  });

  test("of an empty repository is one empty part", () => {
    expect(cutIntoParts([])).toEqual([[]]);
  });

  test("is cut into parts that each fit a frame, in order and complete", () => {
    const snapshots = Array.from({ length: 5000 }, (_, index) =>
      toWireSnapshot({ ...restic, paths: [`/${"ä".repeat(200)}`], tags: [String(index)] }),
    );
    const parts = cutIntoParts(snapshots);
    expect(parts.flat()).toEqual(snapshots);
    for (const [index, part] of parts.entries()) {
      const frame = frameOf(part, index + 1, parts.length);
      expect(agentMessage.safeParse(frame).success).toBe(true);
      expect(Buffer.byteLength(JSON.stringify(frame))).toBeLessThan(maxFrameBytes / 2);
    }
  });

  test("stays within the protocol's bounds however large one snapshot is", () => {
    const paths = Array.from({ length: 2000 }, (_, index) => `/${index}${"\n".repeat(30_000)}`);
    const wire = toWireSnapshot({ ...restic, paths, tags: Array(500).fill("t".repeat(300)) });
    expect(agentMessage.safeParse(frameOf([wire])).success).toBe(true);
    expect(Buffer.byteLength(JSON.stringify(frameOf([wire])))).toBeLessThan(maxFrameBytes);
    expect(toWireSnapshot(restic)).toMatchObject({ size_bytes: null, file_count: null, username: null });
  });
});
