/**
 * What a stored log costs on the disk, beside the same lines with a row each; and how long requests and agents' events wait
 * while the server deletes a day of logs, beside the same waits after it.
 *
 * node bench/stored-logs/main.ts [JOBS] [LINES]
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { LogLine } from "@restic-manager/protocol";
import { sql } from "kysely";
import type { Db } from "../../packages/server/src/platform/db/db.ts";
import { BenchAgent } from "../agent.ts";
import { databaseUrl, engineName, insertRows, withDatabase } from "../database.ts";
import { createFleet, type Fleet, hostIdOf, idOf, insertRunningJobs, jobIdOf } from "../fleet.ts";
import { atMost, percentile, printReport } from "../report.ts";
import { makeFolder, sleep, startServerProgram } from "../server-program.ts";

const linesPerEvent = 50;
const dayMs = 24 * 60 * 60_000;
/** Older than the server keeps logs. */
const oldMs = 400 * dayMs;
/** A request and an event in each round: below the 1,200 requests that one address may send in a minute. */
const pauseMs = 55;
const roundsBetweenLooks = 10;
/** So long the same waits are measured with nothing to delete, to compare with. */
const afterMs = 10_000;
const giveUpAfterMs = 300_000;

/** As restic says it with --verbose=2: a path that shares its beginning with the one before, and small figures. */
const textOf = (i: number): string =>
  `modified  /var/lib/service-${Math.floor(i / 400) % 97}/data/${(i * 2654435761) % 2 ** 32}/file-${i}.dat, saved in 0.0${i % 90}s (${i % 999}.1 KiB added)`;

/** Sends one job's log through the server, so that the rows are those that it makes. */
async function sendLog(port: number, lines: number): Promise<LogLine[]> {
  const { promise: welcomed, resolve: onWelcome } = Promise.withResolvers<void>();
  const agent = new BenchAgent({ port, index: 0, onWelcome });
  agent.dial();
  await welcomed;
  const sent: LogLine[] = [];
  for (let i = 0; i < lines; i += linesPerEvent)
    sent.push(...agent.log(Array.from({ length: linesPerEvent }, (_, j) => textOf(i + j))));
  while (agent.unacknowledged > 0) await sleep(20);
  agent.stop();
  return sent;
}

/** Bytes of the table's pages, with its index. */
async function tableBytes(dataDir: string): Promise<number> {
  return withDatabase(dataDir, async (db) => {
    if (databaseUrl() === undefined) {
      const { rows } = await sql<{ bytes: number }>`SELECT sum(pgsize) AS bytes FROM dbstat
        WHERE name IN ('job_log_chunks', 'sqlite_autoindex_job_log_chunks_1')`.execute(db);
      return Number(rows[0]?.bytes);
    }
    await sql`VACUUM FULL job_log_chunks`.execute(db);
    const { rows } = await sql<{ bytes: number }>`
      SELECT pg_total_relation_size('job_log_chunks') AS bytes`.execute(db);
    return Number(rows[0]?.bytes);
  });
}

/** The plainest table: a row for each line, found by job and number. @returns the bytes of its file */
function bareBytes(lines: readonly LogLine[]): number {
  const file = join(makeFolder(), "bare.db");
  const db = new DatabaseSync(file);
  db.exec(`CREATE TABLE lines (job_id TEXT, n INTEGER, at INTEGER, level TEXT, stream TEXT, text TEXT,
    PRIMARY KEY (job_id, n)) WITHOUT ROWID; BEGIN`);
  const insert = db.prepare("INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?)");
  for (const { n, at, level, stream, text } of lines)
    insert.run(jobIdOf(0), n, Date.parse(at), level, stream, text);
  db.exec("COMMIT; VACUUM");
  db.close();
  return statSync(file).size;
}

/** A day of jobs that ended long ago, each with the log of the first job. */
async function insertOldDay(db: Db, jobs: number): Promise<void> {
  const at = Date.now() - oldMs;
  await insertRows(
    db,
    "jobs",
    Array.from({ length: jobs }, (_, i) => ({
      ...{ id: idOf("L", i), host_id: hostIdOf(0), kind: "init", status: "succeeded", attempt: 1 },
      ...{ spec: '{"kind":"init"}', actor_kind: "system", actor_name: "system" },
      ...{ created_at: at, started_at: at, finished_at: at + (i % 1000) * 80_000 },
    })),
  );
  await sql`INSERT INTO job_log_chunks (job_id, first_line, last_line, lines, bytes_so_far)
    SELECT j.id, c.first_line, c.last_line, c.lines, c.bytes_so_far
    FROM jobs AS j CROSS JOIN job_log_chunks AS c
    WHERE c.job_id = ${jobIdOf(0)} AND j.finished_at IS NOT NULL`.execute(db);
}

