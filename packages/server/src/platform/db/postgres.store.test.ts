/** Connections to PostgreSQL that are lost, hang or wait: on a real one, and through a network that drops packets. */
import { DatabaseProxy, openEmptyDatabase, type TestDatabase } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Db, inTransaction } from "./db.ts";
import { DatabaseAway, explainDatabaseFailure } from "./failures.ts";
import { connectPostgres, openPostgres, type PostgresDatabase, type PostgresOptions } from "./postgres.ts";

let database: TestDatabase;
let proxy: DatabaseProxy;
let opened: PostgresDatabase[];
beforeEach(async () => {
  opened = [];
  database = await openEmptyDatabase("postgres");
  await sql`CREATE TABLE things (id INTEGER PRIMARY KEY, n INTEGER)`.execute(database.db);
  await sql`INSERT INTO things VALUES (1, 0)`.execute(database.db);
  proxy = new DatabaseProxy(database.url);
  await proxy.start();
});
afterEach(async () => {
  proxy.thaw();
  for (const { db, cutConnections } of opened) {
    cutConnections();
    await db.destroy();
  }
  await proxy.stop();
  await database.close();
});

function open(options: PostgresOptions, url = database.url): Db {
  const one = connectPostgres(url, options);
  opened.push(one);
  return one.db;
}

