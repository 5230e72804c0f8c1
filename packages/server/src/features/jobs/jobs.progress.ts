/**
 * How far each running job is: in memory only, because a second later it is old. It is stored once, when the job
 * ends, so that a failed job still shows how far it came. A host's word counts for its own running jobs only.
 */
import type { JobProgress, Progress } from "@restic-manager/protocol";
import type { Db } from "../../platform/db/db.ts";
import type { EventBus } from "../../platform/events.ts";
import { eventsMissed } from "../../platform/replicas/replicas.ts";
import type { HostIdentity } from "../hosts/hosts.ts";
import { isFinal, jobChanged, jobProgressed } from "./job.ts";
import { findJob } from "./jobs.store.ts";

/** More jobs than any fleet runs at once. */
const maxJobs = 20_000;

interface Known {
  hostId: string;
  attempt: number;
  progress: Progress;
}

export class LiveProgress {
  private readonly byJob = new Map<string, Known>();
  private readonly deps: { db: Db; bus: EventBus };

  constructor(deps: { db: Db; bus: EventBus }) {
    this.deps = deps;
    deps.bus.on(jobChanged, ({ jobId, status }) => {
      if (isFinal(status)) this.byJob.delete(jobId);
    });
    deps.bus.on(jobProgressed, ({ jobId, ...known }, origin) => {
      if (origin === "replica" && this.hasRoom(jobId)) this.byJob.set(jobId, known);
    });
    // An end may be among what was missed; whoever goes on says so within a second.
    deps.bus.on(eventsMissed, () => this.byJob.clear());
  }

  /** What is not of a job that this host runs is dropped: progress is volatile, nobody waits for an answer. */
  async record(host: HostIdentity, { job_id: jobId, attempt, progress }: JobProgress): Promise<void> {
    const known = this.byJob.get(jobId);
    const own = known
      ? known.hostId === host.id && known.attempt === attempt
      : this.hasRoom(jobId) && (await this.runsOn(host, jobId, attempt));
    if (!own) return;
    const now = { hostId: host.id, attempt, progress };
    this.byJob.set(jobId, now);
    this.deps.bus.emit(jobProgressed, { jobId, ...now });
  }

  find(jobId: string): Progress | null {
    return this.byJob.get(jobId)?.progress ?? null;
  }

  private hasRoom(jobId: string): boolean {
    return this.byJob.size < maxJobs || this.byJob.has(jobId);
  }

  private async runsOn(host: HostIdentity, jobId: string, attempt: number): Promise<boolean> {
    const job = await findJob(this.deps.db, jobId);
    return job?.hostId === host.id && job.attempt === attempt && job.status === "running";
  }
}
