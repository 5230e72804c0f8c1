/**
 * Looking into a snapshot: one folder, a search, the versions of a file. Questions and answers carry a `request_id`;
 * nothing is stored by the server. Invariant: a path or name has one spelling, whatever its bytes.
 */
import { isUtf8 } from "node:buffer";
import { z } from "zod";
import { repositoryAccess } from "./config.ts";
import { code, count, id, instant, snapshotId, text } from "./primitives.ts";

/** The most entries of one page, and the most matches. */
export const maxTreeEntries = 500;
/** The most snapshots in which the versions of a file are looked for. */
export const maxVersionSnapshots = 100;

/** Marks bytes that are not UTF-8. */
const bytesMark = "base64:";
const maxPathChars = 32_768;
const slash = 0x2f;

const utf8 = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });

/** Undefined for text that no bytes are spelt as, such as half of a surrogate pair. */
function bytesOf(spelling: string): Buffer | undefined {
  if (!spelling.isWellFormed()) return undefined;
  if (!spelling.startsWith(bytesMark)) return Buffer.from(spelling);
  return Buffer.from(spelling.slice(bytesMark.length), "base64");
}

const isSegment = (segment: string): boolean => segment !== "" && segment !== "." && segment !== "..";

/**
 * A path in a snapshot as restic has it: absolute, with `/` also on Windows (`/C/Users`), without `.`, `..`, empty
 * segments and NUL. One that is not UTF-8 is `base64:` and its bytes.
 */
export const snapshotPath = z
  .string()
  .min(1)
  .max(maxPathChars)
  .refine((path) => {
    const bytes = bytesOf(path);
    if (bytes === undefined || bytes.includes(0) || toSnapshotPath(bytes) !== path) return false;
    // Keeps bytes apart, so that every spelling is checked alike.
    const [first, ...segments] = bytes.toString("latin1").split("/");
    return first === "" && (segments.every(isSegment) || path === "/");
  }, "This must be an absolute path in the snapshot, without . and .. in it.");

/** A name in a folder of a snapshot. One that is not UTF-8, or begins with `base64:`, is `base64:` and its bytes. */
export const snapshotName = text(4096)
  .min(1)
  .refine((name) => {
    // Nearly all are plain, and a page has five hundred.
    if (!name.startsWith(bytesMark)) return name.isWellFormed() && isSegment(name) && !/[/\0]/.test(name);
    const bytes = bytesOf(name);
    if (bytes === undefined || bytes.includes(0) || bytes.includes(slash)) return false;
    return isSegment(bytes.toString("latin1")) && toSnapshotName(bytes) === name;
  }, "This is no name of a file.");

/** The bytes of a valid `snapshotPath`. */
export const snapshotPathBytes = (path: string): Buffer =>
  path.startsWith(bytesMark) ? Buffer.from(path.slice(bytesMark.length), "base64") : Buffer.from(path);

/** The one spelling of a path. */
export const toSnapshotPath = (bytes: Buffer): string =>
  isUtf8(bytes) ? bytes.toString() : bytesMark + bytes.toString("base64");

/** The bytes of a valid `snapshotName`. */
export const snapshotNameBytes = (name: string): Buffer => snapshotPathBytes(name);

/** The one spelling of a name. */
export function toSnapshotName(bytes: Buffer): string {
  const name = toSnapshotPath(bytes);
  return name.startsWith(bytesMark) && isUtf8(bytes) ? bytesMark + bytes.toString("base64") : name;
}

/** The path of an entry. */
export function joinSnapshotPath(folder: string, name: string): string {
  if (!folder.startsWith(bytesMark) && !name.startsWith(bytesMark))
    return `${folder === "/" ? "" : folder}/${name}`;
  const parent = folder === "/" ? Buffer.alloc(0) : snapshotPathBytes(folder);
  return toSnapshotPath(Buffer.concat([parent, Buffer.of(slash), snapshotNameBytes(name)]));
}

/** The folder and the name of a path; null for `/`, which lies in no folder. */
export function splitSnapshotPath(path: string): { folder: string; name: string } | null {
  const bytes = snapshotPathBytes(path);
  const at = bytes.lastIndexOf(slash);
  if (bytes.length === 1) return null;
  return {
    folder: at === 0 ? "/" : toSnapshotPath(bytes.subarray(0, at)),
    name: toSnapshotName(bytes.subarray(at + 1)),
  };
}

/** For people: bytes that are not UTF-8 become U+FFFD. Of a path or of a name. */
export const shownSnapshotPath = (path: string): string =>
  path.startsWith(bytesMark) ? utf8.decode(snapshotPathBytes(path)) : path;

/** Where another host's agent reads, with that host's access: for this once, and never written down. */
const question = {
  request_id: id,
  access: repositoryAccess.nullish(),
};

/** Server → agent: one page of one folder. Answered with `tree.page`. */
export const treeList = z.object({
  type: z.literal("tree.list"),
  ...question,
  snapshot_id: snapshotId,
  path: snapshotPath,
  /** The page after this entry; null for the first. */
  after: snapshotName.nullable(),
  limit: count.min(1).max(maxTreeEntries),
});
export type TreeList = z.infer<typeof treeList>;

