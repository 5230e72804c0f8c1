/**
 * `node:sqlite` behind Kysely's own SQLite dialect: this file is only the thin adapter and the pragmas.
 * One connection serves the whole server; Kysely's mutex keeps a transaction's statements together, so
 * inside a transaction every query must go through the transaction it was handed, never through the database.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { Kysely, SqliteAdapter, type SqliteDatabase, SqliteDialect, type SqliteStatement } from "kysely";
import type { Db } from "./db.ts";

/** More distinct statements than the server has; beyond it the oldest is prepared again. */
const maxCachedStatements = 500;

class PreparedStatement implements SqliteStatement {
  readonly reader: boolean;
  private readonly statement: StatementSync;

  constructor(statement: StatementSync) {
    this.statement = statement;
    this.reader = statement.columns().length > 0;
  }

  all(parameters: readonly unknown[]): unknown[] {
    return this.statement.all(...(parameters as SQLInputValue[]));
  }

  run(parameters: readonly unknown[]): { changes: number | bigint; lastInsertRowid: number | bigint } {
    return this.statement.run(...(parameters as SQLInputValue[]));
  }

  iterate(parameters: readonly unknown[]): IterableIterator<unknown> {
    return this.statement.iterate(...(parameters as SQLInputValue[]));
  }
}

class StatementCache implements SqliteDatabase {
  private readonly statements = new Map<string, PreparedStatement>();
  private readonly sqlite: DatabaseSync;

  constructor(sqlite: DatabaseSync) {
    this.sqlite = sqlite;
  }

  prepare(sql: string): SqliteStatement {
    const known = this.statements.get(sql);
    if (known) return known;
    const statement = new PreparedStatement(this.sqlite.prepare(sql));
    const oldest = this.statements.keys().next();
    if (this.statements.size >= maxCachedStatements && !oldest.done) this.statements.delete(oldest.value);
    this.statements.set(sql, statement);
    return statement;
  }

  close(): void {
    this.statements.clear();
    this.sqlite.close();
  }
}

/** SQLite's DDL is transactional; Kysely's adapter only says otherwise. With it a failed migration leaves no trace. */
class TransactionalDdlAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

class NodeSqliteDialect extends SqliteDialect {
  override createAdapter(): SqliteAdapter {
    return new TransactionalDdlAdapter();
  }
}

/** @param file a path, or `:memory:` */
export function openSqlite(file: string): Db {
  const sqlite = new DatabaseSync(file, { timeout: 5000 });
  // Readers never block the writer and the file survives kill -9; the switch is kept in the file itself.
  sqlite.exec("PRAGMA journal_mode = WAL");
  // With WAL, NORMAL can lose the last commits on power failure, though never the file. An acknowledged event is
  // forgotten by its agent, so an acknowledged commit must be on the disk.
  sqlite.exec("PRAGMA synchronous = FULL");
  // Off by default for old programs' sake; it must be set outside of a transaction, where it would be ignored.
  sqlite.exec("PRAGMA foreign_keys = ON");
  // The operator's own sqlite3 or an online backup may hold the file for a moment: wait instead of failing.
  sqlite.exec("PRAGMA busy_timeout = 5000");
  return new Kysely({ dialect: new NodeSqliteDialect({ database: new StatementCache(sqlite) }) });
}
