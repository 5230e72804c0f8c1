/**
 * One backup of one source group. Invariants: what was not covered is said (restic before 0.19 exits 0 when a
 * path is missing); restic's status lines never become log lines; the list of snapshots that follows is for
 * display and never makes a good backup fail.
 */
import type { BackupSpec, Progress } from "@restic-manager/protocol";
import { ProgressThrottle } from "../journal/progress-throttle.ts";
import { backupArgs } from "../restic/args.ts";
import { describeProblem } from "../restic/exit.ts";
import { parseBackupLine, type Snapshot, type BackupSummary as Summary } from "../restic/output.ts";
import type { OutputLine } from "../restic/run.ts";
import { missingSources, writeSourceFiles } from "../restic/sources.ts";
import {
  allMissing,
  missingSentence,
  notCovered,
  summaryLines,
  toLogLine,
  toWireProgress,
  toWireSummary,
  warning,
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
import { listForServer } from "./list-snapshots.ts";
import { cancelledRun, isJobError, openRestic, toJobError } from "./restic-access.ts";

/** What restic said on the way that the end of the job needs. */
type Heard = { summary: Summary | null; skipped: string[] };

export async function runBackup(
  deps: CommandDeps,
  job: ActiveJob,
  spec: BackupSpec,
): Promise<CommandOutcome> {
  const access = await openRestic(deps);
  if (isJobError(access)) return failedResult(access);
  const missing = job.entry.missing_sources ?? (await missingSources(spec.includes));
  const prepared = (await wasBegun(job)) ? { args: [] } : await prepare(job, spec, access, missing);
  if (!("args" in prepared)) return prepared;
  const heard: Heard = { summary: null, skipped: [] };
  const throttle = new ProgressThrottle(deps.clock, job.reportProgress);
  try {
    const followed = await followRun(deps, job, access, prepared.args, (line) =>
      hear(job, line, throttle, heard),
    );
    return await conclude(deps, job, access, { spec, followed, heard, missing });
  } finally {
    throttle.stop();
  }
}

/** Looks at the sources and writes them down for restic. A result when there is nothing to start. */
async function prepare(
  job: ActiveJob,
  spec: BackupSpec,
  access: ResticAccess,
  missing: string[],
): Promise<{ args: string[] } | JobResult> {
  if (job.cancelled.aborted) return cancelledResult();
  await job.update({ missing_sources: missing });
  if (missing.length === spec.includes.length) return failedResult(allMissing(missing));
  const present = spec.includes.filter((path) => !missing.includes(path));
  const written = await writeSourceFiles(job.dir, present, spec.excludes);
  if (written.kind === "invalid")
    return failedResult({ code: written.code, message: written.message, last_lines: [] });
  await introduce(job, spec, access, present.length, missing);
  return { args: backupArgs({ hostName: spec.host_name, tags: [spec.source_group], ...written.files }) };
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
  line: OutputLine,
  throttle: ProgressThrottle<Progress>,
  heard: Heard,
): Promise<void> {
  const parsed = parseBackupLine(line.text);
  if (parsed.kind === "status") return throttle.offer(toWireProgress(parsed.progress));
  if (parsed.kind === "summary") {
    heard.summary = parsed.summary;
    return;
  }
  if (parsed.kind === "text") {
    const skipped = SKIPPED.exec(parsed.text)?.[1];
    if (skipped !== undefined) heard.skipped.push(skipped);
  }
  const draft = toLogLine(parsed, line.stream);
  if (draft !== undefined && !job.log.isTold(line)) await job.log.add(draft, line);
}

type Ending = { spec: BackupSpec; followed: FollowedOutcome; heard: Heard; missing: string[] };

async function conclude(
  deps: CommandDeps,
  job: ActiveJob,
  access: ResticAccess,
  ending: Ending,
): Promise<CommandOutcome> {
  const { followed, heard } = ending;
  const { outcome, exitCode } = followed;
  if (outcome.kind === "detached") return "detached";
  if (outcome.kind === "cancelled") return cancelledRun(followed);
  if (outcome.kind === "failed") return failedResult(toJobError(outcome.problem), exitCode);
  const list = await listForServer(deps, job, access, ending.spec.host_name);
  if (list === "detached") return "detached";
  const said = heard.summary?.snapshotId === undefined ? findUnheard(list.read, ending) : heard.summary;
  // Exit 0 without a snapshot is no backup, whatever restic thinks of it.
  if (said === undefined)
    return failedResult(
      toJobError(describeProblem("restic.bad_output", followed.stderrTail, exitCode)),
      exitCode,
    );
  const missing = [...new Set([...ending.missing, ...heard.skipped])];
  const error = notCovered(outcome.kind === "warning" ? toJobError(outcome.problem) : null, missing);
  const { fromMs = 0, toMs = 0 } = followed.ran ?? {};
  const summary = toWireSummary(said, Math.max(0, Math.round(toMs - fromMs)));
  return {
    status: error === null ? "succeeded" : "warning",
    error,
    exitCode,
    summary,
    closing: [
      ...(said === heard.summary ? [] : [warning(UNHEARD)]),
      ...summaryLines(summary),
      ...(error === null ? [] : [warning(error.message)]),
      ...list.warnings,
    ],
    ...(list.snapshots === undefined ? {} : { snapshots: list.snapshots }),
  };
}

const UNHEARD =
  "restic ended well, but its report could not be stored: the agent's disk was probably full. The snapshot was found in the repository; some of restic's lines may be missing in this log.";

/** The snapshot that restic made while it ran for this job, when the disk was too full to keep what it said. */
function findUnheard(snapshots: readonly Snapshot[], { spec, followed }: Ending): Summary | undefined {
  const { ran } = followed;
  if (ran === null) return undefined;
  const isOurs = ({ timeMs, tags }: Snapshot): boolean =>
    timeMs >= ran.fromMs && timeMs <= ran.toMs && tags.includes(spec.source_group);
  return snapshots.findLast(isOurs)?.summary;
}