/** Server → agent: entries of a whole snapshot by name. Answered with `tree.matches`. */
export const treeSearch = z.object({
  type: z.literal("tree.search"),
  ...question,
  snapshot_id: snapshotId,
  /** A part of the name; with `*`, `?` or `[` a glob of it. With `/` of the whole path. In any case. */
  pattern: text(1000).min(1),
  /** The page after this match; null for the first. */
  after: snapshotPath.nullable(),
  limit: count.min(1).max(maxTreeEntries),
});
export type TreeSearch = z.infer<typeof treeSearch>;

/** Server → agent: what one path is in each of these snapshots. Answered with `tree.version_list`. */
export const treeVersions = z.object({
  type: z.literal("tree.versions"),
  ...question,
  /** Newest first. */
  snapshot_ids: z.array(snapshotId).min(1).max(maxVersionSnapshots),
  path: snapshotPath,
});
export type TreeVersions = z.infer<typeof treeVersions>;

/** The most selections that are counted together: as many as one restore takes. */
export const maxCountedPaths = 1000;

/** Server → agent: what these selections hold together, folders with everything in them. Answered with `tree.counts`. */
export const treeCount = z.object({
  type: z.literal("tree.count"),
  ...question,
  snapshot_id: snapshotId,
  /** None lies in another. */
  paths: z.array(snapshotPath).min(1).max(maxCountedPaths),
});
export type TreeCount = z.infer<typeof treeCount>;

/** Server → agent: nobody waits for this answer any more. */
export const treeCancel = z.object({ type: z.literal("tree.cancel"), request_id: id });

const kind = z.enum(["folder", "file", "link", "device", "fifo", "other"]);
/** The permission bits with setuid, setgid and sticky: at most octal 7777. */
const mode = count.max(0o7777).nullable();

export const treeEntry = z.object({
  name: snapshotName,
  kind,
  size_bytes: count.nullable(),
  mode,
  uid: count.nullable(),
  gid: count.nullable(),
  user: text(256).nullable(),
  group: text(256).nullable(),
  modified_at: instant.nullable(),
  /** What a link leads to, for people; null where it is not known. */
  target: text(4096).nullable(),
});
export type TreeEntry = z.infer<typeof treeEntry>;

const problem = z.object({ code, message: text(2000) });

/** The agent's index of the snapshot: what makes a search possible and opening instant. */
export const treeIndex = z.object({
  /** `waiting`: jobs go first. `none`: it can't be made, and `problem` says why. */
  state: z.enum(["ready", "building", "waiting", "none"]),
  /** Entries in it so far. */
  entries: count,
  problem: problem.nullable(),
});
export type TreeIndex = z.infer<typeof treeIndex>;

/**
 * Agent → server: folders first, then by name. With an error `entries` is empty. Codes: `tree.not_found`,
 * `tree.not_a_folder`, `tree.snapshot_gone`, `tree.too_large`, `tree.cancelled`, `tree.busy`, `tree.failed`, and restic's.
 */
export const treePage = z.object({
  type: z.literal("tree.page"),
  request_id: id,
  entries: z.array(treeEntry).max(maxTreeEntries),
  /** More follow after the last of these. */
  more: z.boolean(),
  index: treeIndex,
  error: problem.nullable(),
});
export type TreePage = z.infer<typeof treePage>;

/** Agent → server. Without an index there are no matches yet: `index` says how far it is. */
export const treeMatches = z.object({
  type: z.literal("tree.matches"),
  request_id: id,
  matches: z.array(treeEntry.extend({ folder: snapshotPath })).max(maxTreeEntries),
  more: z.boolean(),
  index: treeIndex,
  error: problem.nullable(),
});
export type TreeMatches = z.infer<typeof treeMatches>;

/** Agent → server. Without an index nothing is counted yet: `index` says how far it is, and the figures are null. */
export const treeCounts = z.object({
  type: z.literal("tree.counts"),
  request_id: id,
  /** Everything that is no folder. */
  files: count.nullable(),
  folders: count.nullable(),
  /** Of files whose sizes are known. */
  size_bytes: count.nullable(),
  index: treeIndex,
  error: problem.nullable(),
});
export type TreeCounts = z.infer<typeof treeCounts>;

/** Agent → server: snapshots in which the path is missing are left out. */
export const treeVersionList = z.object({
  type: z.literal("tree.version_list"),
  request_id: id,
  versions: z
    .array(
      z.object({
        snapshot_id: snapshotId,
        kind,
        size_bytes: count.nullable(),
        mode,
        modified_at: instant.nullable(),
      }),
    )
    .max(maxVersionSnapshots),
  /** Time ran out before the oldest of the snapshots was looked at. */
  truncated: z.boolean(),
  error: problem.nullable(),
});
export type TreeVersionList = z.infer<typeof treeVersionList>;

/** Server → agent; each is answered once. */
export type TreeQuestion = TreeList | TreeSearch | TreeVersions | TreeCount;
export type TreeAnswer = TreePage | TreeMatches | TreeVersionList | TreeCounts;
