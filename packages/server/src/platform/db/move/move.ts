/**
 * A SQLite installation into an empty PostgreSQL database. All tables of the schema go in one transaction of the
 * target, which is committed only after each table was read again there and has the same rows: what is cut short leaves
 * an empty database. Nothing is written to the file. Tables and columns are asked of the databases, never listed here.
 */
import { type Migration, sql } from "kysely";
import { AppError } from "../../errors.ts";
import { type Db, type Engine, inTransaction } from "../db.ts";
import { DatabaseAway } from "../failures.ts";
import { migrate } from "../migrate.ts";
import {
  insertRows,
  isKyselyTable,
  listTargetTables,
  readRows,
  refuseRows,
  type TargetTable,
} from "./postgres-target.ts";
import { type Cell, type Column, TableDigest, toCell } from "./row-digest.ts";
import { SqliteSource } from "./sqlite-source.ts";

/** What is sent at once: so many rows, or so much, whichever comes first. */
const batchRows = 1000;
const batchBytes = 4 * 1024 * 1024;
/** Rows between two lines that say how far a table is. */
const progressRows = 50_000;

export interface MoveInput {
  /** The SQLite file of a server that is stopped. */
  file: string;
  target: Db;
  migrations(engine: Engine): Record<string, Migration>;
  /** Takes a line for the operator. */
  say(line: string): void;
}

export interface MovedTable {
  name: string;
  rows: number;
  /** 64 hex digits, the same in both databases. */
  digest: string;
}

/**
 * @returns the tables in the order in which they were copied
 * @throws AppError `database.in_use`, `database.missing`, `database.older`, `database.newer`, `database.not_empty`,
 * `database.unmovable`, `database.differs` or `database.move_failed`; the target has no rows then
 */
export async function moveDatabase(input: MoveInput): Promise<MovedTable[]> {
  const { file, target } = input;
  const source = SqliteSource.open(file);
  try {
    refuseOtherSchema(source, input);
    await refuseRows(target, await listTargetTables(target));
    await migrate({ db: target, engine: "postgres", migrations: input.migrations("postgres") });
    return await inTransaction(target, (tx) => copyAll(source, tx, input));
  } catch (error) {
    throw explained(error);
  } finally {
    source.close();
  }
}

/** A file of another version has other columns. */
function refuseOtherSchema(source: SqliteSource, { migrations }: MoveInput): void {
  const known = Object.keys(migrations("sqlite"));
  const hasNames = source.tables().includes("kysely_migration");
  const applied = hasNames
    ? [...source.rows("kysely_migration", ["name"])].map(([name]) => String(name))
    : [];
  const unknown = applied.find((name) => !known.includes(name));
  if (unknown) {
    const message = `The SQLite database was written by a newer restic-manager (it has ${unknown}). Move it with that version.`;
    throw new AppError("internal", "database.newer", message);
  }
  if (applied.length < known.length) {
    const message =
      "The SQLite database is of an older restic-manager. Start this version on it once, stop it, and move it then.";
    throw new AppError("invalid", "database.older", message);
  }
}

async function copyAll(source: SqliteSource, tx: Db, { say }: MoveInput): Promise<MovedTable[]> {
  const tables = (await listTargetTables(tx)).filter((table) => !isKyselyTable(table.name));
  refuseMissing(source, tables);
  // Held to the end: a server that starts on the target meanwhile can't put a row between ours.
  await sql`LOCK TABLE ${sql.join(tables.map(({ name }) => sql.table(name)))} IN EXCLUSIVE MODE`.execute(tx);
  await refuseRows(tx, tables);
  const moved: MovedTable[] = [];
  for (const table of tables) {
    const sent = await copyTable(source, tx, table, say);
    const arrived = new TableDigest(table.columns);
    for await (const row of readRows(tx, table)) arrived.add(row);
    if (arrived.rows !== sent.rows || arrived.value !== sent.value) {
      const message = `The table ${table.name} came out different: ${sent.rows} rows with digest ${sent.value} were sent, and ${arrived.rows} with ${arrived.value} arrived. Nothing was moved.`;
      throw new AppError("internal", "database.differs", message);
    }
    await sql`ANALYZE ${sql.table(table.name)}`.execute(tx);
    say(`${table.name}: ${sent.rows} rows, the same in both, digest ${sent.value.slice(0, 16)}`);
    moved.push({ name: table.name, rows: sent.rows, digest: sent.value });
  }
  return moved;
}

/** Both were brought to one schema: a difference is a table that somebody made by hand. */
function refuseMissing(source: SqliteSource, tables: readonly TargetTable[]): void {
  const shape = (name: string, columns: string[]) => `${name} (${columns.toSorted().join(", ")})`;
  const there = tables.map(({ name, columns }) =>
    shape(
      name,
      columns.map((column) => column.name),
    ),
  );
  const here = source.tables().filter((name) => !isKyselyTable(name));
  const missing = here.find((name) => !there.includes(shape(name, source.columns(name))));
  if (missing === undefined && here.length === there.length) return;
  const what = missing ? `the table ${missing} of the SQLite database` : "a table of the PostgreSQL database";
  const message = `restic-manager did not make ${what}: take it out, then move again. Nothing was moved.`;
  throw new AppError("conflict", "database.unmovable", message);
}

/** @returns the digest of what was sent */
async function copyTable(
  source: SqliteSource,
  tx: Db,
  table: TargetTable,
  say: MoveInput["say"],
): Promise<TableDigest> {
  const { name, columns } = table;
  const total = source.count(name);
  const sent = new TableDigest(columns);
  let batch: Cell[][] = [];
  let sizeBytes = 0;
  const send = async () => {
    if (batch.length > 0) await insertRows(tx, table, batch);
    batch = [];
    sizeBytes = 0;
  };
  for (const values of source.rows(
    name,
    columns.map((column) => column.name),
  )) {
    const row = toRow(table, values);
    sent.add(row);
    batch.push(row);
    sizeBytes += row.reduce((sum, cell) => sum + (cell?.length ?? 0), 0);
    if (batch.length >= batchRows || sizeBytes >= batchBytes) await send();
    if (sent.rows % progressRows === 0) say(`${name}: ${sent.rows} of ${total} rows`);
  }
  await send();
  return sent;
}

function toRow({ columns }: TargetTable, values: readonly unknown[]): Cell[] {
  return columns.map((column: Column, index) => toCell(column, values[index]));
}

/** An AppError as it is; of anything else, what PostgreSQL said. */
function explained(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const text = `The database could not be moved: ${wordsOf(error)}. PostgreSQL has no rows of it, and the SQLite file is as it was.`;
  return new AppError("internal", "database.move_failed", text, { cause: error });
}

function wordsOf(error: unknown): string {
  if (error instanceof DatabaseAway) return wordsOf(error.cause);
  // A name may have several addresses, each with a failure of its own.
  if (error instanceof AggregateError) return wordsOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}
