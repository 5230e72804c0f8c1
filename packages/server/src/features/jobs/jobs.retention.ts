/**
 * Old logs go, their jobs stay: a job's outcome is small and is kept as long as its host. Deleted in small slices
 * with a rest between them, so that nobody waits behind a long transaction.
 */
import type { Logger } from "pino";
import type { Clock } from "../../platform/clock.ts";
import { type Db, inTransaction } from "../../platform/db/db.ts";

type Tables = {
  jobs: { id: string; finished_at: number | null; log_pruned_at: number | null };
  job_log_chunks: { job_id: string; first_line: number };
};

/** Chunks in one transaction: a few milliseconds. */
const sliceChunks = 200;
const restMs = 50;
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
      const job = await findOldest(db, before);
      if (!job) break;
      while (!(await deleteSlice(db, job, clock.now())) && !this.stopping.signal.aborted) {
        await clock.sleep(restMs, this.stopping.signal);
      }
      pruned++;
    }
    return pruned;
  }
}

async function findOldest(db: Db, before: number): Promise<string | null> {
  const row = await db
    .withTables<Tables>()
    .selectFrom("jobs")
    .select("id")
    .where("finished_at", "<", before)
    .where("log_pruned_at", "is", null)
    .orderBy("finished_at")
    .limit(1)
    .executeTakeFirst();
  return row?.id ?? null;
}

/** @returns whether nothing of this job's log is left; the job then says so */
function deleteSlice(db: Db, jobId: string, at: number): Promise<boolean> {
  return inTransaction(db, async (tx) => {
    const tables = tx.withTables<Tables>();
    const slice = await tables
      .selectFrom("job_log_chunks")
      .select("first_line")
      .where("job_id", "=", jobId)
      .orderBy("first_line")
      .limit(sliceChunks)
      .execute();
    const last = slice.at(-1);
    if (last) {
      await tables
        .deleteFrom("job_log_chunks")
        .where("job_id", "=", jobId)
        .where("first_line", "<=", last.first_line)
        .execute();
    }
    if (slice.length === sliceChunks) return false;
    await tables.updateTable("jobs").set({ log_pruned_at: at }).where("id", "=", jobId).execute();
    return true;
  });
}
