/**
 * A fleet straight in the database: hosts, each with one running job unless a benchmark wants something else of them,
 * in the tables that the server itself made.
 * Enrolling ten thousand hosts over HTTP would measure the rate limit; one host or ten thousand look the same here.
 */
import { createHash } from "node:crypto";
import { sql } from "kysely";
import type { Db } from "../packages/server/src/platform/db/db.ts";
import { databaseUrl, insertRows, resetDatabase, withDatabase } from "./database.ts";
import { freePort, makeFolder, startServerProgram } from "./server-program.ts";

/** ULIDs that count: nothing in the server reads time out of an id. */
export const idOf = (prefix: string, index: number): string =>
  `01BENCH${prefix}${String(index).padStart(18, "0")}`;
export const hostIdOf = (index: number): string => idOf("H", index);
export const jobIdOf = (index: number): string => idOf("J", index);
export const streamIdOf = (index: number): string => idOf("S", index);
export const bearerOf = (index: number): string => `bench-bearer-of-host-${index}`;

export interface Fleet {
  dataDir: string;
  port: number;
  /** The cookie header of an administrator. */
  cookie: string;
}

/**
 * A server's folder with `hosts` hosts, made by a first start of the server itself; that server is stopped again.
 * @param fill adds what the hosts have
 */
export async function createFleet(
  hosts: number,
  fill: (db: Db, hosts: number) => Promise<void> = insertRunningJobs,
): Promise<Fleet> {
  const dataDir = makeFolder();
  const port = await freePort();
  await resetDatabase();
  const server = await startServerProgram({ dataDir, port });
  const cookie = await signUp(server.url, server.setupToken ?? "");
  await server.stop();
  await withDatabase(dataDir, async (db) => {
    await insertHosts(db, hosts);
    await fill(db, hosts);
    // As its own housekeeping would within minutes; SQLite has none.
    if (databaseUrl() !== undefined) await sql`ANALYZE`.execute(db);
  });
  return { dataDir, port, cookie };
}

async function signUp(url: string, token: string): Promise<string> {
  const body = JSON.stringify({ token, username: "bench", password: "a password only for a benchmark" });
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${url}/api/bootstrap`, { method: "POST", headers, body });
  const cookie = response.headers.getSetCookie()[0]?.split(";")[0];
  if (cookie === undefined) throw new Error(`no session: ${response.status} ${await response.text()}`);
  return cookie;
}

async function insertHosts(db: Db, hosts: number): Promise<void> {
  const now = Date.now();
  await insertRows(
    db,
    "hosts",
    Array.from({ length: hosts }, (_, i) => ({
      ...{ id: hostIdOf(i), name: `host-${i}`, name_key: `host-${i}`, os: "linux", arch: "x64" },
      tags: JSON.stringify([`rack-${i % 40}`, i % 3 === 0 ? "production" : "staging"]),
      bearer_hash: createHash("sha256").update(bearerOf(i)).digest("hex"),
      ...{ mode: "always-on", schedule_version: 0, created_at: now, first_connected_at: now },
    })),
  );
}

/** One job of each host, which its agent can send lines of. */
export async function insertRunningJobs(db: Db, hosts: number): Promise<void> {
  const now = Date.now();
  await insertRows(
    db,
    "jobs",
    Array.from({ length: hosts }, (_, i) => ({
      ...{ id: jobIdOf(i), host_id: hostIdOf(i), kind: "init", status: "running", attempt: 1 },
      ...{ spec: '{"kind":"init"}', actor_kind: "system", actor_name: "system" },
      ...{ created_at: now, dispatched_at: now, acknowledged_at: now, started_at: now },
    })),
  );
}

/** How many lines of a host's job are stored; fails when their numbers have a gap or overlap. */
export function countStoredLines(dataDir: string): Promise<Map<string, number>> {
  return withDatabase(dataDir, async (db) => {
    const { rows } = await sql<{ job_id: string; first_line: number; last_line: number }>`
      SELECT job_id, first_line, last_line FROM job_log_chunks ORDER BY job_id, first_line`.execute(db);
    const stored = new Map<string, number>();
    for (const row of rows) {
      const before = stored.get(row.job_id) ?? 0;
      if (row.first_line !== before + 1)
        throw new Error(`${row.job_id}: line ${before + 1} is missing or doubled`);
      stored.set(row.job_id, row.last_line);
    }
    return stored;
  });
}
