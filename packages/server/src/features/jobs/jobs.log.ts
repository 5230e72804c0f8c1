/**
 * Job logs at rest: the lines of one event are one chunk, NDJSON as on the wire, deflated. A chunk is read whole;
 * a log is read chunk by chunk, so neither a download nor a browser makes the server hold a log in memory.
 */
import { promisify } from "node:util";
import { deflateRaw, deflateRawSync, inflateRaw } from "node:zlib";
import type { LogLine } from "@restic-manager/protocol";
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";

type Tables = {
  job_log_chunks: {
    job_id: string;
    first_line: number;
    last_line: number;
    lines: Uint8Array;
    bytes_so_far: number;
  };
};

const deflate = promisify(deflateRaw);
const inflate = promisify(inflateRaw);
/** Up to here deflating takes less time than handing it to another thread, while the whole transaction waits. */
const deflateAtOnceChars = 16 * 1024;
/** A frame of 1 MiB can't hold more; a damaged row must not inflate without bound. */
const maxChunkBytes = 4 * 1024 * 1024;
/** Deflated, so about a gigabyte of text: a host must not fill the server's disk. */
const maxLogBytes = 64 * 1024 * 1024;
/** Far beyond what fits, and far below where numbers lose their last digit. */
const maxLineNumber = 1_000_000_000;

const fullSentence = "This log is as large as a log may be: the lines that follow are left out.";

/**
 * Adds lines in their order. Lines that are stored already are dropped, and so is what follows on a full log.
 * @returns the lines that were added; the last one of a full log says so
 * @throws AppError `jobs.log_disordered` for numbers that no agent gives
 */
export async function appendLog(
  tx: Db,
  jobId: string,
  lines: LogLine[],
  maxBytes = maxLogBytes,
): Promise<LogLine[]> {
  checkOrder(lines);
  const end = await findEnd(tx, jobId);
  const fresh = lines.filter((line) => line.n > end.line);
  const last = fresh.at(-1);
  if (!last || end.bytes >= maxBytes) return [];
  const packed = await pack(fresh);
  if (end.bytes + packed.length < maxBytes) {
    await insertChunk(tx, jobId, fresh, packed, end.bytes);
    return fresh;
  }
  const closing: LogLine = { ...last, n: last.n + 1, level: "warning", stream: "agent", text: fullSentence };
  const closed = [...fresh, closing];
  await insertChunk(tx, jobId, closed, await pack(closed), end.bytes);
  return closed;
}

/** An agent numbers its lines one by one. Readers count on it: they go on after the last line of what they read. */
function checkOrder(lines: LogLine[]): void {
  const first = lines[0]?.n ?? 1;
  if (lines.every((line, i) => line.n === first + i && line.n <= maxLineNumber)) return;
  throw new AppError("invalid", "jobs.log_disordered", "The numbers of these lines are out of order.");
}

async function pack(lines: LogLine[]): Promise<Buffer> {
  const text = lines.map((line) => JSON.stringify(line)).join("\n");
  return text.length <= deflateAtOnceChars ? deflateRawSync(text) : deflate(text);
}

async function insertChunk(
  tx: Db,
  jobId: string,
  lines: LogLine[],
  packed: Buffer,
  bytesBefore: number,
): Promise<void> {
  const numbers = { first_line: lines[0]?.n ?? 0, last_line: lines.at(-1)?.n ?? 0 };
  await tx
    .withTables<Tables>()
    .insertInto("job_log_chunks")
    .values({ job_id: jobId, ...numbers, lines: packed, bytes_so_far: bytesBefore + packed.length })
    .execute();
}

/** The number of the last stored line, which is how many there are. */
export const countLogLines = async (db: Db, jobId: string): Promise<number> =>
  (await findEnd(db, jobId)).line;

/** Where a log ends: its last line, and its bytes up to there. */
async function findEnd(db: Db, jobId: string): Promise<{ line: number; bytes: number }> {
  const row = await db
    .withTables<Tables>()
    .selectFrom("job_log_chunks")
    .select(["last_line", "bytes_so_far"])
    .where("job_id", "=", jobId)
    // Along the primary key: one step, however long the log is.
    .orderBy("first_line", "desc")
    .limit(1)
    .executeTakeFirst();
  return { line: row?.last_line ?? 0, bytes: row?.bytes_so_far ?? 0 };
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
