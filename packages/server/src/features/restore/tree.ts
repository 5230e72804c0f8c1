/**
 * Looking into a snapshot before anything is restored: a folder, a search, the versions of a file. A host's agent reads; the
 * server passes pages through and stores none. Invariant: only snapshots of the host's list are looked into.
 */
import {
  maxTreeEntries,
  maxVersionSnapshots,
  type RepositoryAccess,
  shownSnapshotPath,
  snapshotPath,
  splitSnapshotPath,
  type TreeCount,
  type TreeCounts,
  type TreeList,
  type TreeMatches,
  type TreePage,
  type TreeQuestion,
  type TreeSearch,
  type TreeVersionList,
  type TreeVersions,
  toSnapshotName,
} from "@restic-manager/protocol";
import type { Db } from "../../platform/db/db.ts";
import { AppError, type ErrorKind } from "../../platform/errors.ts";
import type { Actor } from "../../platform/http/identity.ts";
import type { SecretBox } from "../../platform/secrets.ts";
import type { AgentQuestions } from "../agent-link/agent-link.ts";
import { getHost } from "../hosts/hosts.ts";
import { findEverydayAccess, noCredentials } from "../repositories/repositories.ts";
import { getSnapshot, listSnapshots, type Snapshot } from "../snapshots/snapshots.ts";
import type { ForeignReads } from "./foreign-reads.ts";
import type { TreePages } from "./tree-pages.ts";

export interface TreeDeps {
  db: Db;
  box: SecretBox;
  pages: TreePages<FolderPage>;
  foreignReads: ForeignReads;
  /**
   * Asks a host's agent.
   * MUST throw AppError `hosts.offline`, `agent.no_answer`, `agent.too_old` or `agent.too_many_requests` when there is no answer.
   */
  readTree: AgentQuestions["readTree"];
}

/** Whose agent reads what. */
export interface Reading {
  hostId: string;
  /** Another host whose agent reads with this host's access, when this one is away. */
  via?: string | undefined;
  actor: Actor;
  /** Aborts when nobody waits for the answer any more. */
  gone: AbortSignal;
}

export type FolderPage = Pick<TreePage, "entries" | "more" | "index">;

/**
 * One page of a folder; the same page again comes from memory for half an hour.
 * @param input.after the name or the path of the last entry of the page before
 * @throws AppError `hosts.not_found`, `snapshots.not_found`, `repositories.no_credentials`, as readTree, or what the agent says
 */
export async function readFolder(
  deps: TreeDeps,
  input: Reading & { snapshotId: string; path: string; after?: string | undefined },
): Promise<FolderPage> {
  const { snapshotId, path } = input;
  const host = await getHost(deps.db, input.hostId);
  await getSnapshot(deps.db, host.id, snapshotId);
  const after = input.after === undefined ? null : readName(input.after);
  const key = { hostId: host.id, snapshotId, path, after };
  const kept = deps.pages.find(key);
  if (kept) return kept;
  const answer = await ask<TreeList>(deps, input, {
    ...{ type: "tree.list", snapshot_id: snapshotId, path, after, limit: maxTreeEntries },
  });
  const { entries, more, index } = answer;
  const page = { entries, more, index };
  deps.pages.keep(key, page);
  return page;
}

/** A name never begins with a slash, so a path can stand for it. */
function readName(after: string): string {
  const path = snapshotPath.safeParse(after);
  const parts = path.success ? splitSnapshotPath(path.data) : null;
  return parts?.name ?? toSnapshotName(Buffer.from(after));
}

/**
 * Entries of a whole snapshot by name. Until the host's index of it is there, none.
 * @throws AppError as readFolder, and the index's own problem when it can't be made
 */
export async function searchSnapshot(
  deps: TreeDeps,
  input: Reading & { snapshotId: string; pattern: string; after?: string | undefined },
): Promise<Pick<TreeMatches, "matches" | "more" | "index">> {
  const { snapshotId, pattern, after = null } = input;
  const host = await getHost(deps.db, input.hostId);
  await getSnapshot(deps.db, host.id, snapshotId);
  const { matches, more, index } = await ask<TreeSearch>(deps, input, {
    ...{ type: "tree.search", snapshot_id: snapshotId, pattern, after, limit: maxTreeEntries },
  });
  if (index.state === "none") throw refusal(index.problem);
  return { matches, more, index };
}

/**
 * What selections hold together, folders with everything in them. Until the host's index of the snapshot is there, nothing.
 * @throws AppError as searchSnapshot
 */
export async function countFiles(
  deps: TreeDeps,
  input: Reading & { snapshotId: string; paths: string[] },
): Promise<Pick<TreeCounts, "files" | "folders" | "size_bytes" | "index">> {
  const { snapshotId, paths } = input;
  const host = await getHost(deps.db, input.hostId);
  await getSnapshot(deps.db, host.id, snapshotId);
  const answer = await ask<TreeCount>(deps, input, { type: "tree.count", snapshot_id: snapshotId, paths });
  if (answer.index.state === "none") throw refusal(answer.index.problem);
  const { files, folders, size_bytes, index } = answer;
  return { files, folders, size_bytes, index };
}

