/** One step of a job in which restic only reads: begun, or taken up again, and followed to its end. */
import type { ResticProblem } from "../restic/exit.ts";
import { followRun, wasBegun } from "./follow-run.ts";
import {
  type ActiveJob,
  type CommandDeps,
  type CommandOutcome,
  cancelledResult,
  type ResticAccess,
} from "./job-context.ts";
import { cancelledRun } from "./restic-access.ts";
import { stepOf, tellStep } from "./step.ts";

export type ReadingEnd = {
  exitCode: number | null;
  stderrTail: string[];
  /** Absent when all went well. */
  problem?: ResticProblem;
};

/** There is nothing to go on with: it was cancelled, or goes on without this agent. */
export type Over = { over: CommandOutcome };

/**
 * @param hear every line of stdout, also those that an earlier agent has heard, in order, with the offset of its end;
 *   what stands on stderr goes into the log
 */
export async function readStep(
  deps: CommandDeps,
  job: ActiveJob,
  access: ResticAccess,
  { name, args }: { name: string; args: readonly string[] },
  hear: (text: string, endOffset: number) => void | Promise<void>,
): Promise<ReadingEnd | Over> {
  const step = stepOf(job, name);
  if (job.cancelled.aborted && !(await wasBegun(step))) return { over: cancelledResult() };
  const followed = await followRun(deps, step, access, args, async (line) => {
    if (line.stream === "stdout") await hear(line.text, line.endOffset);
    else await tellStep(job, name, line);
  });
  const { outcome, exitCode, stderrTail } = followed;
  if (outcome.kind === "detached") return { over: "detached" };
  if (outcome.kind === "cancelled") return { over: cancelledRun(followed) };
  return { exitCode, stderrTail, ...(outcome.kind === "ok" ? {} : { problem: outcome.problem }) };
}
