/**
 * Frees the space of what was forgotten, with the access that the command brought where it brought one. A storage that
 * refuses to delete is no success, whatever restic's exit code.
 */
import type { JobSpec } from "@restic-manager/protocol";
import { pruneArgs } from "../restic/args.ts";
import { parsePrunedBytes } from "../restic/repository-output.ts";
import { formatBytes } from "./backup-report.ts";
import { type ActiveJob, type CommandDeps, type CommandOutcome, failedResult } from "./job-context.ts";
import { isRefusal, refusedError } from "./refusal.ts";
import { toJobError } from "./restic-access.ts";
import { runSingle } from "./single-run.ts";

type PruneSpec = Extract<JobSpec, { kind: "prune" }>;

export async function runPrune(deps: CommandDeps, job: ActiveJob, spec: PruneSpec): Promise<CommandOutcome> {
  let freedBytes: number | null = null;
  let refused = false;
  const run = await runSingle(deps, job, pruneArgs(spec.limits), (line) => {
    if (line.stream === "stdout") freedBytes = parsePrunedBytes(line.text) ?? freedBytes;
    refused ||= isRefusal(line);
  });
  if (run.kind === "over") return run.outcome;
  const { exitCode, stderrTail } = run.followed;
  if (refused) return failedResult(refusedError("prune", stderrTail), exitCode);
  if (run.problem !== undefined) return failedResult(toJobError(run.problem), exitCode);
  return pruned(freedBytes, exitCode);
}

function pruned(freedBytes: number | null, exitCode: number | null): CommandOutcome {
  const text =
    freedBytes === null ? "The repository was pruned." : `Pruned: ${formatBytes(freedBytes)} were freed.`;
  return {
    ...{ status: "succeeded", error: null, exitCode, summary: null },
    closing: [{ level: "info", stream: "agent", text }],
    result: { kind: "prune", freed_bytes: freedBytes },
  };
}
