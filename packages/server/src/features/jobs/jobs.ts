/**
 * THE ONLY public file of jobs: what other slices may use. The rules are in job.ts, what runs beside the requests in
 * jobs.dispatch.ts and jobs.retention.ts.
 */
export {
  cancelJob,
  createJobs,
  getJob,
  isFinal,
  type Job,
  type JobStatus,
  type JobsDeps,
  jobChanged,
  jobStatuses,
  moveJob,
  queueFirstInit,
  transitions,
} from "./job.ts";
export { rowOf, toViewProgress } from "./job-rows.ts";
export { JobDispatcher } from "./jobs.dispatch.ts";
export { createJobEventHandlers } from "./jobs.events.ts";
export { LiveProgress } from "./jobs.progress.ts";
export { LogRetention } from "./jobs.retention.ts";
export { countJobs, findActiveJob, findJob, listJobs, listLatestJobs } from "./jobs.store.ts";
export { type RunDeps, type RunRequest, runNow } from "./run-now.ts";
