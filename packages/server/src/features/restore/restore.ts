/**
 * THE ONLY public file of restore: getting files back. What is in a snapshot is read in tree.ts and goes to a browser by
 * download.ts. What is asked for is checked in restore-request.ts, becomes a job in start-restore.ts, and what is added when
 * it is sent is in restore-order.ts; the page of it all is the wizard.
 */
export { completeRestoreOrder } from "./restore-order.ts";