export interface Version {
  snapshotId: string;
  /** The snapshot's, epoch milliseconds. */
  time: number;
  kind: TreeVersionList["versions"][number]["kind"];
  sizeBytes: number | null;
  mode: number | null;
  /** RFC 3339. */
  modifiedAt: string | null;
  /** As in the next newer snapshot of this list, as far as kind, size, time and mode tell. */
  isSameAsNewer: boolean;
}

/**
 * What one path is in the newest snapshots of the host that cover it, newest first. Where it is missing is left out.
 * @returns truncated when there are older snapshots that were not looked into
 * @throws AppError as readFolder
 */
export async function listVersions(
  deps: TreeDeps,
  input: Reading & { path: string },
): Promise<{ versions: Version[]; truncated: boolean }> {
  const host = await getHost(deps.db, input.hostId);
  const covering = await listCovering(deps.db, host.id, input.path);
  const snapshots = covering.slice(0, maxVersionSnapshots);
  if (snapshots.length === 0) return { versions: [], truncated: false };
  const snapshot_ids = snapshots.map(({ id }) => id);
  const answer = await ask<TreeVersions>(deps, input, {
    type: "tree.versions",
    snapshot_ids,
    path: input.path,
  });
  const times = new Map(snapshots.map(({ id, time }) => [id, time]));
  const versions = answer.versions.map((version, place) => ({
    snapshotId: version.snapshot_id,
    time: times.get(version.snapshot_id) ?? 0,
    ...{
      kind: version.kind,
      sizeBytes: version.size_bytes,
      mode: version.mode,
      modifiedAt: version.modified_at,
    },
    isSameAsNewer: isSame(answer.versions[place - 1], version),
  }));
  return { versions, truncated: answer.truncated || covering.length > snapshots.length };
}

type WireVersion = TreeVersionList["versions"][number];

function isSame(newer: WireVersion | undefined, version: WireVersion): boolean {
  const fields = ["kind", "size_bytes", "mode", "modified_at"] as const;
  return newer !== undefined && fields.every((field) => newer[field] === version[field]);
}

const rowsAtOnce = 500;

/** The newest that cover a path, one more than are looked into. */
async function listCovering(db: Db, hostId: string, path: string): Promise<Snapshot[]> {
  const found: Snapshot[] = [];
  for (let offset = 0; ; offset += rowsAtOnce) {
    const rows = await listSnapshots(db, hostId, { limit: rowsAtOnce, offset });
    found.push(...rows.filter(({ paths }) => paths.some((source) => covers(source, path))));
    if (rows.length < rowsAtOnce || found.length > maxVersionSnapshots) return found;
  }
}

/** @param source as the host writes it: `C:\Users` is `/C/Users` in a snapshot */
export function covers(source: string, path: string): boolean {
  const drive = /^([A-Za-z]):[\\/]?/.exec(source)?.[1];
  const inSnapshot = drive === undefined ? source : `/${drive}/${source.slice(3).replaceAll("\\", "/")}`;
  const folder = inSnapshot.replace(/\/+$/, "");
  const shown = shownSnapshotPath(path);
  return shown === folder || shown.startsWith(`${folder}/`);
}

/** Asks the host's own agent, or another one with this host's access. */
async function ask<Q extends TreeQuestion>(
  deps: TreeDeps,
  { hostId, via = hostId, actor, gone }: Reading,
  question: Omit<Q, "request_id" | "access">,
) {
  const reader = (await getHost(deps.db, via)).id;
  const access = reader === hostId ? {} : { access: await lend(deps, { hostId, reader, actor }) };
  const answer = await deps.readTree<Q>(reader, { ...question, ...access } as Omit<Q, "request_id">, gone);
  if (answer.error) throw refusal(answer.error);
  return answer;
}

/** The host's access, for another one's agent. */
async function lend(
  { db, box, foreignReads }: TreeDeps,
  { hostId, reader, actor }: { hostId: string; reader: string; actor: Actor },
): Promise<RepositoryAccess> {
  const found = await findEverydayAccess(db, box, hostId);
  if (!found) throw noCredentials();
  await foreignReads.note({ owner: await getHost(db, hostId), reader: await getHost(db, reader), actor });
  return found.access;
}

const kinds: Readonly<Record<string, ErrorKind>> = {
  "tree.not_found": "not_found",
  "tree.snapshot_gone": "not_found",
  "tree.busy": "unavailable",
  "restic.timeout": "timeout",
};

const refusal = (error: { code: string; message: string } | null): AppError => {
  const { code, message } = error ?? {
    code: "tree.failed",
    message: "The host can't look into this snapshot.",
  };
  return new AppError(
    (Object.hasOwn(kinds, code) ? kinds[code] : undefined) ?? "unprocessable",
    code,
    message,
  );
};
