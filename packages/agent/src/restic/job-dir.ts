/**
 * The files through which agent and runner speak. The directory is the whole contract: either side may die
 * and be replaced. Must not hold secrets (they travel by environment; the one that restic takes from a file only is
 * in commands/key.ts) and must not import zod: the runner loads this file and has to start fast and stay small.
 */
import { join } from "node:path";
import type { PidIdentity } from "../platform/child.ts";

export type JobFiles = {
  /** What to run; written by the agent before the runner starts. */
  spec: string;
  /** Who runs; written by the runner before and after it starts restic. */
  runner: string;
  /** How it ended; written once, by the runner, as its last act. */
  exit: string;
  /** Present once a stop was asked for, so that an adopting agent still knows who ended restic. */
  stop: string;
  stdout: string;
  stderr: string;
  /** What the runner itself had to say (a crash of Node, say); for support, never parsed. */
  runnerLog: string;
  /** NUL separated source paths for --files-from-raw. */
  sources: string;
  /** Exclude patterns, one a line, for --exclude-file. */
  excludes: string;
  /** Include patterns, one a line, for --include-file. */
  includes: string;
};

/** The paths of one job's files. */
export function jobFiles(jobDir: string): JobFiles {
  return {
    spec: join(jobDir, "spec.json"),
    runner: join(jobDir, "runner.json"),
    exit: join(jobDir, "exit.json"),
    stop: join(jobDir, "stop.json"),
    stdout: join(jobDir, "stdout"),
    stderr: join(jobDir, "stderr"),
    runnerLog: join(jobDir, "runner.log"),
    sources: join(jobDir, "sources.raw"),
    excludes: join(jobDir, "excludes.txt"),
    includes: join(jobDir, "includes.txt"),
  };
}

export type RunSpec = {
  /** Program first, then its arguments. Never a secret: this is readable in the list of running programs. */
  argv: string[];
  cwd: string;
};

export type RunnerRecord = { runner: PidIdentity; restic: PidIdentity | null };

export type ExitRecord = {
  code: number | null;
  signal: string | null;
  /** Epoch milliseconds, wall clock of the host. */
  started_at: number;
  ended_at: number;
  /** The system's sentence when restic could not be started. */
  spawn_error: string | null;
  /** True when a stop was asked for before restic was started. */
  not_started: boolean;
};
