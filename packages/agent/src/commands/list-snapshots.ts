/** The list of a host's snapshots for the server, in the protocol's shape and cut into parts that fit a frame. */
import type { Snapshot } from "@restic-manager/protocol";
import type { LineDraft } from "../journal/job-log.ts";
import { type Snapshot as ResticSnapshot, toWhole } from "../restic/output.ts";
import { listSnapshots } from "../restic/probe.ts";
import type { ActiveJob, CommandDeps, ResticAccess } from "./job-context.ts";

const PART_SNAPSHOTS = 2_000;
/** A quarter of a frame: together with the envelope a part can never be too large. */
const PART_BYTES = 256 * 1024;

export type ServerList = {
  /** For the server; absent when the list could not be read. */
  snapshots?: Snapshot[];
  /** The same as restic told them. */
  read: readonly ResticSnapshot[];
  warnings: LineDraft[];
};

/** Reads the list; why it could not be read is a line for the log, since the backup itself is done. */
export async function listForServer(
  deps: CommandDeps,
  job: ActiveJob,
  access: ResticAccess,
  hostName: string,
): Promise<ServerList | "detached"> {
  const list = await listSnapshots(deps, { ...access, hostName, signal: job.detached });
  if (list.kind === "aborted") return "detached";
  if (list.kind === "failed")
    return {
      read: [],
      warnings: [warning(`The list of snapshots could not be read: ${list.problem.message}`)],
    };
  const unread = list.skipped === 0 ? [] : [warning(`${list.skipped} snapshots could not be understood.`)];
  return { snapshots: list.snapshots.map(toWireSnapshot), read: list.snapshots, warnings: unread };
}

/** Cuts a list into parts; an empty list is one empty part, which says that there is no snapshot. */
export function cutIntoParts(snapshots: readonly Snapshot[]): Snapshot[][] {
  const parts: Snapshot[][] = [[]];
  let bytes = 0;
  for (const snapshot of snapshots) {
    const size = Buffer.byteLength(JSON.stringify(snapshot));
    const current = parts.at(-1) ?? [];
    if (current.length > 0 && (bytes + size > PART_BYTES || current.length >= PART_SNAPSHOTS)) {
      parts.push([snapshot]);
      bytes = size;
    } else {
      current.push(snapshot);
      bytes += size;
    }
  }
  return parts;
}

/** Within the protocol's bounds; of an absurdly long list of paths the first ones are shown. */
export function toWireSnapshot(snapshot: ResticSnapshot): Snapshot {
  const paths: string[] = [];
  let pathBytes = 0;
  for (const path of snapshot.paths.slice(0, 1_000)) {
    pathBytes += Buffer.byteLength(JSON.stringify(path));
    if (path === "" || path.length > 32_768 || pathBytes > PART_BYTES) continue;
    paths.push(path);
  }
  return {
    id: snapshot.id,
    time: new Date(snapshot.timeMs).toISOString(),
    hostname: snapshot.hostname.slice(0, 253),
    username: snapshot.username?.slice(0, 256) ?? null,
    paths,
    tags: snapshot.tags.slice(0, 100).map((tag) => tag.slice(0, 256)),
    size_bytes: wholeOrNull(snapshot.sizeBytes),
    file_count: wholeOrNull(snapshot.fileCount),
    added_bytes: wholeOrNull(snapshot.addedBytes),
  };
}

function wholeOrNull(value: number | undefined): number | null {
  return value === undefined ? null : toWhole(value);
}

function warning(text: string): LineDraft {
  return { level: "warning", stream: "agent", text };
}
