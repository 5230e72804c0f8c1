/** What an agent says about one job, with the small print filled in. */
import type {
  AgentMessage,
  CommandAck,
  JobFinished,
  LogLine,
  Progress,
  Snapshot,
} from "@restic-manager/protocol";
import { newId } from "../../server/src/platform/random.ts";

type Of<T extends AgentMessage["type"]> = Extract<AgentMessage, { type: T }>;
/** Names a job and its attempt: a `command.run`, or a part of one. */
export interface Run {
  job_id: string;
  attempt: number;
}

const at = "2026-11-23T04:00:01.000Z";
const idsOf = ({ job_id, attempt }: Run): Run => ({ job_id, attempt });

export const ackOf = (run: Run, more: Partial<CommandAck> = {}): Of<"command.ack"> => ({
  type: "command.ack",
  ...idsOf(run),
  accepted: true,
  ...more,
});

export const startedOf = (run: Run, seq: number): Of<"job.started"> => ({
  type: "job.started",
  seq,
  ...idsOf(run),
  at,
});

/** Lines `from`…`to` of a job's log. */
export const linesOf = (from: number, to: number, text = (n: number) => `line ${n}`): LogLine[] =>
  Array.from({ length: to - from + 1 }, (_, i) => {
    return { n: from + i, at, level: "info", stream: "stdout", text: text(from + i) };
  });

export const logOf = (run: Run, seq: number, lines: LogLine[]): Of<"log.stream"> => ({
  type: "log.stream",
  seq,
  ...idsOf(run),
  lines,
});

export const finishedOf = (run: Run, seq: number, more: Partial<JobFinished> = {}): Of<"job.finished"> => ({
  type: "job.finished",
  seq,
  ...idsOf(run),
  at: "2026-11-23T04:00:09.000Z",
  status: "succeeded",
  error: null,
  exit_code: 0,
  summary: null,
  log_lines: 0,
  ...more,
});

export const progressOf = (run: Run, more: Partial<Progress> = {}): Of<"job.progress"> => ({
  type: "job.progress",
  ...idsOf(run),
  progress: {
    percent_done: 0.5,
    total_files: 10,
    files_done: 5,
    total_bytes: 1000,
    bytes_done: 500,
    error_count: 0,
    current_files: ["/etc/hosts"],
    seconds_elapsed: 1,
    seconds_remaining: 1,
    bytes_per_second: 500,
    ...more,
  },
});

export const snapshotOf = (id: string, more: Partial<Snapshot> = {}): Snapshot => ({
  id,
  time: "2026-11-23T03:00:00.000Z",
  hostname: "host",
  username: "root",
  paths: ["/etc"],
  tags: ["default"],
  size_bytes: 1000,
  file_count: 10,
  added_bytes: 100,
  ...more,
});

export const reportOf = (seq: number, snapshots: Snapshot[], more: Partial<Of<"snapshots.report">> = {}) => ({
  type: "snapshots.report" as const,
  seq,
  report_id: newId(Date.UTC(2026, 10, 23)),
  job_id: null,
  part: 1,
  parts: 1,
  snapshots,
  ...more,
});
