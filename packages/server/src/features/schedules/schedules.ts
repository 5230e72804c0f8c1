/**
 * THE ONLY public file of schedules: what other slices may use. What a schedule is stands in schedule.ts, what becomes
 * of a planned time in fires.ts and pending-runs.ts, and what runs beside the requests in schedule-watch.ts.
 */
export { recordRan } from "./fires.ts";
export { timesOf } from "./planned-times.ts";
export { listRetentionConflicts } from "./retention-conflicts.ts";
export { renderRunPausedPage } from "./run-paused.views.tsx";
export { runScheduleNow } from "./run-schedule.ts";
export {
  createSchedule,
  getSchedule,
  type Schedule,
  type ScheduleDraft,
  type SchedulesDeps,
  setSchedulePaused,
} from "./schedule.ts";
export { scheduleSetOf } from "./schedule-set.ts";
export {
  type FleetSchedules,
  listFleetSchedules,
  type ScheduleState,
  scheduleStates,
} from "./schedule-states.ts";
export { ScheduleWatch, settleMs } from "./schedule-watch.ts";
export { listSchedules, listSchedulesUsing } from "./schedules.store.ts";
