/**
 * What a table holds, in one number that is the same on both engines: each row as canonical text, its SHA-256, and the
 * sum of those. A sum, because the engines order texts differently; unlike XOR it also sees a row that is there twice.
 */
import { hash } from "node:crypto";
import { AppError } from "../../errors.ts";

/** A column of the target. */
export interface Column {
  name: string;
  /** PostgreSQL's own name of its type. */
  type: string;
}

/** A value as both engines can be brought to say it: numbers by their digits. */
export type Cell = string | Uint8Array | null;

/** Every type that a migration uses. float4 is the one in which PostgreSQL holds less than SQLite. */
const numbers: Record<string, (digits: string) => string> = {
  int4: (digits) => digits,
  int8: (digits) => digits,
  float4: (digits) => String(Math.fround(Number(digits))),
  float8: (digits) => String(Number(digits)),
};
const beyond = 1n << 256n;

/** @throws AppError `database.unmovable` for a value that its column's type has no room for */
export function toCell(column: Column, value: unknown): Cell {
  if (value === null) return null;
  const number = numbers[column.type];
  if (number && (typeof value === "bigint" || typeof value === "number")) return String(value);
  if (column.type === "text" && typeof value === "string") return value;
  if (column.type === "bytea" && value instanceof Uint8Array) return value;
  const message = `The column ${column.name} holds a ${typeof value}, which PostgreSQL does not take as ${column.type}.`;
  throw new AppError("internal", "database.unmovable", message);
}

/** Rows that were seen, in any order. */
export class TableDigest {
  private readonly columns: readonly Column[];
  private sum = 0n;
  rows = 0;

  constructor(columns: readonly Column[]) {
    this.columns = columns;
  }

  add(row: readonly Cell[]): void {
    const canonical = this.columns.map((column, index) => canonicalOf(column, row[index] ?? null));
    const digest = hash("sha256", JSON.stringify(canonical), "hex");
    this.sum = (this.sum + BigInt(`0x${digest}`)) % beyond;
    this.rows += 1;
  }

  /** 64 hex digits. */
  get value(): string {
    return this.sum.toString(16).padStart(64, "0");
  }
}

/** Tagged by its kind, so that 1, "1" and the byte 31 are three values. */
function canonicalOf({ type }: Column, cell: Cell): string | null {
  if (cell === null) return null;
  if (typeof cell !== "string") return `x${Buffer.from(cell).toString("hex")}`;
  const number = numbers[type];
  return number ? `#${number(cell)}` : `'${cell}`;
}
