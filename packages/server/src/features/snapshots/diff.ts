/**
 * Comparing two snapshots of a host: a job, whose log has a line for each change. Rows are read from that log, so a
 * comparison costs no room of its own and goes with the log.
 */
import type { LogLine } from "@restic-manager/protocol";
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import type { Host } from "../hosts/hosts.ts";
import { type PlannedJob, type RunRequest, streamLog } from "../jobs/jobs.ts";
import { findSnapshot } from "./snapshots.store.ts";

type DiffRequest = Extract<RunRequest, { kind: "diff" }>;

/**
 * The job behind a wish to compare.
 * @throws AppError `snapshots.not_found` for an id that the host's list does not have, `snapshots.same` for one snapshot
 *   twice
 */
export async function plannedDiff(db: Db, host: Host, { from, to }: DiffRequest): Promise<PlannedJob> {
  for (const id of [from, to]) {
    if (await findSnapshot(db, host.id, id)) continue;
    const message = `${host.name} has no snapshot ${id.slice(0, 8)}. It may have been forgotten; choose another.`;
    throw new AppError("unprocessable", "snapshots.not_found", message);
  }
  if (from !== to) return { spec: { kind: "diff", from, to }, sourceGroupId: null };
  const message = "This is one snapshot twice. Choose two that differ.";
  throw new AppError("unprocessable", "snapshots.same", message);
}

export const changeKinds = ["added", "removed", "content", "type", "metadata"] as const;
export type ChangeKind = (typeof changeKinds)[number];

/** A file or folder in which two snapshots differ. */
export interface Change {
  kind: ChangeKind;
  /** Other bytes under the same size and times: what bit rot looks like. */
  suspicious: boolean;
  /** Control characters are written as escapes; a folder ends with a slash. */
  path: string;
  /** Null where there is nothing, for folders, and where it was not looked up. */
  sizeBefore: number | null;
  sizeAfter: number | null;
  /** Unix permissions as octal digits. */
  modeBefore: string | null;
  modeAfter: string | null;
}

const changeLine = /^([-+]|[MTU?]{1,4}) (\d{1,16}|-) (\d{1,16}|-) ([0-7]{3,4}|-) ([0-7]{3,4}|-) (.+)$/s;

function kindOf(letters: string): ChangeKind {
  if (letters === "+") return "added";
  if (letters === "-") return "removed";
  if (letters.includes("T")) return "type";
  return letters === "U" ? "metadata" : "content";
}

/** A line of a comparison's log as the change that it is; null for every other line. */
export function readChange({ stream, text }: Pick<LogLine, "stream" | "text">): Change | null {
  const match = stream === "stdout" ? changeLine.exec(text) : null;
  if (!match) return null;
  const [, letters = "", sizeBefore = "", sizeAfter = "", modeBefore = "", modeAfter = "", path = ""] = match;
  const size = (digits: string) => (digits === "-" ? null : Number(digits));
  const mode = (digits: string) => (digits === "-" ? null : digits.padStart(4, "0"));
  return {
    ...{ kind: kindOf(letters), suspicious: letters.includes("?"), path },
    ...{ sizeBefore: size(sizeBefore), sizeAfter: size(sizeAfter) },
    ...{ modeBefore: mode(modeBefore), modeAfter: mode(modeAfter) },
  };
}

export interface ChangeFilter {
  kind?: ChangeKind | undefined;
  /** A part of the path, in whatever case. */
  text?: string | undefined;
}

export interface ChangePage {
  changes: Change[];
  /** How many there are in the log, and how many pass the filter. */
  total: number;
  matching: number;
}

/** A page of a comparison's changes. Reads the log chunk by chunk and keeps the page only, however long it is. */
export async function readChanges(
  db: Db,
  jobId: string,
  filter: ChangeFilter,
  page: { limit: number; offset: number },
): Promise<ChangePage> {
  const text = filter.text?.toLowerCase() ?? "";
  const read: ChangePage = { changes: [], total: 0, matching: 0 };
  for await (const lines of streamLog(db, jobId)) {
    for (const line of lines) {
      const change = readChange(line);
      if (!change) continue;
      read.total += 1;
      if (filter.kind && change.kind !== filter.kind) continue;
      if (text !== "" && !change.path.toLowerCase().includes(text)) continue;
      if (read.matching >= page.offset && read.changes.length < page.limit) read.changes.push(change);
      read.matching += 1;
    }
  }
  return read;
}
