/**
 * Job logs at rest: the lines of one event are one chunk, NDJSON as on the wire, deflated. A chunk is read whole;
 * a log is read chunk by chunk, so neither a download nor a browser makes the server hold a log in memory.
 */
import { promisify } from "node:util";
import { deflateRaw, deflateRawSync, inflateRaw } from "node:zlib";
import type { LogLine } from "@restic-manager/protocol";
import type { Db } from "../../platform/db/db.ts";

type Tables = {
  job_log_chunks: { job_id: string; first_line: number; last_line: number; lines: Uint8Array };
};

const deflate = promisify(deflateRaw);
const inflate = promisify(inflateRaw);
/** Up to here deflating takes less time than handing it to another thread, while the whole transaction waits. */
const deflateAtOnceChars = 16 * 1024;
/** A frame of 1 MiB can't hold more; a damaged row must not inflate without bound. */
const maxChunkBytes = 4 * 1024 * 1024;

/**
 * Adds lines in their order. Lines that are stored already are dropped: the agent numbers them without a gap.
 * @returns the lines that were added
 */
export async function appendLog(tx: Db, jobId: string, lines: LogLine[]): Promise<LogLine[]> {
  const stored = await countLogLines(tx, jobId);
  const fresh = lines.filter((line) => line.n > stored);
  const first = fresh[0];
  const last = fresh.at(-1);
  if (!first || !last) return [];
  const text = fresh.map((line) => JSON.stringify(line)).join("\n");
  const packed = text.length <= deflateAtOnceChars ? deflateRawSync(text) : await deflate(text);
  await tx
    .withTables<Tables>()
    .insertInto("job_log_chunks")
    .values({ job_id: jobId, first_line: first.n, last_line: last.n, lines: packed })
    .execute();
  return fresh;
}

/** The number of the last stored line, which is how many there are. */
export async function countLogLines(db: Db, jobId: string): Promise<number> {
  const row = await db
    .withTables<Tables>()
    .selectFrom("job_log_chunks")
    .select("last_line")
    .where("job_id", "=", jobId)
    // Along the primary key: one step, however long the log is.
    .orderBy("first_line", "desc")
    .limit(1)
    .executeTakeFirst();
  return row?.last_line ?? 0;
}

/** The next stored lines from `fromLine` on: those of one chunk, or none at the log's end. */
export async function readLog(db: Db, jobId: string, fromLine: number): Promise<LogLine[]> {
  const row = await db
    .withTables<Tables>()
    .selectFrom("job_log_chunks")
    .select("lines")
    .where("job_id", "=", jobId)
    // The chunk that holds the line, found along the primary key: the chunks before it are not looked at.
    .where("first_line", ">=", (e) =>
      e
        .selectFrom("job_log_chunks as before")
        .select((s) => s.fn.coalesce(s.fn.max("before.first_line"), s.lit(0)).as("line"))
        .where("before.job_id", "=", jobId)
        .where("before.first_line", "<=", fromLine),
    )
    .where("last_line", ">=", fromLine)
    .orderBy("first_line")
    .limit(1)
    .executeTakeFirst();
  if (!row) return [];
  const text = (await inflate(row.lines, { maxOutputLength: maxChunkBytes })).toString("utf8");
  const lines = text.split("\n").map((line) => JSON.parse(line) as LogLine);
  return lines.filter((line) => line.n >= fromLine);
}

/** The whole log, chunk by chunk. */
export async function* streamLog(db: Db, jobId: string): AsyncGenerator<LogLine[]> {
  let next = 1;
  for (;;) {
    const lines = await readLog(db, jobId, next);
    const last = lines.at(-1);
    if (!last) return;
    yield lines;
    next = last.n + 1;
  }
}
