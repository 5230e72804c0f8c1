/**
 * A restore drill: a random sample of the newest snapshot of a group comes back into a private folder, is compared, and
 * goes. Invariants: nothing of the host is changed; the folder goes however the job ends (drill-folder.ts); a success
 * means that every file of the sample was there as the snapshot says. restic's exit code alone proves nothing.
 */
import { join } from "node:path";
import type { VerifyResult, VerifySpec } from "@restic-manager/protocol";
import { z } from "zod";
import { ProgressThrottle } from "../journal/progress-throttle.ts";
import { ensurePrivateDir, readTextIfExists, writeFileAtomic } from "../platform/files.ts";
import { listAllArgs, sampleRestoreArgs } from "../restic/args.ts";
import { parseBackupLine } from "../restic/output.ts";
import { nameLines } from "../restic/patterns.ts";
import { listSnapshots } from "../restic/probe.ts";
import { toRaw } from "../restic/raw-path.ts";
import { parseRestoreLine } from "../restic/restore-output.ts";
import { parseListedNode } from "../restic/tree-output.ts";
import { warning } from "./backup-report.ts";
import { type Compared, compareRestored } from "./drill-compare.ts";
import { drillFolder, findRoom, removeRestored } from "./drill-folder.ts";
import {
  beginLine,
  endLines,
  mismatchError,
  mismatchLine,
  noRoom,
  noSnapshot,
  nothingDrawn,
  toDrillProgress,
} from "./drill-report.ts";
import { type Drawn, DrillSample } from "./drill-sample.ts";
import { wasBegun } from "./follow-run.ts";
import {
  type ActiveJob,
  type CommandDeps,
  type CommandOutcome,
  cancelledResult,
  failedResult,
  type JobResult,
  type ResticAccess,
} from "./job-context.ts";
import { type Over, type ReadingEnd, readStep } from "./reading-step.ts";
import { isJobError, openForJob, toJobError } from "./restic-access.ts";
import { stepOf } from "./step.ts";

export async function runVerify(
  deps: CommandDeps,
  job: ActiveJob,
  spec: VerifySpec,
): Promise<CommandOutcome> {
  const folder = drillFolder(deps.drillsDir, job.entry.job_id);
  let outcome: CommandOutcome;
  try {
    outcome = await drill(deps, job, spec, folder);
  } catch (error) {
    // When the agent stops, restic may still be writing there, and the next agent goes on.
    if (!job.detached.aborted) await removeRestored(folder);
    throw error;
  }
  if (outcome === "detached") return outcome;
  const removed = await removeRestored(folder).then(
    () => true,
    () => false,
  );
  const told = outcome.result?.kind === "verify" ? endLines(outcome.result, removed) : [];
  return { ...outcome, closing: [...told, ...outcome.closing] };
}

const isOver = <T extends object>(value: T | Over): value is Over => "over" in value;

async function drill(
  deps: CommandDeps,
  job: ActiveJob,
  spec: VerifySpec,
  folder: string,
): Promise<CommandOutcome> {
  const access = await openForJob(deps, job);
  if (isJobError(access)) return failedResult(access);
  const chosen = await chooseSnapshot(deps, job, access, spec);
  if (isOver(chosen)) return chosen.over;
  const bounds = { seed: spec.seed, maxFiles: spec.max_files, maxBytes: spec.max_bytes };
  const sample = new DrillSample(bounds);
  const list = { name: "list", args: listAllArgs(chosen.snapshot_id, spec.limits) };
  const listed = await readStep(deps, job, access, list, (line) => {
    const listed = parseListedNode(line);
    if (listed !== undefined) sample.offer(listed);
  });
  if (isOver(listed)) return listed.over;
  if (listed.problem !== undefined) return failedResult(toJobError(listed.problem), listed.exitCode);
  const drawn = sample.draw();
  if (drawn.length === 0) return unproven(nothingDrawn(sample.leftOut, spec.max_bytes), listed.exitCode);
  const restored = await restoreSample(deps, job, access, { spec, chosen, drawn, folder });
  if (isOver(restored)) return restored.over;
  return compare(deps, job, { spec, chosen, drawn, folder, leftOut: sample.leftOut, restored });
}

function unproven(error: NonNullable<JobResult["error"]>, exitCode: number | null): JobResult {
  return { status: "warning", error, exitCode, summary: null, closing: [warning(error.message)] };
}

const chosenSnapshot = z.object({ snapshot_id: z.string(), snapshot_time: z.string() });
type Chosen = z.infer<typeof chosenSnapshot>;

/** The newest one of the group, and after a restart the same: written down, since another backup may have come. */
async function chooseSnapshot(
  deps: CommandDeps,
  job: ActiveJob,
  access: ResticAccess,
  spec: VerifySpec,
): Promise<Chosen | Over> {
  const path = join(job.dir, "drill.json");
  const written = await readTextIfExists(path);
  if (written !== undefined) return chosenSnapshot.parse(JSON.parse(written));
  const signal = AbortSignal.any([job.cancelled, job.detached]);
  const list = await listSnapshots(deps, { ...access, hostName: spec.host_name, signal });
  if (job.detached.aborted) return { over: "detached" };
  if (list.kind === "aborted") return { over: cancelledResult() };
  if (list.kind === "failed") return { over: failedResult(toJobError(list.problem), list.problem.exitCode) };
  const [newest] = list.snapshots
    .filter(({ tags }) => tags.includes(spec.source_group))
    .sort((a, b) => b.timeMs - a.timeMs);
  if (newest === undefined) return { over: failedResult(noSnapshot(spec)) };
  const chosen = { snapshot_id: newest.id, snapshot_time: new Date(newest.timeMs).toISOString() };
  await writeFileAtomic(path, JSON.stringify(chosen));
  return chosen;
}

