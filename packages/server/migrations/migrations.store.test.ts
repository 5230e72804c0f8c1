/** Every migration on both engines: from nothing, twice, and against a newer database. */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { engines, openEmptyDatabase, openTestDatabase, rowsOf } from "@restic-manager/testkit";
import { sql } from "kysely";
import { describe, expect, it } from "vitest";
import type { Db, Engine } from "../src/platform/db/db.ts";
import { migrate } from "../src/platform/db/migrate.ts";
import { openSqlite } from "../src/platform/db/sqlite.ts";
import { migrations } from "./index.ts";

describe.each(engines)("migrations on %s", (engine) => {
  it("apply in order on an empty database and not again", async () => {
    const { db, close } = await openEmptyDatabase(engine);
    const all = migrations(engine);
    const first = await migrate({ db, engine, migrations: all });
    expect(first.applied).toEqual(Object.keys(all));
    expect((await migrate({ db, engine, migrations: all })).applied).toEqual([]);
    await close();
  });

  it("keep every row of a database that is filled, whichever version it comes from", async () => {
    const all = Object.entries(migrations(engine));
    for (const [index, [newest]] of all.entries()) {
      const { db, close } = await openEmptyDatabase(engine);
      const before = Object.fromEntries(all.slice(0, index + 1));
      await migrate({ db, engine, migrations: before });
      for (const name of Object.keys(before)) await rowsOf[name]?.(db);
      const counts = await countRows(db, engine);
      expect(Object.values(counts), `${newest} leaves a table without a row`).not.toContain(0);
      await migrate({ db, engine, migrations: Object.fromEntries(all) });
      expect(await countRows(db, engine)).toMatchObject(counts);
      await close();
    }
  });

  it("refuse a database of a newer version with a sentence", async () => {
    const { db, close } = await openTestDatabase(engine);
    await sql`INSERT INTO kysely_migration (name, timestamp) VALUES ('9999-future', '2030-01-01')`.execute(
      db,
    );
    await expect(migrate({ db, engine, migrations: migrations(engine) })).rejects.toMatchObject({
      code: "database.newer",
      message: expect.stringContaining("9999-future"),
    });
    await close();
  });

  it("leave nothing behind when one fails", async () => {
    const { db, close } = await openTestDatabase(engine);
    const broken = {
      ...migrations(engine),
      "9000-broken": {
        async up(tx: typeof db) {
          await tx.schema.createTable("half").addColumn("id", "text").execute();
          throw new Error("stopped in the middle");
        },
      },
    };
    await expect(migrate({ db, engine, migrations: broken })).rejects.toMatchObject({
      code: "database.migration_failed",
    });
    const tables = await db.introspection.getTables();
    expect(tables.map((table) => table.name)).not.toContain("half");
    await close();
  });
});

describe("a PostgreSQL database", () => {
  it("is brought to its schema also when another schema beside it has the tables already", async () => {
    const other = await openTestDatabase("postgres");
    const { db, engine, close } = await openEmptyDatabase("postgres");
    const all = migrations(engine);
    expect((await migrate({ db, engine, migrations: all })).applied).toEqual(Object.keys(all));
    expect((await migrate({ db, engine, migrations: all })).applied).toEqual([]);
    await close();
    await other.close();
  });
});

/** Rows by table, Kysely's own tables and other tests' schemas left out. */
async function countRows(db: Db, engine: Engine): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const { rows: schemas } =
    engine === "sqlite"
      ? { rows: [] }
      : await sql<{ name: string }>`SELECT current_schema() AS name`.execute(db);
  for (const { name, schema } of await db.introspection.getTables()) {
    if (schema !== schemas[0]?.name) continue;
    const { rows } = await sql<{ n: number }>`SELECT count(*) AS n FROM ${sql.table(name)}`.execute(db);
    counts[name] = Number(rows[0]?.n);
  }
  return counts;
}

describe("a SQLite file", () => {
  it("is copied before its first pending migration and keeps its rows", async () => {
    const folder = mkdtempSync(join(tmpdir(), "rm-migrate-"));
    const file = join(folder, "restic-manager.db");
    const db = openSqlite(file);
    const all = migrations("sqlite");
    await migrate({ db, engine: "sqlite", migrations: all, file });
    await sql`INSERT INTO server_facts (name, value) VALUES ('kept', 'yes')`.execute(db);
    const more = {
      ...all,
      "9000-more": { up: (tx: typeof db) => tx.schema.createTable("more").addColumn("id", "text").execute() },
    };
    const { backup } = await migrate({ db, engine: "sqlite", migrations: more, file });
    expect(backup).toBe(`${file}.before-9000-more`);
    expect(statSync(backup ?? "").size).toBeGreaterThan(0);
    const copy = openSqlite(backup ?? "");
    const { rows } = await sql`SELECT value FROM server_facts WHERE name = 'kept'`.execute(copy);
    expect(rows).toEqual([{ value: "yes" }]);
    await copy.destroy();
    await db.destroy();
    rmSync(folder, { recursive: true });
  });
});
