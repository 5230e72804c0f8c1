/**
 * Getting files back: one run of restic for each place that files go to. Invariants: everything that was asked for is in the
 * snapshot, and the target may be used, before anything is written (restore-prepare.ts); restic's summary is not believed:
 * its exit code, its errors and the target itself say how it went; whatever the end, the job says what was written.
 */
import type { JobError, Progress, RestoreResult, RestoreSpec } from "@restic-manager/protocol";
import { ProgressThrottle } from "../journal/progress-throttle.ts";
import { ensurePrivateDir, writeFileAtomic } from "../platform/files.ts";
import { giveTree, readUser } from "../platform/ownership.ts";
import { restoreArgs } from "../restic/args.ts";
import { jobFiles } from "../restic/job-dir.ts";
import { escapePattern, nameLines, patternLines } from "../restic/patterns.ts";
import { toText } from "../restic/raw-path.ts";
import type { OutputLine } from "../restic/run.ts";
import { formatBytes } from "./backup-report.ts";
import { type FollowedOutcome, followRun, wasBegun } from "./follow-run.ts";
import {
  type ActiveJob,
  type CommandDeps,
  type CommandOutcome,
  cancelledResult,
  failedResult,
  visible,
} from "./job-context.ts";
import { isJobError, openForJob, openRestic, toJobError } from "./restic-access.ts";
import { compareTarget } from "./restore-check.ts";
import type { RestoreRun } from "./restore-plan.ts";
import { type Decided, prepareRestore } from "./restore-prepare.ts";
import { concludeRestore } from "./restore-report.ts";
import { findGone } from "./restore-selection.ts";
import { RestoreTally } from "./restore-tally.ts";
import { makeFolder } from "./restore-target.ts";
import { stepOf } from "./step.ts";
import { tellText } from "./text-log.ts";

export async function runRestore(
  deps: CommandDeps,
  job: ActiveJob,
  spec: RestoreSpec,
): Promise<CommandOutcome> {
  const prepared = await prepareRestore(deps, job, spec);
  if (prepared.kind === "over") return prepared.outcome;
  const { decided } = prepared;
  const tally = new RestoreTally();
  await introduce(job, spec, decided);
  const ended = await runAll(deps, job, spec, decided, tally);
  if (ended === "detached") return "detached";
  if (!ended.begun) return ended.fatal === null ? cancelledResult() : failedResult(ended.fatal);
  let ownership = await settleOwnership(deps, job, spec, decided, tally);
  if (ended.fatal === null && !ended.cancelled && !spec.dry_run) {
    const owners = await check(deps, job, spec, decided, tally);
    if (ownership !== "agent" && owners !== "unseen") ownership = owners;
  }
  if (job.detached.aborted) return "detached";
  const { root, ...plan } = decided;
  return concludeRestore({ ...ended, spec, root, plan, tally, ownership });
}

async function introduce(job: ActiveJob, spec: RestoreSpec, { root, destinations }: Decided): Promise<void> {
  // An agent that crashed in this very moment has told this already.
  if (job.log.position.logLines > 0) return;
  const what = destinations.length === 1 ? "1 selection" : `${destinations.length} selections`;
  const from = spec.from == null ? "" : ` of ${spec.from.host_name}`;
  const where =
    spec.target.kind === "in_place"
      ? `in place (overwrite: ${spec.target.overwrite})`
      : `into ${visible(root ?? "")}`;
  const mode = spec.dry_run ? "Dry run: " : "";
  const text = `${mode}${what} of snapshot ${spec.snapshot_id.slice(0, 8)}${from} ${where}.`;
  await job.log.add({ level: "info", stream: "agent", text });
  await job.log.flush();
}

type RunsEnd = {
  exitCode: number | null;
  stderrTail: readonly string[];
  fatal: JobError | null;
  cancelled: boolean;
  /** Some restic was started. */
  begun: boolean;
};

