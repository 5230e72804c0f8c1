/** Running something on a host because somebody asked for it now. */
import type { JobSpec } from "@restic-manager/protocol";
import { z } from "zod";
import { AppError } from "../../platform/errors.ts";
import { getHost, type Host, isOnline, maxBandwidthKib } from "../hosts/hosts.ts";
import { createJobs, getJob, type Job, type JobsDeps } from "./job.ts";
import type { LiveProgress } from "./jobs.progress.ts";

/** Caps for one run, KiB a second; they win over the host's, each for itself. */
export const runLimits = z.strictObject({
  upload_kib: z.int().min(1).max(maxBandwidthKib).optional(),
  download_kib: z.int().min(1).max(maxBandwidthKib).optional(),
});

/** What a client may ask a host to do. Kinds are added as the product learns them. */
export const runRequest = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("init") }),
  z.strictObject({ kind: z.literal("check") }),
  /** Without groups: every group of the host. */
  z.strictObject({
    kind: z.literal("backup"),
    source_group_id: z.string().max(64).optional(),
    source_group_ids: z.array(z.string().max(64)).min(1).max(100).optional(),
    limits: runLimits.optional(),
  }),
]);
export type RunRequest = z.infer<typeof runRequest>;

/** One job behind a wish, and the source group that it is of. */
export interface PlannedJob {
  spec: JobSpec;
  sourceGroupId: string | null;
}

export interface RunDeps extends JobsDeps {
  progress: LiveProgress;
  /** Whether a host's agent is connected right now. */
  isConnected(hostId: string): boolean;
  /** Turns a wish into specs, one for each job; from slices that know source groups. */
  specsOf(host: Host, request: RunRequest): Promise<PlannedJob[]>;
}

/**
 * Run now. Never queued for a host that is away: the person who asked is watching.
 * @throws AppError `hosts.not_found`, `hosts.offline`
 */
export async function runNow(
  deps: RunDeps,
  input: { hostId: string; request: RunRequest; actor: Job["actor"] },
): Promise<Job[]> {
  const host = await getHost(deps.db, input.hostId);
  refuseOffline(deps, host);
  const specs = await deps.specsOf(host, input.request);
  return createJobs(
    deps,
    specs.map((planned) => ({ hostId: host.id, ...planned, actor: input.actor })),
  );
}

/**
 * A finished job's operation once more, with the source group as it is now.
 * @throws AppError as runNow, and `jobs.not_found`
 */
export async function runAgain(deps: RunDeps, input: { jobId: string; actor: Job["actor"] }): Promise<Job[]> {
  const job = await getJob(deps.db, input.jobId);
  const host = await getHost(deps.db, job.hostId);
  const request: RunRequest = { kind: job.kind };
  const specs = await deps.specsOf(host, request);
  const same = specs.find(({ spec, sourceGroupId }) => {
    if (spec.kind !== "backup") return true;
    return job.sourceGroupId === null
      ? spec.source_group === job.sourceGroup
      : sourceGroupId === job.sourceGroupId;
  });
  if (!same) throw new AppError("conflict", "sources.not_found", "This job's source group no longer exists.");
  refuseOffline(deps, host);
  return createJobs(deps, [{ hostId: host.id, ...same, actor: input.actor }]);
}

function refuseOffline(deps: RunDeps, host: Host): void {
  if (isOnline(host, deps.clock.now())) return;
  const message = `${host.name} is offline. Start its agent, then run the job again.`;
  throw new AppError("conflict", "hosts.offline", message);
}
