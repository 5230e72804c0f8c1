/**
 * One page of one folder of this host, for whoever writes a source group. No job: nothing is kept, and nothing waits
 * for it. Invariants: names only, no file is opened and no link followed; memory is bounded however large the folder
 * is; never rejects.
 * Order: folders, then everything else; each by lower-cased name, and by the name itself where those are equal.
 */
import type { Dirent, Stats } from "node:fs";
import { lstat, opendir } from "node:fs/promises";
import { isAbsolute, join, resolve } from "node:path";
import type { FsEntries, FsEntry, FsList } from "@restic-manager/protocol";
import { reasonOf } from "../platform/errors.ts";
import { hasErrorCode } from "../platform/files.ts";

/** More names of one folder are not looked at: nobody pages so far, and each costs memory. */
export const MAX_NAMES = 50_000;

type Named = Pick<FsEntry, "name" | "kind">;
type Failure = NonNullable<FsEntries["error"]>;

/** Each that hangs on a dead network disk holds one of the four threads in which Node reads files: two are left. */
const AT_ONCE = 2;
const WAITING = 16;

/** `listFolder` for the connection, with a bound on how many are under way. */
export function createFolderLister(
  platform: NodeJS.Platform,
  list: typeof listFolder = listFolder,
): (request: FsList) => Promise<FsEntries> {
  let underWay = 0;
  const waiting: (() => void)[] = [];
  return async (request) => {
    if (waiting.length >= WAITING) {
      const message = "Other folders of this host are being listed and do not answer. Try again in a moment.";
      return refusal(request, failure("fs.failed", message));
    }
    if (underWay < AT_ONCE) underWay += 1;
    else await new Promise<void>((begin) => waiting.push(begin));
    try {
      return await list(request, platform);
    } finally {
      const next = waiting.shift();
      if (next === undefined) underWay -= 1;
      else next();
    }
  };
}

/** @param maxNames for tests */
export async function listFolder(
  request: FsList,
  platform: NodeJS.Platform,
  maxNames = MAX_NAMES,
): Promise<FsEntries> {
  const refused = (error: Failure) => refusal(request, error);
  try {
    if (request.path === null && platform === "win32") return page(request, await listDrives(), false, null);
    const path = request.path ?? "/";
    if (!isAbsolute(path)) return refused(relative(path));
    // Without a slash at its end, which would follow a link.
    const folder = resolve(path);
    const stats = await lstat(folder);
    if (!stats.isDirectory()) return refused(notAFolder(folder, stats));
    const { names, truncated } = await readNames(folder, maxNames);
    return await page(request, names, truncated, folder);
  } catch (error) {
    return refused(describeFailure(error, request.path ?? "/"));
  }
}

function refusal({ request_id }: FsList, error: Failure): FsEntries {
  return { type: "fs.entries", request_id, entries: [], more: false, error };
}

async function readNames(folder: string, maxNames: number): Promise<{ names: Named[]; truncated: boolean }> {
  const names: Named[] = [];
  // The loop closes the folder, also when it is left early.
  for await (const entry of await opendir(folder, { bufferSize: 512 })) {
    if (names.length >= maxNames) return { names, truncated: true };
    names.push({ name: entry.name, kind: kindOf(entry) });
  }
  return { names, truncated: false };
}

async function page(
  { request_id, after, limit }: FsList,
  names: Named[],
  truncated: boolean,
  folder: string | null,
): Promise<FsEntries> {
  const sorted = names
    .map((named) => ({ named, key: `${named.kind === "folder" ? 0 : 1}${named.name.toLowerCase()}` }))
    .sort((a, b) => compare(a.key, b.key) || compare(a.named.name, b.named.name))
    .map(({ named }) => named);
  const from = after === null ? 0 : startAfter(sorted, after);
  const shown = sorted.slice(from, from + limit);
  const entries = folder === null ? shown.map(withoutSize) : await Promise.all(shown.map(sizedIn(folder)));
  // Of a folder too large nobody knows the rest; a page that is empty ends it all the same.
  const more = from + shown.length < sorted.length || (truncated && shown.length > 0);
  return { type: "fs.entries", request_id, entries, more, error: null };
}

/** Where the page begins. A name that went away meanwhile counts as a folder's: rather twice than never. */
function startAfter(sorted: readonly Named[], after: string): number {
  const known = sorted.findLastIndex(({ name }) => name === after);
  if (known >= 0) return known + 1;
  const lower = after.toLowerCase();
  const next = sorted.findIndex(
    ({ name, kind }) => kind !== "folder" || compare(name.toLowerCase(), lower) > 0,
  );
  return next < 0 ? sorted.length : next;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function withoutSize(named: Named): FsEntry {
  return { ...named, size_bytes: null };
}

/** A name that is not UTF-8 was shown replaced, so its file can't be found under it: it has no size. */
function sizedIn(folder: string): (named: Named) => Promise<FsEntry> {
  return async (named) => {
    if (named.kind !== "file") return withoutSize(named);
    const stats = await lstat(join(folder, named.name)).catch(() => undefined);
    return {
      ...named,
      size_bytes: stats === undefined ? null : Math.min(stats.size, Number.MAX_SAFE_INTEGER),
    };
  };
}

function kindOf(entry: Dirent | Stats): FsEntry["kind"] {
  if (entry.isDirectory()) return "folder";
  if (entry.isSymbolicLink()) return "link";
  return entry.isFile() ? "file" : "other";
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

async function listDrives(): Promise<Named[]> {
  const drives = [...LETTERS].map((letter) => `${letter}:\\`);
  const found = await Promise.all(
    drives.map((drive) =>
      lstat(drive).then(
        () => true,
        () => false,
      ),
    ),
  );
  return drives.filter((_, index) => found[index]).map((name) => ({ name, kind: "folder" as const }));
}

function relative(path: string): Failure {
  return failure(
    "fs.relative_path",
    `${quoted(path)} is not an absolute path on this host. Start it at the root.`,
  );
}

function notAFolder(path: string, stats: Stats): Failure {
  const what = stats.isSymbolicLink()
    ? "a link, which is not followed: open what it leads to"
    : "not a folder";
  return failure("fs.not_a_folder", `${quoted(path)} is ${what}.`);
}

/** Why the system does not let us list it. */
export function describeFailure(error: unknown, path: string): Failure {
  const isAny = (...codes: string[]) => codes.some((code) => hasErrorCode(error, code));
  if (isAny("ENOENT")) return failure("fs.not_found", `${quoted(path)} does not exist on this host.`);
  if (isAny("ENOTDIR"))
    return failure("fs.not_a_folder", `${quoted(path)} leads through something that is no folder.`);
  if (isAny("EACCES", "EPERM"))
    return failure(
      "fs.no_rights",
      `The agent's user may not look into ${quoted(path)}. Give it the right, or run the agent as root.`,
    );
  return failure("fs.failed", `The folder can't be listed: ${reasonOf(error)}.`);
}

function failure(code: string, message: string): Failure {
  return { code, message: message.slice(0, 2000) };
}

function quoted(path: string): string {
  return JSON.stringify(path.length > 500 ? `${path.slice(0, 500)}…` : path);
}