/** One run after the other, until one fails as a whole or somebody cancels. */
async function runAll(
  deps: CommandDeps,
  job: ActiveJob,
  spec: RestoreSpec,
  decided: Decided,
  tally: RestoreTally,
): Promise<RunsEnd | "detached"> {
  const end: RunsEnd = { exitCode: null, stderrTail: [], fatal: null, cancelled: false, begun: false };
  const throttle = new ProgressThrottle<Progress>(deps.clock, job.reportProgress);
  try {
    for (const [index, run] of decided.runs.entries()) {
      const step = stepOf(job, stepName(index));
      if (job.cancelled.aborted && !(await wasBegun(step))) return { ...end, cancelled: true };
      const followed = await runOne(deps, job, {
        spec,
        run,
        index,
        of: decided.runs.length,
        tally,
        throttle,
      });
      if ("code" in followed) return { ...end, fatal: followed };
      const { outcome } = followed;
      if (outcome.kind === "detached") return "detached";
      end.begun = true;
      end.exitCode = Math.max(end.exitCode ?? 0, followed.exitCode ?? 0);
      end.stderrTail = followed.stderrTail.length > 0 ? followed.stderrTail : end.stderrTail;
      if (outcome.kind === "cancelled") return { ...end, cancelled: true };
      end.fatal = findFatal(followed, tally);
      if (end.fatal !== null) return end;
      tally.endRun();
    }
    return end;
  } finally {
    throttle.stop();
  }
}

const stepName = (index: number): string => `restore-${index + 1}`;

/** What ended a run as a whole. Items that failed are no such thing: they stand in the tally. */
function findFatal({ outcome, stderrTail }: FollowedOutcome, tally: RestoreTally): JobError | null {
  if (outcome.kind !== "failed") return null;
  const gone = findGone(stderrTail);
  if (gone !== undefined) return gone;
  const { problem } = outcome;
  const ofItems = problem.code === "restic.failed" || problem.code === "restic.repository_full";
  return ofItems && tally.failedCount > 0 ? null : toJobError(problem);
}

type Turn = {
  spec: RestoreSpec;
  run: RestoreRun;
  index: number;
  of: number;
  tally: RestoreTally;
  throttle: ProgressThrottle<Progress>;
};

async function runOne(deps: CommandDeps, job: ActiveJob, turn: Turn): Promise<FollowedOutcome | JobError> {
  const { spec, run, index, of, tally, throttle } = turn;
  const name = stepName(index);
  const step = stepOf(job, name);
  const access = await openForJob(deps, step);
  if (isJobError(access)) return index === 0 ? access : restarted(access);
  const prepared = (await wasBegun(step)) ? { args: [] } : await prepareRun(step, spec, run);
  if (!("args" in prepared)) return prepared;
  const told = { dryLines: 0 };
  return followRun(deps, step, access, prepared.args, async (line) => {
    const item = tally.hear(run.folder, line.text);
    const progress = tally.progress({ index, of });
    if (progress !== undefined) throttle.offer(progress);
    const mark = { stream: line.stream, endOffset: line.endOffset, part: name };
    if (item === undefined) return tellText(job, line, mark);
    if (spec.dry_run) await tellDry(job, item, mark, told);
  });
}

/** More lines than anybody reads; the figures count them all. */
const DRY_LINES = 10_000;

type Mark = Pick<OutputLine, "stream" | "endOffset"> & { part: string };

/** What a dry run would do with an item, as a line of the log. */
async function tellDry(
  job: ActiveJob,
  item: { action: string; path: string; sizeBytes: number },
  mark: Mark,
  told: { dryLines: number },
): Promise<void> {
  if (item.action === "unchanged") return;
  told.dryLines += 1;
  if (told.dryLines > DRY_LINES || job.log.isTold(mark)) return;
  const verb = item.action === "updated" ? "would replace" : "would restore";
  const size = item.sizeBytes > 0 ? ` (${formatBytes(item.sizeBytes)})` : "";
  const text =
    told.dryLines === DRY_LINES
      ? `More than ${DRY_LINES} items: the rest is counted and not listed.`
      : `${verb} ${visible(item.path)}${size}`;
  await job.log.add({ level: "info", stream: "agent", text }, mark);
}

