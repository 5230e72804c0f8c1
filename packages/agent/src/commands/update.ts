/**
 * Replaces this agent by another version of itself, or the restic in its folder. Invariants: a program is only ever taken
 * from a signed list and with the right digest (update/fetch-release.ts); it has said its version on this host before it
 * is put in place; the job of the agent's own update ends as succeeded only when the new version was welcomed by the
 * server, and otherwise the version before says why it is back.
 */
import { dirname } from "node:path";
import { compareVersions, type Progress, type UpdateSpec } from "@restic-manager/protocol";
import { ProgressThrottle } from "../journal/progress-throttle.ts";
import { whenAborted } from "../platform/clock.ts";
import { fileSizeBytes, removeTree } from "../platform/files.ts";
import { askVersion } from "../restic/binary.ts";
import { toolEnv } from "../restic/env.ts";
import { runShort } from "../restic/short.ts";
import { diskError, type Fetched, fetchRelease, updateError } from "../update/fetch-release.ts";
import { installFresh, keepPrevious, swapIn } from "../update/swap.ts";
import type { Updates } from "../update/updates.ts";
import { isOwnedByApt, notOffered, runApt } from "./apt-upgrade.ts";
import { wasBegun } from "./follow-run.ts";
import {
  type ActiveJob,
  type CommandDeps,
  type CommandOutcome,
  cancelledResult,
  failedResult,
  type JobResult,
} from "./job-context.ts";

export async function runUpdate(
  deps: CommandDeps,
  job: ActiveJob,
  spec: UpdateSpec,
): Promise<CommandOutcome> {
  const { updates } = deps;
  const { program, fresh } = spec.program === "agent" ? updates.agent : updates.restic;
  try {
    return await (spec.program === "agent" ? updateAgent(deps, job, spec) : updateRestic(deps, job, spec));
  } catch (error) {
    const known = diskError(error, dirname(program));
    if (known === undefined || job.detached.aborted) throw error;
    // Where nothing can be written, nothing can be removed either.
    await removeTree(fresh).catch(() => undefined);
    return failedResult(known);
  }
}

const NO_SUPERVISOR =
  "Nothing starts this agent again when it ends: it runs neither under systemd nor as a service of Windows. Install the new version by hand, or set RM_SUPERVISED=1 where something does start it again.";

async function updateAgent(deps: CommandDeps, job: ActiveJob, spec: UpdateSpec): Promise<CommandOutcome> {
  const { updates } = deps;
  const from = job.entry.update_from ?? updates.version;
  const standing = updates.trial.standingOf(job.entry.job_id);
  if (standing.kind === "rolled_back")
    return failedResult(updateError("update.rolled_back", rolledBack(from, standing.reason)));
  if (standing.kind === "on_trial") {
    await Promise.race([updates.trial.passed, whenAborted(job.detached)]);
    return job.detached.aborted ? "detached" : updated(spec, from);
  }
  if (await wasBegun(job)) return upgradeByApt(deps, job, spec, from);
  // Also when an agent went away between its welcome and the end of this job.
  if (spec.version === updates.version) return updated(spec, from);
  if (!updates.supervised) return failedResult(updateError("update.no_supervisor", NO_SUPERVISOR));
  await job.update({ update_from: from });
  if (job.cancelled.aborted) return cancelledResult();
  if (await isOwnedByApt(deps, updates.agent.program)) return upgradeByApt(deps, job, spec, from);
  const { agent } = updates;
  const wanted = {
    program: "restic-manager-agent" as const,
    spec,
    running: updates.version,
    place: agent.fresh,
  };
  const fetched = await fetch(deps, job, wanted);
  if (fetched.kind !== "placed") return notPlaced(job, fetched);
  const said = await sayVersion(deps, job, agent.fresh);
  if (job.detached.aborted) return "detached";
  if (said !== spec.version) return unusable(agent.fresh, spec, said);
  if (job.cancelled.aborted) return withdrawn(agent.fresh);
  await tell(
    job,
    `${spec.version} is in place; the agent starts anew. ${from} is kept and comes back by itself if need be.`,
  );
  await installFresh(agent, { job: job.entry.job_id, from, to: spec.version }, deps.platform);
  return startAnew(updates, job);
}

async function startAnew({ restart }: Updates, job: ActiveJob): Promise<CommandOutcome> {
  restart();
  await whenAborted(job.detached);
  return "detached";
}

async function upgradeByApt(
  deps: CommandDeps,
  job: ActiveJob,
  spec: UpdateSpec,
  from: string,
): Promise<CommandOutcome> {
  const { updates } = deps;
  const apt = await runApt(deps, job, spec);
  if (apt.kind === "detached") return "detached";
  if (isAtLeast(updates.version, spec.version)) return updated({ ...spec, version: updates.version }, from);
  if (apt.error !== undefined) return failedResult(apt.error);
  const installed = await sayVersion(deps, job, updates.agent.program);
  if (job.detached.aborted) return "detached";
  // The package has been replaced and has not started us anew.
  if (installed !== undefined && isAtLeast(installed, spec.version)) return startAnew(updates, job);
  return failedResult(notOffered(spec));
}

/** apt gives the newest that it knows, which may be newer than what was asked for. */
function isAtLeast(version: string, wanted: string): boolean {
  return (compareVersions(version, wanted) ?? -1) >= 0;
}

