/**
 * THE ONLY public file of maintenance: repositories that look after themselves. When is in cadences.ts and
 * edit-maintenance.ts, restore drills in drills.ts, what becomes of a planned time in due.ts and maintenance-watch.ts, what runs in run-plans.ts,
 * what agents tell in reports.ts, and what is shown in repository-view.ts.
 */
export { cronOf, type Maintenance, type Operation } from "./cadences.ts";
export { nextCheckSlice } from "./check-now.ts";
export { isDrillLate } from "./drills.ts";
export {
  editMaintenance,
  getMaintenance,
  type MaintenanceDraft,
} from "./edit-maintenance.ts";
export { type FireOutcome, listMaintenance } from "./maintenance.store.ts";
export { MaintenanceWatch } from "./maintenance-watch.ts";
export { acceptRepositoryId, onJobFinished, onRepoStats } from "./reports.ts";
export {
  type CadenceView,
  getRepositoryView,
  type LastRun,
  type LockView,
  type RepositoryView,
  type SharerView,
} from "./repository-view.ts";
export { completeOrder, plannedJobsOf } from "./run-plans.ts";
