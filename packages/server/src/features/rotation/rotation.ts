/**
 * THE ONLY public file of rotation: another password for a repository, over all hosts that share it. What a rotation is
 * stands in rotation-state.ts, what people do to it in rotation-edits.ts, how it goes on in advance.ts and
 * rotation-watch.ts, what its jobs are sent with in key-orders.ts, and what is shown in rotation-view.ts.
 */
export { completeKeyOrder } from "./key-orders.ts";
export { refuseInitWhileRotating, refuseRotationEdit } from "./rotation-edits.ts";
export { type RotationPhase, rotationPhaseOf } from "./rotation-view.ts";
export { RotationWatch } from "./rotation-watch.ts";
