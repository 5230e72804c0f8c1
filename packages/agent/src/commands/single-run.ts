/** A job that is one run of restic on a whole repository: opened first, begun or taken up again, followed to its end. */
import type { ResticProblem } from "../restic/exit.ts";
import type { OutputLine } from "../restic/run.ts";
import { type FollowedOutcome, followRun, wasBegun } from "./follow-run.ts";
import { type ActiveJob, type CommandDeps, type CommandOutcome, failedResult } from "./job-context.ts";
import { cancelledRun, findUnopened, isJobError, openForJob } from "./restic-access.ts";
import { tellText } from "./text-log.ts";

export type SingleRun =
  | { kind: "ended"; followed: FollowedOutcome /** Absent when all went well. */; problem?: ResticProblem }
  /** There is nothing to judge: it did not begin, was cancelled, or runs on without this agent. */
  | { kind: "over"; outcome: CommandOutcome };

/**
 * @param hear every line, also those that were told before, in order
 * @param opened the job has asked the repository something this moment
 */
export async function runSingle(
  deps: CommandDeps,
  job: ActiveJob,
  args: readonly string[],
  hear: (line: OutputLine) => void,
  opened = false,
): Promise<SingleRun> {
  const access = await openForJob(deps, job);
  if (isJobError(access)) return { kind: "over", outcome: failedResult(access) };
  const unopened = opened || (await wasBegun(job)) ? undefined : await findUnopened(deps, job, access);
  if (unopened !== undefined) return { kind: "over", outcome: unopened };
  const followed = await followRun(deps, job, access, args, (line) => {
    hear(line);
    return tellText(job, line);
  });
  switch (followed.outcome.kind) {
    case "detached":
      return { kind: "over", outcome: "detached" };
    case "cancelled":
      return { kind: "over", outcome: cancelledRun(followed) };
    case "ok":
      return { kind: "ended", followed };
    case "warning":
    case "failed":
      return { kind: "ended", followed, problem: followed.outcome.problem };
  }
}
