/** The PostgreSQL database that is moved into: what it has, in which order it can be filled, and its rows read again. */
import { sql } from "kysely";
import { AppError } from "../../errors.ts";
import type { Db } from "../db.ts";
import type { Cell, Column } from "./row-digest.ts";

/** A row of ours has at most a megabyte. */
const rowsPerFetch = 100;

export interface TargetTable {
  name: string;
  columns: Column[];
}

/** Kysely's own, which each database has for itself. */
export const isKyselyTable = (name: string): boolean => name.startsWith("kysely_migration");

/** Tables of the schema that new ones go to, parents before those that point to them. */
export async function listTargetTables(db: Db): Promise<TargetTable[]> {
  const { rows } = await sql<{ table: string; column: string; type: string }>`
    SELECT t.relname AS "table", a.attname AS "column", y.typname AS type
    FROM pg_class t
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type y ON y.oid = a.atttypid
    WHERE t.relkind IN ('r', 'p') AND t.relnamespace = current_schema()::regnamespace
    ORDER BY t.relname, a.attnum`.execute(db);
  const tables = new Map<string, TargetTable>();
  for (const { table, column, type } of rows) {
    const known = tables.get(table) ?? { name: table, columns: [] };
    known.columns.push({ name: column, type });
    tables.set(table, known);
  }
  return parentsFirst([...tables.values()], await listReferences(db));
}

interface Reference {
  child: string;
  parent: string;
}

async function listReferences(db: Db): Promise<Reference[]> {
  const { rows } = await sql<Reference>`
    SELECT c.relname AS child, p.relname AS parent
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid
    WHERE k.contype = 'f' AND k.connamespace = current_schema()::regnamespace AND c.oid <> p.oid`.execute(db);
  return rows;
}

/** @throws Error when tables point to each other in a circle, which no migration may make */
function parentsFirst(tables: TargetTable[], references: Reference[]): TargetTable[] {
  const sorted: TargetTable[] = [];
  let left = tables;
  while (left.length > 0) {
    const names = new Set(left.map((table) => table.name));
    const waits = (name: string) =>
      references.some(({ child, parent }) => child === name && names.has(parent));
    const free = left.filter((table) => !waits(table.name));
    if (free.length === 0) throw new Error(`tables point to each other: ${[...names].join(", ")}`);
    sorted.push(...free);
    left = left.filter((table) => waits(table.name));
  }
  return sorted;
}

/** @throws AppError `database.not_empty` when any table has a row */
export async function refuseRows(db: Db, tables: readonly TargetTable[]): Promise<void> {
  for (const { name } of tables.filter((table) => !isKyselyTable(table.name))) {
    const { rows } = await sql`SELECT 1 FROM ${sql.table(name)} LIMIT 1`.execute(db);
    if (rows.length === 0) continue;
    const message = `The PostgreSQL database is not empty: its table ${name} has rows. Make a new one (CREATE DATABASE) and move into that. Nothing was changed.`;
    throw new AppError("conflict", "database.not_empty", message);
  }
}

/** One statement for any number of rows: an array for each column. */
export async function insertRows(tx: Db, { name, columns }: TargetTable, rows: Cell[][]): Promise<void> {
  const arrays = columns.map(({ type }, index) => {
    const values = rows.map((row) => row[index] ?? null);
    return sql`${sql.val(values)}::${sql.raw(type)}[]`;
  });
  const names = sql.join(columns.map((column) => sql.id(column.name)));
  await sql`INSERT INTO ${sql.table(name)} (${names}) SELECT * FROM unnest(${sql.join(arrays)})`.execute(tx);
}

/** Inside a transaction: a cursor needs no order and holds no more than it fetched. */
export async function* readRows(tx: Db, { name, columns }: TargetTable): AsyncGenerator<Cell[]> {
  const cells = columns.map(({ name: column, type }, index) => {
    const cell = type === "bytea" ? sql.id(column) : sql`${sql.id(column)}::text`;
    return sql`${cell} AS ${sql.id(String(index))}`;
  });
  await sql`DECLARE moved NO SCROLL CURSOR FOR SELECT ${sql.join(cells)} FROM ${sql.table(name)}`.execute(tx);
  const fetch = sql<Record<string, Cell>>`FETCH ${sql.lit(rowsPerFetch)} FROM moved`;
  for (;;) {
    const { rows } = await fetch.execute(tx);
    if (rows.length === 0) break;
    for (const row of rows) yield columns.map((_, index) => row[index] ?? null);
  }
  await sql`CLOSE moved`.execute(tx);
}
