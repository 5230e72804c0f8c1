/** How a restore ended, in words and in the protocol's shape: pure functions from what was heard and found. */
import type { JobError, RestoreResult, RestoreSpec } from "@restic-manager/protocol";
import type { LineDraft } from "../journal/job-log.ts";
import { shownRaw } from "../restic/tree-nodes.ts";
import { formatBytes } from "./backup-report.ts";
import { type JobResult, visible } from "./job-context.ts";
import type { RestorePlan } from "./restore-plan.ts";
import type { FailedItem, RestoreTally } from "./restore-tally.ts";

const LISTED_FAILED = 50;
const LISTED_WRITTEN = 20;
const NAMED = 5;

export type Ending = {
  spec: RestoreSpec;
  /** The folder that everything went to; null in place. */
  root: string | null;
  plan: RestorePlan;
  tally: RestoreTally;
  ownership: RestoreResult["ownership"];
  exitCode: number | null;
  stderrTail: readonly string[];
  /** What ended it before its end. */
  fatal: JobError | null;
  cancelled: boolean;
};

/** The whole outcome of a restore that began. */
export function concludeRestore(ending: Ending): JobResult {
  const error = ending.fatal ?? findProblem(ending);
  const status = ending.cancelled
    ? "cancelled"
    : error === null
      ? "succeeded"
      : ending.fatal !== null || FAILURES.has(error.code)
        ? "failed"
        : "warning";
  const closing = [
    ...closingLines(ending),
    ...(error === null || ending.cancelled ? [] : [errorLine(error, status)]),
  ];
  return {
    ...{ status, exitCode: ending.exitCode, summary: null, closing },
    error: ending.cancelled ? ending.fatal : error,
    result: toResult(ending, error),
  };
}

const FAILURES = new Set(["restore.nothing_restored", "restore.target_full", "restore.target_not_writable"]);

const FULL = /no space left on device|disk quota exceeded|not enough space on the disk/i;
const NO_RIGHTS = /permission denied|read-only file system|operation not permitted|access is denied/i;

function findProblem(ending: Ending): JobError | null {
  const { tally, spec } = ending;
  const items = tally.failedItems();
  if (items.some(({ message }) => FULL.test(message))) return full(ending, items);
  if (
    items.length > 0 &&
    tally.restored + tally.skipped === 0 &&
    items.every(({ message }) => NO_RIGHTS.test(message))
  )
    return notWritable(ending, items);
  if (tally.restored + tally.skipped === 0) return nothing(ending, items);
  if (items.length > 0) return partial(ending, items);
  return ending.ownership === "not_kept" && !spec.dry_run && tally.restored > 0 ? notKept(ending) : null;
}

function full(ending: Ending, items: readonly FailedItem[]): JobError {
  const sentence = `The disk of ${placeWords(ending)} is full, so the restore is not complete: ${named(items)}. Free space there or choose another folder, then restore again; what is there already may have its full size and holes.`;
  return problem(ending, "restore.target_full", sentence);
}

function notWritable(ending: Ending, items: readonly FailedItem[]): JobError {
  const sentence = `Nothing could be written to ${placeWords(ending)}: ${named(items)}. Give the agent's user the right, or restore into a new folder.`;
  return problem(ending, "restore.target_not_writable", sentence);
}

function nothing(ending: Ending, items: readonly FailedItem[]): JobError {
  const { includes, excludes } = ending.spec;
  const why =
    items.length > 0
      ? named(items)
      : includes.length + excludes.length > 0
        ? "no file of the selection fits the patterns"
        : "restic found nothing of the selection in the snapshot";
  return problem(ending, "restore.nothing_restored", `Nothing was restored: ${why}.`);
}

function partial(ending: Ending, items: readonly FailedItem[]): JobError {
  const { failedCount } = ending.tally;
  const what = failedCount === 1 ? "1 item was" : `${failedCount} items were`;
  const sentence = `${what} not restored as the snapshot has them, the rest was: ${named(items)}. The log names them; restore these again once the reason is gone.`;
  return problem(ending, "restore.partial", sentence);
}

