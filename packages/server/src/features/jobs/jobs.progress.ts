/**
 * How far each running job is: in memory only, because a second later it is old. It is stored once, when the job
 * ends, so that a failed job still shows how far it came.
 */
import type { JobProgress, Progress } from "@restic-manager/protocol";
import type { EventBus } from "../../platform/events.ts";
import { isFinal, jobChanged, jobProgressed } from "./job.ts";

/** More jobs than any fleet runs at once; a stolen host that invents job ids must not grow our memory. */
const maxJobs = 20_000;

export class LiveProgress {
  private readonly byJob = new Map<string, Progress>();
  private readonly bus: EventBus;

  constructor(bus: EventBus) {
    this.bus = bus;
    bus.on(jobChanged, ({ jobId, status }) => {
      if (isFinal(status)) this.byJob.delete(jobId);
    });
  }

  record(message: JobProgress): void {
    if (this.byJob.size >= maxJobs && !this.byJob.has(message.job_id)) return;
    this.byJob.set(message.job_id, message.progress);
    this.bus.emit(jobProgressed, { jobId: message.job_id, progress: message.progress });
  }

  find(jobId: string): Progress | null {
    return this.byJob.get(jobId) ?? null;
  }
}
