/**
 * What a restore has done so far, from restic's lines. Invariant: an item that failed does not count as restored, though
 * restic's own figures say so. Memory is bounded however much fails.
 */
import type { Progress } from "@restic-manager/protocol";
import { parseRestoreLine, type RestoreProgress } from "../restic/restore-output.ts";
import { toWireProgress } from "./backup-report.ts";
import { visible } from "./job-context.ts";

export type FailedItem = { path: string; message: string };

/** More failures are counted and not named; they are in the log. */
const MAX_FAILED = 10_000;

export class RestoreTally {
  #counted = 0;
  #countedBytes = 0;
  replaced = 0;
  skipped = 0;
  skippedBytes = 0;
  readonly #failed = new Map<string, string>();
  #unnamed = 0;
  #current: string | null = null;
  #before = { files: 0, bytes: 0, seconds: 0 };
  #latest: RestoreProgress | null = null;

  /**
   * @param folder the folder of the snapshot that the line's path begins at
   * @returns what the line says of an item, for the log
   */
  hear(folder: string, text: string): { action: string; path: string; sizeBytes: number } | undefined {
    const line = parseRestoreLine(text);
    switch (line.kind) {
      case "status":
        this.#latest = line.progress;
        return undefined;
      case "error":
        this.fail(under(folder, line.item), line.message);
        return undefined;
      case "item":
        this.#count(line.action, line.sizeBytes);
        this.#current = under(folder, line.item);
        return { action: line.action, path: this.#current, sizeBytes: line.sizeBytes };
      case "other":
        return undefined;
    }
  }

  #count(action: string, sizeBytes: number): void {
    if (action === "unchanged") {
      this.skipped += 1;
      this.skippedBytes += sizeBytes;
      return;
    }
    this.#counted += 1;
    this.#countedBytes += sizeBytes;
    if (action === "updated") this.replaced += 1;
  }

  /** Notes the first reason why an item is not as it should be. */
  fail(path: string, message: string): void {
    if (this.#failed.has(path)) return;
    if (this.#failed.size < MAX_FAILED) this.#failed.set(path, message);
    else this.#unnamed += 1;
  }

  /** One run has ended, another begins. */
  endRun(): void {
    const { filesDone = 0, bytesDone = 0, secondsElapsed = 0 } = this.#latest ?? {};
    this.#before = {
      files: this.#before.files + filesDone,
      bytes: this.#before.bytes + bytesDone,
      seconds: this.#before.seconds + secondsElapsed,
    };
    this.#latest = null;
  }

  get failedCount(): number {
    return this.#failed.size + this.#unnamed;
  }

  failedItems(): FailedItem[] {
    return [...this.#failed].map(([path, message]) => ({ path, message }));
  }

  /** At least so many: restic counts those that failed as well, and may not have. */
  get restored(): number {
    return Math.max(0, this.#counted - this.failedCount);
  }

  /** Null when it can't be told for what failed. */
  get restoredBytes(): number | null {
    return this.failedCount === 0 ? this.#countedBytes : null;
  }

  /** In the protocol's shape; undefined before restic's first word. */
  progress(run: { index: number; of: number }): Progress | undefined {
    const latest = this.#latest;
    if (latest === null) return undefined;
    const percentDone = Math.min(1, (run.index + latest.percentDone) / run.of);
    const secondsElapsed = this.#before.seconds + latest.secondsElapsed;
    const secondsRemaining = Math.round((secondsElapsed * (1 - percentDone)) / percentDone);
    return toWireProgress({
      percentDone,
      totalFiles: this.#before.files + latest.totalFiles,
      filesDone: this.#before.files + latest.filesDone,
      totalBytes: this.#before.bytes + latest.totalBytes,
      bytesDone: this.#before.bytes + latest.bytesDone,
      errorCount: this.failedCount,
      currentFiles: this.#current === null ? [] : [visible(this.#current)],
      secondsElapsed,
      ...(percentDone > 0 && secondsElapsed > 0 ? { secondsRemaining } : {}),
    });
  }
}

function under(folder: string, item: string): string {
  return folder === "/" ? item : `${folder}${item}`;
}
