/** Creates the host's repository. One that already exists and opens with our password is what was wanted. */
import type { LineDraft } from "../journal/job-log.ts";
import { initArgs } from "../restic/args.ts";
import { isAlreadyInitialised, type ResticProblem } from "../restic/exit.ts";
import { stripEscapes } from "../restic/output.ts";
import { probeRepository } from "../restic/probe.ts";
import type { OutputLine } from "../restic/run.ts";
import { followRun, wasBegun } from "./follow-run.ts";
import {
  type ActiveJob,
  type CommandDeps,
  type CommandOutcome,
  cancelledResult,
  failedResult,
  type JobResult,
  type ResticAccess,
} from "./job-context.ts";
import { isJobError, openRestic, toJobError } from "./restic-access.ts";

export async function runInit(deps: CommandDeps, job: ActiveJob): Promise<CommandOutcome> {
  const access = await openRestic(deps);
  if (isJobError(access)) return failedResult(access);
  if (!(await wasBegun(job))) {
    const signal = AbortSignal.any([job.cancelled, job.detached]);
    const { resticPath, env, redact } = access;
    const probe = await probeRepository(deps, { resticPath, env, redact, signal });
    if (job.detached.aborted) return "detached";
    if (probe.kind === "aborted") return cancelledResult();
    if (probe.kind === "ok") return succeeded("The repository already exists and opens: nothing to do.");
    if (probe.kind === "failed") return failed(probe.problem);
  }
  return create(deps, job, access);
}

async function create(deps: CommandDeps, job: ActiveJob, access: ResticAccess): Promise<CommandOutcome> {
  const onLine = async (line: OutputLine) => {
    const text = stripEscapes(line.text);
    if (job.log.isTold(line) || text.trim() === "" || text.startsWith("{")) return;
    await job.log.add(
      { level: line.stream === "stderr" ? "error" : "info", stream: line.stream, text },
      line,
    );
  };
  const { outcome, exitCode, stderrTail } = await followRun(deps, job, access, initArgs(), onLine);
  switch (outcome.kind) {
    case "detached":
      return "detached";
    case "cancelled":
      return cancelledResult(exitCode);
    case "ok":
      return succeeded("The repository was created.", exitCode);
    case "warning":
    case "failed":
      // Two hosts of one repository may both have found it absent a moment ago.
      if (isAlreadyInitialised(stderrTail)) return succeeded("The repository already exists.", exitCode);
      return failed(outcome.problem);
  }
}

function succeeded(text: string, exitCode: number | null = 0): JobResult {
  const closing: LineDraft[] = [{ level: "info", stream: "agent", text }];
  return { status: "succeeded", error: null, exitCode, summary: null, closing };
}

function failed(problem: ResticProblem): JobResult {
  return failedResult(toJobError(problem), problem.exitCode);
}
