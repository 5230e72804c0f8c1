/** JSON routes into snapshots. Operators only: names of files tell much, and the agent works for each question. */
import {
  joinSnapshotPath,
  maxCountedPaths,
  shownSnapshotPath,
  snapshotPath,
  type TreeEntry,
  type TreeIndex,
} from "@restic-manager/protocol";
import { z } from "zod";
import { type Clock, toInstant } from "../../platform/clock.ts";
import { abortWhenGone } from "../../platform/http/gone.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import { ForeignReads } from "./foreign-reads.ts";
import {
  countFiles,
  type FolderPage,
  listVersions,
  readFolder,
  searchSnapshot,
  type TreeDeps,
} from "./tree.ts";
import { TreePages } from "./tree-pages.ts";

const id = z.string().max(64);
const hostParams = z.object({ hostId: id });
const snapshotParams = hostParams.extend({ snapshotId: id });
const via = id.min(1).optional();
/** A path, or a name of whatever bytes. */
const after = z
  .string()
  .min(1)
  .max(32_768)
  .regex(/^[^\0]*$/)
  .optional();

const kind = z.enum(["folder", "file", "link", "device", "fifo", "other"]);
const wireEntry = z.object({
  /** For people: bytes that are not UTF-8 are replaced. */
  name: z.string(),
  /** The path for programs: for `path`, for a restore and for a download. */
  ref: z.string(),
  kind,
  size_bytes: z.number().nullable(),
  mode: z.number().nullable(),
  uid: z.number().nullable(),
  gid: z.number().nullable(),
  user: z.string().nullable(),
  group: z.string().nullable(),
  modified_at: z.string().nullable(),
  target: z.string().nullable(),
});
const wireProblem = z.object({ code: z.string(), message: z.string() }).nullable();

const toWireEntry = (folder: string, { name, ...fields }: TreeEntry): z.infer<typeof wireEntry> => ({
  ...fields,
  name: shownSnapshotPath(name),
  ref: joinSnapshotPath(folder, name),
});

const wireState = ({ state, entries, problem }: TreeIndex) => ({
  state: state === "ready" ? ("ready" as const) : ("indexing" as const),
  waits_for_job: state === "waiting",
  indexed_files: entries,
  problem,
});

export function registerTreeRoutes(
  app: App,
  parts: Omit<TreeDeps, "pages" | "foreignReads"> & { clock: Clock },
): void {
  const deps = {
    ...parts,
    pages: new TreePages<FolderPage>(parts.clock),
    foreignReads: new ForeignReads(parts),
  };
  registerFolder(app, deps);
  registerSearch(app, deps);
  registerVersions(app, deps);
  registerCount(app, deps);
}

function registerFolder(app: App, deps: TreeDeps): void {
  const wirePage = z.object({
    entries: z.array(wireEntry),
    more: z.boolean(),
    /** The whole snapshot is indexed: opening is instant and it can be searched. */
    indexed: z.boolean(),
    /** Why there is no index, or what is not in it. */
    index_problem: wireProblem,
  });
  apiRoute(app, {
    method: "GET",
    url: "/api/hosts/:hostId/snapshots/:snapshotId/tree",
    policy: "operator",
    summary:
      "One page of a folder in a snapshot: folders first, then by name, from after `after`, the last entry's name or ref. `via`: another host whose agent reads.",
    schema: {
      params: snapshotParams,
      querystring: z.object({ path: snapshotPath.default("/"), after, via }),
      response: { 200: wirePage },
    },
    async answer({ params, query, identity, reply }) {
      const { entries, more, index } = await readFolder(deps, {
        ...params,
        ...query,
        actor: actorOf(requireIdentity(identity)),
        gone: abortWhenGone(reply),
      });
      const shown = entries.map((entry) => toWireEntry(query.path, entry));
      return { entries: shown, more, indexed: index.state === "ready", index_problem: index.problem };
    },
  });
}

