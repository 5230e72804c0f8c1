/**
 * `node:sqlite` behind Kysely: opens the file with the pragmas that it needs, and gives Kysely's SQLite dialect a
 * driver of its own.
 */
import { DatabaseSync } from "node:sqlite";
import {
  type DatabaseIntrospector,
  type Dialect,
  type Driver,
  Kysely,
  type QueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import type { Db } from "./db.ts";
import { SqliteDriver } from "./sqlite-driver.ts";

/** SQLite's DDL is transactional; Kysely's adapter only says otherwise. With it a failed migration leaves no trace. */
class TransactionalDdlAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

class NodeSqliteDialect implements Dialect {
  private readonly sqlite: DatabaseSync;

  constructor(sqlite: DatabaseSync) {
    this.sqlite = sqlite;
  }

  createDriver = (): Driver => new SqliteDriver(this.sqlite);
  createQueryCompiler = (): QueryCompiler => new SqliteQueryCompiler();
  createAdapter = (): SqliteAdapter => new TransactionalDdlAdapter();
  createIntrospector = (db: Kysely<unknown>): DatabaseIntrospector => new SqliteIntrospector(db);
}

/** @param file a path, or `:memory:` */
export function openSqlite(file: string): Db {
  // While it is opened, nothing else runs that could be blocked: SQLite itself may wait for another program's lock.
  const sqlite = new DatabaseSync(file, { timeout: 5000 });
  // Readers never block the writer and the file survives kill -9; the switch is kept in the file itself.
  sqlite.exec("PRAGMA journal_mode = WAL");
  // With WAL, NORMAL can lose the last commits on power failure, though never the file. An acknowledged event is
  // forgotten by its agent, so an acknowledged commit must be on the disk.
  sqlite.exec("PRAGMA synchronous = FULL");
  // Off by default for old programs' sake; it must be set outside of a transaction, where it would be ignored.
  sqlite.exec("PRAGMA foreign_keys = ON");
  // From now on SQLite's own waiting would block every request and every agent; the driver waits without blocking.
  sqlite.exec("PRAGMA busy_timeout = 0");
  return new Kysely({ dialect: new NodeSqliteDialect(sqlite) });
}
