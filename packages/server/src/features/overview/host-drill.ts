/** When a host's snapshots were last proven to come back, put together from its jobs at the moment somebody asks. */
import type { Db } from "../../platform/db/db.ts";
import type { Host } from "../hosts/hosts.ts";
import { type Job, type JobStatus, listLatestDrills } from "../jobs/jobs.ts";
import {
  cronOf,
  getMaintenance,
  isDrillLate,
  listMaintenance,
  type Maintenance,
} from "../maintenance/maintenance.ts";

/** A drill that ended, in figures. */
export interface DrillRun {
  jobId: string;
  status: JobStatus;
  finishedAt: number;
  sourceGroup: string | null;
  error: { code: string } | null;
  /** Null when it told none. */
  figures: { files: number; bytes: number; sourceFiles: number } | null;
}

/** How a host stands with restore drills. */
export interface HostDrill {
  /** The last one that ended well. */
  proven: DrillRun | null;
  /** The last one that ended, however. */
  last: DrillRun | null;
  /** Whether drills run by themselves. */
  planned: boolean;
  /** Planned, and two planned times have passed without a good one. */
  late: boolean;
}

function toRun(job: Job | undefined): DrillRun | null {
  if (!job?.finishedAt) return null;
  const { id: jobId, status, finishedAt, sourceGroup, result } = job;
  const run = { jobId, status, finishedAt, sourceGroup, error: job.error && { code: job.error.code } };
  if (result?.kind !== "verify") return { ...run, figures: null };
  const { files, bytes, source_files: sourceFiles } = result;
  return { ...run, figures: { files, bytes, sourceFiles } };
}

function standOf(
  { createdAt }: Host,
  maintenance: Maintenance | null,
  jobs: { proven?: Job | undefined; last?: Job | undefined },
  now: number,
): HostDrill {
  const proven = toRun(jobs.proven);
  return {
    proven,
    last: toRun(jobs.last),
    planned: maintenance !== null && cronOf(maintenance, "verify") !== null,
    late:
      maintenance !== null &&
      isDrillLate(maintenance, { provenAt: proven?.finishedAt ?? null, createdAt }, now),
  };
}

/** One host. */
export async function getHostDrill(db: Db, host: Host, now: number): Promise<HostDrill> {
  const { proven, last } = await listLatestDrills(db, [host.id]);
  const maintenance = host.repositoryId === null ? null : await getMaintenance(db, host.repositoryId);
  return standOf(host, maintenance, { proven: proven[0], last: last[0] }, now);
}

/** These hosts, in two queries. */
export async function listHostDrills(
  db: Db,
  hosts: readonly Host[],
  now: number,
): Promise<Map<string, HostDrill>> {
  const hostIds = hosts.map(({ id }) => id);
  const { proven, last } = await listLatestDrills(db, hostIds);
  const byHost = (jobs: readonly Job[]) => new Map(jobs.map((job) => [job.hostId, job]));
  const [good, newest] = [byHost(proven), byHost(last)];
  // What nobody set plans no drills.
  const repositoryIds = [...new Set(hosts.flatMap(({ repositoryId }) => repositoryId ?? []))];
  const plans = new Map((await listMaintenance(db, repositoryIds)).map((plan) => [plan.repositoryId, plan]));
  return new Map(
    hosts.map((host) => {
      const jobs = { proven: good.get(host.id), last: newest.get(host.id) };
      return [host.id, standOf(host, plans.get(host.repositoryId ?? "") ?? null, jobs, now)];
    }),
  );
}
