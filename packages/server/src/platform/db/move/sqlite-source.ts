/**
 * The SQLite file that is moved, read by nobody else meanwhile. A server keeps a shared lock on its file for as long as
 * it has it open, also when it does nothing (WAL); the exclusive lock that is taken here can't be had beside one, and
 * no server can open the file while it is held. Rows come one at a time, so that a table may be larger than the memory.
 */
import { existsSync } from "node:fs";
import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import { AppError } from "../../errors.ts";

export class SqliteSource {
  private readonly sqlite: DatabaseSync;

  private constructor(sqlite: DatabaseSync) {
    this.sqlite = sqlite;
  }

  /** @throws AppError `database.missing`, `database.in_use` or `database.unusable` */
  static open(file: string): SqliteSource {
    if (!existsSync(file)) {
      const message = `There is no database at ${file}. Set RM_DATA_DIR to the server's data folder.`;
      throw new AppError("not_found", "database.missing", message);
    }
    const sqlite = new DatabaseSync(file, { timeout: 0 });
    try {
      sqlite.exec("PRAGMA locking_mode = EXCLUSIVE");
      sqlite.exec("BEGIN EXCLUSIVE");
      sqlite.exec("PRAGMA query_only = ON");
      return new SqliteSource(sqlite);
    } catch (cause) {
      sqlite.close();
      throw refusalOf(file, cause);
    }
  }

  /** Every table but SQLite's own. */
  tables(): string[] {
    const query = this.sqlite.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
    return query
      .all()
      .map(({ name }) => String(name))
      .filter((name) => !name.startsWith("sqlite_"));
  }

  columns(table: string): string[] {
    const query = this.sqlite.prepare("SELECT name FROM pragma_table_info(?)");
    return query.all(table).map(({ name }) => String(name));
  }

  count(table: string): number {
    return Number(this.sqlite.prepare(`SELECT count(*) AS n FROM ${quoted(table)}`).get()?.n);
  }

  /** Values in the order of `columns`; integers as bigint, so that none loses a digit. */
  *rows(table: string, columns: readonly string[]): Generator<SQLOutputValue[]> {
    const query = this.sqlite.prepare(`SELECT ${columns.map(quoted).join(", ")} FROM ${quoted(table)}`);
    query.setReadBigInts(true);
    for (const row of query.iterate()) yield columns.map((column) => row[column] ?? null);
  }

  close(): void {
    this.sqlite.close();
  }
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

function refusalOf(file: string, cause: unknown): AppError {
  const text = cause instanceof Error ? cause.message : String(cause);
  if (/locked/i.test(text)) {
    const message = `${file} is in use: stop the server and every other program that has it open, then move it again. Nothing was changed.`;
    return new AppError("conflict", "database.in_use", message, { cause });
  }
  const message = `The database file ${file} can't be opened: ${text}.`;
  return new AppError("internal", "database.unusable", message, { cause });
}
