/**
 * One backup of one source group. Invariants: what was not covered is said (restic before 0.19 exits 0 when a
 * path is missing); restic's status lines never become log lines; what is told of the snapshot comes from restic's
 * own summary, so that nobody waits for the list. The scripts around it are hooked-backup.ts.
 */
import { join, resolve } from "node:path";
import type { BackupSpec, Progress, Snapshot } from "@restic-manager/protocol";
import type { LineDraft } from "../journal/job-log.ts";
import { ProgressThrottle } from "../journal/progress-throttle.ts";
import { backupArgs, findMarkerProblem } from "../restic/args.ts";
import { describeProblem } from "../restic/exit.ts";
import { jobFiles } from "../restic/job-dir.ts";
import { parseBackupLine, type BackupSummary as Summary } from "../restic/output.ts";
import type { OutputLine } from "../restic/run.ts";
import { findSourceProblem, missingSources, type SourceFiles, writeSourceFiles } from "../restic/sources.ts";
import {
  allMissing,
  missingSentence,
  notCovered,
  summaryLines,
  toLogLine,
  tooSmall,
  toWireProgress,
  toWireSummary,
  warning,
  withoutSnapshot,
} from "./backup-report.ts";
import { type FollowedOutcome, followRun, wasBegun } from "./follow-run.ts";
import {
  type ActiveJob,
  type CommandDeps,
  type CommandOutcome,
  cancelledResult,
  failedResult,
  type JobResult,
  type ResticAccess,
} from "./job-context.ts";
import { listForServer, toWireSnapshot } from "./list-snapshots.ts";
import { cancelledRun, isJobError, openForJob, toJobError } from "./restic-access.ts";

/** What restic said on the way that the end of the job needs. */
type Heard = {
  summary: Summary | null;
  skipped: string[];
  /** Why files were read without a snapshot of their volume. */
  unsnapshotted: string[];
};

export async function backUp(deps: CommandDeps, job: ActiveJob, spec: BackupSpec): Promise<CommandOutcome> {
  const access = await openForJob(deps, job);
  if (isJobError(access)) return failedResult(access);
  const missing = job.entry.missing_sources ?? (await missingSources(spec.includes));
  const prepared = (await wasBegun(job)) ? { args: [] } : await prepare(deps, job, spec, access, missing);
  if (!("args" in prepared)) return prepared;
  const heard: Heard = { summary: null, skipped: [], unsnapshotted: [] };
  const throttle = new ProgressThrottle(deps.clock, job.reportProgress);
  try {
    const first = await followRun(deps, job, access, prepared.args, (line) =>
      hear(job, line, throttle, heard),
    );
    const refusal = findVssRefusal(first);
    if (refusal !== undefined) heard.unsnapshotted.push(refusal);
    const followed =
      refusal === undefined
        ? first
        : await followWithout(deps, job, access, spec, (line) =>
            hear(job, { ...line, part: "without-snapshot" }, throttle, heard),
          );
    return await conclude(deps, job, access, { spec, followed, heard, missing });
  } finally {
    throttle.stop();
  }
}

/** Looks at the sources and writes them down for restic. A result when there is nothing to start. */
async function prepare(
  deps: CommandDeps,
  job: ActiveJob,
  spec: BackupSpec,
  access: ResticAccess,
  missing: string[],
): Promise<{ args: string[] } | JobResult> {
  if (job.cancelled.aborted) return cancelledResult();
  const problem = findProblem(spec);
  if (problem !== undefined) return invalid(problem);
  await job.update({ missing_sources: missing });
  if (missing.length === spec.includes.length) return failedResult(allMissing(missing));
  const present = spec.includes.filter((path) => !missing.includes(path));
  const written = await writeSourceFiles(job.dir, present, spec.excludes);
  if (written.kind === "invalid") return invalid(written.message);
  await introduce(job, spec, access, present.length, missing);
  return { args: argsOf(spec, written.files, deps.volumeSnapshots === true) };
}

function argsOf(spec: BackupSpec, files: SourceFiles, volumeSnapshot: boolean): string[] {
  return backupArgs({
    ...{ hostName: spec.host_name, tags: [spec.source_group], ...files, volumeSnapshot },
    excludeIfPresent: spec.exclude_if_present ?? [],
    excludeLargerThanBytes: spec.exclude_larger_than_bytes,
    excludeCaches: spec.exclude_caches,
    oneFileSystem: spec.one_file_system,
    limits: spec.limits,
  });
}

