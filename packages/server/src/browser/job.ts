/**
 * Entry of the module on the job page: streams progress and log. Status changes bring the head anew from
 * the server, so that its words are written in one place.
 */
import { PROGRESS_CELLS, type Progress, progressCells } from "../platform/html/progress.ts";
import { showConnection } from "./connection.ts";
import { JobLog, note } from "./job-log.ts";
import { startStream } from "./job-stream.ts";
import { applyFragment, inOrder, loadFragment } from "./live.ts";

function startJobPage(signal: AbortSignal): void {
  const box = document.getElementById("log");
  const head = document.getElementById("job-live");
  if (box === null || head === null) return;
  const log = new JobLog(box);
  log.start(signal);
  let status = head.dataset.jobStatus ?? "";
  const lookAtHead = inOrder(() => loadFragment(head.dataset.jobSrc ?? "", signal));
  const refreshHead = async (): Promise<void> => {
    const look = await lookAtHead();
    if (look === undefined) return;
    if (look.outcome === "ok") applyFragment(head, look.html);
    // That the server does not answer is said above the log, with the promise that no line will be missing.
    showConnection(look.outcome === "unreachable" ? "ok" : look.outcome);
  };
  startStream(
    box.dataset.logSrc ?? "",
    {
      nextLine: () => log.nextLine(),
      onLog: (lines) => log.append(lines),
      onLagged: (skipped) => log.skip(skipped),
      onJob: (next) => {
        if (next !== status) void refreshHead();
        status = next;
      },
      onProgress: (progress) => {
        if (!showProgress(progress)) void refreshHead();
      },
      onEnd: () => {
        log.end();
        if ("live" in box.dataset) void refreshHead();
      },
      onConnection: (connected) => {
        note(connected ? "" : "Connection lost. Trying again; no line will be missing.");
        // A WebSocket does not say why it was refused; the head's answer does.
        if (!connected) void refreshHead();
      },
    },
    signal,
  );
}

/** Writes the figures into their cells; false when the page does not show progress yet. */
function showProgress(progress: Progress): boolean {
  const bar = document.getElementById("progress-bar");
  if (!(bar instanceof HTMLProgressElement)) return false;
  if (progress.share === null) bar.removeAttribute("value");
  else bar.value = progress.share;
  const cells = progressCells(progress);
  for (const { name } of PROGRESS_CELLS) {
    const cell = document.getElementById(`progress-${name}`);
    if (cell !== null && cell.textContent !== cells[name]) cell.textContent = cells[name];
  }
  const current = document.getElementById("progress-current");
  const [file = "\u00a0"] = progress.currentFiles;
  if (current !== null && current.textContent !== file) {
    current.textContent = file;
    current.title = file;
  }
  return true;
}

startJobPage(new AbortController().signal);
