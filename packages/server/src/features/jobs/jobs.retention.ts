/**
 * Old logs go, their jobs stay: a job's outcome is small and is kept as long as its host. Deleted in small slices,
 * whether of one long log or of many short ones, with a rest after each, so that nobody waits behind a long transaction
 * or a row of them: SQLite works without ever giving way to a socket.
 */
import type { Logger } from "pino";
import type { Clock } from "../../platform/clock.ts";
import { type Db, inTransaction } from "../../platform/db/db.ts";

type Tables = {
  jobs: { id: string; finished_at: number | null; log_pruned_at: number | null };
  job_log_chunks: { job_id: string; first_line: number };
};

/** Chunks and jobs in one transaction: a few milliseconds each. */
const sliceChunks = 50;
const sliceJobs = 50;
const restMs = 25;
const everyMs = 60 * 60_000;
const dayMs = 24 * 60 * 60_000;

export interface RetentionDeps {
  db: Db;
  clock: Clock;
  log: Logger;
  /** Logs of jobs that ended longer ago are removed; 0 keeps them for ever. */
  keepDays: number;
  /** Whether this server does what only one of all replicas shall do. */
  isLeader(): boolean;
}

export class LogRetention {
  private readonly deps: RetentionDeps;
  private readonly stopping = new AbortController();
  private running: Promise<void> | null = null;

  constructor(deps: RetentionDeps) {
    this.deps = deps;
  }

  start(): void {
    if (this.deps.keepDays > 0) this.running = this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { clock, log } = this.deps;
    while (!this.stopping.signal.aborted) {
      // What could not be removed now is found again by the next round.
      if (this.deps.isLeader())
        await this.prune().catch((error: unknown) =>
          log.error({ err: error }, "old logs could not be removed"),
        );
      await clock.sleep(everyMs, this.stopping.signal);
    }
  }

  /** Removes what is due. @returns how many jobs lost their log */
  async prune(): Promise<number> {
    const { db, clock } = this.deps;
    const before = clock.now() - this.deps.keepDays * dayMs;
    let pruned = 0;
    while (!this.stopping.signal.aborted) {
      const jobs = await deleteSlice(db, before, clock.now());
      if (jobs === null) break;
      pruned += jobs;
      await clock.sleep(restMs, this.stopping.signal);
    }
    return pruned;
  }
}

/** @returns how many jobs have nothing left of their log and say so now; null when there is nothing to delete */
function deleteSlice(db: Db, before: number, at: number): Promise<number | null> {
  return inTransaction(db, async (tx) => {
    const jobs = await listOldest(tx, before);
    if (jobs.length === 0) return null;
    let room = sliceChunks;
    let emptied = 0;
    for (const jobId of jobs) {
      const deleted = await deleteChunks(tx, jobId, room);
      room -= deleted;
      // As much as there was room for: perhaps not all of it.
      if (room === 0) break;
      await tx
        .withTables<Tables>()
        .updateTable("jobs")
        .set({ log_pruned_at: at })
        .where("id", "=", jobId)
        .execute();
      emptied++;
    }
    return emptied;
  });
}

/** Jobs whose log is due, those that ended first. */
async function listOldest(db: Db, before: number): Promise<string[]> {
  const rows = await db
    .withTables<Tables>()
    .selectFrom("jobs")
    .select("id")
    .where("finished_at", "<", before)
    .where("log_pruned_at", "is", null)
    .orderBy("finished_at")
    .limit(sliceJobs)
    .execute();
  return rows.map(({ id }) => id);
}

/** Deletes the first chunks of a log, at most `limit`. @returns how many */
async function deleteChunks(tx: Db, jobId: string, limit: number): Promise<number> {
  const tables = tx.withTables<Tables>();
  const slice = await tables
    .selectFrom("job_log_chunks")
    .select("first_line")
    .where("job_id", "=", jobId)
    .orderBy("first_line")
    .limit(limit)
    .execute();
  const last = slice.at(-1);
  if (last) {
    await tables
      .deleteFrom("job_log_chunks")
      .where("job_id", "=", jobId)
      .where("first_line", "<=", last.first_line)
      .execute();
  }
  return slice.length;
}
