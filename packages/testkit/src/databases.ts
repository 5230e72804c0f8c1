/** Fresh, migrated databases for store tests: the same test body runs on SQLite and on PostgreSQL. */
import { randomBytes } from "node:crypto";
import { sql } from "kysely";
import { migrations } from "../../server/migrations/index.ts";
import type { Db, Engine } from "../../server/src/platform/db/db.ts";
import { migrate } from "../../server/src/platform/db/migrate.ts";
import { openPostgres } from "../../server/src/platform/db/postgres.ts";
import { openSqlite } from "../../server/src/platform/db/sqlite.ts";

export interface TestDatabase {
  db: Db;
  engine: Engine;
  /** Where a server of its own finds it, PostgreSQL only; empty on SQLite. */
  url: string;
  close(): Promise<void>;
}

/** Both engines, for `describe.each(engines)`. */
export const engines: Engine[] = ["sqlite", "postgres"];

let ownUrl: Promise<string> | undefined;

/**
 * The PostgreSQL database of this worker's tests; made when it is first asked for. Schemas alone would not do for files
 * that run at once: Kysely looks through all schemas of a database, and fails when one goes meanwhile.
 */
export async function ownDatabaseUrl(): Promise<string> {
  const url = process.env.RM_TEST_POSTGRES_URL;
  if (!url) throw new Error("RM_TEST_POSTGRES_URL is not set: run this file in the vitest project `stores`");
  ownUrl ??= createDatabase(url);
  return ownUrl;
}

/** Makes a database in that cluster; it goes with the cluster. */
async function createDatabase(url: string): Promise<string> {
  const name = `t${randomBytes(8).toString("hex")}`;
  const admin = openPostgres(url);
  await sql`CREATE DATABASE ${sql.id(name)}`.execute(admin);
  await admin.destroy();
  const own = new URL(url);
  own.pathname = `/${name}`;
  return own.href;
}

/** An empty database of that engine, not yet migrated. */
export async function openEmptyDatabase(engine: Engine): Promise<TestDatabase> {
  if (engine === "sqlite") {
    const db = openSqlite(":memory:");
    return { db, engine, url: "", close: () => db.destroy() };
  }
  const schema = `t${randomBytes(8).toString("hex")}`;
  const own = await ownDatabaseUrl();
  const admin = openPostgres(own);
  await sql`CREATE SCHEMA ${sql.id(schema)}`.execute(admin);
  const db = openPostgres(own, { schema });
  const close = async () => {
    await db.destroy();
    await sql`DROP SCHEMA ${sql.id(schema)} CASCADE`.execute(admin);
    await admin.destroy();
  };
  const ownSchema = new URL(own);
  ownSchema.searchParams.set("options", `-c search_path=${schema}`);
  return { db, engine, url: ownSchema.href, close };
}

/** A database with this build's schema. */
export async function openTestDatabase(engine: Engine): Promise<TestDatabase> {
  const database = await openEmptyDatabase(engine);
  await migrate({ db: database.db, engine, migrations: migrations(engine) });
  return database;
}
