/**
 * Kysely's driver over one `node:sqlite` connection. A queue hands the connection out in order, so a transaction's
 * statements stay together: inside a transaction every query must go through the transaction it was handed,
 * never through the database. While another program holds the file's lock (a copy being made, the operator's own
 * sqlite3) statements are tried again without blocking the event loop.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { CompiledQuery, type DatabaseConnection, type Driver, type QueryResult } from "kysely";

/** More distinct statements than the server has; beyond it the oldest is prepared again. */
const maxCachedStatements = 500;
/** How long a lock of another program is waited for: a copy of a large file takes seconds. */
const busyLimitMs = 30_000;
const busyPauseMs = 20;
/** https://www.sqlite.org/rescode.html#busy, with its extended codes in the higher bits. */
const sqliteBusy = 5;

export class SqliteDriver implements Driver {
  private readonly connection: SqliteConnection;
  private held = false;
  private readonly waiting: (() => void)[] = [];

  constructor(sqlite: DatabaseSync) {
    this.connection = new SqliteConnection(sqlite);
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    if (this.held) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.held = true;
    return this.connection;
  }

  async releaseConnection(): Promise<void> {
    const next = this.waiting.shift();
    // The connection stays held when it goes from hand to hand: nobody can slip in between.
    if (next) next();
    else this.held = false;
  }

  /** The write lock is taken at once: a transaction that starts as a reader could fail when it first writes. */
  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("begin immediate"));
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("commit"));
  }

  /** On a full disk SQLite has rolled back by itself; a second rollback would fail and hide the reason. */
  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.connection.isInTransaction) await connection.executeQuery(CompiledQuery.raw("rollback"));
  }

  async destroy(): Promise<void> {
    this.connection.close();
  }
}

interface Prepared {
  statement: StatementSync;
  /** Whether it answers with rows. */
  reads: boolean;
}

class SqliteConnection implements DatabaseConnection {
  private readonly sqlite: DatabaseSync;
  private readonly statements = new Map<string, Prepared>();

  constructor(sqlite: DatabaseSync) {
    this.sqlite = sqlite;
  }

  get isInTransaction(): boolean {
    return this.sqlite.isTransaction;
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    const values = parameters as SQLInputValue[];
    for (let waitedMs = 0; ; waitedMs += busyPauseMs) {
      try {
        const { statement, reads } = this.prepare(sql);
        if (reads) return { rows: statement.all(...values) as R[] };
        const { changes, lastInsertRowid } = statement.run(...values);
        return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
      } catch (error) {
        if (!isBusy(error) || waitedMs >= busyLimitMs) throw error;
      }
      await delay(busyPauseMs);
    }
  }

  // biome-ignore lint/correctness/useYield: Kysely's interface has streams, this server uses none
  async *streamQuery(): AsyncIterableIterator<never> {
    throw new Error("streaming a query is not supported: read pages instead");
  }

  close(): void {
    this.statements.clear();
    this.sqlite.close();
  }

  private prepare(sql: string): Prepared {
    const known = this.statements.get(sql);
    if (known) return known;
    const statement = this.sqlite.prepare(sql);
    const prepared = { statement, reads: statement.columns().length > 0 };
    const oldest = this.statements.keys().next();
    if (this.statements.size >= maxCachedStatements && !oldest.done) this.statements.delete(oldest.value);
    this.statements.set(sql, prepared);
    return prepared;
  }
}

function isBusy(error: unknown): boolean {
  const code = (error as { errcode?: unknown }).errcode;
  return typeof code === "number" && (code & 0xff) === sqliteBusy;
}