function notKept(ending: Ending): JobError {
  const sentence =
    "Everything was restored, but owners could not be kept: only root may give files to others, and some file systems keep no owners. Such files belong to the agent's user; change their owner, or run the agent as root.";
  return problem(ending, "restore.ownership_not_kept", sentence);
}

function problem({ stderrTail }: Ending, code: string, message: string): JobError {
  return {
    code,
    message: message.length <= 4000 ? message : `${message.slice(0, 3999)}…`,
    last_lines: stderrTail.slice(-20).map((line) => line.slice(0, 4096)),
  };
}

function named(items: readonly FailedItem[]): string {
  const shown = items
    .slice(0, NAMED)
    .map(({ path, message }) => `${cut(visible(path), 300)}: ${cut(visible(message), 200)}`);
  const more = items.length > NAMED ? `; and ${items.length - NAMED} more` : "";
  return `${shown.join("; ")}${more}`;
}

function placeWords({ root }: Pick<Ending, "root">): string {
  return root === null ? "this host" : visible(root);
}

function errorLine({ message }: JobError, status: JobResult["status"]): LineDraft {
  return { level: status === "failed" ? "error" : "warning", stream: "agent", text: message };
}

function closingLines(ending: Ending): LineDraft[] {
  const { tally, spec, cancelled, fatal, root } = ending;
  const bytes = tally.restoredBytes === null ? "" : ` (${formatBytes(tally.restoredBytes)})`;
  const replaced = tally.replaced > 0 ? `, ${tally.replaced} of them in place of what is there` : "";
  const skipped = tally.skipped > 0 ? `; ${tally.skipped} stay as they are` : "";
  const one = tally.restored === 1;
  const figures = `${tally.restored} ${one ? "file or folder" : "files and folders"}${bytes}`;
  const where = root === null ? "in place" : `to ${visible(root)}`;
  if (spec.dry_run && !cancelled)
    return [
      line(
        "info",
        `Dry run, nothing was written: ${figures} would be restored ${where}${replaced}${skipped}.`,
      ),
    ];
  const lines = [line("info", `${figures} ${one ? "was" : "were"} restored ${where}${replaced}${skipped}.`)];
  if (cancelled) lines.unshift(line("warning", "Cancelled."));
  if ((cancelled || fatal !== null) && !spec.dry_run) lines.push(line("warning", HOLES));
  if (ending.ownership === "agent" && !cancelled)
    lines.push(line("info", "They belong to the agent's user."));
  return lines;
}

const HOLES =
  "Whatever else is there is not complete: a file may have its full size and holes in it. Restore again, or remove it.";

function line(level: LineDraft["level"], text: string): LineDraft {
  return { level, stream: "agent", text };
}

function toResult(ending: Ending, error: JobError | null): RestoreResult {
  const { spec, root, plan, tally, cancelled } = ending;
  return {
    kind: "restore",
    dry_run: spec.dry_run,
    complete: !cancelled && (error === null || error.code === "restore.ownership_not_kept"),
    in_place: root === null,
    target: root === null ? null : cut(root, 4096),
    restored: tally.restored,
    restored_bytes: tally.restoredBytes,
    replaced: tally.replaced,
    skipped: tally.skipped,
    skipped_bytes: tally.skippedBytes,
    failed: tally.failedCount,
    failed_items: tally
      .failedItems()
      .slice(0, LISTED_FAILED)
      .map(({ path, message }) => ({ path: cut(visible(path), 2048), message: cut(visible(message), 500) })),
    written: plan.destinations.slice(0, LISTED_WRITTEN).map(({ path, to }) => ({
      from: cut(visible(shownRaw(path)), 2048),
      to: cut(visible(shownRaw(to)), 2048),
    })),
    ownership: ending.ownership,
    verified: spec.verify && !spec.dry_run && !cancelled && ending.fatal === null,
    problem: error?.code ?? null,
  };
}

function cut(text: string, chars: number): string {
  return text.length <= chars ? text : `${text.slice(0, chars - 1)}…`.toWellFormed();
}
