/**
 * Snapshots: a copy, for display, of what each agent last read from its repository. restic's list is the truth;
 * a report replaces the whole copy of that host at once.
 */
import type { SnapshotsAdded, SnapshotsReport, Snapshot as WireSnapshot } from "@restic-manager/protocol";
import { type Clock, fromInstant } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import { readable } from "../../platform/db/readable.ts";
import { AppError } from "../../platform/errors.ts";
import { type EventBus, topic } from "../../platform/events.ts";
import { newId } from "../../platform/random.ts";
import type { AfterCommit } from "../agent-link/agent-link.ts";
import type { HostIdentity } from "../hosts/hosts.ts";
import {
  addToShown,
  countArrival,
  findSnapshot,
  insertSnapshots,
  isShown,
  showReport,
} from "./snapshots.store.ts";

export { plannedDiff } from "./diff.ts";
export {
  countByTag,
  countSnapshots,
  findSnapshot,
  listSnapshots,
  listTaggedSnapshots,
  type SnapshotTotals,
  sumSnapshots,
  type TagCount,
} from "./snapshots.store.ts";

export interface Snapshot {
  id: string;
  time: number;
  hostname: string;
  username: string | null;
  paths: string[];
  tags: string[];
  /** Figures are null when restic did not store them. */
  sizeBytes: number | null;
  fileCount: number | null;
  addedBytes: number | null;
}

/**
 * A snapshot of the list that is shown, by its full id.
 * @throws AppError `snapshots.not_found`
 */
export async function getSnapshot(db: Db, hostId: string, snapshotId: string): Promise<Snapshot> {
  const snapshot = await findSnapshot(db, hostId, snapshotId);
  if (snapshot) return snapshot;
  const message = "This host has no such snapshot. It may have been forgotten meanwhile: choose another one.";
  throw new AppError("not_found", "snapshots.not_found", message);
}

/** A host's list of snapshots was replaced. */
export const snapshotsChanged = topic<{ hostId: string }>("snapshots.changed");

/** One odd name must not keep a host's whole report out. */
const fromWire = (snapshot: WireSnapshot): Snapshot => ({
  id: snapshot.id,
  time: fromInstant(snapshot.time),
  hostname: readable(snapshot.hostname),
  username: snapshot.username === null ? null : readable(snapshot.username),
  paths: snapshot.paths,
  tags: snapshot.tags,
  sizeBytes: snapshot.size_bytes,
  fileCount: snapshot.file_count,
  addedBytes: snapshot.added_bytes,
});

/** A hundred thousand snapshots with some paths each: a host must not fill the server's disk. */
const maxReportBytes = 64 * 1024 * 1024;

/**
 * Takes in one part of a report; the last part makes the new list the one that is shown. A part that comes again
 * changes nothing.
 * @throws AppError `snapshots.report_too_large`
 */
export async function onSnapshotsReport(
  deps: { clock: Clock; bus: EventBus },
  tx: Db,
  host: HostIdentity,
  event: SnapshotsReport,
): Promise<AfterCommit | undefined> {
  const report = { hostId: host.id, reportId: event.report_id };
  if (await isShown(tx, host.id, event.report_id)) return undefined;
  const sizeBytes = JSON.stringify(event.snapshots).length;
  if ((await countArrival(tx, { ...report, sizeBytes })) > maxReportBytes) {
    const message = "This list of snapshots is larger than one may be; the list from before stays.";
    throw new AppError("invalid", "snapshots.report_too_large", message);
  }
  await insertSnapshots(tx, { ...report, snapshots: event.snapshots.map(fromWire) });
  if (event.part !== event.parts) return undefined;
  await showReport(tx, { ...report, at: deps.clock.now() });
  return () => deps.bus.emit(snapshotsChanged, { hostId: host.id });
}

/** Adds one snapshot to the list that is shown; the host's next report replaces it with restic's truth. */
export async function onSnapshotsAdded(
  deps: { clock: Clock; bus: EventBus },
  tx: Db,
  host: HostIdentity,
  event: SnapshotsAdded,
): Promise<AfterCommit> {
  const at = deps.clock.now();
  await addToShown(tx, { hostId: host.id, newReportId: newId(at), snapshot: fromWire(event.snapshot), at });
  return () => deps.bus.emit(snapshotsChanged, { hostId: host.id });
}
