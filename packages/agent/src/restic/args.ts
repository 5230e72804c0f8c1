/**
 * The argument lists of restic, one function per command. Invariants: no secret and no path or pattern of the
 * user ever becomes an argument (they go through files and the environment; the exceptions are what restic takes in no
 * other way: names of marker files, paths in a snapshot, the folder and the target of a restore, and what is restored when
 * its name spans lines), reads never take a lock, and everything here exists since restic 0.17.
 */
import { isAbsolute } from "node:path";
import type { Bandwidth, OverwritePolicy, ReadData, RetentionPolicy } from "@restic-manager/protocol";
import { escapePattern } from "./patterns.ts";

/** How long restic waits for another operation's lock before it gives up with exit 11. */
const RETRY_LOCK = "10m";
/** An exclusive operation waits for a whole backup of another host. */
const RETRY_LOCK_EXCLUSIVE = "30m";

/** `restic version --json`; text on old versions. */
export function versionArgs(): string[] {
  return ["version", "--json"];
}

/** Opens the repository and nothing more: exit 0, 10 (none there), 12 (wrong password), or 1 with text. */
export function catConfigArgs(): string[] {
  return ["cat", "config", "--no-lock"];
}

/** Creates the repository; exits 1 when there is one already, so probe with `catConfigArgs` first. */
export function initArgs(): string[] {
  return ["init", "--json", "--repository-version", "2"];
}

export type BackupArgs = {
  /** Name under which snapshots are filed; always given, so that renaming the machine changes nothing. */
  hostName: string;
  tags: readonly string[];
  /** File with NUL separated source paths (see sources.ts). */
  sourcesPath: string;
  /** File with one exclude pattern a line. */
  excludesPath?: string;
  /** Names of files, or `name:first bytes`: the one text of the user that restic takes as an argument only. */
  excludeIfPresent?: readonly string[];
  excludeLargerThanBytes?: number | null | undefined;
  excludeCaches?: boolean | null | undefined;
  oneFileSystem?: boolean | null | undefined;
  /** Windows: read from a snapshot of the volume (VSS), so that files which programs hold open are whole. */
  volumeSnapshot?: boolean;
  limits?: Bandwidth | null | undefined;
};

const MAX_MARKER_CHARS = 512;

/** Why restic, or the system, could not take this for `--exclude-if-present`; undefined when it can. */
export function findMarkerProblem(marker: string): string | undefined {
  const shown = JSON.stringify(marker.slice(0, 80));
  if (marker === "" || marker.startsWith(":")) return `The marker file ${shown} has no name.`;
  if (/[\0\r\n]/.test(marker)) return `The name of the marker file ${shown} spans lines.`;
  if (marker.length > MAX_MARKER_CHARS) return `The name of the marker file ${shown}… is too long.`;
  return undefined;
}

/** One snapshot of the sources. Throws RangeError for a host name or tag that restic would misread. */
export function backupArgs(options: BackupArgs): string[] {
  if (options.hostName === "") throw new RangeError("A backup needs a host name.");
  for (const tag of options.tags) {
    if (!isUsableTag(tag))
      throw new RangeError(`The tag ${JSON.stringify(tag)} is empty or contains a comma.`);
  }
  return [
    ...["backup", "--json", "--host", options.hostName],
    ...options.tags.flatMap((tag) => ["--tag", tag]),
    ...["--retry-lock", RETRY_LOCK, "--files-from-raw", options.sourcesPath],
    ...(options.excludesPath === undefined ? [] : ["--exclude-file", options.excludesPath]),
    // One word each, so that a name with a dash in front is not taken for a flag.
    ...(options.excludeIfPresent ?? []).map((marker) => `--exclude-if-present=${marker}`),
    ...flagIf(options.excludeLargerThanBytes, (bytes) => ["--exclude-larger-than", String(bytes)]),
    ...(options.excludeCaches === true ? ["--exclude-caches"] : []),
    ...(options.oneFileSystem === true ? ["--one-file-system"] : []),
    ...(options.volumeSnapshot === true ? ["--use-fs-snapshot"] : []),
    ...limitArgs(options.limits),
  ];
}

/** Structure of the repository, and of the data the part that is asked for. Takes the exclusive lock. */
export function checkArgs(readData?: ReadData | null, limits?: Bandwidth | null): string[] {
  return [
    ...["check", "--json", "--retry-lock", RETRY_LOCK_EXCLUSIVE],
    ...(readData == null ? [] : ["--read-data-subset", toSubset(readData)]),
    ...limitArgs(limits),
  ];
}

function toSubset(part: ReadData): string {
  return "percent" in part ? `${part.percent}%` : `${part.slice}/${part.of}`;
}

/** restic counts packs by the first byte of their names. */
const MAX_SLICES = 256;

