/**
 * A fleet straight in the SQLite file: hosts, each with one running job, in the tables that the server itself made.
 * Enrolling ten thousand hosts over HTTP would measure the rate limit; one host or ten thousand look the same here.
 */
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { databaseFile, freePort, makeFolder, startServerProgram } from "./server-program.ts";

/** ULIDs that count: nothing in the server reads time out of an id. */
const idOf = (prefix: string, index: number): string => `01BENCH${prefix}${String(index).padStart(18, "0")}`;
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

/** A server's folder with `hosts` hosts, made by a first start of the server itself; that server is stopped again. */
export async function createFleet(hosts: number): Promise<Fleet> {
  const dataDir = makeFolder();
  const port = await freePort();
  const server = await startServerProgram({ dataDir, port });
  const cookie = await signUp(server.url, server.setupToken ?? "");
  await server.stop();
  insertFleet(databaseFile(dataDir), hosts);
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

function insertFleet(file: string, hosts: number): void {
  const db = new DatabaseSync(file);
  const now = Date.now();
  const host = db.prepare(`INSERT INTO hosts (id, name, name_key, os, arch, tags, bearer_hash, created_at,
    first_connected_at) VALUES (?, ?, ?, 'linux', 'x64', '[]', ?, ?, ?)`);
  const job = db.prepare(`INSERT INTO jobs (id, host_id, kind, status, attempt, spec, actor_kind, actor_name,
    created_at, dispatched_at, acknowledged_at, started_at)
    VALUES (?, ?, 'init', 'running', 1, '{"kind":"init"}', 'system', 'system', ?, ?, ?, ?)`);
  db.exec("BEGIN");
  for (let i = 0; i < hosts; i++) {
    const hash = createHash("sha256").update(bearerOf(i)).digest("hex");
    host.run(hostIdOf(i), `host-${i}`, `host-${i}`, hash, now, now);
    job.run(jobIdOf(i), hostIdOf(i), now, now, now, now);
  }
  db.exec("COMMIT");
  db.close();
}

/** How many lines of a host's job are stored; fails when their numbers have a gap or overlap. */
export function countStoredLines(dataDir: string): Map<string, number> {
  const db = new DatabaseSync(databaseFile(dataDir), { readOnly: true });
  const rows = db
    .prepare("SELECT job_id, first_line, last_line FROM job_log_chunks ORDER BY job_id, first_line")
    .all();
  db.close();
  const stored = new Map<string, number>();
  for (const row of rows) {
    const jobId = String(row.job_id);
    const before = stored.get(jobId) ?? 0;
    if (Number(row.first_line) !== before + 1)
      throw new Error(`${jobId}: line ${before + 1} is missing or doubled`);
    stored.set(jobId, Number(row.last_line));
  }
  return stored;
}
