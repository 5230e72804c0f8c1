/** Creates the host's repository. One that already exists and opens with our password is what was wanted. */
import type { JobSpec } from "@restic-manager/protocol";
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
import { listForServer } from "./list-snapshots.ts";
import { cancelledRun, isJobError, openForJob, toJobError } from "./restic-access.ts";

type InitSpec = Extract<JobSpec, { kind: "init" }>;

export async function runInit(deps: CommandDeps, job: ActiveJob, spec: InitSpec): Promise<CommandOutcome> {
  const access = await openForJob(deps, job);
  if (isJobError(access)) return failedResult(access);
  const made = await makeSure(deps, job, access);
  if (made === "detached" || made.status !== "succeeded" || !spec.host_name) return made;
  // A server that starts anew learns from the repository what is in it.
  const list = await listForServer(deps, job, access, spec.host_name);
  if (list === "detached") return list;
  const known = list.snapshots?.length ?? 0;
  const found: LineDraft[] = known === 0 ? [] : [info(`It holds ${known} snapshots of this host.`)];
  const closing = [...made.closing, ...found, ...list.warnings];
  return { ...made, closing, ...(list.snapshots === undefined ? {} : { snapshots: list.snapshots }) };
}

async function makeSure(deps: CommandDeps, job: ActiveJob, access: ResticAccess): Promise<CommandOutcome> {
  if (!(await wasBegun(job))) {
    const signal = AbortSignal.any([job.cancelled, job.detached]);
    const probe = await probeRepository(deps, { ...access, signal });
    if (job.detached.aborted) return "detached";
    if (probe.kind === "aborted") return cancelledResult();
    if (probe.kind === "ok") {
      return succeeded("The repository already exists and opens: nothing to do.", 0, false);
    }
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
  const followed = await followRun(deps, job, access, initArgs(), onLine);
  const { outcome, exitCode, stderrTail } = followed;
  switch (outcome.kind) {
    case "detached":
      return "detached";
    case "cancelled":
      return cancelledRun(followed);
    case "ok":
      return succeeded("The repository was created.", exitCode, true);
    case "warning":
    case "failed":
      // Two hosts of one repository may both have found it absent a moment ago.
      if (isAlreadyInitialised(stderrTail))
        return succeeded("The repository already exists.", exitCode, false);
      return failed(outcome.problem);
  }
}

function succeeded(text: string, exitCode: number | null, created: boolean): JobResult {
  const result = { kind: "init" as const, created };
  return { status: "succeeded", error: null, exitCode, summary: null, closing: [info(text)], result };
}

const info = (text: string): LineDraft => ({ level: "info", stream: "agent", text });

function failed(problem: ResticProblem): JobResult {
  return failedResult(toJobError(problem), problem.exitCode);
}
