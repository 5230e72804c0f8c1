/**
 * What an update run is: one program in one version, on its way to many hosts in waves. Pure.
 * One host first, then a tenth, then the rest; the next wave begins when enough of the one before ended well and nothing of
 * it is under way. A wave is a number of hosts and no list of them: one that is offline is passed over, and taken when it
 * is back. running → done; a failure or a person makes it paused, and a person lets it go on or cancels it.
 */
import type { ReleaseProgram, UpdateProgram } from "@restic-manager/protocol";
import type { Actor } from "../../platform/http/identity.ts";
import {
  type Drift,
  driftOf,
  type Release,
  type ReleaseOutline,
  servedVersion,
} from "../artefacts/artefacts.ts";
import { type Host, type HostBuild, knowsJobKind } from "../hosts/hosts.ts";
import type { Job } from "../jobs/jobs.ts";

export type RunState = "running" | "paused" | "done" | "cancelled";

export interface Problem {
  code: string;
  message: string;
}

/** Why a run is paused; `hostId` null when no host is to blame. */
export interface Pause extends Problem {
  hostId: string | null;
  hostName: string | null;
}

export interface UpdateRun {
  id: string;
  state: RunState;
  program: UpdateProgram;
  version: string;
  /** The hosts were chosen by it; null for all, or for a list. */
  tag: string | null;
  actor: Actor;
  startedAt: number;
  changedAt: number;
  /** Null while anything of it is under way; a cancelled run ends with its last job. */
  endedAt: number | null;
  pause: Pause | null;
}

/** `skipped`: it can't be updated from here, and somebody has to do it by hand. */
export type TargetState = "waiting" | "updating" | "done" | "failed" | "skipped";

/** One host of a run. */
export interface UpdateTarget {
  hostId: string;
  state: TargetState;
  /** In which wave it was its turn. */
  wave: number | null;
  jobId: string | null;
  fromVersion: string | null;
  problem: Problem | null;
  changedAt: number;
}

/** What the files of a release call a program. */
export const releaseNameOf: Readonly<Record<UpdateProgram, ReleaseProgram>> = {
  agent: "restic-manager-agent",
  restic: "restic",
};

/** What a host said that it runs. */
export const versionOn = (host: Pick<Host, "agentVersion" | "resticVersion">, program: UpdateProgram) =>
  program === "agent" ? host.agentVersion : host.resticVersion;

/** Whether a version is that of the run, or newer. */
export function isReached(version: string | null, run: Pick<UpdateRun, "version">): boolean {
  const drift = driftOf(version, run.version);
  return drift === "current" || drift === "ahead";
}

/** Whether the host runs this version or a newer one already. */
export function hasVersion(host: Host, run: Pick<UpdateRun, "program" | "version">): boolean {
  if (run.program === "restic" && host.resticProblem !== null) return false;
  return isReached(versionOn(host, run.program), run);
}

/** How a host stands to what is served for its system. A restic that can't be used is behind whatever its version. */
export function driftOfHost(host: HostBuild, program: UpdateProgram, release: ReleaseOutline): Drift {
  const served = servedVersion(release, releaseNameOf[program], host);
  if (program === "restic" && host.resticProblem !== null && served !== undefined) return "behind";
  return driftOf(versionOn(host, program), served);
}

/** Why a host can't be updated to a version from here; null when it can. */
export function obstacleOf(
  host: HostBuild & Pick<Host, "name">,
  { program, version }: Pick<UpdateRun, "program" | "version">,
  release: Release,
): Problem | null {
  if (!knowsJobKind(host, "update")) {
    const message = `The agent on ${host.name} is too old to update anything. Run the installer once more on the host.`;
    return { code: "agent.too_old", message };
  }
  if (servedVersion(release, releaseNameOf[program], host) === version) return null;
  const message = `This server has no ${program} ${version} for ${host.os}/${host.arch}.`;
  return { code: "update.no_artefact", message };
}

/** A server that hands a hundred megabytes to everybody at once has no breath left for backups' agents. */
export const maxAtOnce = 20;

/** How many hosts of a run are in each state. */
export type TargetCounts = Record<TargetState, number>;

export const countsOf = (count: (state: TargetState) => number): TargetCounts => ({
  waiting: count("waiting"),
  updating: count("updating"),
  done: count("done"),
  failed: count("failed"),
  skipped: count("skipped"),
});

/**
 * Which wave it is, and how many hosts more may begin now.
 * @param counts all but the skipped ones count
 * @param busy those that are being updated
 */
export function nextStarts(
  counts: TargetCounts,
  busy: readonly Pick<UpdateTarget, "wave">[],
): { wave: 1 | 2 | 3; room: number } {
  const { done } = counts;
  const total = counts.waiting + counts.updating + counts.failed + done;
  const second = Math.min(total, 1 + Math.ceil(total / 10));
  const [wave, upTo] =
    done < 1 ? [1 as const, 1] : done < second ? [2 as const, second] : [3 as const, total];
  if (busy.some((target) => (target.wave ?? wave) < wave)) return { wave, room: 0 };
  const room = Math.min(upTo - done - busy.length, maxAtOnce - busy.length);
  return { wave, room: Math.max(0, room) };
}

/** After so long without a word of a host whose update had begun nobody expects it any more. */
export const silentAfterMs = 10 * 60_000;

/** What the end of a job means for its host: done, failed, or that it was never begun. */
export function outcomeOf(job: Job): "done" | "waiting" | Problem {
  if (job.status === "succeeded" || job.status === "warning") return "done";
  // Nobody knows whether a job that was begun did something.
  if (job.status === "expired" && job.startedAt === null) return "waiting";
  if (job.status === "cancelled")
    return { code: "updates.job_cancelled", message: "Somebody cancelled the update on this host." };
  const { code = "updates.no_answer", message = "The agent did not say why." } = job.error ?? {};
  return { code, message };
}
