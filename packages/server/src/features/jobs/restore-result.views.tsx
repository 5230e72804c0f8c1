/** What a restore did, in words: what went where, what stayed, what failed, and what to look at now. */
import type { JobResult } from "@restic-manager/protocol";
import type { JSX } from "preact";
import { formatBytes, formatCount } from "../../platform/html/format.ts";

type RestoreResult = Extract<JobResult, { kind: "restore" }>;

/** The figures, to stand among the job's facts. */
export function restoreFacts(result: RestoreResult): { term: string; value: string }[] {
  return [
    {
      term: result.dry_run ? "Would restore" : "Restored",
      value: counted(result.restored, result.restored_bytes),
    },
    { term: "Left as it was", value: counted(result.skipped, result.skipped_bytes) },
    { term: "Failed", value: formatCount(result.failed) },
  ];
}

function counted(items: number | null, bytes: number | null): string {
  if (items === null) return "not known";
  return bytes === null ? formatCount(items) : `${formatCount(items)} · ${formatBytes(bytes)}`;
}

/** The summary below the facts. */
export function RestoreSummary({ result }: { result: RestoreResult }): JSX.Element {
  return (
    <div class="restore-summary" id="restore-summary">
      <p>{sentence(result)}</p>
      {result.target === null ? null : (
        <p>
          Folder: <span class="mono break">{result.target}</span>
        </p>
      )}
      <Written result={result} />
      <p class="muted">{advice(result)}</p>
      {result.failed_items.length === 0 ? null : <FailedItems result={result} />}
    </div>
  );
}

function sentence(result: RestoreResult): string {
  const items =
    result.restored === null ? "Files" : plural(result.restored, "file or folder", "files and folders");
  const bytes = result.restored_bytes === null ? "" : ` (${formatBytes(result.restored_bytes)})`;
  const where = result.in_place
    ? "in place"
    : result.dry_run
      ? "into the folder"
      : "into a folder of their own";
  const verb = result.dry_run
    ? "would be restored"
    : result.restored === 1
      ? "was restored"
      : "were restored";
  const replaced = result.replaced ? `, ${formatCount(result.replaced)} of them over what is there` : "";
  const skipped = result.skipped ? ` ${plural(result.skipped, "stays", "stay")} as before.` : "";
  const failed = result.failed > 0 ? ` ${plural(result.failed, "item", "items")} could not be restored.` : "";
  return `${items}${bytes} ${verb} ${where}${replaced}.${skipped}${failed}`;
}

function plural(count: number, one: string, many: string): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** What to look at now. */
function advice(result: RestoreResult): string {
  if (result.dry_run)
    return "Nothing was written. The log lists what would be; start the restore when it is right.";
  const owner = {
    kept: "Files have the owners that the snapshot names, by number.",
    agent: "Everything belongs to the agent’s user: give it its owner when you move it to its place.",
    not_kept: "Owners could not be kept, because the agent does not run as root: set them yourself.",
  }[result.ownership];
  const whole = result.complete
    ? result.verified
      ? "Everything was read again after writing and is right."
      : "Look at what matters most before you rely on it."
    : "It is not complete: a file may have its full size and holes in it. Restore again before you use these files.";
  return `${whole} ${owner}`;
}

/** Of several selections, what went where; one that went to its own place needs no table. */
function Written({ result }: { result: RestoreResult }): JSX.Element | null {
  const moved = result.written.filter(
    ({ from, to }) => from !== to && to !== `${result.target ?? ""}${from}`,
  );
  if (moved.length === 0) return null;
  return (
    <ul class="mono restore-paths">
      {moved.map(({ from, to }) => (
        <li key={from} class="break">
          {from} → {to}
        </li>
      ))}
    </ul>
  );
}

function FailedItems({ result }: { result: RestoreResult }): JSX.Element {
  const more = result.failed - result.failed_items.length;
  return (
    <>
      <p class="muted">Not restored:</p>
      <ul class="failed-items" id="restore-failed">
        {result.failed_items.map(({ path, message }) => (
          <li key={path}>
            <span class="mono break">{path}</span> <span class="muted break">{message}</span>
          </li>
        ))}
      </ul>
      {more > 0 ? <p class="faint">and {formatCount(more)} more, in the log</p> : null}
    </>
  );
}
