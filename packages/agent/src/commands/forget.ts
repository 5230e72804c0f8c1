/**
 * Applies the retention of a host's groups, one restic after the other. Invariants: nothing of another host or tag is
 * touched, nothing is removed without a policy, nothing is pruned; what would go is known before anything goes, and too
 * large a share waits for a confirmation; what was removed is what the list afterwards lacks, since restic's own answer
 * is only a plan; a group that fails does not keep the others from their turn.
 */
import type { ForgetSpec } from "@restic-manager/protocol";
import { readBounded } from "../platform/files.ts";
import { findPolicyProblem, forgetArgs } from "../restic/args.ts";
import { describeProblem, type ResticProblem } from "../restic/exit.ts";
import { jobFiles } from "../restic/job-dir.ts";
import { type ForgetPlan, parseForgetPlan } from "../restic/repository-output.ts";
import { followRun, wasBegun } from "./follow-run.ts";
import {
  concludeForget,
  findTooMany,
  type GroupEnd,
  type GroupError,
  refusedGroup,
  toGroupResult,
} from "./forget-report.ts";
import {
  type ActiveJob,
  type CommandDeps,
  type CommandOutcome,
  cancelledResult,
  failedResult,
  type ResticAccess,
} from "./job-context.ts";
import { listForServer } from "./list-snapshots.ts";
import { isRefusal } from "./refusal.ts";
import {
  cancelledRun,
  findUnopened,
  isJobError,
  openForJob,
  openRestic,
  toJobError,
} from "./restic-access.ts";
import { stepOf, tellStep } from "./step.ts";

type Group = ForgetSpec["groups"][number];

export async function runForget(
  deps: CommandDeps,
  job: ActiveJob,
  spec: ForgetSpec,
): Promise<CommandOutcome> {
  // Planning and listing remove nothing, so the everyday access will do when the other is gone.
  const access = await openRestic(deps, job.access);
  if (isJobError(access)) return failedResult(access);
  const unopened = (await isUnderWay(job, spec)) ? undefined : await findUnopened(deps, job, access);
  if (unopened !== undefined) return unopened;
  const ends: GroupEnd[] = [];
  for (const [index, group] of spec.groups.entries()) {
    const end = await forgetGroup(deps, job, access, { spec, group, index });
    if ("over" in end)
      return end.over === "detached" ? "detached" : { ...end.over, listLater: spec.host_name };
    ends.push(end);
  }
  return conclude(deps, job, access, spec, ends);
}

const planName = (index: number): string => `forget-${index + 1}-plan`;
const removalName = (index: number): string => `forget-${index + 1}`;

/** An earlier agent began some group: its restic may still run, and is followed whatever the storage says now. */
async function isUnderWay(job: ActiveJob, spec: ForgetSpec): Promise<boolean> {
  const plans = spec.groups.map((_, index) => stepOf(job, planName(index)));
  return (await Promise.all(plans.map(wasBegun))).includes(true);
}

type Turn = { spec: ForgetSpec; group: Group; index: number };

async function forgetGroup(
  deps: CommandDeps,
  job: ActiveJob,
  access: ResticAccess,
  turn: Turn,
): Promise<GroupEnd | { over: CommandOutcome }> {
  const { spec, group } = turn;
  const idle: GroupEnd = {
    ...{ sourceGroup: group.source_group, plan: { keep: [], remove: [] }, error: null },
    ...{ tried: false, lastLines: [], exitCode: null },
  };
  const problem = findPolicyProblem(group.policy);
  if (problem !== undefined) return { ...idle, error: POLICY_ERRORS[problem] };
  const planned = await planGroup(deps, job, access, turn);
  if ("over" in planned) return planned;
  if ("code" in planned) return { ...idle, ...toGroupProblem(planned) };
  const error = findTooMany(planned, spec);
  // Nothing to remove needs no lock either.
  if (error !== undefined || planned.remove.length === 0)
    return { ...idle, plan: planned, error: error ?? null, exitCode: 0 };
  return removeGroup(deps, job, { ...idle, plan: planned, tried: true }, turn);
}

