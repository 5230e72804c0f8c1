import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openDatabase } from "./open.ts";
import { openSqlite } from "./sqlite.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rm-open-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("opening the database", () => {
  it("makes a SQLite file in the data folder, with the pragmas that keep it whole", async () => {
    const { db, engine, file } = openDatabase(folder, undefined);
    expect([engine, file]).toEqual(["sqlite", join(folder, "restic-manager.db")]);
    const pragma = async (name: string) =>
      Object.values((await sql.raw(`PRAGMA ${name}`).execute(db)).rows[0] ?? {})[0];
    expect(await pragma("journal_mode")).toBe("wal");
    expect(await pragma("foreign_keys")).toBe(1);
    // 2 is FULL.
    expect(await pragma("synchronous")).toBe(2);
    // The driver waits for another program's lock; SQLite's own waiting would block the event loop.
    expect(await pragma("busy_timeout")).toBe(0);
    await db.destroy();
  });

  it("does not connect to PostgreSQL before the first query", async () => {
    const { db, engine, file } = openDatabase(folder, "postgres://nobody@localhost:1/nothing");
    expect([engine, file]).toEqual(["postgres", undefined]);
    await db.destroy();
  });

  it("says that the data folder is missing", () => {
    expect(() => openDatabase(join(folder, "missing"), undefined)).toThrow(
      expect.objectContaining({ code: "database.unusable", message: expect.stringContaining("missing") }),
    );
  });

  it("says that the file is no database", () => {
    writeFileSync(
      join(folder, "restic-manager.db"),
      "this is a text, long enough to be read as a header of something",
    );
    expect(() => openDatabase(folder, undefined)).toThrow(
      expect.objectContaining({
        code: "database.unusable",
        message: expect.stringContaining("not a database"),
      }),
    );
  });
});

describe("SQLite", () => {
  it("is read by another connection while a transaction writes", async () => {
    const file = join(folder, "shared.db");
    const [writer, reader] = [openSqlite(file), openSqlite(file)];
    await sql`CREATE TABLE things (name TEXT)`.execute(writer);
    await writer.transaction().execute(async (tx) => {
      await sql`INSERT INTO things VALUES ('a')`.execute(tx);
      expect((await sql`SELECT * FROM things`.execute(reader)).rows).toEqual([]);
    });
    expect((await sql`SELECT * FROM things`.execute(reader)).rows).toEqual([{ name: "a" }]);
    await Promise.all([writer.destroy(), reader.destroy()]);
  });

  it("answers more distinct statements than it keeps prepared", async () => {
    const db = openSqlite(":memory:");
    for (let i = 0; i < 1_200; i++) {
      const { rows } = await sql.raw(`SELECT ${i % 600} AS n`).execute(db);
      expect(rows).toEqual([{ n: i % 600 }]);
    }
    await db.destroy();
  });
});
