/**
 * One restic run inside a job: begun, or taken up where an earlier agent left it, followed and stopped.
 * Lines that were told before are read again (the summary and the last words of stderr are needed) but not
 * told again.
 */
import { fileSizeBytes } from "../platform/files.ts";
import { interpretExit, type ResticOutcome, StderrTail } from "../restic/exit.ts";
import { jobFiles } from "../restic/job-dir.ts";
import { adoptRun, type OutputLine, type ResticRun, startRun } from "../restic/run.ts";
import type { ActiveJob, CommandDeps, ResticAccess } from "./job-context.ts";

/**
 * restic removes its lock within this time when its storage answers; then everything it started is killed. A backup
 * first finishes the packs that it is uploading: 30 s were measured at 1,000 KiB/s, and a kill leaves the lock.
 */
const STOP_GRACE_MS = 30_000;

export type FollowedOutcome = {
  outcome: ResticOutcome;
  exitCode: number | null;
  /** When restic ran, by this host's clock; null when it is not known. */
  ran: { fromMs: number; toMs: number } | null;
  stderrTail: string[];
  /** We asked it to end, and it had to be killed. */
  forced: boolean;
};

/** True when an earlier agent got as far as starting restic for this job. */
export async function wasBegun(job: ActiveJob): Promise<boolean> {
  return (await fileSizeBytes(jobFiles(job.dir).spec)) > 0;
}

/** Starts restic with `args`, or takes up the run that is already there; follows it to its end. */
export async function followRun(
  deps: CommandDeps,
  job: ActiveJob,
  access: ResticAccess,
  args: readonly string[],
  onLine: (line: OutputLine) => Promise<void>,
): Promise<FollowedOutcome> {
  const tail = new StderrTail();
  const options = {
    jobDir: job.dir,
    redact: access.redact,
    signal: job.detached,
    onLine: async (line: OutputLine) => {
      if (line.stream === "stderr") tail.add(line.text);
      await onLine(line);
    },
  };
  const run = (await wasBegun(job))
    ? await adopt(deps, options)
    : await startRun(deps, {
        ...options,
        argv: [access.resticPath, ...args, ...access.optionArgs],
        env: access.env,
        cwd: deps.workDir,
      });
  const exit = run === undefined ? gone : await untilExit(run, job);
  const known = exit.kind === "exited" ? exit : undefined;
  return {
    outcome: interpretExit(exit, tail.lines()),
    exitCode: known?.code ?? null,
    ran: known === undefined ? null : { fromMs: known.startedAtMs, toMs: known.endedAtMs },
    stderrTail: tail.lines(),
    forced: known?.stopRequested === true && known.signal === "SIGKILL",
  };
}

const gone = { kind: "vanished" as const, stopRequested: false };

async function adopt(
  deps: CommandDeps,
  options: Omit<Parameters<typeof adoptRun>[1], "from">,
): Promise<ResticRun | undefined> {
  const adoption = await adoptRun(deps, { ...options, from: { stdout: 0, stderr: 0 } });
  if (adoption.kind === "gone") return undefined;
  if (adoption.stopRequested) void adoption.run.stop(STOP_GRACE_MS);
  return adoption.run;
}

async function untilExit(run: ResticRun, job: ActiveJob) {
  let stopping: Promise<void> = Promise.resolve();
  const stop = () => {
    stopping = run.stop(STOP_GRACE_MS);
  };
  job.cancelled.addEventListener("abort", stop);
  if (job.cancelled.aborted) stop();
  try {
    const exit = await run.exited;
    // A stop that cannot be written down (disk full) must not hide how restic ended.
    if (exit.kind !== "detached") await stopping.catch(() => undefined);
    return exit;
  } finally {
    job.cancelled.removeEventListener("abort", stop);
  }
}
