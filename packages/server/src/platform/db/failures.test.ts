/** A database that can't work now is no "Internal error": the sentence says what is wrong. */

import { sql } from "kysely";
import { expect, it } from "vitest";
import { inTransaction } from "./db.ts";
import { explainDatabaseFailure } from "./failures.ts";
import { openSqlite } from "./sqlite.ts";

it("names a full disk, as SQLite reports it", async () => {
  const db = openSqlite(":memory:");
  await sql`PRAGMA max_page_count = 2`.execute(db);
  const error = await sql`CREATE TABLE t AS SELECT randomblob(100000) AS big`
    .execute(db)
    .catch((e: unknown) => e);
  expect(explainDatabaseFailure(error)).toMatchObject({
    kind: "unavailable",
    code: "database.full",
    cause: error,
  });
  await db.destroy();
});

it("names a full disk that SQLite has already rolled a transaction back for", async () => {
  const db = openSqlite(":memory:");
  await sql`CREATE TABLE t (big)`.execute(db);
  await sql`PRAGMA max_page_count = 3`.execute(db);
  const write = inTransaction(db, async (tx) => {
    await sql`INSERT INTO t VALUES (randomblob(100000))`.execute(tx);
  });
  const error = await write.catch((e: unknown) => e);
  expect(explainDatabaseFailure(error)).toMatchObject({ code: "database.full" });
  expect((await sql`SELECT count(*) AS rows FROM t`.execute(db)).rows).toEqual([{ rows: 0 }]);
  await db.destroy();
});

it("names a full disk, as PostgreSQL reports it", () => {
  const error = Object.assign(new Error("could not extend file"), { code: "53100" });
  expect(explainDatabaseFailure(error)).toMatchObject({ code: "database.full" });
});

it.each([5, 5 | (2 << 8)])("names a lock of another program, code %i", (errcode) => {
  const error = Object.assign(new Error("database is locked"), { code: "ERR_SQLITE_ERROR", errcode });
  expect(explainDatabaseFailure(error)).toMatchObject({ kind: "unavailable", code: "database.busy" });
});

it.each([new Error("x"), Object.assign(new Error("x"), { errcode: 1 }), null, "full"])(
  "leaves alone what is a mistake of ours",
  (error) => {
    expect(explainDatabaseFailure(error)).toBeNull();
  },
);
