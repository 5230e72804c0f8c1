/**
 * How far a long run is, as the words of its cells. Shared by the job page and the browser module that
 * updates it each second, so that both say the same. Pure; no DOM.
 */
import { formatBytes, formatCount, formatDuration, formatPercent, formatRate } from "./format.ts";

/** How far a running job is, or how far it came. Unknown figures are null. */
export interface Progress {
  /** 0 to 1; null while the total is unknown. */
  share: number | null;
  totalFiles: number | null;
  filesDone: number;
  totalBytes: number | null;
  bytesDone: number;
  errorCount: number;
  currentFiles: readonly string[];
  remainingMs: number | null;
  bytesPerSecond: number | null;
}

/** The cells of a progress line, in their order. */
export const PROGRESS_CELLS = [
  { name: "percent", term: "Done" },
  { name: "bytes", term: "Data" },
  { name: "files", term: "Files" },
  { name: "rate", term: "Throughput" },
  { name: "left", term: "Left" },
  { name: "errors", term: "Errors" },
] as const;

/** The name of one cell; its element has the id `progress-<name>`. */
export type ProgressCell = (typeof PROGRESS_CELLS)[number]["name"];

const UNKNOWN = "–";

/** The text of every cell; null before the first figures came. */
export function progressCells(progress: Progress | null): Record<ProgressCell, string> {
  if (progress === null) {
    return { percent: "scanning", bytes: UNKNOWN, files: UNKNOWN, rate: UNKNOWN, left: UNKNOWN, errors: "0" };
  }
  return {
    percent: progress.share === null ? "scanning" : formatPercent(progress.share),
    bytes: doneOf(progress.bytesDone, progress.totalBytes, formatBytes),
    files: doneOf(progress.filesDone, progress.totalFiles, formatCount),
    rate: progress.bytesPerSecond === null ? UNKNOWN : formatRate(progress.bytesPerSecond),
    left: progress.remainingMs === null ? UNKNOWN : formatDuration(progress.remainingMs),
    errors: formatCount(progress.errorCount),
  };
}

function doneOf(done: number, total: number | null, format: (amount: number) => string): string {
  return total === null ? format(done) : `${format(done)} of ${format(total)}`;
}
