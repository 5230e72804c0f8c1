/** Copies of the database: consistent while the server writes, never half, never over something. */
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { backUpSqlite } from "./backup.ts";
import { type Db, inTransaction } from "./db.ts";
import { openSqlite } from "./sqlite.ts";

describe("a copy of the database", () => {
  let folder: string;
  let file: string;
  let db: Db;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "rm-backup-"));
    file = join(folder, "restic-manager.db");
    db = openSqlite(file);
    await sql`CREATE TABLE pairs (a INTEGER, b INTEGER)`.execute(db);
  });

  afterEach(async () => {
    await db.destroy();
    rmSync(folder, { recursive: true });
  });

  const insertPair = (n: number) =>
    inTransaction(db, async (tx) => {
      await sql`INSERT INTO pairs VALUES (${n}, NULL)`.execute(tx);
      await sql`UPDATE pairs SET b = ${n} WHERE a = ${n}`.execute(tx);
    });

  it("holds whole transactions only, although the server goes on writing", async () => {
    for (let n = 0; n < 20; n++) await insertPair(n);
    const target = join(folder, "copy.db");
    const writing = Promise.all(Array.from({ length: 200 }, (_, n) => insertPair(100 + n)));
    await backUpSqlite(file, target);
    await writing;
    const copy = openSqlite(target);
    const { rows } = await sql<{ whole: number; broken: number }>`
      SELECT count(*) AS whole, sum(b IS NULL) AS broken FROM pairs`.execute(copy);
    expect(rows[0]?.whole).toBeGreaterThanOrEqual(20);
    expect(rows[0]?.broken).toBe(0);
    await copy.destroy();
    expect(statSync(target).mode & 0o777).toBe(0o600);
  });

  it("never overwrites a file", async () => {
    const target = join(folder, "precious");
    writeFileSync(target, "keep me");
    await expect(backUpSqlite(file, target)).rejects.toMatchObject({ code: "database.backup_exists" });
    expect(statSync(target).size).toBe(7);
  });

  it("leaves nothing behind when it fails", async () => {
    const target = join(folder, "missing", "copy.db");
    await expect(backUpSqlite(file, target)).rejects.toMatchObject({ code: "database.backup_failed" });
    expect(readdirSync(folder).filter((name) => name.includes("partial"))).toEqual([]);
  });

  it("says where it looked when there is no database", async () => {
    await expect(backUpSqlite(join(folder, "no.db"), join(folder, "copy.db"))).rejects.toMatchObject({
      code: "database.missing",
      message: expect.stringContaining("RM_DATA_DIR"),
    });
  });
});
