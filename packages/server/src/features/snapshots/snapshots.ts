/**
 * Snapshots: a copy, for display, of what each agent last read from its repository. restic's list is the truth;
 * a report replaces the whole copy of that host at once.
 */
import type { SnapshotsReport, Snapshot as WireSnapshot } from "@restic-manager/protocol";
import { type Clock, fromInstant } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import { type EventBus, topic } from "../../platform/events.ts";
import type { AfterCommit } from "../agent-link/agent-link.ts";
import type { Host } from "../hosts/hosts.ts";
import { insertSnapshots, showReport } from "./snapshots.store.ts";

export { countSnapshots, listSnapshots, type SnapshotTotals, sumSnapshots } from "./snapshots.store.ts";

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

/** A host's list of snapshots was replaced. */
export const snapshotsChanged = topic<{ hostId: string }>("snapshots.changed");

/** PostgreSQL takes no NUL in a text, and one odd name must not keep a host's whole report out. */
const readable = (text: string): string => text.replace(/\p{Cc}/gu, "");

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

/** Takes in one part of a report; the last part makes the new list the one that is shown. */
export async function onSnapshotsReport(
  deps: { clock: Clock; bus: EventBus },
  tx: Db,
  host: Host,
  event: SnapshotsReport,
): Promise<AfterCommit | undefined> {
  await insertSnapshots(tx, {
    hostId: host.id,
    reportId: event.report_id,
    snapshots: event.snapshots.map(fromWire),
  });
  if (event.part !== event.parts) return undefined;
  await showReport(tx, { hostId: host.id, reportId: event.report_id, at: deps.clock.now() });
  return () => deps.bus.emit(snapshotsChanged, { hostId: host.id });
}
