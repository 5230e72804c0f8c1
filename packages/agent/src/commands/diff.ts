/**
 * Compares two snapshots: a line of the log for each file and folder in which they differ. restic's comparison knows no
 * sizes, so both snapshots are listed afterwards, and the log is written when those are known. Takes no lock. Memory is
 * bounded: of what is beyond, the log has lines without sizes.
 */
import type { DiffSpec } from "@restic-manager/protocol";
import { diffArgs, listAllArgs } from "../restic/args.ts";
import { parseChange } from "../restic/diff-output.ts";
import { parseListedNode } from "../restic/tree-output.ts";
import {
  changeLine,
  countChange,
  DIFF_HEADLINE,
  diffSentence,
  emptyDiff,
  listedPath,
  type Sides,
  toSide,
} from "./diff-report.ts";
import { wasBegun } from "./follow-run.ts";
import {
  type ActiveJob,
  type CommandDeps,
  type CommandOutcome,
  failedResult,
  type ResticAccess,
} from "./job-context.ts";
import { type Over, type ReadingEnd, readStep } from "./reading-step.ts";
import { findUnopened, isJobError, openForJob, toJobError } from "./restic-access.ts";
import { stepOf } from "./step.ts";

/** Paths whose sizes are kept in memory: some 30 MiB. */
const MAX_SIZED = 100_000;

export async function runDiff(deps: CommandDeps, job: ActiveJob, spec: DiffSpec): Promise<CommandOutcome> {
  const access = await openForJob(deps, job);
  if (isJobError(access)) return failedResult(access);
  const compare = { name: "diff", args: diffArgs(spec.from, spec.to, spec.limits) };
  const unopened = (await wasBegun(stepOf(job, compare.name)))
    ? undefined
    : await findUnopened(deps, job, access);
  if (unopened !== undefined) return unopened;
  const sides = new Map<string, Sides>();
  let changes = 0;
  const first = await readStep(deps, job, access, compare, (line) => {
    const change = parseChange(line);
    if (change === undefined) return;
    changes += 1;
    if (sides.size < MAX_SIZED) sides.set(listedPath(change.path), {});
  });
  const listed = goesOn(first) ? await lookUp(deps, job, access, spec, sides) : first;
  return goesOn(listed) ? tell(deps, job, access, compare, sides, changes) : toOutcome(listed);
}

const goesOn = (end: ReadingEnd | Over): end is ReadingEnd => !("over" in end) && end.problem === undefined;

function toOutcome(end: ReadingEnd | Over): CommandOutcome {
  if ("over" in end) return end.over;
  if (end.problem === undefined) throw new Error("a step that went well ends no job");
  return failedResult(toJobError(end.problem), end.exitCode);
}

/** Sizes and modes of what differs, as either snapshot has them. */
async function lookUp(
  deps: CommandDeps,
  job: ActiveJob,
  access: ResticAccess,
  { from, to, limits }: DiffSpec,
  sides: Map<string, Sides>,
): Promise<ReadingEnd | Over> {
  const list = (snapshotId: string, side: keyof Sides) =>
    readStep(deps, job, access, { name: `list-${side}`, args: listAllArgs(snapshotId, limits) }, (line) => {
      const listed = parseListedNode(line);
      const known = listed && sides.get(listed.path);
      if (listed && known) known[side] = toSide(listed.node);
    });
  if (sides.size === 0) return { exitCode: 0, stderrTail: [] };
  const before = await list(from, "before");
  return goesOn(before) ? list(to, "after") : before;
}

/** What restic compared is read from its files once more, now that its sizes are known. */
async function tell(
  deps: CommandDeps,
  job: ActiveJob,
  access: ResticAccess,
  compare: { name: string; args: string[] },
  sides: ReadonlyMap<string, Sides>,
  changes: number,
): Promise<CommandOutcome> {
  const result = { ...emptyDiff(), sized: changes <= MAX_SIZED };
  const headline = { stream: "stdout", endOffset: 1, part: "headline" } as const;
  if (changes > 0 && !job.log.isTold(headline))
    await job.log.add({ level: "info", stream: "agent", text: DIFF_HEADLINE }, headline);
  const told = await readStep(deps, job, access, compare, async (line, endOffset) => {
    const change = parseChange(line);
    if (change === undefined) return;
    const known = sides.get(listedPath(change.path)) ?? {};
    countChange(result, change, known);
    const mark = { stream: "stdout", endOffset, part: compare.name } as const;
    if (job.log.isTold(mark)) return;
    await job.log.add({ level: "info", stream: "stdout", text: changeLine(change, known) }, mark);
  });
  if (!goesOn(told)) return toOutcome(told);
  return {
    ...{ status: "succeeded", error: null, exitCode: told.exitCode, summary: null, result },
    closing: [{ level: "info", stream: "agent", text: diffSentence(result) }],
  };
}
