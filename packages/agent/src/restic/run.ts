/**
 * One long restic operation, as the agent sees it: started under a runner, or found again after a restart of
 * the agent. Invariants: ending the agent never ends restic, and nothing secret is written to the job
 * directory or to an argument. How a run is followed and stopped stands in follow.ts.
 */
import { type Command, spawnOwnSession, withoutCoreDumps } from "../platform/child.ts";
import { type Clock, slept } from "../platform/clock.ts";
import { ensurePrivateDir, fileSizeBytes, touchPrivateFile, writeFileAtomic } from "../platform/files.ts";
import { FollowedRun, type OutputOffsets, type ResticRun, type RunOptions, requestStop } from "./follow.ts";
import { type JobFiles, jobFiles } from "./job-dir.ts";
import { readExitRecord, readRunnerRecord } from "./records.ts";

export type { OutputLine, OutputOffsets, ResticRun, RunOptions } from "./follow.ts";

export type RunDeps = {
  clock: Clock;
  /** Starts the runner; the job directory is appended as the last argument. */
  runnerCommand: Command;
};

export type StartOptions = RunOptions & {
  /** restic's path, then its arguments. */
  argv: readonly string[];
  /** The complete environment of restic (env.ts). */
  env: Readonly<Record<string, string>>;
  cwd: string;
};

export type Adoption =
  | {
      kind: "adopted";
      run: ResticRun;
      /** An earlier agent asked for a stop and may not have lived to see it done: call `stop` again. */
      stopRequested: boolean;
    }
  /** No run ever began in this directory. */
  | { kind: "gone" };

/** How long a runner of a former agent may still take to write its first record. */
const RUNNER_START_MS = 10_000;
const RUNNER_POLL_MS = 100;

/** Starts restic in a job directory of its own. Never rejects for a failed start: `exited` tells. */
export async function startRun(deps: RunDeps, options: StartOptions): Promise<ResticRun> {
  const files = jobFiles(options.jobDir);
  await ensurePrivateDir(options.jobDir);
  await touchPrivateFile(files.stdout);
  await touchPrivateFile(files.stderr);
  await writeFileAtomic(files.spec, JSON.stringify({ argv: options.argv, cwd: options.cwd }));
  const { file, args } = deps.runnerCommand;
  try {
    const runner = await spawnOwnSession({
      command: withoutCoreDumps({ file, args: [...args, options.jobDir] }),
      env: options.env,
      cwd: options.jobDir,
      stdoutPath: files.runnerLog,
      stderrPath: files.runnerLog,
    });
    return new FollowedRun({
      ...options,
      clock: deps.clock,
      from: { stdout: 0, stderr: 0 },
      runnerEnded: runner.ended,
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const exited = Promise.resolve({ kind: "spawn_failed" as const, message });
    return { jobDir: options.jobDir, exited, stop: () => Promise.resolve() };
  }
}

/**
 * Takes up a run that an earlier agent started, from the offsets its journal knows. A run that has ended
 * meanwhile is adopted too and delivers its rest.
 */
export async function adoptRun(
  deps: Pick<RunDeps, "clock">,
  options: RunOptions & { from: OutputOffsets },
): Promise<Adoption> {
  const files = jobFiles(options.jobDir);
  if ((await fileSizeBytes(files.spec)) === 0) return { kind: "gone" };
  if (!(await runnerAppears(deps.clock, files))) {
    // Should that runner start after all, it must find that nobody waits for it any more.
    await requestStop(deps.clock, files);
    return { kind: "gone" };
  }
  const stopRequested = (await fileSizeBytes(files.stop)) > 0;
  return { kind: "adopted", run: new FollowedRun({ ...options, clock: deps.clock }), stopRequested };
}

async function runnerAppears(clock: Clock, files: JobFiles): Promise<boolean> {
  const deadline = clock.monotonicMs() + RUNNER_START_MS;
  for (;;) {
    if ((await readExitRecord(files)) !== undefined || (await readRunnerRecord(files)) !== undefined)
      return true;
    if (clock.monotonicMs() >= deadline) return false;
    await slept(clock, RUNNER_POLL_MS);
  }
}