const POLICY_ERRORS: Record<"empty" | "invalid", GroupError> = {
  empty: {
    code: "forget.empty_policy",
    message:
      "The policy keeps nothing, so every snapshot would go. Nothing was removed; set what shall be kept.",
  },
  invalid: {
    code: "forget.invalid_policy",
    message:
      "The time to keep snapshots for is none that restic takes, such as 1y5m7d2h. Nothing was removed; correct it.",
  },
};

/** What would go. Takes no lock; its answer stays in the step's files, so that it is the same after a restart. */
async function planGroup(
  deps: CommandDeps,
  job: ActiveJob,
  access: ResticAccess,
  { spec, group, index }: Turn,
): Promise<ForgetPlan | ResticProblem | { over: CommandOutcome }> {
  const step = stepOf(job, planName(index));
  if (job.cancelled.aborted && !(await wasBegun(step))) return { over: cancelledResult() };
  const args = forgetArgs({ ...toFilter(spec, group), dryRun: true });
  const followed = await followRun(deps, step, access, args, () => Promise.resolve());
  const { outcome, stderrTail, exitCode } = followed;
  if (outcome.kind === "detached") return { over: "detached" };
  if (outcome.kind === "cancelled") return { over: cancelledRun(followed) };
  if (outcome.kind !== "ok") return outcome.problem;
  const plan = await readPlan(step);
  return plan ?? describeProblem("restic.bad_output", stderrTail, exitCode);
}

/** Each snapshot stands in it twice, with all of its paths. */
const MAX_PLAN_BYTES = 64 * 1024 * 1024;

async function readPlan(step: ActiveJob): Promise<ForgetPlan | undefined> {
  const read = await readBounded(jobFiles(step.dir).stdout, MAX_PLAN_BYTES);
  return read.kind === "read" ? parseForgetPlan(read.data.toString("utf8")) : undefined;
}

async function removeGroup(
  deps: CommandDeps,
  job: ActiveJob,
  end: GroupEnd,
  { spec, group, index }: Turn,
): Promise<GroupEnd | { over: CommandOutcome }> {
  const name = removalName(index);
  const step = stepOf(job, name);
  if (job.cancelled.aborted && !(await wasBegun(step))) return { over: cancelledResult() };
  const access = await openForJob(deps, step);
  if (isJobError(access)) return { ...end, tried: false, error: access };
  let refused = false;
  const followed = await followRun(deps, step, access, forgetArgs(toFilter(spec, group)), async (line) => {
    refused ||= isRefusal(line);
    // Its JSON is the plan once more.
    if (line.stream === "stderr") await tellStep(job, name, line);
  });
  const { outcome, exitCode, stderrTail } = followed;
  if (outcome.kind === "detached") return { over: "detached" };
  if (outcome.kind === "cancelled") return { over: cancelledRun(followed) };
  if (refused) return { ...end, error: refusedGroup, lastLines: stderrTail, exitCode };
  // Exit 3 says that some are left: the list will show which.
  if (outcome.kind === "failed") return { ...end, ...toGroupProblem(outcome.problem) };
  return { ...end, exitCode };
}

function toFilter({ host_name: hostName, limits }: ForgetSpec, { source_group: sourceGroup, policy }: Group) {
  return { hostName, sourceGroup, policy, limits };
}

function toGroupProblem(problem: ResticProblem): Pick<GroupEnd, "error" | "lastLines" | "exitCode"> {
  const { code, message, last_lines } = toJobError(problem);
  return { error: { code, message }, lastLines: last_lines, exitCode: problem.exitCode };
}

async function conclude(
  deps: CommandDeps,
  job: ActiveJob,
  access: ResticAccess,
  spec: ForgetSpec,
  ends: readonly GroupEnd[],
): Promise<CommandOutcome> {
  const list = await listForServer(deps, job, access, spec.host_name);
  if (list === "detached") return list;
  const idsOf = ({ sourceGroup }: GroupEnd) =>
    list.read.filter(({ tags }) => tags.includes(sourceGroup)).map(({ id }) => id);
  const groups = ends.map((end) => toGroupResult(end, list.snapshots === undefined ? undefined : idsOf(end)));
  const result = concludeForget(groups, ends);
  return {
    ...result,
    closing: [...list.warnings, ...result.closing],
    ...(list.snapshots === undefined ? { listLater: spec.host_name } : { snapshots: list.snapshots }),
  };
}
