/** TLS to a real PostgreSQL that takes nothing else, as docs/user/postgresql.md says how to ask for it. */
import { chmodSync, chownSync, copyFileSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { type PostgresCluster, startPostgres } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openPostgres, openSession } from "./postgres.ts";

const certificates = resolve(import.meta.dirname, "../../../../agent/fixtures/tls/link");
const authority = join(certificates, "authority.pem");
let cluster: PostgresCluster;
let port: number;

beforeAll(async () => {
  [cluster, port] = await startOnFreePort();
  const [place] = await cluster.query<{ data: string; hba: string }>(
    "SELECT current_setting('data_directory') AS data, current_setting('hba_file') AS hba",
  );
  const { data = "", hba = "" } = place ?? {};
  const { uid, gid } = statSync(data);
  for (const [from, to] of [
    ["server.pem", "server.crt"],
    ["key.pem", "server.key"],
  ] as const) {
    copyFileSync(join(certificates, from), join(data, to));
    chownSync(join(data, to), uid, gid);
  }
  // A key that others could read is not taken; the copy has the mode of a checkout.
  chmodSync(join(data, "server.key"), 0o600);
  const rules = "VALUES ('local all all trust'), ('hostssl all all 127.0.0.1/32 trust')";
  await cluster.query(`COPY (${rules}) TO '${hba}'`);
  await cluster.query("ALTER SYSTEM SET ssl = on");
  await cluster.query("SELECT pg_reload_conf()");
});
afterAll(() => cluster?.stop());

function findFreePort(): Promise<number> {
  return new Promise((done) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => done(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** Another program may take the port before PostgreSQL does, which makes its files first. */
async function startOnFreePort(tries = 3): Promise<[PostgresCluster, number]> {
  const free = await findFreePort();
  try {
    return [await startPostgres({ tcp: { port: free, addresses: ["127.0.0.1"] } }), free];
  } catch (error) {
    if (tries === 1) throw error;
    return startOnFreePort(tries - 1);
  }
}

const urlWith = (query: string, host = "localhost") => `postgres://postgres@${host}:${port}/postgres${query}`;

async function isEncrypted(url: string): Promise<boolean | undefined> {
  const db = openPostgres(url);
  try {
    const query = sql<{ ssl: boolean }>`SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`;
    return (await query.execute(db)).rows[0]?.ssl;
  } finally {
    await db.destroy();
  }
}

describe("a PostgreSQL that takes TLS only", () => {
  it("is reached with the certificate of its authority, for the pool and for what listens", async () => {
    const url = urlWith(`?sslmode=verify-full&sslrootcert=${encodeURIComponent(authority)}`);
    expect(await isEncrypted(url)).toBe(true);
    const session = await openSession(url, 10_000);
    const query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    expect((await session.client.query(query)).rows).toEqual([{ ssl: true }]);
    await session.end();
  });

  it.each([
    ["without sslmode", "", "no encryption"],
    ["by an authority that nobody named", "?sslmode=verify-full", "certificate"],
  ])("is not reached %s", async (_how, query, words) => {
    await expect(isEncrypted(urlWith(query))).rejects.toMatchObject({
      message: expect.stringContaining(words),
    });
  });

  it("is reached without a look at its certificate when that is wished for", async () => {
    expect(await isEncrypted(urlWith("?sslmode=no-verify"))).toBe(true);
  });
});
