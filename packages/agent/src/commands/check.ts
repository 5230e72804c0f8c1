/**
 * One check of the repository's structure, and of the part of its data that was asked for. restic's exit code decides:
 * on a locked repository its summary claims an error that is none.
 */
import type { JobSpec, JobResult as WireResult } from "@restic-manager/protocol";
import { checkArgs, findReadDataProblem } from "../restic/args.ts";
import { type CheckSummary, parseCheckSummary } from "../restic/repository-output.ts";
import type { OutputLine } from "../restic/run.ts";
import { type ActiveJob, type CommandDeps, type CommandOutcome, failedResult } from "./job-context.ts";
import { toJobError } from "./restic-access.ts";
import { runSingle } from "./single-run.ts";

type CheckSpec = Extract<JobSpec, { kind: "check" }>;

export async function runCheck(deps: CommandDeps, job: ActiveJob, spec: CheckSpec): Promise<CommandOutcome> {
  const problem = findReadDataProblem(spec.read_data);
  if (problem !== undefined)
    return failedResult({ code: "check.invalid_part", message: problem, last_lines: [] });
  let summary: CheckSummary | undefined;
  let advised = false;
  const run = await runSingle(deps, job, checkArgs(spec.read_data, spec.limits), (line) => {
    if (line.stream === "stdout") summary = parseCheckSummary(line.text) ?? summary;
    advised ||= advisesRepair(line);
  });
  if (run.kind === "over") return run.outcome;
  const { exitCode } = run.followed;
  if (run.problem === undefined)
    return healthy(summary ?? { ...SOUND, suggestRepairIndex: advised }, exitCode);
  const failed = failedResult(toJobError(run.problem), exitCode);
  if (run.problem.code !== "restic.repository_damaged") return failed;
  const found = summary ?? { ...SOUND, errorCount: 1, suggestRepairIndex: advised };
  return { ...failed, result: toResult(found) };
}

/** Before 0.18 restic has no summary, and says with text and exit code that all is well. */
const SOUND: CheckSummary = { errorCount: 0, brokenPacks: 0, suggestRepairIndex: false, suggestPrune: false };

function advisesRepair({ text }: OutputLine): boolean {
  return text.includes("restic repair index");
}

function healthy(summary: CheckSummary, exitCode: number | null): CommandOutcome {
  const texts = [
    "No errors were found in the repository's structure.",
    ...(summary.suggestRepairIndex ? ["restic advises to repair the index; no data is missing."] : []),
    ...(summary.suggestPrune ? ["restic advises to prune the repository."] : []),
  ];
  return {
    ...{ status: "succeeded", error: null, exitCode, summary: null, result: toResult(summary) },
    closing: texts.map((text) => ({ level: "info", stream: "agent", text })),
  };
}

function toResult(summary: CheckSummary): WireResult {
  return {
    kind: "check",
    error_count: summary.errorCount,
    broken_packs: summary.brokenPacks,
    suggest_repair_index: summary.suggestRepairIndex,
    suggest_prune: summary.suggestPrune,
  };
}
