/**
 * The record of an update that is not over: a file beside the program, because the guard must find it without reading a
 * configuration, and because the swap happens in that folder. There from before the swap until the new version was
 * welcomed, or until the old one has reported why it is back. No zod here: the guard runs before every start.
 */
import { rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { readTextIfExists, syncDir, writeFileAtomic } from "../platform/files.ts";

/** How long a new version may take to be welcomed by its server, from its first start. */
export const TRIAL_MS = 90_000;
/** A new version that was started so often without being welcomed is not started again. */
export const MAX_STARTS = 3;

export type UpdateRecord = {
  /** The job that the update is. */
  job: string;
  from: string;
  to: string;
  /** Which file the new program is: one that an installer or a person has put there since is not ours to judge. */
  program: string;
  /** How often the new program was started, as the guard counts. */
  starts: number;
  /** When its time is over, epoch milliseconds; null until it was started for the first time. */
  deadline: number | null;
  /** Why the old program was put back; null while the new one may still be welcomed. */
  rolled_back: string | null;
};

export type UpdatePaths = {
  program: string;
  /** The version before, from the moment that an update begins. */
  previous: string;
  /** The version that is about to be put in its place. */
  fresh: string;
  record: string;
};

/** The files of an update, all in the folder of the program. */
export function updatePaths(program: string): UpdatePaths {
  return {
    program,
    previous: `${program}${PREVIOUS}`,
    fresh: `${program}.new`,
    record: `${program}.update.json`,
  };
}

const PREVIOUS = ".previous";

/** The program that is meant when its previous version is what runs. */
export function guardedProgram(executablePath: string): string {
  return executablePath.endsWith(PREVIOUS) ? executablePath.slice(0, -PREVIOUS.length) : executablePath;
}

/** The record; undefined when there is none, or none that can be understood. Rejects when it can't be read. */
export async function readRecord(path: string): Promise<UpdateRecord | undefined> {
  const text = await readTextIfExists(path);
  return text === undefined ? undefined : parseRecord(text);
}

/** Survives a power cut when this returns. */
export function writeRecord(path: string, record: UpdateRecord): Promise<void> {
  return writeFileAtomic(path, JSON.stringify(record));
}

/** As durable as its writing: a record that came back would put an old program in place. */
export async function removeRecord(path: string): Promise<void> {
  await rm(path, { force: true });
  await syncDir(dirname(path));
}

/** Tells one file from another, and stays when the file gets another name; undefined when there is none. */
export async function identifyProgram(path: string): Promise<string | undefined> {
  try {
    const { ino, size, mtimeMs } = await stat(path);
    return `${ino} ${size} ${mtimeMs}`;
  } catch {
    return undefined;
  }
}

function parseRecord(text: string): UpdateRecord | undefined {
  const value = parseJson(text);
  if (typeof value !== "object" || value === null) return undefined;
  const { job, from, to, program, starts, deadline, rolled_back } = value as Partial<
    Record<keyof UpdateRecord, unknown>
  >;
  if (typeof job !== "string" || typeof from !== "string" || typeof to !== "string") return undefined;
  if (typeof program !== "string") return undefined;
  if (typeof starts !== "number" || (deadline !== null && typeof deadline !== "number")) return undefined;
  if (rolled_back !== null && typeof rolled_back !== "string") return undefined;
  return { job, from, to, program, starts, deadline, rolled_back };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
