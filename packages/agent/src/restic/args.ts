/**
 * The argument lists of restic, one function per command. Invariants: no secret and no path or pattern of the
 * user ever becomes an argument (they go through files and the environment), reads never take a lock, and
 * everything here exists since restic 0.17.
 */

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
  oneFileSystem?: boolean;
  /** KiB per second. */
  limitUploadKib?: number;
  limitDownloadKib?: number;
};

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
    ...(options.oneFileSystem === true ? ["--one-file-system"] : []),
    ...limit("--limit-upload", options.limitUploadKib),
    ...limit("--limit-download", options.limitDownloadKib),
  ];
}

/** Structure of the repository, no data read. Takes the exclusive lock. */
export function checkArgs(): string[] {
  return ["check", "--json", "--retry-lock", RETRY_LOCK_EXCLUSIVE];
}

/** All snapshots of one host as one JSON document on one line. */
export function snapshotsArgs(hostName: string): string[] {
  return ["snapshots", "--json", "--no-lock", "--host", hostName];
}

/** restic splits `--tag a,b` into two tags and drops empty ones: both would lose the group of a snapshot. */
function isUsableTag(tag: string): boolean {
  return tag !== "" && !tag.includes(",");
}

function limit(flag: string, kibPerSecond: number | undefined): string[] {
  return kibPerSecond === undefined ? [] : [flag, String(Math.max(1, Math.floor(kibPerSecond)))];
}
