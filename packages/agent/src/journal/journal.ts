/**
 * The jobs this agent has accepted, one directory each: `jobs/<job_id>/state.json` beside restic's own files
 * (restic/job-dir.ts). Invariants: a job is on the disk before it is acknowledged; its directory goes when the
 * server has committed its end. How far a job has been told is not here but in the outbox, in the same line as
 * the telling. A state holds the scripts of hooks, which may hold passwords: it is private and never quoted.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import {
  backupSummary,
  finishedStatus,
  jobError,
  jobSpec,
  logLine,
  snapshot,
} from "@restic-manager/protocol";
import { z } from "zod";
import { reasonOf } from "../platform/errors.ts";
import { ensurePrivateDir, readTextIfExists, removeTree, writeFileAtomic } from "../platform/files.ts";
import type { Log } from "../platform/log.ts";

const ownRun = z.object({ schedule_id: z.string(), planned_at: z.string(), source_group_id: z.string() });
const endedBackup = z.object({
  status: finishedStatus,
  error: jobError.nullable(),
  exit_code: z.int().nullable(),
  summary: backupSummary.nullable(),
  added: snapshot.nullable(),
  /** What the log says of it; lines that were told already are known by their number. */
  closing: z.array(logLine.pick({ level: true, stream: true, text: true })),
});
export type EndedBackup = z.infer<typeof endedBackup>;

const journalEntry = z.object({
  version: z.literal(1),
  job_id: z.string(),
  attempt: z.int(),
  spec: jobSpec,
  cancel_requested: z.boolean(),
  /** The includes that did not exist when the backup began; null before it looked. */
  missing_sources: z.array(z.string()).nullable(),
  /** The run of a schedule that this agent began without the server; absent from jobs that it was told to run. */
  own: ownRun.optional(),
  /** The command brought an access of its own or a new password, which is in the memory of the agent that took it and nowhere else. */
  with_access: z.boolean().optional(),
  /** How the backup ended, once its post hook may have begun: it is not run again. */
  ended_backup: endedBackup.nullish(),
  /** Of an update: the version from before. */
  update_from: z.string().nullish(),
});
export type JournalEntry = z.infer<typeof journalEntry>;

const jobDirName = /^[0-9A-HJKMNP-TV-Z]{26}$/;

export class Journal {
  readonly #dir: string;
  readonly #entries = new Map<string, JournalEntry>();
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Reads all jobs below `dir`. A directory that can't be understood is left alone and named in the log. */
  static async open(dir: string, log: Log): Promise<Journal> {
    await ensurePrivateDir(dir);
    const journal = new Journal(dir);
    for (const name of (await readdir(dir)).filter((entry) => jobDirName.test(entry))) {
      try {
        const entry = await readEntry(join(dir, name));
        // A directory without a state was never acknowledged: the server will send that job again.
        if (entry === undefined) await removeTree(join(dir, name));
        else journal.#entries.set(name, entry);
      } catch (error) {
        log.error({ job_id: name, reason: reasonOf(error) }, "a job's journal can't be read and is skipped");
      }
    }
    return journal;
  }

  listEntries(): JournalEntry[] {
    return [...this.#entries.values()];
  }

  findEntry(jobId: string): JournalEntry | undefined {
    return this.#entries.get(jobId);
  }

  /** Where the files of one job are. */
  dirOf(jobId: string): string {
    return join(this.#dir, jobId);
  }

  /** Takes up a new job; it survives a power cut when this returns, and is unknown when this throws. */
  async add(entry: JournalEntry): Promise<void> {
    const dir = this.dirOf(entry.job_id);
    try {
      await ensurePrivateDir(dir);
      await this.#write(entry);
    } catch (error) {
      // What is refused now must not be found by the next agent and run after all.
      await removeTree(dir).catch(() => undefined);
      throw error;
    }
    this.#entries.set(entry.job_id, entry);
  }

  /** Changes a job. Changes that overlap in time all count, in the order of the calls. Unknown jobs stay so. */
  async change(jobId: string, change: Partial<JournalEntry>): Promise<void> {
    const entry = this.#entries.get(jobId);
    if (entry === undefined) return;
    const changed = { ...entry, ...change };
    this.#entries.set(jobId, changed);
    await this.#write(changed);
  }

  /** Forgets a job with all its files. Idempotent. */
  async remove(jobId: string): Promise<void> {
    this.#entries.delete(jobId);
    await removeTree(this.dirOf(jobId));
  }

  #write(entry: JournalEntry): Promise<void> {
    const path = join(this.dirOf(entry.job_id), "state.json");
    const written = this.#writing.then(() => writeFileAtomic(path, JSON.stringify(entry)));
    this.#writing = written.catch(() => undefined);
    return written;
  }
}

async function readEntry(dir: string): Promise<JournalEntry | undefined> {
  const text = await readTextIfExists(join(dir, "state.json"));
  if (text === undefined) return undefined;
  const parsed = journalEntry.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw new Error("its state.json is damaged or from a newer agent");
}

/** JSON.parse quotes in its errors what it could not read. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