/** restic's word for a snapshot that it could not make; it ends at once when it may not even ask for one. */
const VSS_REFUSED = /VSS error: [^"\\]*/;
const VSS_FAILED = /^failed to create snapshot for \[/;

function findVssRefusal({ outcome, stderrTail }: FollowedOutcome): string | undefined {
  if (outcome.kind !== "failed") return undefined;
  return stderrTail.map((line) => VSS_REFUSED.exec(line)?.[0]).find((words) => words !== undefined);
}

/** The same backup without a snapshot, in a folder of its own: an agent that takes the job up finds both runs. */
async function followWithout(
  deps: CommandDeps,
  job: ActiveJob,
  access: ResticAccess,
  spec: BackupSpec,
  onLine: (line: OutputLine) => Promise<void>,
): Promise<FollowedOutcome> {
  const files = jobFiles(job.dir);
  const excludes = spec.excludes.length === 0 ? {} : { excludesPath: files.excludes };
  const args = argsOf(spec, { sourcesPath: files.sources, ...excludes }, false);
  return followRun(deps, { ...job, dir: join(job.dir, "without-snapshot") }, access, args, onLine);
}

/** What no restic could work with: an agent that is older or on another system than the server took it for. */
function findProblem(spec: BackupSpec): string | undefined {
  const markers = (spec.exclude_if_present ?? []).map(findMarkerProblem);
  return findSourceProblem(spec.includes, spec.excludes) ?? markers.find((problem) => problem !== undefined);
}

function invalid(message: string): JobResult {
  return failedResult({ code: "restic.invalid_source", message: message.slice(0, 4000), last_lines: [] });
}

async function introduce(
  job: ActiveJob,
  spec: BackupSpec,
  access: ResticAccess,
  paths: number,
  missing: readonly string[],
): Promise<void> {
  // An agent that crashed in this very moment has told these lines already.
  if (job.log.position.logLines > 0) return;
  const text = `restic ${access.version} backs up "${spec.source_group}": ${paths} ${paths === 1 ? "path" : "paths"}.`;
  await job.log.add({ level: "info", stream: "agent", text });
  if (missing.length > 0)
    await job.log.add({ level: "warning", stream: "agent", text: missingSentence(missing) });
  await job.log.flush();
}

const SKIPPED = /^(.*) does not exist, skipping$/s;

async function hear(
  job: ActiveJob,
  line: OutputLine & { part?: string },
  throttle: ProgressThrottle<Progress>,
  heard: Heard,
): Promise<void> {
  const parsed = parseBackupLine(line.text);
  if (parsed.kind === "status") return throttle.offer(toWireProgress(parsed.progress));
  if (parsed.kind === "summary") {
    heard.summary = parsed.summary;
    return;
  }
  if (parsed.kind === "error" && VSS_FAILED.test(parsed.message)) heard.unsnapshotted.push(parsed.message);
  if (parsed.kind === "text") {
    const skipped = SKIPPED.exec(parsed.text)?.[1];
    if (skipped !== undefined) heard.skipped.push(skipped);
  }
  const draft = toLogLine(parsed, line.stream);
  if (draft !== undefined && !job.log.isTold(line)) await job.log.add(draft, line);
}

type Ending = { spec: BackupSpec; followed: FollowedOutcome; heard: Heard; missing: string[] };

/** The snapshot that was made, from what restic said or, where that was lost, from the repository. */
type Made = { summary: Summary; added: Snapshot; snapshots?: Snapshot[]; warnings: LineDraft[] };

async function conclude(
  deps: CommandDeps,
  job: ActiveJob,
  access: ResticAccess,
  ending: Ending,
): Promise<CommandOutcome> {
  const { spec, followed, heard } = ending;
  const { outcome, exitCode } = followed;
  if (outcome.kind === "detached") return "detached";
  if (outcome.kind === "cancelled") return cancelledRun(followed);
  if (outcome.kind === "failed") return failedResult(toJobError(outcome.problem), exitCode);
  const missing = [...new Set([...ending.missing, ...heard.skipped])];
  const made = heardSnapshot(ending, missing) ?? (await findUnheard(deps, job, access, ending));
  if (made === "detached") return "detached";
  // Exit 0 without a snapshot is no backup, whatever restic thinks of it.
  if (made === undefined)
    return failedResult(
      toJobError(describeProblem("restic.bad_output", followed.stderrTail, exitCode)),
      exitCode,
    );
  const { fromMs = 0, toMs = 0 } = followed.ran ?? {};
  const summary = toWireSummary(made.summary, Math.max(0, Math.round(toMs - fromMs)));
  const partial = outcome.kind === "warning" ? toJobError(outcome.problem) : null;
  const covered = withoutSnapshot(notCovered(partial, missing), heard.unsnapshotted);
  const error = tooSmall(covered, summary, spec.min_size_bytes);
  return {
    status: error === null ? "succeeded" : "warning",
    ...{ error, exitCode, summary, added: made.added },
    closing: [
      ...made.warnings,
      ...summaryLines(summary),
      ...(error === null ? [] : [warning(error.message)]),
    ],
    ...(made.snapshots === undefined ? {} : { snapshots: made.snapshots }),
  };
}

/** Undefined when restic named no snapshot. */
function heardSnapshot({ spec, followed, heard }: Ending, missing: readonly string[]): Made | undefined {
  const { summary } = heard;
  if (summary?.snapshotId === undefined) return undefined;
  const added = toWireSnapshot({
    ...{ id: summary.snapshotId, shortId: summary.snapshotId.slice(0, 8), hostname: spec.host_name },
    timeMs: summary.startedAtMs ?? followed.ran?.fromMs ?? 0,
    // restic keeps them without a slash at their end.
    paths: spec.includes.filter((path) => !missing.includes(path)).map((path) => resolve(path)),
    tags: [spec.source_group],
    ...{ sizeBytes: summary.totalBytes, fileCount: summary.totalFiles, addedBytes: summary.addedBytes },
  });
  return { summary, added, warnings: [] };
}

const UNHEARD =
  "restic ended well, but its report could not be stored: the agent's disk was probably full. The snapshot was found in the repository; some of restic's lines may be missing in this log.";

/** The snapshot that restic made while it ran for this job, when the disk was too full to keep what it said. */
async function findUnheard(
  deps: CommandDeps,
  job: ActiveJob,
  access: ResticAccess,
  { spec, followed }: Ending,
): Promise<Made | "detached" | undefined> {
  const list = await listForServer(deps, job, access, spec.host_name);
  if (list === "detached") return "detached";
  const { ran } = followed;
  if (ran === null) return undefined;
  const found = list.read.findLast(
    ({ timeMs, tags }) => timeMs >= ran.fromMs && timeMs <= ran.toMs && tags.includes(spec.source_group),
  );
  if (found?.summary === undefined) return undefined;
  return {
    ...{ summary: found.summary, added: toWireSnapshot(found) },
    ...(list.snapshots === undefined ? {} : { snapshots: list.snapshots }),
    warnings: [warning(UNHEARD), ...list.warnings],
  };
}
