/**
 * THE ONLY public file of updates: other versions of the agents and of their restic. What a run over the fleet is stands in
 * update-run.ts, what people do to it in update-edits.ts, how it goes on in advance.ts and update-watch.ts, what its jobs
 * are sent with in update-orders.ts, and what is shown in update-view.ts.
 */
export { completeUpdateOrder, onUpdateFinished } from "./update-orders.ts";
export { driftOfHost, releaseNameOf } from "./update-run.ts";
export { UpdateWatch } from "./update-watch.ts";
