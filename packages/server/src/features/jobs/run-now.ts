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

const percentSentence = "A check reads more than 0 and up to 100 percent of the data.";
const sliceSentence = "A slice is a whole number from 1 to the number of slices, which is at most 1000.";
const sliceNumber = z.int({ error: sliceSentence }).min(1, sliceSentence).max(1000, sliceSentence);

/** Which part of the data a check reads: so many percent at random, or slice `slice` of `of`. */
const readDataRequest = z
  .strictObject({
    percent: z.number({ error: percentSentence }).gt(0, percentSentence).max(100, percentSentence).optional(),
    slice: sliceNumber.optional(),
    of: sliceNumber.optional(),
  })
  .refine(({ percent, slice, of }) => (percent === undefined) === (slice !== undefined && of !== undefined), {
    error: "Say either percent, or slice and of.",
  })
  .refine(({ slice, of }) => slice === undefined || of === undefined || slice <= of, {
    error: sliceSentence,
  });

/** What a client may ask a host to do. Kinds are added as the product learns them. */
export const runRequest = z.discriminatedUnion("kind", [
  /** Where a repository is known already it wants the host's name typed: in an empty storage a new one is made. */
  z.strictObject({ kind: z.literal("init"), confirm_name: z.string().max(253).optional() }),
  z.strictObject({ kind: z.literal("check"), read_data: readDataRequest.optional() }),
  /** `confirmed`: also when more than the set share of a group's snapshots goes. */
  z.strictObject({ kind: z.literal("forget"), confirmed: z.boolean().optional() }),
  z.strictObject({ kind: z.literal("prune") }),
  /** `remove_all` removes locks in use too, so it wants the host's name typed. */
  z.strictObject({
    kind: z.literal("unlock"),
    remove_all: z.boolean().optional(),
    confirm_name: z.string().max(253).optional(),
  }),
  z.strictObject({ kind: z.literal("repair"), what: z.enum(["index", "snapshots"]) }),
  /** Two different snapshots of the host, by their full ids. */
  z.strictObject({ kind: z.literal("diff"), from: z.string().max(64), to: z.string().max(64) }),
  /** A restore drill of one group, or of every group that has a snapshot. With a `seed` it draws the same files again. */
  z.strictObject({
    kind: z.literal("verify"),
    source_group_id: z.string().max(64).optional(),
    seed: z.int().min(0).max(0xffff_ffff).optional(),
  }),
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
  /** Turns a wish into specs, one for each job; from slices that know source groups and repositories. */
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
 * A finished job's operation once more, with source groups and retention as they are now.
 * @throws AppError as runNow, `jobs.not_found`, `jobs.needs_confirmation` for what is confirmed each time anew, and
 *   `jobs.not_repeatable` for a step of something larger
 */
export async function runAgain(deps: RunDeps, input: { jobId: string; actor: Job["actor"] }): Promise<Job[]> {
  const job = await getJob(deps.db, input.jobId);
  const host = await getHost(deps.db, job.hostId);
  const specs = await deps.specsOf(host, requestOf(job.spec));
  const same = specs.find(({ spec, sourceGroupId }) => {
    if (spec.kind !== "backup" && spec.kind !== "verify") return true;
    return job.sourceGroupId === null
      ? spec.source_group === job.sourceGroup
      : sourceGroupId === job.sourceGroupId;
  });
  if (!same) throw new AppError("conflict", "sources.not_found", "This job's source group no longer exists.");
  refuseOffline(deps, host);
  return createJobs(deps, [{ hostId: host.id, ...same, actor: input.actor }]);
}

/** The wish behind a spec. */
function requestOf(spec: JobSpec): RunRequest {
  if (spec.kind === "repair") return { kind: "repair", what: spec.what };
  if (spec.kind === "check")
    return { kind: "check", ...(spec.read_data ? { read_data: spec.read_data } : {}) };
  if (spec.kind === "unlock" && spec.remove_all) {
    const message =
      "This removed every lock, also those in use. Ask for it again on the repository's page, with the host's name typed.";
    throw new AppError("conflict", "jobs.needs_confirmation", message);
  }
  if (spec.kind === "key") {
    const message = "This is a step of a password's rotation. Go on with that on the repository's page.";
    throw new AppError("conflict", "jobs.not_repeatable", message);
  }
  if (spec.kind === "diff") return { kind: "diff", from: spec.from, to: spec.to };
  if (spec.kind === "restore") {
    const message =
      "A restore is asked for anew each time, from its snapshot, so that nobody writes over files by a slip of the hand.";
    throw new AppError("conflict", "jobs.needs_confirmation", message);
  }
  if (spec.kind === "update") {
    const message =
      "An update is asked for on the page of its host, or for the fleet under Settings → Agents.";
    throw new AppError("conflict", "jobs.not_repeatable", message);
  }
  return { kind: spec.kind };
}

function refuseOffline(deps: RunDeps, host: Host): void {
  if (isOnline(host, deps.clock.now())) return;
  const message = `${host.name} is offline. Start its agent, then run the job again.`;
  throw new AppError("conflict", "hosts.offline", message);
}