function registerSearch(app: App, deps: TreeDeps): void {
  const wireMatches = z.object({
    state: z.enum(["ready", "indexing"]),
    /** The index is made once the host's jobs have ended. */
    waits_for_job: z.boolean(),
    indexed_files: z.number(),
    problem: wireProblem,
    matches: z.array(wireEntry.extend({ path: z.string() })),
    more: z.boolean(),
  });
  apiRoute(app, {
    method: "GET",
    url: "/api/hosts/:hostId/snapshots/:snapshotId/search",
    policy: "operator",
    summary:
      "Entries of a snapshot by a part or a glob of their name, or of their path when the pattern has a slash; from after the ref `after`. Ask again while it is indexed.",
    schema: {
      params: snapshotParams,
      querystring: z.object({ pattern: z.string().min(1).max(1000), after: snapshotPath.optional(), via }),
      response: { 200: wireMatches },
    },
    async answer({ params, query, identity, reply }) {
      const found = await searchSnapshot(deps, {
        ...params,
        ...query,
        actor: actorOf(requireIdentity(identity)),
        gone: abortWhenGone(reply),
      });
      const matches = found.matches.map(({ folder, ...entry }) => {
        const shown = toWireEntry(folder, entry);
        return { ...shown, path: shownSnapshotPath(shown.ref) };
      });
      return { ...wireState(found.index), matches, more: found.more };
    },
  });
}

function registerVersions(app: App, deps: TreeDeps): void {
  const wireVersion = z.object({
    snapshot_id: z.string(),
    time: z.string(),
    kind,
    size_bytes: z.number().nullable(),
    modified_at: z.string().nullable(),
    mode: z.number().nullable(),
    is_same_as_newer: z.boolean(),
  });
  apiRoute(app, {
    method: "GET",
    url: "/api/hosts/:hostId/snapshots/versions",
    policy: "operator",
    summary: "What a path is in the newest 100 snapshots of the host that cover it, newest first.",
    schema: {
      params: hostParams,
      querystring: z.object({ path: snapshotPath, via }),
      response: { 200: z.object({ versions: z.array(wireVersion), truncated: z.boolean() }) },
    },
    async answer({ params, query, identity, reply }) {
      const { versions, truncated } = await listVersions(deps, {
        ...params,
        ...query,
        actor: actorOf(requireIdentity(identity)),
        gone: abortWhenGone(reply),
      });
      const shown = versions.map(
        ({ snapshotId, time, kind, sizeBytes, modifiedAt, mode, isSameAsNewer }) => ({
          ...{ snapshot_id: snapshotId, time: toInstant(time), kind, size_bytes: sizeBytes },
          ...{ modified_at: modifiedAt, mode, is_same_as_newer: isSameAsNewer },
        }),
      );
      return { versions: shown, truncated };
    },
  });
}

function registerCount(app: App, deps: TreeDeps): void {
  const wireCount = z.object({
    state: z.enum(["ready", "indexing"]),
    waits_for_job: z.boolean(),
    indexed_files: z.number(),
    problem: wireProblem,
    /** Null until the snapshot is indexed. */
    files: z.number().nullable(),
    folders: z.number().nullable(),
    size_bytes: z.number().nullable(),
  });
  apiRoute(app, {
    method: "POST",
    url: "/api/hosts/:hostId/snapshots/:snapshotId/count",
    policy: "operator",
    summary:
      "How many files and bytes selections hold together, folders with everything in them. Ask again while the snapshot is indexed.",
    schema: {
      params: snapshotParams,
      body: z.strictObject({ paths: z.array(snapshotPath).min(1).max(maxCountedPaths), via }),
      response: { 200: wireCount },
    },
    async answer({ params, body, identity, reply }) {
      const { files, folders, size_bytes, index } = await countFiles(deps, {
        ...params,
        ...body,
        actor: actorOf(requireIdentity(identity)),
        gone: abortWhenGone(reply),
      });
      return { ...wireState(index), files, folders, size_bytes };
    },
  });
}
