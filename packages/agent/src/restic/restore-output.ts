/**
 * Knows what a restore prints. Its summary and its `restored` lines count what failed as well, so nothing here is proof of
 * success: errors, exit code and a look at the target are.
 */
import { z } from "zod";
import { parseBackupLine, parseJson } from "./output.ts";

/** Counts of files, folders and links, and of bytes. */
export type RestoreProgress = {
  percentDone: number;
  totalFiles: number;
  filesDone: number;
  totalBytes: number;
  bytesDone: number;
  secondsElapsed: number;
};

export type RestoreLine =
  | { kind: "status"; progress: RestoreProgress }
  /** One file, folder or link; its path begins at the folder that is restored. */
  | {
      kind: "item";
      action: "restored" | "updated" | "unchanged" | "deleted";
      item: string;
      sizeBytes: number;
    }
  | { kind: "error"; item: string; message: string }
  | { kind: "other" };

const count = z.number().nonnegative().catch(0);

const status = z.object({
  message_type: z.literal("status"),
  percent_done: z.number().min(0).max(1).catch(0),
  total_files: count,
  files_restored: count,
  total_bytes: count,
  bytes_restored: count,
  seconds_elapsed: count,
});

const item = z.object({
  message_type: z.literal("verbose_status"),
  action: z.enum(["restored", "updated", "unchanged", "deleted"]).catch("restored"),
  item: z.string(),
  size: count,
});

const message = z.discriminatedUnion("message_type", [status, item]);

/** One line of a restore's stdout or stderr. Never throws. */
export function parseRestoreLine(line: string): RestoreLine {
  const parsed = line.startsWith("{") ? message.safeParse(parseJson(line)) : undefined;
  if (parsed?.success !== true) {
    const known = parseBackupLine(line);
    return known.kind === "error"
      ? { kind: "error", item: known.item, message: known.message }
      : { kind: "other" };
  }
  const { data } = parsed;
  if (data.message_type === "verbose_status")
    return { kind: "item", action: data.action, item: data.item, sizeBytes: data.size };
  return {
    kind: "status",
    progress: {
      percentDone: data.percent_done,
      totalFiles: data.total_files,
      filesDone: data.files_restored,
      totalBytes: data.total_bytes,
      bytesDone: data.bytes_restored,
      secondsElapsed: data.seconds_elapsed,
    },
  };
}
