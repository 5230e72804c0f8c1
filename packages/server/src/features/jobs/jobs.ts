/**
 * THE ONLY public file of jobs: what other slices may use. The rules are in job.ts, what runs beside the requests in
 * jobs.dispatch.ts and jobs.retention.ts.
 */
export {
  announce,
  createJobs,
  getJob,
  insertNewJob,
  isFinal,
  type Job,
  type JobStatus,
  type JobsDeps,
  jobChanged,
  jobStatuses,
  moveJob,
  type NewJob,
  queueFirstInit,
  transitions,
  withdrawQueued,
} from "./job.ts";
export { type JobOutline, listLatestJobs } from "./job-outlines.ts";
export { rowOf, toViewProgress } from "./job-rows.ts";
export { type JobRow, JobTable } from "./job-table.views.tsx";
export { JobDispatcher, type JobOrder } from "./jobs.dispatch.ts";
export { createJobEventHandlers } from "./jobs.events.ts";
export { streamLog } from "./jobs.log.ts";
export { LiveProgress } from "./jobs.progress.ts";
export { LogRetention } from "./jobs.retention.ts";
export {
  countJobs,
  findJob,
  findJobAt,
  findLastOf,
  hasBackupOf,
  listFinalOf,
  listJobs,
  listLatestDrills,
  listLatestScheduled,
  listUnfinished,
} from "./jobs.store.ts";
export { insertExpired, recordOwnRun } from "./own-runs.ts";
export {
  type PlannedJob,
  type RunDeps,
  type RunRequest,
  runLimits,
  runNow,
} from "./run-now.ts";