const countOld = (dataDir: string): Promise<number> =>
  withDatabase(dataDir, async (db) => {
    const { rows } = await sql<{ count: number }>`SELECT count(*) AS count FROM jobs
      WHERE finished_at IS NOT NULL AND log_pruned_at IS NULL`.execute(db);
    return Number(rows[0]?.count);
  });

interface Waits {
  /** From a request of a job to the end of its answer. */
  requestMs: number[];
  /** From an agent's event to its acknowledgement, which follows a commit. */
  eventMs: number[];
}

/** What both wait for until `over`: one after the other, with a rest between them. */
async function measureWaits(url: string, fleet: Fleet, over: () => Promise<boolean>): Promise<Waits> {
  let acknowledged: () => void = () => undefined;
  const { promise: welcomed, resolve: onWelcome } = Promise.withResolvers<void>();
  const agent = new BenchAgent({ port: fleet.port, index: 1, onWelcome, onAck: () => acknowledged() });
  agent.dial();
  await welcomed;
  const waits: Waits = { requestMs: [], eventMs: [] };
  const since = performance.now();
  while (!(await over())) {
    if (performance.now() - since > giveUpAfterMs) throw new Error("the day was not deleted in time");
    for (let i = 0; i < roundsBetweenLooks; i++) {
      await sleep(pauseMs);
      waits.requestMs.push(await timed(() => request(`${url}/api/jobs/${jobIdOf(0)}`, fleet.cookie)));
      waits.eventMs.push(
        await timed(async () => {
          const { promise, resolve } = Promise.withResolvers<void>();
          acknowledged = resolve;
          agent.log([textOf(i)]);
          await promise;
        }),
      );
    }
  }
  agent.stop();
  return waits;
}

async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

async function request(url: string, cookie: string): Promise<void> {
  const response = await fetch(url, { headers: { cookie } });
  await response.text();
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
}

/** The server deletes what is old as soon as it has started. @returns the waits meanwhile, and those after it */
async function measureDeletion(fleet: Fleet): Promise<{ seconds: number; during: Waits; after: Waits }> {
  const server = await startServerProgram(fleet);
  const since = performance.now();
  const during = await measureWaits(server.url, fleet, async () => (await countOld(fleet.dataDir)) === 0);
  const seconds = (performance.now() - since) / 1000;
  const until = performance.now() + afterMs;
  const after = await measureWaits(server.url, fleet, async () => performance.now() > until);
  await server.stop();
  return { seconds, during, after };
}

async function main(jobs: number, lines: number): Promise<void> {
  const fleet = await createFleet(2, insertRunningJobs);
  const server = await startServerProgram(fleet);
  const sent = await sendLog(fleet.port, lines);
  await server.stop();
  const bytes = await tableBytes(fleet.dataDir);
  const bare = bareBytes(sent);
  await withDatabase(fleet.dataDir, (db) => insertOldDay(db, jobs));
  const { seconds, during, after } = await measureDeletion(fleet);
  printReport({
    bench: "stored-logs",
    figures: {
      database: engineName(),
      lines,
      bytes_per_line: bytes / lines,
      bare_bytes_per_line: bare / lines,
      deleted_jobs: jobs,
      deleted_lines: jobs * lines,
      deletion_s: seconds,
      request_p50_ms: percentile(during.requestMs, 50),
      request_p99_ms: percentile(during.requestMs, 99),
      event_p50_ms: percentile(during.eventMs, 50),
      event_p99_ms: percentile(during.eventMs, 99),
      after_request_p50_ms: percentile(after.requestMs, 50),
      after_request_p99_ms: percentile(after.requestMs, 99),
      after_event_p50_ms: percentile(after.eventMs, 50),
      after_event_p99_ms: percentile(after.eventMs, 99),
    },
    goals: [
      atMost("times the bytes of one row per line", bytes / bare, 0.2),
      atMost("p99 in ms of a request during the deletion", percentile(during.requestMs, 99), 20),
      atMost("p99 in ms of an event's commit during the deletion", percentile(during.eventMs, 99), 20),
    ],
  });
}

const [jobs, lines] = process.argv.slice(2);
await main(Number(jobs ?? 1000), Number(lines ?? 5000));