/** Why restic could not take this part of a check; undefined when it can. */
export function findReadDataProblem(part: ReadData | null | undefined): string | undefined {
  if (part == null || "percent" in part) return undefined;
  if (part.of > MAX_SLICES) return `A check can be cut into ${MAX_SLICES} slices at most, not ${part.of}.`;
  return part.slice > part.of ? `There is no slice ${part.slice} of ${part.of}.` : undefined;
}

export type ForgetArgs = {
  hostName: string;
  /** The tag: nothing else is touched. */
  sourceGroup: string;
  policy: RetentionPolicy;
  /** Says what would go and takes no lock. */
  dryRun?: boolean;
  limits?: Bandwidth | null | undefined;
};

const KEEP_COUNTS = [
  ["keep_last", "--keep-last"],
  ["keep_hourly", "--keep-hourly"],
  ["keep_daily", "--keep-daily"],
  ["keep_weekly", "--keep-weekly"],
  ["keep_monthly", "--keep-monthly"],
  ["keep_yearly", "--keep-yearly"],
] as const;

const DURATION = /^(\d+[ymdh])+$/;

/** Why restic must not be given this policy; undefined when it may. An empty one would keep nothing. */
export function findPolicyProblem(policy: RetentionPolicy): "empty" | "invalid" | undefined {
  const within = policy.keep_within;
  if (within != null && !DURATION.test(within)) return "invalid";
  const counts = KEEP_COUNTS.some(([name]) => (policy[name] ?? 0) > 0);
  return counts || (within != null && /[1-9]/.test(within)) ? undefined : "empty";
}

/** Applies a policy to the snapshots of one host and tag. Throws RangeError for what would touch others or keep none. */
export function forgetArgs({ hostName, sourceGroup, policy, dryRun, limits }: ForgetArgs): string[] {
  if (hostName === "" || !isUsableTag(sourceGroup)) throw new RangeError("A forget needs a host and a tag.");
  if (findPolicyProblem(policy) !== undefined) throw new RangeError("A forget needs a policy.");
  return [
    ...["forget", "--json", ...(dryRun === true ? ["--dry-run", "--no-lock"] : ["--retry-lock", RETRY_LOCK])],
    // By tags or paths a changed path would make a group of its own, of which everything is kept.
    ...["--host", hostName, "--tag", sourceGroup, "--group-by", "host"],
    ...KEEP_COUNTS.flatMap(([name, flag]) => flagIf(policy[name], (kept) => [flag, String(kept)])),
    ...(policy.keep_within == null ? [] : ["--keep-within", policy.keep_within]),
    ...limitArgs(limits),
  ];
}

export type RestoreArgs = {
  /** Full id: what is restored must not change while somebody looks at it. */
  snapshotId: string;
  /** The folder of the snapshot whose content goes into the target; `/` is all. */
  folder: string;
  /** A folder of this host, absolute. */
  target: string;
  /** File with one pattern a line; without any everything below the folder is restored. */
  includesPath?: string;
  excludesPath?: string;
  /** Patterns that span lines, which no file can hold. */
  includesOfLines?: readonly string[];
  overwrite?: OverwritePolicy;
  /** Leaves out what is zero: only for files that are new, whatever restic makes of an old one's holes. */
  sparse?: boolean;
  dryRun?: boolean;
  verify?: boolean;
  limits?: Bandwidth | null | undefined;
};

/**
 * Writes what a snapshot holds, one line for each item. Never deletes anything. Throws RangeError for a target that is
 * not absolute.
 */
export function restoreArgs(options: RestoreArgs): string[] {
  const { snapshotId, folder, target, includesPath, excludesPath } = options;
  if (!isAbsolute(target)) throw new RangeError("A restore needs an absolute target.");
  return [
    ...["restore", "--json", "-vv", "--retry-lock", RETRY_LOCK, "--target", target],
    ...(includesPath === undefined ? [] : ["--include-file", includesPath]),
    ...(options.includesOfLines ?? []).map((pattern) => `--include=${pattern}`),
    ...(excludesPath === undefined ? [] : ["--exclude-file", excludesPath]),
    ...(options.overwrite === undefined ? [] : ["--overwrite", options.overwrite]),
    ...(options.sparse === true ? ["--sparse"] : []),
    // A dry run has written nothing that could be read again; restic refuses the two together.
    ...(options.dryRun === true ? ["--dry-run"] : options.verify === true ? ["--verify"] : []),
    ...limitArgs(options.limits),
    folder === "/" ? snapshotId : `${snapshotId}:${folder}`,
  ];
}

/** Frees the space of what was forgotten. Text, since its JSON is of later versions. Takes the exclusive lock. */
export function pruneArgs(limits?: Bandwidth | null): string[] {
  return ["prune", "--retry-lock", RETRY_LOCK_EXCLUSIVE, ...limitArgs(limits)];
}

/**
 * Removes stale locks, or all. Without `removeAll` it sends SIGHUP to the pids in locks of this host: look them up
 * before.
 */
export function unlockArgs(removeAll: boolean): string[] {
  return removeAll ? ["unlock", "--remove-all"] : ["unlock"];
}

