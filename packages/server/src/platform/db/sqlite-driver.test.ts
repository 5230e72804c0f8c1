/** The SQLite driver: order, transactions that stay together, and patience with another program's lock. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Db, inTransaction } from "./db.ts";
import { openSqlite } from "./sqlite.ts";

describe("a SQLite database", () => {
  let folder: string;
  let file: string;
  let db: Db;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "rm-sqlite-"));
    file = join(folder, "test.db");
    db = openSqlite(file);
    await sql`CREATE TABLE t (n INTEGER PRIMARY KEY)`.execute(db);
  });

  afterEach(async () => {
    await db.destroy();
    rmSync(folder, { recursive: true });
  });

  const numbers = async () =>
    (await sql<{ n: number }>`SELECT n FROM t ORDER BY n`.execute(db)).rows.map((row) => row.n);

  it("keeps the statements of a transaction together while others wait", async () => {
    const seen: number[][] = [];
    const transaction = inTransaction(db, async (tx) => {
      await sql`INSERT INTO t VALUES (1)`.execute(tx);
      await new Promise((resolve) => setImmediate(resolve));
      await sql`INSERT INTO t VALUES (2)`.execute(tx);
    });
    const reader = numbers().then((found) => seen.push(found));
    await Promise.all([transaction, reader]);
    expect(seen).toEqual([[1, 2]]);
  });

  it("undoes the whole transaction when one statement fails", async () => {
    const failing = inTransaction(db, async (tx) => {
      await sql`INSERT INTO t VALUES (1)`.execute(tx);
      await sql`INSERT INTO t VALUES (1)`.execute(tx);
    });
    await expect(failing).rejects.toThrow(/UNIQUE/);
    expect(await numbers()).toEqual([]);
  });

  it("serves thousands of waiting queries in their order", async () => {
    const inserts = Array.from({ length: 3000 }, (_, n) => sql`INSERT INTO t VALUES (${n})`.execute(db));
    await Promise.all(inserts);
    expect((await numbers()).length).toBe(3000);
  });

  it("waits for another program's lock without blocking the event loop", async () => {
    const other = new DatabaseSync(file);
    other.exec("BEGIN IMMEDIATE");
    const write = sql`INSERT INTO t VALUES (7)`.execute(db);
    let turns = 0;
    while (turns < 50) {
      await new Promise((resolve) => setImmediate(resolve));
      turns++;
    }
    expect(other.prepare("SELECT count(*) AS c FROM t").get()).toEqual({ c: 0 });
    other.exec("COMMIT");
    await write;
    expect(await numbers()).toEqual([7]);
    other.close();
  });

  it("survives an end without goodbye: what was committed is there again", async () => {
    await sql`INSERT INTO t VALUES (9)`.execute(db);
    const again = openSqlite(file);
    expect((await sql`SELECT n FROM t`.execute(again)).rows).toEqual([{ n: 9 }]);
    await again.destroy();
  });
});
