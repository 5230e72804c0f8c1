/** Shows a job until it is over: its log line by line, below it how far it is, at last what it did. */
import type { Call } from "./call.ts";
import type { Client } from "./client.ts";
import { exitCodes, jobOutcome } from "./exit-codes.ts";
import { followJob } from "./job-stream.ts";
import { bytes, cut, duration, jsonLine, visible } from "./text.ts";
import type * as wire from "./wire.ts";

/** @returns the exit code that tells the job's end */
export async function follow(call: Call, client: Client, jobId: string): Promise<number> {
  const { out } = call.world;
  const status = new StatusLine(call);
  let last: wire.Job | null = null;
  try {
    for await (const told of followJob(client, call.world, jobId)) {
      if (told.type === "job") last = told.job;
      if (call.json) {
        // Lines that were told already are not told again; else every message is as it came.
        await out.write(jsonLine(told.type === "log" ? { type: "log", lines: told.lines } : told.raw));
        continue;
      }
      await status.clear();
      if (told.type === "log") await out.write(told.lines.map(logText).join(""));
      if (told.type === "lagged") await out.write(skippedText(told.from, told.to, jobId));
      if (told.type === "progress") await status.draw(progressText(told.progress));
      if (told.type === "job" && told.job.waits_for) await status.draw(visible(told.job.waits_for.message));
    }
  } finally {
    await status.clear();
  }
  if (!call.json && last) await out.write(endText(last));
  return exitCodes[jobOutcome(last?.status ?? "") ?? "internal"].code;
}

/** Follows jobs one after the other. @returns the exit code of the worst, failure first */
export async function followAll(call: Call, client: Client, jobIds: readonly string[]): Promise<number> {
  const codes: number[] = [];
  for (const jobId of jobIds) codes.push(await follow(call, client, jobId));
  const warning = exitCodes.warning.code;
  return codes.find((code) => code !== 0 && code !== warning) ?? Math.max(0, ...codes);
}

/** `03:06:01 text`, its level when it is more than information. */
export function logText({ at, level, text }: { at: string; level: string; text: string }): string {
  const time = /T(\d\d:\d\d:\d\d)/.exec(at)?.[1] ?? visible(at);
  return `${time} ${level === "info" ? "" : `${visible(level)}: `}${visible(text)}\n`;
}

const skippedText = (from: number, to: number, jobId: string): string =>
  `… lines ${from} to ${to} were passed over; all of the log: rmctl jobs log ${jobId}\n`;

export function progressText(progress: wire.JobProgress): string {
  const { total_bytes: total, bytes_done: done, files_done: files, seconds_remaining: left } = progress;
  const far =
    total === 0
      ? bytes(done)
      : `${Math.floor(progress.percent_done * 100)} %, ${bytes(done)} of ${bytes(total)}`;
  const remaining = left === null || total === 0 ? "" : `, ${duration(left * 1000)} left`;
  return `${far}, ${files} files${remaining}`;
}

/** What a job did, in a line or a few. */
export function endText(job: wire.Job): string {
  const took =
    job.started_at && job.finished_at
      ? ` in ${duration(Date.parse(job.finished_at) - Date.parse(job.started_at))}`
      : "";
  const summary = job.summary
    ? `: ${job.summary.total_files} files, ${bytes(job.summary.total_bytes)}, ${bytes(job.summary.added_bytes)} added` +
      (job.summary.snapshot_id === null ? "" : `, snapshot ${visible(job.summary.snapshot_id.slice(0, 8))}`)
    : "";
  const error = job.error ? `${visible(job.error.message)} (${visible(job.error.code)})\n` : "";
  return `${visible(job.kind)} ${visible(job.status)}${took}${summary}\n${error}`;
}

/** One line of a terminal that is drawn over; nowhere else anything. */
class StatusLine {
  private readonly call: Call;
  private drawn = false;

  constructor(call: Call) {
    this.call = call;
  }

  async draw(text: string): Promise<void> {
    const { err } = this.call.world;
    if (err.columns === null) return;
    this.drawn = true;
    await err.write(`\r\x1b[K${cut(text, err.columns - 1)}`);
  }

  async clear(): Promise<void> {
    if (this.drawn) await this.call.world.err.write("\r\x1b[K");
    this.drawn = false;
  }
}
