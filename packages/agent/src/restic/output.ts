/**
 * Knows restic's JSON, together with the other `*-output.ts` beside it and no other file. Tolerant by design: a line that
 * is not what we expect is text, a number that is absent is zero (restic omits zeros), and no bytes ever make these
 * functions throw.
 */
import { z } from "zod";

/** One status line of a backup. Bytes and files are counts so far; `percentDone` is 0..1. */
export type BackupProgress = {
  percentDone: number;
  totalFiles: number;
  filesDone: number;
  totalBytes: number;
  bytesDone: number;
  errorCount: number;
  currentFiles: string[];
  secondsElapsed: number;
  /** restic leaves it out while it cannot tell. */
  secondsRemaining?: number;
};

/** restic's last word on a backup. Not proof of success: the exit code decides. */
export type BackupSummary = {
  /** Full id; undefined when no snapshot was made (--skip-if-unchanged). */
  snapshotId?: string;
  filesNew: number;
  filesChanged: number;
  filesUnmodified: number;
  dirsNew: number;
  dirsChanged: number;
  dirsUnmodified: number;
  /** Bytes before and after compression that this run added to the repository. */
  addedBytes: number;
  addedPackedBytes: number;
  totalFiles: number;
  totalBytes: number;
  /** As restic says, 0 when it says nonsense (0.18.0). Measured wall time is the one to show. */
  reportedSeconds: number;
  /** The snapshot's time, epoch milliseconds; told by restic 0.18 and later. */
  startedAtMs?: number;
};

export type BackupLine =
  | { kind: "status"; progress: BackupProgress }
  /** One file could not be read. */
  | { kind: "error"; item: string; message: string; during: string }
  | { kind: "summary"; summary: BackupSummary }
  | { kind: "exit_error"; code: number; message: string }
  | { kind: "verbose"; action: string; item: string; sizeBytes: number }
  | { kind: "text"; text: string };

const count = z.number().nonnegative().catch(0);
const words = z.string().catch("");

const status = z.object({
  message_type: z.literal("status"),
  percent_done: z.number().min(0).max(1).catch(0),
  total_files: count,
  files_done: count,
  total_bytes: count,
  bytes_done: count,
  error_count: count,
  current_files: z.array(z.string()).catch([]),
  seconds_elapsed: count,
  seconds_remaining: z.number().nonnegative().optional().catch(undefined),
});

const itemError = z.object({
  message_type: z.literal("error"),
  error: z.object({ message: words }).catch({ message: "" }),
  during: words,
  item: words,
  /** What `check` has to say; such an error is of no item. */
  message: words,
});

const summary = z.object({
  message_type: z.literal("summary"),
  snapshot_id: z
    .string()
    .regex(/^[0-9a-f]{8,64}$/)
    .optional()
    .catch(undefined),
  files_new: count,
  files_changed: count,
  files_unmodified: count,
  dirs_new: count,
  dirs_changed: count,
  dirs_unmodified: count,
  data_added: count,
  data_added_packed: count,
  total_files_processed: count,
  total_bytes_processed: count,
  total_duration: count,
  backup_start: words,
});

const exitError = z.object({ message_type: z.literal("exit_error"), code: z.int().catch(1), message: words });

const verbose = z.object({
  message_type: z.literal("verbose_status"),
  action: words,
  item: words,
  data_size: count,
});

const backupMessage = z.discriminatedUnion("message_type", [status, itemError, summary, exitError, verbose]);

/** One line of a backup's stdout or stderr. Never throws. */
export function parseBackupLine(line: string): BackupLine {
  const parsed = line.startsWith("{") ? backupMessage.safeParse(parseJson(line)) : undefined;
  if (parsed?.success !== true) return { kind: "text", text: stripEscapes(line) };
  const message = parsed.data;
  switch (message.message_type) {
    case "status":
      return { kind: "status", progress: toProgress(message) };
    case "error":
      if (message.item === "" && message.message !== "")
        return { kind: "text", text: oneLine(message.message) };
      return {
        kind: "error",
        item: message.item,
        message: stripEscapes(message.error.message) || "could not be read",
        during: message.during,
      };
    case "summary":
      return { kind: "summary", summary: toSummary(message) };
    case "exit_error":
      return { kind: "exit_error", code: message.code, message: firstLine(message.message) };
    case "verbose_status":
      return { kind: "verbose", action: message.action, item: message.item, sizeBytes: message.data_size };
  }
}

function toProgress(message: z.output<typeof status>): BackupProgress {
  const remaining = message.seconds_remaining;
  return {
    percentDone: message.percent_done,
    totalFiles: message.total_files,
    filesDone: message.files_done,
    totalBytes: message.total_bytes,
    bytesDone: message.bytes_done,
    errorCount: message.error_count,
    currentFiles: message.current_files,
    secondsElapsed: message.seconds_elapsed,
    ...(remaining === undefined ? {} : { secondsRemaining: remaining }),
  };
}

function toSummary(message: z.output<typeof summary>): BackupSummary {
  const snapshotId = message.snapshot_id;
  const startedAtMs = Date.parse(message.backup_start);
  return {
    ...(snapshotId === undefined ? {} : { snapshotId }),
    filesNew: message.files_new,
    filesChanged: message.files_changed,
    filesUnmodified: message.files_unmodified,
    dirsNew: message.dirs_new,
    dirsChanged: message.dirs_changed,
    dirsUnmodified: message.dirs_unmodified,
    addedBytes: message.data_added,
    addedPackedBytes: message.data_added_packed,
    totalFiles: message.total_files_processed,
    totalBytes: message.total_bytes_processed,
    reportedSeconds: message.total_duration,
    ...(Number.isNaN(startedAtMs) || startedAtMs <= 0 ? {} : { startedAtMs }),
  };
}