async function updateRestic(deps: CommandDeps, job: ActiveJob, spec: UpdateSpec): Promise<CommandOutcome> {
  const { updates } = deps;
  const { restic, chosenRestic } = updates;
  if (chosenRestic !== undefined && chosenRestic !== restic.program)
    return failedResult(updateError("update.restic_elsewhere", resticElsewhere(chosenRestic)));
  const running = await askRestic(deps, job, restic.program);
  const from = job.entry.update_from ?? running ?? null;
  if (await wasBegun(job)) return upgradeResticByApt(deps, job, spec, from);
  if (running === spec.version) return updated(spec, from);
  if (running !== undefined) await job.update({ update_from: running });
  if (job.cancelled.aborted) return cancelledResult();
  if (await isOwnedByApt(deps, restic.program)) return upgradeResticByApt(deps, job, spec, from);
  const fetched = await fetch(deps, job, { program: "restic", spec, running, place: restic.fresh });
  if (fetched.kind !== "placed") return notPlaced(job, fetched);
  const said = await askRestic(deps, job, restic.fresh);
  if (job.detached.aborted) return "detached";
  if (said !== spec.version) return unusable(restic.fresh, spec, said);
  if (job.cancelled.aborted) return withdrawn(restic.fresh);
  if ((await fileSizeBytes(restic.program)) > 0) await keepPrevious(restic);
  await swapIn(restic.fresh, restic.program, deps.platform);
  return updated(spec, from);
}

async function upgradeResticByApt(
  deps: CommandDeps,
  job: ActiveJob,
  spec: UpdateSpec,
  from: string | null,
): Promise<CommandOutcome> {
  const apt = await runApt(deps, job, spec);
  if (apt.kind === "detached") return "detached";
  const installed = await askRestic(deps, job, deps.updates.restic.program);
  if (job.detached.aborted) return "detached";
  if (installed !== undefined && isAtLeast(installed, spec.version))
    return updated({ ...spec, version: installed }, from);
  return failedResult(apt.error ?? notOffered(spec));
}

async function fetch(
  deps: CommandDeps,
  job: ActiveJob,
  wanted: Parameters<typeof fetchRelease>[1],
): Promise<Fetched> {
  const throttle = new ProgressThrottle<Progress>(deps.clock, job.reportProgress);
  const startedMs = deps.clock.monotonicMs();
  try {
    return await fetchRelease(deps.updates, wanted, {
      signal: AbortSignal.any([job.cancelled, job.detached]),
      onProgress: (done, total) =>
        throttle.offer(downloadProgress(done, total, deps.clock.monotonicMs() - startedMs)),
      tell: (sentence) => tell(job, sentence),
    });
  } finally {
    throttle.stop();
  }
}

function downloadProgress(done: number, total: number, elapsedMs: number): Progress {
  return {
    ...{ percent_done: total === 0 ? 0 : done / total, total_bytes: total, bytes_done: done },
    ...{ total_files: 1, files_done: 0, error_count: 0, current_files: [] },
    ...{ seconds_elapsed: elapsedMs / 1000, seconds_remaining: null, bytes_per_second: null },
  };
}

function notPlaced(job: ActiveJob, fetched: Exclude<Fetched, { kind: "placed" }>): CommandOutcome {
  if (fetched.kind === "failed") return failedResult(fetched.error);
  return job.detached.aborted ? "detached" : cancelledResult();
}

async function withdrawn(fresh: string): Promise<CommandOutcome> {
  await removeTree(fresh);
  return cancelledResult();
}

async function unusable(fresh: string, spec: UpdateSpec, said: string | undefined): Promise<CommandOutcome> {
  await removeTree(fresh);
  const what = said === undefined ? "does not run on this host" : `says that it is ${said.slice(0, 64)}`;
  const message = `The ${spec.program} ${spec.version} that was downloaded ${what}. It was not put in place; the version from before stays.`;
  return failedResult(updateError("update.rolled_back", message));
}

/** Asked of nobody but the file itself: what it is called must be what it is. */
async function sayVersion(
  { updates, ...deps }: CommandDeps,
  job: ActiveJob,
  path: string,
): Promise<string | undefined> {
  const outcome = await runShort(deps, {
    argv: [path, "--version"],
    env: toolEnv(deps.inherited, deps.platform),
    redact: (text) => text,
    timeoutMs: SAY_TIMEOUT_MS,
    maxOutputBytes: 64 * 1024,
    signal: job.detached,
  });
  return outcome.kind === "exited" && outcome.code === 0 ? outcome.stdout.trim() : undefined;
}

/** A hundred megabytes are read for the first time. */
const SAY_TIMEOUT_MS = 60_000;

function askRestic(deps: CommandDeps, job: ActiveJob, path: string): Promise<string | undefined> {
  const { inherited, platform } = deps;
  return askVersion(deps, { inherited, platform, signal: job.detached }, path);
}

function updated({ program, version }: UpdateSpec, from: string | null): JobResult {
  const before = from === null || from === version ? "" : `; it was ${from}`;
  const what =
    program === "agent" ? `The agent is ${version} and was welcomed by the server` : `restic is ${version}`;
  return {
    ...{ status: "succeeded", error: null, exitCode: null, summary: null },
    closing: [{ level: "info", stream: "agent", text: `${what}${before}.` }],
    result: { kind: "update", program, from, to: version },
  };
}

function rolledBack(from: string, reason: string): string {
  return `The agent is ${from} again: ${reason} Look at the agent's log of that time on the host (journalctl -u restic-manager-agent), then update again.`;
}

function resticElsewhere(path: string): string {
  return `This host's configuration names its restic: ${path}. Update it there, or take restic_path out of agent.yaml and the agent keeps a restic of its own.`;
}

async function tell(job: ActiveJob, text: string): Promise<void> {
  await job.log.add({ level: "info", stream: "agent", text });
  await job.log.flush();
}