/** For the file system's own needs, and for whoever else writes there meanwhile. */
const RESERVE_BYTES = 64 * 1024 * 1024;

type Drill = { spec: VerifySpec; chosen: Chosen; drawn: readonly Drawn[]; folder: string };

const sumBytes = (drawn: readonly Drawn[]): number =>
  drawn.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

async function restoreSample(
  deps: CommandDeps,
  job: ActiveJob,
  access: ResticAccess,
  { spec, chosen, drawn, folder }: Drill,
): Promise<ReadingEnd | Over> {
  const name = "restore";
  const bytes = sumBytes(drawn);
  const includesPath = join(job.dir, "includes.txt");
  if (!(await wasBegun(stepOf(job, name)))) {
    const free = await findRoom(deps.drillsDir);
    if (free < bytes + RESERVE_BYTES) return { over: failedResult(noRoom(bytes, free)) };
    await writeFileAtomic(includesPath, nameLines(drawn.map(({ path }) => toRaw(path))));
    await ensurePrivateDir(folder);
  }
  const begin = { stream: "stdout", endOffset: 1, part: "begin" } as const;
  if (!job.log.isTold(begin)) {
    const { snapshot_id: snapshotId } = chosen;
    await job.log.add(beginLine(spec, { snapshotId, files: drawn.length, bytes }), begin);
    await job.log.flush();
  }
  const args = sampleRestoreArgs({
    ...{ snapshotId: chosen.snapshot_id, target: folder, includesPath, limits: spec.limits },
  });
  const throttle = new ProgressThrottle(deps.clock, job.reportProgress);
  try {
    return await readStep(deps, job, access, { name, args }, (line) => {
      const told = parseRestoreLine(line);
      if (told.kind === "status") throttle.offer(toDrillProgress(told.progress));
    });
  } finally {
    throttle.stop();
  }
}

const FULL = /no space left on device|disk quota exceeded|not enough space on the disk/i;

/** What restic's failure means here: single files count by themselves, everything else ends the job. */
function findFailure(restored: ReadingEnd, drawn: readonly Drawn[]): JobResult | undefined {
  const { problem, exitCode, stderrTail } = restored;
  if (problem === undefined) return undefined;
  if (stderrTail.some((line) => FULL.test(line))) {
    return failedResult(
      { ...noRoom(sumBytes(drawn), null), last_lines: toJobError(problem).last_lines },
      exitCode,
    );
  }
  if (stderrTail.some((line) => parseBackupLine(line).kind === "error")) return undefined;
  return failedResult(toJobError(problem), exitCode);
}

async function compare(
  deps: CommandDeps,
  job: ActiveJob,
  { chosen, spec, drawn, folder, leftOut, restored }: Drill & { leftOut: number; restored: ReadingEnd },
): Promise<CommandOutcome> {
  const failure = findFailure(restored, drawn);
  if (failure !== undefined) return failure;
  const result: VerifyResult = {
    ...{ kind: "verify", ...chosen, seed: spec.seed, files: drawn.length, bytes: sumBytes(drawn) },
    ...{ source_files: 0, left_out: leftOut, mismatch_count: 0, mismatches: [] },
  };
  const signal = AbortSignal.any([job.cancelled, job.detached]);
  const options = { folder, platform: deps.platform, isRoot: process.getuid?.() === 0, signal };
  for (const [index, node] of drawn.entries()) {
    const compared = await compareRestored(node, options).catch((error: unknown) => {
      if (signal.aborted) return undefined;
      throw error;
    });
    if (job.detached.aborted) return "detached";
    if (compared === undefined || job.cancelled.aborted) return cancelledResult();
    await note(job, result, node.path, compared, index + 1);
  }
  const { exitCode, problem, stderrTail } = restored;
  const ending = { exitCode, summary: null, result };
  const mismatch = mismatchError(result, problem === undefined ? stderrTail : toJobError(problem).last_lines);
  if (mismatch !== null) return { ...failedResult(mismatch, exitCode), result };
  // restic found something wrong beside the files of the sample.
  if (problem !== undefined) return { ...unproven(toJobError(problem), exitCode), result };
  return { status: "succeeded", error: null, ...ending, closing: [] };
}

const MISMATCHES = 20;

/** @param number of the file, so that its line is told once also when another agent compares again */
async function note(
  job: ActiveJob,
  result: VerifyResult,
  path: string,
  { problem, withSource }: Compared,
  number: number,
): Promise<void> {
  if (withSource) result.source_files += 1;
  if (problem === null) return;
  const mismatch = { path: path.slice(0, 1024).toWellFormed(), problem };
  result.mismatch_count += 1;
  if (result.mismatches.length < MISMATCHES) result.mismatches.push(mismatch);
  const mark = { stream: "stdout", endOffset: number, part: "compare" } as const;
  if (!job.log.isTold(mark)) await job.log.add(mismatchLine({ path, problem }), mark);
}
