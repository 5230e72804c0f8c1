import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { getRecording, lines, RECORDED_VERSIONS } from "../../fixtures/restic/recorded.ts";
import { parseBackupLine, parseSnapshots, parseVersion, redactLine, stripEscapes } from "./output.ts";

const of = (version: (typeof RECORDED_VERSIONS)[number], name: string) => {
  const recording = getRecording(version, name);
  return [...lines(recording.stdout), ...recording.stderr].map(parseBackupLine);
};

describe.each(RECORDED_VERSIONS)("output of restic %s", (version) => {
  it("gives its version", () => {
    expect(parseVersion(getRecording(version, "version-json").stdout)).toBe(version);
  });

  it("ends a backup with a summary that names the snapshot", () => {
    const summary = of(version, "backup-json").find((line) => line.kind === "summary")?.summary;
    expect(summary).toMatchObject({ filesNew: 30, filesChanged: 0, totalFiles: 30, dirsNew: 11 });
    expect(summary?.snapshotId).toMatch(/^[0-9a-f]{64}$/);
    expect(summary?.addedBytes).toBeGreaterThan(8_000_000);
  });

  it("reports progress between 0 and 1 with every omitted number as zero", () => {
    const progress = of(version, "signal-backup-SIGINT").flatMap((line) =>
      line.kind === "status" ? [line.progress] : [],
    );
    expect(progress.length).toBeGreaterThan(0);
    for (const at of progress) {
      expect(at.percentDone).toBeGreaterThanOrEqual(0);
      expect(at.percentDone).toBeLessThanOrEqual(1);
      expect(at.errorCount).toBe(0);
    }
    expect(progress.at(-1)?.totalBytes).toBe(240_000_000);
  });

  it("names the files that could not be read", () => {
    const items = of(version, "perm-backup-json").flatMap((line) => (line.kind === "error" ? [line] : []));
    expect(items.map((line) => line.item)).toContain("/srv/lab/run/perm/src/noread");
    expect(items.every((line) => line.message !== "")).toBe(true);
  });

  it("speaks of each file with -vv", () => {
    const actions = of(version, "backup-verbose-json").flatMap((line) =>
      line.kind === "verbose" ? [line.action] : [],
    );
    expect(actions).toContain("scan_finished");
    expect(actions).toContain("new");
  });

  it("has no snapshot id and a sane duration when nothing was saved", () => {
    const recording = of(version, "skip-rel");
    const summaries = recording.flatMap((line) => (line.kind === "summary" ? [line.summary] : []));
    for (const summary of summaries) expect(summary.reportedSeconds).toBeGreaterThanOrEqual(0);
    if (version !== "0.16.4") expect(summaries.at(-1)?.snapshotId).toBeUndefined();
  });

  it("lists snapshots with time, paths and tags, and their size from 0.17 on", () => {
    const outcome = parseSnapshots(getRecording(version, "snapshots-json").stdout);
    if (outcome.kind !== "ok") throw new Error(outcome.message);
    expect(outcome.skipped).toBe(0);
    const [first] = outcome.snapshots;
    expect(first).toMatchObject({
      hostname: "h1",
      tags: ["plan:a", "run:1", "x"],
      paths: ["/srv/lab/data/src"],
    });
    expect(first?.id.startsWith(first.shortId)).toBe(true);
    expect(new Date(first?.timeMs ?? 0).getUTCFullYear()).toBe(2026);
    expect(first?.fileCount).toBe(version === "0.16.4" ? undefined : 30);
    expect((first?.sizeBytes ?? 0) > 0).toBe(version !== "0.16.4");
  });

  it("lists no snapshots as an empty list", () => {
    const outcome = parseSnapshots(getRecording(version, "snapshots-empty-json").stdout);
    expect(outcome).toEqual({ kind: "ok", snapshots: [], skipped: 0 });
  });
});

