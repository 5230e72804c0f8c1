/** A copy of the SQLite database while the server runs: one consistent moment, complete or not there at all. */
import { existsSync } from "node:fs";
import { chmod, open, rename, rm } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { AppError } from "../errors.ts";

/**
 * Copies `file` to `target`, 0600. The server may go on writing meanwhile: the copy is the moment it began.
 * @throws AppError `database.missing`, `database.backup_exists` or `database.backup_failed`
 */
export async function backUpSqlite(file: string, target: string): Promise<{ sizeBytes: number }> {
  if (!existsSync(file)) {
    throw new AppError(
      "not_found",
      "database.missing",
      `There is no database at ${file}. Set RM_DATA_DIR to the server's data folder.`,
    );
  }
  if (existsSync(target)) {
    throw new AppError(
      "conflict",
      "database.backup_exists",
      `${target} already exists; a copy never overwrites anything.`,
    );
  }
  const partial = `${target}.partial`;
  try {
    await rm(partial, { force: true });
    const sqlite = new DatabaseSync(file, { readOnly: true, timeout: 30_000 });
    try {
      sqlite.prepare("VACUUM INTO ?").run(partial);
    } finally {
      sqlite.close();
    }
    await chmod(partial, 0o600);
    const copy = await open(partial, "r");
    try {
      await copy.sync();
      await rename(partial, target);
      return { sizeBytes: (await copy.stat()).size };
    } finally {
      await copy.close();
    }
  } catch (cause) {
    await rm(partial, { force: true });
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new AppError(
      "internal",
      "database.backup_failed",
      `The database could not be copied to ${target}: ${text}.`,
      { cause },
    );
  }
}
