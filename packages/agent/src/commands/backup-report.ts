/** A backup in words and in the protocol's shapes: pure functions from what restic said. */
import type { BackupSummary, JobError, Progress } from "@restic-manager/protocol";
import type { LineDraft } from "../journal/job-log.ts";
import {
  type BackupLine,
  type BackupProgress,
  type BackupSummary as ResticSummary,
  toWhole,
} from "../restic/output.ts";
import { visible } from "./job-context.ts";

/** More names than this make a sentence unreadable. */
const NAMED_PATHS = 20;
const MESSAGE_CHARS = 4_000;
const SHOWN_FILES = 16;

export function warning(text: string): LineDraft {
  return { level: "warning", stream: "agent", text };
}

/** Names the includes that do not exist. */
export function missingSentence(missing: readonly string[]): string {
  const named = missing.slice(0, NAMED_PATHS).map(visible).join(", ");
  const more = missing.length > NAMED_PATHS ? ` and ${missing.length - NAMED_PATHS} more` : "";
  const fact = missing.length === 1 ? "This path does not exist and is" : "These paths do not exist and are";
  return `${fact} not covered: ${named}${more}.`;
}

export function allMissing(missing: readonly string[]): JobError {
  const advice = "Nothing was backed up. Check the paths and whether their disks are mounted.";
  return error("restic.source_missing", `${missingSentence(missing)} ${advice}`);
}

/** What the snapshot lacks: unreadable files, missing paths, both, or null for nothing. */
export function notCovered(partial: JobError | null, missing: readonly string[]): JobError | null {
  if (missing.length === 0) return partial;
  if (partial === null) return error("restic.source_missing", missingSentence(missing));
  return { ...partial, message: bounded(`${missingSentence(missing)} ${partial.message}`) };
}

/** A moved or unmounted source makes a good-looking empty snapshot: the operator said how small is too small. */
export function tooSmall(
  known: JobError | null,
  summary: BackupSummary,
  minSizeBytes: number | null | undefined,
): JobError | null {
  if (minSizeBytes == null || summary.total_bytes >= minSizeBytes) return known;
  const size = summary.total_files === 0 ? "no file at all" : `only ${formatBytes(summary.total_bytes)}`;
  const sentence = `The snapshot was made, but holds ${size}, less than the ${formatBytes(minSizeBytes)} that this source group should have at least. Check whether its paths moved or their disks are not mounted.`;
  const message = known === null ? sentence : bounded(`${sentence} ${known.message}`);
  return { code: "restic.below_min_size", message, last_lines: known?.last_lines ?? [] };
}

/** Windows made no snapshot of a volume, so restic read the files as they are. `reasons` are restic's words. */
export function withoutSnapshot(known: JobError | null, reasons: readonly string[]): JobError | null {
  const [reason] = reasons;
  if (reason === undefined) return known;
  const fact = `Windows made no snapshot of the volume, so the files were read as they are: what programs held open may be missing or half written. restic says: ${reason.trim()}.`;
  const advice =
    "Check that the service “Volume Shadow Copy” can start and that the disk has room for snapshots, or set volume_snapshots: false in agent.yaml to do without.";
  if (known !== null) return { ...known, message: bounded(`${known.message} ${fact}`) };
  return error("restic.no_volume_snapshot", `${fact} ${advice}`);
}

function error(code: string, message: string): JobError {
  return { code, message: bounded(message), last_lines: [] };
}

function bounded(text: string): string {
  return text.length <= MESSAGE_CHARS ? text : `${text.slice(0, MESSAGE_CHARS - 1)}…`;
}

/** A line of restic as a line of the job's log; undefined for what is not log. */
export function toLogLine(line: BackupLine, stream: "stdout" | "stderr"): LineDraft | undefined {
  switch (line.kind) {
    case "status":
    case "summary":
      return undefined;
    case "error":
      return { level: "error", stream, text: `${visible(line.item)}: ${line.message}` };
    case "exit_error":
      return { level: "error", stream, text: line.message };
    case "verbose":
      return { level: "info", stream, text: `${line.action} ${visible(line.item)}` };
    case "text": {
      if (line.text.trim() === "") return undefined;
      const level = line.text.startsWith("Fatal:") ? "error" : stream === "stderr" ? "warning" : "info";
      return { level, stream, text: line.text };
    }
  }
}

/** restic's status in the protocol's shape and bounds. */
export function toWireProgress(progress: BackupProgress): Progress {
  const { secondsElapsed, bytesDone } = progress;
  return {
    percent_done: progress.percentDone,
    total_files: toWhole(progress.totalFiles),
    files_done: toWhole(progress.filesDone),
    total_bytes: toWhole(progress.totalBytes),
    bytes_done: toWhole(bytesDone),
    error_count: toWhole(progress.errorCount),
    current_files: progress.currentFiles.slice(0, SHOWN_FILES).map((path) => path.slice(0, 32_768)),
    seconds_elapsed: secondsElapsed,
    seconds_remaining: progress.secondsRemaining ?? null,
    // A second at least: figures of the first moments make absurd speeds.
    bytes_per_second: secondsElapsed >= 1 ? bytesDone / secondsElapsed : null,
  };
}

/** `durationMs` is measured: restic's own figure is wrong in some versions. */
export function toWireSummary(summary: ResticSummary, durationMs: number): BackupSummary {
  return {
    snapshot_id: summary.snapshotId ?? null,
    files_new: toWhole(summary.filesNew),
    files_changed: toWhole(summary.filesChanged),
    files_unmodified: toWhole(summary.filesUnmodified),
    total_files: toWhole(summary.totalFiles),
    total_bytes: toWhole(summary.totalBytes),
    added_bytes: toWhole(summary.addedBytes),
    added_bytes_packed: toWhole(summary.addedPackedBytes),
    duration_ms: durationMs,
  };
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Bytes in IEC units, as the pages write them: `76.3 MiB`. */
export function formatBytes(sizeBytes: number): string {
  let size = sizeBytes;
  let unit = 0;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${UNITS[unit]}`;
}

/** What the backup did, for the end of its log. */
export function summaryLines(summary: BackupSummary): LineDraft[] {
  const files = `${summary.files_new} new, ${summary.files_changed} changed, ${summary.files_unmodified} unmodified`;
  const snapshot = (summary.snapshot_id ?? "").slice(0, 8);
  const texts = [
    `Files: ${files}; ${formatBytes(summary.total_bytes)} in all, ${formatBytes(summary.added_bytes)} added to the repository.`,
    `Snapshot ${snapshot} saved in ${(summary.duration_ms / 1000).toFixed(1)} s.`,
  ];
  return texts.map((text) => ({ level: "info", stream: "agent", text }));
}
