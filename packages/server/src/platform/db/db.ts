/**
 * The database as slices see it. Each store adds its own tables with `db.withTables<…>()`, so that nothing here
 * knows a feature and no store can reach another's table. Column rules that hold on both engines:
 * ids and JSON are text, instants epoch milliseconds, flags are a nullable instant, bytes are Uint8Array.
 */
import type { Kysely } from "kysely";

/** No tables: a store names its own. */
export type NoTables = Record<never, never>;

/** A database or a transaction; both run queries. */
export type Db = Kysely<NoTables>;

export type Engine = "sqlite" | "postgres";

/** Runs `work` in one transaction: all of it is committed, or none. Never do network I/O inside. */
export function inTransaction<T>(db: Db, work: (tx: Db) => Promise<T>): Promise<T> {
  return db.transaction().execute((tx) => work(tx));
}

/** Whether a query failed because a unique index already holds the value, on either engine. */
export function isUniqueViolation(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code, errcode } = error as { code?: unknown; errcode?: unknown };
  // PostgreSQL: SQLSTATE 23505. SQLite: SQLITE_CONSTRAINT_UNIQUE 2067 and SQLITE_CONSTRAINT_PRIMARYKEY 1555.
  return code === "23505" || errcode === 2067 || errcode === 1555;
}

/** Whether PostgreSQL ended a transaction because it and another one waited for each other; done again it goes through. */
export const isDeadlock = (error: unknown): boolean =>
  error instanceof Error && (error as { code?: unknown }).code === "40P01";