const pidOf = async (db: Db): Promise<number> =>
  (await sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`.execute(db)).rows[0]?.pid ?? 0;
const terminate = (pid: number) => sql`SELECT pg_terminate_backend(${pid})`.execute(database.db);
const errorOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "nothing failed",
    (error: unknown) => error,
  );
const codeOf = async (work: Promise<unknown>): Promise<string | undefined> =>
  explainDatabaseFailure(await errorOf(work))?.code;
/** Waits until a session of this database runs that text. */
async function untilRuns(text: string): Promise<void> {
  const end = performance.now() + 10_000;
  const find = () =>
    sql`SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
      AND state = 'active' AND query LIKE ${`${text}%`} AND pid <> pg_backend_pid()`.execute(database.db);
  while ((await find()).rows.length === 0) {
    if (performance.now() > end) throw new Error(`nobody runs ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

describe("a session that PostgreSQL ends", () => {
  it("fails the query that it runs as away, and the next one gets another session", async () => {
    const db = open({ poolSize: 1 });
    const pid = await pidOf(db);
    const sleeping = errorOf(sql`SELECT pg_sleep(30)`.execute(db));
    await untilRuns("SELECT pg_sleep");
    await terminate(pid);
    expect(await sleeping).toBeInstanceOf(DatabaseAway);
    expect(await pidOf(db)).not.toBe(pid);
  });

  it("in the middle of a transaction fails that transaction, and neither the program nor the next one", async () => {
    const db = open({ poolSize: 1 });
    const work = inTransaction(db, async (tx) => {
      await sql`UPDATE things SET n = 1`.execute(tx);
      await terminate(await pidOf(tx));
      await sql`SELECT 1`.execute(tx);
    });
    const error = await errorOf(work);
    expect(explainDatabaseFailure(error)?.code).toBe("database.away");
    // Not the rollback's own failure, which says less.
    expect(String(error)).not.toContain("not queryable");
    const { rows } = await sql`SELECT n FROM things`.execute(db);
    expect(rows).toEqual([{ n: 0 }]);
  });

  it("while nobody uses it is replaced, at the latest after one query that met its end", async () => {
    const db = open({ poolSize: 1 });
    const pid = await pidOf(db);
    await terminate(pid);
    const next = await pidOf(db).catch(() => pidOf(db));
    expect(next).not.toBe(pid);
  });
});

describe("a query that takes too long", () => {
  it("is ended by PostgreSQL, and its session goes on", async () => {
    const db = open({ poolSize: 1, limits: { statementMs: 100 } });
    const pid = await pidOf(db);
    expect(await codeOf(sql`SELECT pg_sleep(30)`.execute(db))).toBe("database.slow");
    expect(await pidOf(db)).toBe(pid);
  });

  it("is told so when it waits for another one's lock", async () => {
    const db = open({ limits: { lockMs: 100 } });
    const code = await inTransaction(database.db, async (tx) => {
      await sql`UPDATE things SET n = 1`.execute(tx);
      return codeOf(sql`UPDATE things SET n = 2`.execute(db));
    });
    expect(code).toBe("database.busy");
  });
});

describe("a network that drops packets", () => {
  it("ends the wait for an answer, and the answer is never taken for that of the next query", async () => {
    const db = open({ poolSize: 1, limits: { answerMs: 300 } }, proxy.url);
    const pid = await pidOf(db);
    proxy.freeze();
    const failed = errorOf(sql`SELECT 'late' AS answer`.execute(db));
    expect(await failed).toBeInstanceOf(DatabaseAway);
    proxy.thaw();
    const { rows } = await sql`SELECT 'mine' AS answer`.execute(db);
    expect(rows).toEqual([{ answer: "mine" }]);
    expect(await pidOf(db)).not.toBe(pid);
  });

  it("ends the wait for a connection", async () => {
    const db = open({ limits: { connectMs: 300 } }, proxy.url);
    proxy.freeze();
    expect(await codeOf(pidOf(db))).toBe("database.away");
  });

  it("ends everything at once when the connections are cut", async () => {
    const db = open({ poolSize: 2 }, proxy.url);
    await Promise.all([pidOf(db), pidOf(db)]);
    proxy.freeze();
    const waiting = [errorOf(pidOf(db)), errorOf(inTransaction(db, pidOf)), errorOf(pidOf(db))];
    await new Promise((resolve) => setImmediate(resolve));
    opened[0]?.cutConnections();
    // The third waited for one of the two, and is told by the new connection's end.
    const [first, second] = await Promise.all(waiting.slice(0, 2));
    expect([first, second]).toEqual([expect.any(DatabaseAway), expect.any(DatabaseAway)]);
    opened[0]?.cutConnections();
    expect(await waiting[2]).toBeInstanceOf(DatabaseAway);
    proxy.thaw();
    expect(await pidOf(db)).toBeGreaterThan(0);
  });

  it("does not keep a server from ending, whatever its connections are at", async () => {
    const db = open({ poolSize: 2 }, proxy.url);
    const running = errorOf(sql`SELECT pg_sleep(30)`.execute(db));
    await pidOf(db);
    await untilRuns("SELECT pg_sleep");
    proxy.freeze();
    await db.destroy();
    expect(await running).toBeInstanceOf(DatabaseAway);
    opened = [];
  });

  it("frees the locks of whoever was cut off in a transaction", async () => {
    const db = open({ limits: { idleInTransactionMs: 300, answerMs: 1_000 } }, proxy.url);
    const cutOff = inTransaction(db, async (tx) => {
      await sql`UPDATE things SET n = 1`.execute(tx);
      proxy.freeze();
      await sql`UPDATE things SET n = 5`.execute(database.db);
      await sql`SELECT 1`.execute(tx);
    });
    expect(await errorOf(cutOff)).toBeInstanceOf(DatabaseAway);
    expect((await sql`SELECT n FROM things`.execute(database.db)).rows).toEqual([{ n: 5 }]);
  });
});

describe("the pool", () => {
  it("keeps no more connections than it may, and serves all who wait", async () => {
    const db = open({ poolSize: 2 });
    const pids = await Promise.all(Array.from({ length: 20 }, () => pidOf(db)));
    expect(new Set(pids).size).toBeLessThanOrEqual(2);
  });

  it("gives sessions their limits by its settings", async () => {
    const db = open({});
    const { rows } = await sql`SELECT current_setting('statement_timeout') AS statement,
      current_setting('lock_timeout') AS lock, current_setting('idle_in_transaction_session_timeout') AS idle,
      current_setting('application_name') AS name`.execute(db);
    expect(rows).toEqual([{ statement: "30s", lock: "10s", idle: "15s", name: "restic-manager" }]);
  });

  it("says that nobody listens where the database should be", async () => {
    const url = proxy.url;
    await proxy.stop();
    const error = await errorOf(pidOf(open({}, url)));
    expect(explainDatabaseFailure(error)).toMatchObject({
      kind: "unavailable",
      code: "database.away",
      message: expect.not.stringContaining(url),
    });
    await proxy.start();
  });

  it("leaves a database that became a standby for another connection", async () => {
    const db = open({ poolSize: 1 });
    const pid = await pidOf(db);
    await sql`SET default_transaction_read_only = on`.execute(db);
    expect(await codeOf(sql`UPDATE things SET n = 1`.execute(db))).toBe("database.away");
    expect(await pidOf(db)).not.toBe(pid);
  });

  it.each([
    ["text", "a\u0000b"],
    ["jsonb", '"a\\u0000b"'],
  ])("keeps its connection after a NUL in a %s, which is the asker's mistake", async (type, value) => {
    const db = open({ poolSize: 1 });
    const pid = await pidOf(db);
    const error = await errorOf(sql`SELECT ${value}::${sql.raw(type)}`.execute(db));
    expect(explainDatabaseFailure(error)).toMatchObject({ kind: "invalid", code: "request.invalid" });
    expect(await pidOf(db)).toBe(pid);
  });

  it("keeps its connection after a mistake of the query", async () => {
    const db = open({ poolSize: 1 });
    const pid = await pidOf(db);
    const error = await errorOf(sql`SELECT nothing FROM nowhere`.execute(db));
    expect(explainDatabaseFailure(error)).toBeNull();
    expect(await pidOf(db)).toBe(pid);
  });
});

it("is a database without more ado for whoever needs no other limits", async () => {
  const db = openPostgres(database.url);
  expect(await pidOf(db)).toBeGreaterThan(0);
  await db.destroy();
});

it("a transaction in which a failure was passed over is no success: nothing of it is stored", async () => {
  const db = open({});
  const written = inTransaction(db, async (tx) => {
    await sql`INSERT INTO things VALUES (2, 0)`.execute(tx);
    await sql`SELECT 1 / 0`.execute(tx).catch(() => undefined);
  });
  await expect(written).rejects.toThrow("rolled back");
  expect((await sql`SELECT id FROM things`.execute(db)).rows).toEqual([{ id: 1 }]);
});
