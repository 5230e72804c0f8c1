/** A laboratory's database, read past the server: its SQLite file, or the PostgreSQL that its replicas share. */
import { join } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import type { Lab } from "./lab.ts";

export interface LabDatabase {
  /** @param query with a `?` for each value */
  rows<Row>(query: string, ...values: SQLInputValue[]): Promise<Row[]>;
  close(): void;
}

export function openDatabase(lab: Lab): LabDatabase {
  const { postgres } = lab;
  if (postgres !== null) {
    const numbered = (query: string): string => {
      let number = 0;
      return query.replaceAll("?", () => `$${++number}`);
    };
    return { rows: (query, ...values) => postgres.query(numbered(query), values), close: () => undefined };
  }
  const file = join(lab.dataFolder, "restic-manager.db");
  const database = new DatabaseSync(file, { readOnly: true, timeout: 20_000 });
  return {
    rows: async <Row>(query: string, ...values: SQLInputValue[]) =>
      database.prepare(query).all(...values) as Row[],
    close: () => database.close(),
  };
}
