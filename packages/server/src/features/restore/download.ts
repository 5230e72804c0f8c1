/**
 * Files of a snapshot straight to a browser. The bytes pass through and are kept nowhere; who took what is in the audit
 * trail before the first of them leaves.
 */
import type { Readable } from "node:stream";
import { type DumpStart, snapshotPathBytes } from "@restic-manager/protocol";
import type { Clock } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import type { Actor } from "../../platform/http/identity.ts";
import { recordAudit } from "../audit/audit.ts";
import { getHost, type Host } from "../hosts/hosts.ts";
import { getSnapshot, type Snapshot } from "../snapshots/snapshots.ts";

export interface DownloadDeps {
  db: Db;
  clock: Clock;
  /** The setting RM_DOWNLOADS. */
  downloads: boolean;
  /**
   * Bytes of a snapshot, read by the host's agent as they are taken; resolves with the first of them.
   * MUST throw AppError when there are none, and MUST break the stream when they are not the whole.
   */
  openDump(
    hostId: string,
    question: Pick<DumpStart, "snapshot_id" | "paths" | "format">,
    gone: AbortSignal,
  ): Promise<Readable>;
}

export interface DownloadInput {
  hostId: string;
  snapshotId: string;
  paths: string[];
  format: DumpStart["format"];
  actor: Actor;
  /** Aborts when the browser is gone. */
  gone: AbortSignal;
}

export interface Download {
  bytes: Readable;
  /** Under which it is saved. */
  name: string;
}

/** So many paths are in the audit entry; of more their number says enough. */
const maxAuditedPaths = 100;

/** @throws AppError `downloads.off`, `downloads.one_file`, `downloads.one_folder`, `snapshots.not_found`, or as openDump */
export async function openDownload(deps: DownloadDeps, input: DownloadInput): Promise<Download> {
  const { paths, format, actor, gone } = input;
  if (!deps.downloads) throw off();
  if (format === "raw" && paths.length > 1) throw oneFile();
  if (format === "zip" && paths.length > 1) throw oneFolder();
  const host = await getHost(deps.db, input.hostId);
  const snapshot = await getSnapshot(deps.db, host.id, input.snapshotId);
  const bytes = await deps.openDump(host.id, { snapshot_id: snapshot.id, paths, format }, gone);
  try {
    await recordAudit(deps.db, {
      at: deps.clock.now(),
      actor,
      action: "snapshot.download",
      target: { kind: "host", id: host.id, name: host.name },
      payload: {
        snapshot_id: snapshot.id,
        format,
        path_count: paths.length,
        paths: paths.slice(0, maxAuditedPaths).map(readable),
      },
    });
  } catch (error) {
    bytes.destroy();
    throw error;
  }
  return { bytes, name: nameOf(host, snapshot, input) };
}

/** A path as a person reads it; bytes that are no text are replaced. */
export const readable = (path: string): string => snapshotPathBytes(path).toString("utf8");

/** The file's own name; an archive is named by its only folder, or by host and snapshot. */
function nameOf(host: Host, snapshot: Snapshot, { paths, format }: DownloadInput): string {
  const [only] = paths;
  const own = paths.length === 1 && only !== undefined ? readable(only).split("/").at(-1) : "";
  if (format === "raw") return own ?? "";
  return `${own || `${host.name}-${snapshot.id.slice(0, 8)}`}.${format}`;
}

const off = (): AppError =>
  new AppError(
    "forbidden",
    "downloads.off",
    "Downloads are switched off on this server (RM_DOWNLOADS). Restore the files to a host instead.",
  );

const oneFile = (): AppError =>
  new AppError(
    "unprocessable",
    "downloads.one_file",
    "Several selections come as one archive: ask for it with format=tar.",
  );

const oneFolder = (): AppError =>
  new AppError(
    "unprocessable",
    "downloads.one_folder",
    "A zip archive holds one folder. Ask for several selections with format=tar.",
  );
