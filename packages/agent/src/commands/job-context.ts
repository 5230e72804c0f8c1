/**
 * What every command works with, and what it answers. One job = one `ActiveJob`; a command reads and writes
 * only through it, so that the same code runs a job anew and takes one up after a restart.
 */
import type {
  BackupSummary,
  JobError,
  Progress,
  RepositoryAccess,
  Snapshot,
  JobResult as WireResult,
} from "@restic-manager/protocol";
import type { JobLog, LineDraft } from "../journal/job-log.ts";
import type { JournalEntry } from "../journal/journal.ts";
import type { Clock } from "../platform/clock.ts";
import { reasonOf } from "../platform/errors.ts";
import type { Random } from "../platform/random.ts";
import type { BinaryOutcome } from "../restic/binary.ts";
import type { Lock } from "../restic/locks.ts";
import type { RepositoryFigures } from "../restic/repository-stats.ts";
import type { RunDeps } from "../restic/run.ts";
import type { Updates } from "../update/updates.ts";

export type ResticAccess = {
  resticPath: string;
  version: string;
  /** Follow the arguments of every command. */
  optionArgs: readonly string[];
  env: Readonly<Record<string, string>>;
  redact: (text: string) => string;
};

/** An access in place of the everyday one. */
export type GivenAccess = {
  repository: RepositoryAccess;
  /** Where its files go (access-files.ts); whoever gave it removes the folder afterwards. */
  filesDir: string;
};

export type CommandDeps = {
  clock: Clock;
  random: Random;
  runnerCommand: RunDeps["runnerCommand"];
  /** For short commands; private to the agent. */
  workDir: string;
  cacheDir: string;
  /** For the files of the everyday access. */
  accessDir: string;
  /** What restore drills bring back, a folder for each job; private to the agent. */
  drillsDir: string;
  /** The agent's environment, from which restic's is picked. */
  inherited: Readonly<Record<string, string | undefined>>;
  platform: NodeJS.Platform;
  /** False refuses every hook: `allow_hooks` of agent.yaml. */
  hooksAllowed: boolean;
  /** Masks every secret that the agent knows: a hook may print any of them. */
  redact: (text: string) => string;
  updates: Updates;
  findRestic: () => Promise<BinaryOutcome>;
  /** What the server told last; undefined before it told anything. */
  findRepository: () => RepositoryAccess | undefined;
};

export type ActiveJob = {
  entry: JournalEntry;
  /** What came with the command, in place of the everyday one. In memory only: another agent does not find it. */
  access?: GivenAccess;
  /** What a key job makes open the repository. As `access`: in memory only. */
  newPassword?: string;
  dir: string;
  log: JobLog;
  /** Aborts when the operator cancels. */
  cancelled: AbortSignal;
  /** Aborts when the agent stops: restic runs on, the job is taken up by the next agent. */
  detached: AbortSignal;
  reportProgress: (progress: Progress) => void;
  /** Changes the entry, on the disk as well. */
  update: (change: Partial<JournalEntry>) => Promise<void>;
};

export type JobResult = {
  status: "succeeded" | "warning" | "failed" | "cancelled";
  error: JobError | null;
  exitCode: number | null;
  summary: BackupSummary | null;
  /** The agent's closing lines in the log. */
  closing: LineDraft[];
  /** The full list for the server, when it was read. */
  snapshots?: Snapshot[];
  /** The snapshot that a backup made; the full list follows after the job's end. */
  added?: Snapshot;
  /** Of every kind but a backup; absent when nothing was done. */
  result?: WireResult;
  /** The repository in figures, when they were read. */
  figures?: RepositoryFigures;
  /** All that are left, when they were read this moment. */
  locks?: readonly Lock[];
  /** The host whose list of snapshots may have changed, and is read after the job's end. */
  listLater?: string;
};

/** `detached` = the agent stops; nothing is told, the next agent goes on. */
export type CommandOutcome = JobResult | "detached";

/** A failure that needs no more than its sentence. */
export function failedResult(error: JobError, exitCode: number | null = null): JobResult {
  return {
    status: "failed",
    error,
    exitCode,
    summary: null,
    closing: [{ level: "error", stream: "agent", text: error.message }],
  };
}

/** A command that throws has met a mistake of ours: the job fails and says so. */
export function internalFailure(error: unknown): JobResult {
  const message = `The agent could not run this job: ${reasonOf(error)}`.slice(0, 4000);
  return failedResult({ code: "agent.internal", message, last_lines: [] });
}

/** @param error what the operator must know about the way it ended, such as a lock that was left */
export function cancelledResult(exitCode: number | null = null, error: JobError | null = null): JobResult {
  const text = error === null ? "Cancelled." : `Cancelled. ${error.message}`;
  return {
    status: "cancelled",
    error,
    exitCode,
    summary: null,
    closing: [{ level: "warning", stream: "agent", text }],
  };
}

/** Text in which control characters can be seen instead of acting: names of files may hold any of them. */
export function visible(text: string): string {
  return text.replace(/\p{Cc}/gu, (char) => {
    const short = JSON.stringify(char).slice(1, -1);
    return short.length === 2 ? short : `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}
