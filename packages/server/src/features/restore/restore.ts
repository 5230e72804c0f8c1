/**
 * THE ONLY public file of restore: getting files back. What is asked for is checked in restore-request.ts, becomes a job in
 * start-restore.ts, and what is added when it is sent is in restore-order.ts.
 */
export { completeRestoreOrder } from "./restore-order.ts";
