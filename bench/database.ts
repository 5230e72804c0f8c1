/**
 * The server's database from outside, on either engine: SQLite in the server's folder or, with DATABASE_URL in the
 * environment, the database `rm_bench` of that PostgreSQL, which is made anew for each benchmark. Rows go in as JSON,
 * thousands in one statement.
 */
import { sql } from "kysely";
import type { Db } from "../packages/server/src/platform/db/db.ts";
import { openDatabase } from "../packages/server/src/platform/db/open.ts";

/** So many rows in one statement; a few megabytes of JSON. */
const rowsPerInsert = 5000;
const databaseName = "rm_bench";

/** What the server is told, or undefined for SQLite. */
export const databaseUrl = (): string | undefined => {
  if (!process.env.DATABASE_URL) return undefined;
  const url = new URL(process.env.DATABASE_URL);
  url.pathname = `/${databaseName}`;
  return url.href;
};

export const engineName = (): string => (process.env.DATABASE_URL ? "PostgreSQL" : "SQLite");

/** Makes the PostgreSQL database of a benchmark anew; nothing on SQLite, whose folder is new. */
export async function resetDatabase(): Promise<void> {
  if (!process.env.DATABASE_URL) return;
  const { db } = openDatabase("", process.env.DATABASE_URL);
  await sql`DROP DATABASE IF EXISTS ${sql.ref(databaseName)} WITH (FORCE)`.execute(db);
  await sql`CREATE DATABASE ${sql.ref(databaseName)}`.execute(db);
  await db.destroy();
}

/** Opens the database of a server's folder, gives it to `work` and closes it. */
export async function withDatabase<T>(dataDir: string, work: (db: Db) => Promise<T>): Promise<T> {
  const { db } = openDatabase(dataDir, databaseUrl());
  try {
    return await work(db);
  } finally {
    await db.destroy();
  }
}

/** A row: columns by name, each text or a number. */
export type Row = Record<string, string | number | null>;

/** Adds rows, which all have the columns of the first. */
export async function insertRows(db: Db, table: string, rows: readonly Row[]): Promise<void> {
  const names = Object.keys(rows[0] ?? {});
  const columns = sql.join(names.map((name) => sql.ref(name)));
  for (let i = 0; i < rows.length; i += rowsPerInsert) {
    const json = JSON.stringify(rows.slice(i, i + rowsPerInsert));
    if (databaseUrl() !== undefined) {
      await sql`INSERT INTO ${sql.table(table)} (${columns})
        SELECT ${columns} FROM json_populate_recordset(NULL::${sql.table(table)}, ${json}::json)`.execute(db);
      continue;
    }
    const values = sql.join(names.map((name) => sql`value ->> ${sql.lit(`$.${name}`)}`));
    await sql`INSERT INTO ${sql.table(table)} (${columns})
      SELECT ${values} FROM json_each(${json})`.execute(db);
  }
}