function restarted(error: JobError): JobError {
  if (error.code !== "agent.access_gone") return error;
  const message =
    "The agent was restarted in the middle, and the credentials of this job were in its memory only. What had begun was finished, the rest was not restored; restore it again.";
  return { ...error, message };
}

/** The target, and the patterns as files. */
async function prepareRun(
  step: ActiveJob,
  spec: RestoreSpec,
  run: RestoreRun,
): Promise<{ args: string[] } | JobError> {
  if (!spec.dry_run) {
    const made = await makeFolder(run.target);
    if (made.kind === "refused") return made.error;
  }
  const files = jobFiles(step.dir);
  const spansLines = (name: string) => name.includes("\n");
  const names = run.names.filter((name) => !spansLines(name));
  const includes = names.length > 0 ? nameLines(names) : run.byPattern ? patternLines(spec.includes) : EMPTY;
  const excludes = run.byPattern ? patternLines(spec.excludes) : EMPTY;
  await ensurePrivateDir(step.dir);
  if (includes.length > 0) await writeFileAtomic(files.includes, includes, { durable: false });
  if (excludes.length > 0) await writeFileAtomic(files.excludes, excludes, { durable: false });
  const args = restoreArgs({
    ...{ snapshotId: spec.snapshot_id, folder: run.folder, target: run.target, limits: spec.limits },
    ...{ dryRun: spec.dry_run, verify: spec.verify },
    ...(includes.length > 0 ? { includesPath: files.includes } : {}),
    ...(excludes.length > 0 ? { excludesPath: files.excludes } : {}),
    includesOfLines: run.names.filter(spansLines).flatMap((name) => toText(escapePattern(name)) ?? []),
    ...(spec.target.kind === "in_place" ? { overwrite: spec.target.overwrite } : { sparse: true }),
  });
  return { args };
}

const EMPTY = Buffer.alloc(0);

/** Whose the files are in the end; in a new folder they become the agent's unless that was not wished. */
async function settleOwnership(
  deps: CommandDeps,
  job: ActiveJob,
  spec: RestoreSpec,
  { root }: Decided,
  tally: RestoreTally,
): Promise<RestoreResult["ownership"]> {
  const { ids } = readUser(deps.inherited);
  if (ids === null) return "kept";
  // Only root may give files to others: what came of it is looked at afterwards.
  if (root === null || spec.keep_ownership) return ids.uid === 0 ? "kept" : "not_kept";
  if (spec.dry_run) return "agent";
  for (const { path, message } of await giveTree(root, ids, job.detached)) tally.fail(path, message);
  return "agent";
}

/** Compares the target with the snapshot. @returns what became of the owners, as far as that could be seen */
async function check(
  deps: CommandDeps,
  job: ActiveJob,
  spec: RestoreSpec,
  decided: Decided,
  tally: RestoreTally,
): Promise<"kept" | "not_kept" | "unseen"> {
  // The credentials of another host's repository are gone when another agent began this.
  const isLost = job.entry.with_access === true && job.access === undefined;
  const access = isLost ? undefined : await openRestic(deps, job.access);
  const signal = AbortSignal.any([job.cancelled, job.detached]);
  const source =
    access === undefined || isJobError(access) ? undefined : { snapshotId: spec.snapshot_id, access, signal };
  const { failed, owners } = await compareTarget(deps, spec, decided.destinations, source);
  for (const { path, message } of failed) {
    tally.fail(path, message);
    await job.log.add({ level: "warning", stream: "agent", text: `${visible(path)} ${message}` });
  }
  if (owners.seen === 0 || deps.platform === "win32") return "unseen";
  return owners.differing > 0 ? "not_kept" : "kept";
}