/** Writes the index anew from the packs, or broken snapshots anew without what is lost; the broken ones stay. */
export function repairArgs(what: "index" | "snapshots"): string[] {
  return ["repair", what, "--retry-lock", RETRY_LOCK_EXCLUSIVE];
}

/** The ids of all locks, one a line. */
export function listLocksArgs(): string[] {
  return ["list", "locks", "--no-lock"];
}

/** One lock as a JSON document. */
export function catLockArgs(lockId: string): string[] {
  return ["cat", "lock", lockId, "--no-lock"];
}

/** Every key with the one that opened the repository, as one JSON document. */
export function listKeysArgs(): string[] {
  return ["key", "list", "--json", "--no-lock"];
}

/** Makes the password in that file open the repository too; restic trims what stands in it. Text. */
export function addKeyArgs(passwordPath: string): string[] {
  return ["key", "add", "--retry-lock", RETRY_LOCK, "--new-password-file", passwordPath];
}

/** Removes one key; restic refuses the one that opens the repository. Text. Takes the exclusive lock. */
export function removeKeyArgs(keyId: string): string[] {
  return ["key", "remove", "--retry-lock", RETRY_LOCK_EXCLUSIVE, keyId];
}

/** What lies in the storage, as one JSON document. */
export function statsArgs(): string[] {
  return ["stats", "--json", "--no-lock", "--mode", "raw-data"];
}

/** All snapshots of one host as one JSON document on one line. */
export function snapshotsArgs(hostName: string): string[] {
  return ["snapshots", "--json", "--no-lock", "--host", hostName];
}

/** `-o` options go with every command on their repository. The names are of the protocol's list. */
export function optionArgs(options: Readonly<Record<string, string>> | null | undefined): string[] {
  return Object.entries(options ?? {}).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
}

/** Everything in a snapshot, a line of JSON each, folders before what is in them. */
export function listAllArgs(snapshotId: string, limits?: Bandwidth | null): string[] {
  return ["ls", "--json", "--no-lock", ...limitArgs(limits), snapshotId];
}

/** Everything in which two snapshots differ, a line of JSON each; with modes, owners and times. */
export function diffArgs(from: string, to: string, limits?: Bandwidth | null): string[] {
  return ["diff", "--json", "--no-lock", "--metadata", ...limitArgs(limits), from, to];
}

export type SampleRestoreArgs = {
  snapshotId: string;
  /** A folder of the agent's. */
  target: string;
  /** File with one include pattern a line (see patterns.ts). */
  includesPath: string;
  limits?: Bandwidth | null | undefined;
};

/** Some files of a snapshot into a folder, read again there and compared with the repository's hashes. */
export function sampleRestoreArgs({ snapshotId, target, includesPath, limits }: SampleRestoreArgs): string[] {
  return [
    ...["restore", "--json", "--no-lock", "--verify", "--target", target, "--include-file", includesPath],
    ...limitArgs(limits),
    snapshotId,
  ];
}

/**
 * What lies at a path of a snapshot, as JSON lines: the snapshot, the entry itself, then a folder's own entries. The
 * path goes behind these.
 */
export function listPathArgs(snapshot: string): string[] {
  return ["ls", "--json", "--no-lock", "--", snapshot];
}

/** The bytes of a file, or of a folder as an archive, on stdout. The path goes behind these. */
export function dumpArgs(snapshot: string, archive: "tar" | "zip" = "tar"): string[] {
  return ["dump", "--no-lock", "--archive", archive, "--", snapshot];
}

/** The document of one folder of a snapshot. `--json` is for the errors only. */
export function catTreeArgs(snapshotId: string, folder: string): string[] {
  return ["cat", "tree", "--json", "--no-lock", `${snapshotId}:${folder}`];
}

/** The same document by the id that its parent's has: for a path that is not UTF-8, which is no argument. */
export function catBlobArgs(blobId: string): string[] {
  return ["cat", "blob", "--json", "--no-lock", blobId];
}

/** One path in each of these snapshots. Whole paths are looked up, nothing else is read: a second for a hundred. */
export function findArgs(snapshotIds: readonly string[], path: string): string[] {
  const snapshots = snapshotIds.flatMap((id) => ["--snapshot", id]);
  return ["find", "--json", "--no-lock", ...snapshots, "--", escapePattern(path)];
}

/** restic splits `--tag a,b` into two tags and drops empty ones: both would lose the group of a snapshot. */
function isUsableTag(tag: string): boolean {
  return tag !== "" && !tag.includes(",");
}

/** restic counts KiB a second, as the protocol does. */
function limitArgs(limits: Bandwidth | null | undefined): string[] {
  return [
    ...flagIf(limits?.upload_kib, (kib) => ["--limit-upload", String(kib)]),
    ...flagIf(limits?.download_kib, (kib) => ["--limit-download", String(kib)]),
  ];
}

function flagIf(figure: number | null | undefined, toArgs: (figure: number) => string[]): string[] {
  return figure == null ? [] : toArgs(figure);
}
