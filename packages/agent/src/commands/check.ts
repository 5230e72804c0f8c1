/**
 * One check of the repository's structure. restic's exit code decides: on a locked repository its summary claims an
 * error that is none.
 */
import type { JobSpec } from "@restic-manager/protocol";
import { checkArgs } from "../restic/args.ts";
import { parseBackupLine } from "../restic/output.ts";
import type { OutputLine } from "../restic/run.ts";
import { toLogLine } from "./backup-report.ts";
import { followRun } from "./follow-run.ts";
import { type ActiveJob, type CommandDeps, type CommandOutcome, failedResult } from "./job-context.ts";
import { cancelledRun, isJobError, openRestic, toJobError } from "./restic-access.ts";

type CheckSpec = Extract<JobSpec, { kind: "check" }>;

export async function runCheck(deps: CommandDeps, job: ActiveJob, spec: CheckSpec): Promise<CommandOutcome> {
  const access = await openRestic(deps);
  if (isJobError(access)) return failedResult(access);
  const tell = async (line: OutputLine) => {
    const draft = toLogLine(parseBackupLine(line.text), line.stream);
    if (draft !== undefined && !job.log.isTold(line)) await job.log.add(draft, line);
  };
  const followed = await followRun(deps, job, access, checkArgs(spec.limits), tell);
  const { outcome, exitCode } = followed;
  switch (outcome.kind) {
    case "detached":
      return "detached";
    case "cancelled":
      return cancelledRun(followed);
    case "failed":
    case "warning":
      return failedResult(toJobError(outcome.problem), exitCode);
    case "ok": {
      const text = "No errors were found in the repository's structure.";
      const closing = [{ level: "info" as const, stream: "agent" as const, text }];
      return { status: "succeeded", error: null, exitCode, summary: null, closing };
    }
  }
}
