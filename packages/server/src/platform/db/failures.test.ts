/** A database that can't work now is no "Internal error": the sentence says what is wrong. */

import { sql } from "kysely";
import { expect, it } from "vitest";
import { inTransaction } from "./db.ts";
import { asDatabaseAway, DatabaseAway, explainDatabaseFailure } from "./failures.ts";
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

const withCode = (code: string, message = "x") => Object.assign(new Error(message), { code });

it.each([
  "08000",
  "08006",
  "57P01",
  "57P02",
  "57P03",
  "25006",
  "25P03",
  "53300",
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
])("takes a PostgreSQL that fails with %s for away", (code) => {
  const cause = withCode(code, "what it said");
  const away = asDatabaseAway(cause);
  expect(away).toMatchObject({ message: "the database is away: what it said", cause });
  expect(asDatabaseAway(away)).toBe(away);
  expect(explainDatabaseFailure(away)).toMatchObject({ kind: "unavailable", code: "database.away" });
});

it.each([
  "Query read timeout",
  "timeout exceeded when trying to connect",
  "Connection terminated",
  "Connection terminated unexpectedly",
  "Connection terminated due to connection timeout",
  "Client has encountered a connection error and is not queryable",
  "Client was closed and is not queryable",
])("takes a connection for lost of which pg says %j", (words) => {
  expect(asDatabaseAway(new Error(words))).toBeInstanceOf(DatabaseAway);
});

it.each([
  withCode("23505"),
  withCode("57014"),
  withCode("42P01"),
  withCode("40001"),
  new Error("x"),
  null,
  "57P01",
])("keeps the connection after %s", (error) => {
  expect(asDatabaseAway(error)).toBeNull();
});

it.each([
  ["55P03", "database.busy"],
  ["40P01", "database.busy"],
  ["57014", "database.slow"],
])("says what a PostgreSQL means that fails with %s: %s", (state, code) => {
  expect(explainDatabaseFailure(withCode(state))).toMatchObject({ kind: "unavailable", code });
});

it.each(["22021", "22P05"])(
  "takes a text that PostgreSQL refuses with %s for the asker's mistake",
  (state) => {
    expect(asDatabaseAway(withCode(state))).toBeNull();
    expect(explainDatabaseFailure(withCode(state))).toMatchObject({
      kind: "invalid",
      code: "request.invalid",
    });
  },
);

it.each([new Error("x"), Object.assign(new Error("x"), { errcode: 1 }), null, "full"])(
  "leaves alone what is a mistake of ours",
  (error) => {
    expect(explainDatabaseFailure(error)).toBeNull();
  },
);