describe("parseBackupLine", () => {
  it("takes the first line of a final error only, whatever follows it", () => {
    const line = JSON.stringify({
      message_type: "exit_error",
      code: 3,
      message: "Fatal: broken\ngoroutine 1\n",
    });
    expect(parseBackupLine(line)).toEqual({ kind: "exit_error", code: 3, message: "Fatal: broken" });
  });

  it("keeps the odd names of files as they are", () => {
    const item = 'new\nline "quote" <script>alert(1)</script> \u001b[31m \ufffd';
    const line = JSON.stringify({ message_type: "error", error: { message: "no" }, during: "scan", item });
    expect(parseBackupLine(line)).toMatchObject({ kind: "error", item });
  });

  it("reads an absurd duration and a malformed snapshot id as absent", () => {
    const line = '{"message_type":"summary","total_duration":-9223372036.85,"snapshot_id":"../../etc"}';
    const parsed = parseBackupLine(line);
    if (parsed.kind !== "summary") throw new Error(parsed.kind);
    expect(parsed.summary.reportedSeconds).toBe(0);
    expect(parsed.summary.snapshotId).toBeUndefined();
    expect(parsed.summary.filesNew).toBe(0);
  });

  it("shows text without terminal escapes", () => {
    expect(parseBackupLine("\u001b[2Ksignal interrupt received\r")).toEqual({
      kind: "text",
      text: "signal interrupt received",
    });
    expect(stripEscapes("a\u001b]b\u0007c\td\u009be")).toBe("abc\tde");
  });

  it("never throws, whatever the line", () => {
    const almost = fc.record(
      {
        message_type: fc.constantFrom("status", "error", "summary", "exit_error", "verbose_status", "?"),
        percent_done: fc.anything(),
        error: fc.anything(),
        item: fc.anything(),
        code: fc.anything(),
        current_files: fc.anything(),
        snapshot_id: fc.anything(),
      },
      { requiredKeys: ["message_type"] },
    );
    const line = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.json(),
      almost.map((value) => String(JSON.stringify(value))),
    );
    fc.assert(fc.property(line, (text) => typeof parseBackupLine(text).kind === "string"));
  });
});

describe("parseSnapshots", () => {
  it("takes null for none and says when it is no list", () => {
    expect(parseSnapshots("null")).toEqual({ kind: "ok", snapshots: [], skipped: 0 });
    for (const text of ["", "{", "{}", '"x"', "Fatal: no"]) expect(parseSnapshots(text).kind).toBe("invalid");
  });

  it("counts the entries it cannot understand and keeps the others", () => {
    const good = {
      id: "a".repeat(64),
      time: "2026-01-02T03:04:05.123456789+02:00",
      hostname: "h",
      tags: null,
    };
    const outcome = parseSnapshots(JSON.stringify([good, { id: "x" }, 7, { ...good, time: "yesterday" }]));
    if (outcome.kind !== "ok") throw new Error(outcome.message);
    expect(outcome.skipped).toBe(3);
    expect(outcome.snapshots).toEqual([
      {
        ...{ id: "a".repeat(64), shortId: "aaaaaaaa", hostname: "h", paths: [], tags: [] },
        timeMs: Date.UTC(2026, 0, 2, 1, 4, 5, 123),
      },
    ]);
  });

  it("never throws, whatever the document", () => {
    const document = fc.oneof(
      fc.string(),
      fc.json(),
      fc.array(fc.anything()).map((value) => String(JSON.stringify(value))),
    );
    fc.assert(fc.property(document, (text) => ["ok", "invalid"].includes(parseSnapshots(text).kind)));
  });
});

describe("parseVersion", () => {
  it.each([
    ["restic 0.14.0 compiled with go1.19.8 on linux/amd64\n", "0.14.0"],
    ['{"version":"0.18.1-dev (compiled manually)"}', "0.18.1"],
    ["restic 0.17.3-dev compiled with go1.23", "0.17.3"],
    ["something else", undefined],
    ['{"version":5}', undefined],
  ])("reads %s", (text, version) => {
    expect(parseVersion(text)).toBe(version);
  });
});

describe("redactLine", () => {
  it("keeps restic's own words even when a password is spelled like one", () => {
    const redact = (text: string) => text.replaceAll("summary", "***");
    const line = '{"message_type":"summary","item":"/x/summary"}';
    expect(redactLine(line, redact)).toBe('{"message_type":"summary","item":"/x/***"}');
    expect(redactLine("a summary", redact)).toBe("a ***");
  });

  it("masks as text what is not JSON or too deep to be rebuilt", () => {
    const redact = (text: string) => text.replaceAll("hush", "***");
    expect(redactLine('{"hush', redact)).toBe('{"***');
    const deep = `{"a":${"[".repeat(100_000)}"hush"${"]".repeat(100_000)}}`;
    expect(redactLine(deep, redact)).not.toContain("hush");
  });
});
