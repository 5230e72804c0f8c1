/**
 * What a check advised: the index is written anew from the packs, or broken snapshots are written anew without what is
 * lost. Never begun by the agent itself, and the broken snapshots stay: removing them is the operator's decision.
 */
import type { JobSpec } from "@restic-manager/protocol";
import { repairArgs } from "../restic/args.ts";
import { type ActiveJob, type CommandDeps, type CommandOutcome, failedResult } from "./job-context.ts";
import { isRefusal, refusedError } from "./refusal.ts";
import { toJobError } from "./restic-access.ts";
import { runSingle } from "./single-run.ts";

type RepairSpec = Extract<JobSpec, { kind: "repair" }>;

const DONE: Record<RepairSpec["what"], string> = {
  index: "The index was written anew. Check the repository again.",
  snapshots:
    "Broken snapshots were written anew without what is lost; the broken ones are still there. Check the repository again.",
};

export async function runRepair(
  deps: CommandDeps,
  job: ActiveJob,
  spec: RepairSpec,
): Promise<CommandOutcome> {
  let refused = false;
  const run = await runSingle(deps, job, repairArgs(spec.what), (line) => {
    refused ||= isRefusal(line);
  });
  if (run.kind === "over") return run.outcome;
  const { exitCode, stderrTail } = run.followed;
  if (refused) return failedResult(refusedError("repair", stderrTail), exitCode);
  if (run.problem !== undefined) return failedResult(toJobError(run.problem), exitCode);
  return {
    ...{ status: "succeeded", error: null, exitCode, summary: null },
    closing: [{ level: "info", stream: "agent", text: DONE[spec.what] }],
  };
}
