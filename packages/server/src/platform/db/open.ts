/** Opens whichever database the configuration names. */
import { accessSync, constants, existsSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import type { Db, Engine } from "./db.ts";
import { connectPostgres } from "./postgres.ts";
import { openSqlite } from "./sqlite.ts";

export interface OpenDatabase {
  db: Db;
  engine: Engine;
  /** The SQLite file, when there is one. */
  file?: string;
  /** PostgreSQL only: ends all connections at once, so that nobody waits on one that is dead. */
  cutConnections?(): void;
}

/** Where the SQLite database is. */
export const sqliteFile = (dataDir: string): string => join(dataDir, "restic-manager.db");

/**
 * @param poolSize connections to PostgreSQL at most
 * @throws AppError `database.read_only` or `database.unusable` when the file can't be opened
 */
export function openDatabase(
  dataDir: string,
  databaseUrl: string | undefined,
  poolSize?: number,
): OpenDatabase {
  if (databaseUrl) {
    const options = poolSize === undefined ? {} : { poolSize };
    return { ...connectPostgres(databaseUrl, options), engine: "postgres" };
  }
  const file = sqliteFile(dataDir);
  try {
    return { db: openSqlite(file), engine: "sqlite", file };
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    if (/readonly|read-only/i.test(text) || (existsSync(dataDir) && !isWritable(dataDir))) {
      const message =
        "The database is read-only. Give the server's user write access to the file and its folder.";
      throw new AppError("internal", "database.read_only", message, { cause });
    }
    throw new AppError(
      "internal",
      "database.unusable",
      `The database file ${file} can't be opened: ${text}.`,
      { cause },
    );
  }
}

/** SQLite needs files beside its own: in a folder that takes none it only says that it can't open the database. */
function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