/** Where restic puts words of its own: a password that reads "summary" must not make a summary unreadable. */
const OWN_WORDS = new Set(["message_type", "snapshot_id", "action", "during"]);

/** Masks secrets in a line without breaking its JSON: only in string values, and none that are restic's own. */
export function redactLine(line: string, redact: (text: string) => string): string {
  const masked = redact(line);
  if (masked === line || !line.startsWith("{")) return masked;
  try {
    const keepOwn = (key: string, value: unknown) =>
      typeof value === "string" && !OWN_WORDS.has(key) ? redact(value) : value;
    return JSON.stringify(JSON.parse(line), keepOwn);
  } catch {
    return masked;
  }
}

export type Snapshot = {
  id: string;
  shortId: string;
  /** Epoch milliseconds. */
  timeMs: number;
  hostname: string;
  /** As restic spells them: bytes that are not UTF-8 are already U+FFFD. May hold control characters. */
  paths: string[];
  tags: string[];
  username?: string;
  programVersion?: string;
  /** Only snapshots made by restic 0.17 and later know their size. */
  sizeBytes?: number;
  fileCount?: number;
  addedBytes?: number;
  /** What the backup that made it said at its end; kept by restic 0.17 and later. */
  summary?: BackupSummary;
};

export type SnapshotsOutcome =
  | { kind: "ok"; snapshots: Snapshot[] /** Entries that could not be understood. */; skipped: number }
  | { kind: "invalid"; code: "restic.bad_output"; message: string };

const size = z.number().nonnegative().optional().catch(undefined);

const snapshot = z.object({
  id: z.string().regex(/^[0-9a-f]{8,64}$/),
  short_id: z.string().optional().catch(undefined),
  time: z.string(),
  hostname: words,
  paths: z.array(z.string()).catch([]),
  tags: z.array(z.string()).catch([]),
  username: z.string().optional().catch(undefined),
  program_version: z.string().optional().catch(undefined),
  summary: z
    .looseObject({ total_bytes_processed: size, total_files_processed: size, data_added: size })
    .optional()
    .catch(undefined),
});

/** The document of `snapshots --json`: null and [] both mean none. Bound the text before calling. */
export function parseSnapshots(text: string): SnapshotsOutcome {
  const document = text.trim() === "" ? undefined : parseJson(text);
  if (document === null) return { kind: "ok", snapshots: [], skipped: 0 };
  if (!Array.isArray(document)) {
    return {
      kind: "invalid",
      code: "restic.bad_output",
      message: "restic's list of snapshots could not be read: it is not the JSON that was expected.",
    };
  }
  const snapshots = document.map(toSnapshot).filter((entry) => entry !== undefined);
  return { kind: "ok", snapshots, skipped: document.length - snapshots.length };
}

function toSnapshot(entry: unknown): Snapshot | undefined {
  const parsed = snapshot.safeParse(entry);
  const timeMs = Date.parse(parsed.data?.time ?? "");
  if (!parsed.success || Number.isNaN(timeMs)) return undefined;
  const { id, hostname, paths, tags, summary: sums, username, program_version: programVersion } = parsed.data;
  return {
    ...{ id, shortId: parsed.data.short_id ?? id.slice(0, 8), timeMs, hostname, paths, tags },
    ...(username === undefined ? {} : { username }),
    ...(programVersion === undefined ? {} : { programVersion }),
    ...(sums?.total_bytes_processed === undefined ? {} : { sizeBytes: sums.total_bytes_processed }),
    ...(sums?.total_files_processed === undefined ? {} : { fileCount: sums.total_files_processed }),
    ...(sums?.data_added === undefined ? {} : { addedBytes: sums.data_added }),
    ...(sums === undefined
      ? {}
      : { summary: toSummary(summary.parse({ ...sums, message_type: "summary", snapshot_id: id })) }),
  };
}

const versionDocument = z.object({ version: z.string().regex(/^\d+\.\d+\.\d+/) });

/** The version in `version --json`'s output, or in the text that old versions print instead. */
export function parseVersion(text: string): string | undefined {
  const parsed = versionDocument.safeParse(parseJson(text));
  const spelled = parsed.success ? parsed.data.version : /^restic (\S+)/m.exec(text)?.[1];
  return spelled === undefined ? undefined : /^\d+\.\d+\.\d+/.exec(spelled)?.[0];
}

const ESCAPE = String.fromCharCode(0x1b);
const ESCAPE_SEQUENCE = new RegExp(`${ESCAPE}(?:\\[[0-?]*[ -/]*[@-~]|[@-Z\\\\-_])?`, "g");
const CONTROL = /(?!\t)\p{Cc}/gu;

/** Text without terminal escape sequences and control characters; tabs stay. */
export function stripEscapes(text: string): string {
  return text.replace(ESCAPE_SEQUENCE, "").replace(CONTROL, "");
}

/** exit_error messages may carry hints, URLs and Go stack traces below their first line. */
function firstLine(message: string): string {
  return stripEscapes(message.trimStart().split("\n", 1)[0] ?? "");
}

function oneLine(text: string): string {
  return stripEscapes(text.trim().replaceAll("\n", " "));
}

/** restic prints figures as JSON numbers; this is the whole one that JavaScript holds exactly, as the protocol takes it. */
export function toWhole(figure: number): number {
  return Math.min(Math.floor(figure), Number.MAX_SAFE_INTEGER);
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
