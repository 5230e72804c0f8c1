/** The protocol's public face: what server, agent and CLI may use of it. */
export * from "./backends.ts";
export * from "./config.ts";
export * from "./cron.ts";
export * from "./dump.ts";
export * from "./enrolment.ts";
export * from "./files.ts";
export * from "./handshake.ts";
export * from "./jobs.ts";
export * from "./link.ts";
export * from "./messages.ts";
export { type Bandwidth, bandwidth, groupName, hostName, keyId, snapshotId } from "./primitives.ts";
export * from "./repository.ts";
export * from "./repository-test.ts";
export * from "./restore.ts";
export * from "./runs.ts";
export * from "./schedules.ts";
export * from "./snapshots.ts";
export * from "./tree.ts";
