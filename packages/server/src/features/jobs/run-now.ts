/** Running something on a host because somebody asked for it now. */
import type { JobSpec } from "@restic-manager/protocol";
import { z } from "zod";
import { AppError } from "../../platform/errors.ts";
import { getHost, type Host, isOnline } from "../hosts/hosts.ts";
import { createJobs, getJob, type Job, type JobsDeps } from "./job.ts";
import type { LiveProgress } from "./jobs.progress.ts";

/** What a client may ask a host to do. Kinds are added as the product learns them. */
export const runRequest = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("init") }),
  z.strictObject({ kind: z.literal("check") }),
  /** Without a group: every group of the host. */
  z.strictObject({ kind: z.literal("backup"), source_group_id: z.string().optional() }),
]);
export type RunRequest = z.infer<typeof runRequest>;

export interface RunDeps extends JobsDeps {
  progress: LiveProgress;
  /** Whether a host's agent is connected right now. */
  isConnected(hostId: string): boolean;
  /** Turns a wish into specs, one for each job; from slices that know source groups. */
  specsOf(host: Host, request: RunRequest): Promise<JobSpec[]>;
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
    specs.map((spec) => ({ hostId: host.id, spec, actor: input.actor })),
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
  const same = specs.find((spec) => spec.kind !== "backup" || spec.source_group === job.sourceGroup);
  if (!same) throw new AppError("conflict", "sources.not_found", "This job's source group no longer exists.");
  refuseOffline(deps, host);
  return createJobs(deps, [{ hostId: host.id, spec: same, actor: input.actor }]);
}

function refuseOffline(deps: RunDeps, host: Host): void {
  if (isOnline(host, deps.clock.now())) return;
  const message = `${host.name} is offline. Start its agent, then run the job again.`;
  throw new AppError("conflict", "hosts.offline", message);
}
