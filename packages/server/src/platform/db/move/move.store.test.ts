/** A filled SQLite file into a real PostgreSQL: all of it or nothing, and only when nobody else has the file. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { openEmptyDatabase, rowsOf, type TestDatabase } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { migrations } from "../../../../migrations/index.ts";
import type { Db } from "../db.ts";
import { migrate } from "../migrate.ts";
import { openSqlite } from "../sqlite.ts";
import { moveDatabase } from "./move.ts";

const run = promisify(execFile);

let folder: string;
let file: string;
let database: TestDatabase;
let target: Db;
let said: string[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "rm-move-"));
  file = join(folder, "restic-manager.db");
  database = await openEmptyDatabase("postgres");
  target = database.db;
  said = [];
  await withSource(async (db) => {
    await migrate({ db, engine: "sqlite", migrations: migrations("sqlite") });
    for (const fill of Object.values(rowsOf)) await fill(db);
  });
});
afterEach(async () => {
  await database.close();
  rmSync(folder, { recursive: true });
});

async function withSource(work: (db: Db) => Promise<unknown>): Promise<void> {
  const db = openSqlite(file);
  await work(db);
  await db.destroy();
}

const move = () => moveDatabase({ file, target, migrations, say: (line) => said.push(line) });
const digestOfFile = () => createHash("sha256").update(readFileSync(file)).digest("hex");

/** Tables by name with their rows, Kysely's own left out. */
async function rowsIn(db: Db, ofSchema?: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { name, schema } of await db.introspection.getTables()) {
    if (ofSchema !== undefined && schema !== ofSchema) continue;
    const { rows } = await sql<{ n: number }>`SELECT count(*) AS n FROM ${sql.table(name)}`.execute(db);
    counts[name] = Number(rows[0]?.n);
  }
  return counts;
}

async function rowsInTarget(): Promise<Record<string, number>> {
  const { rows } = await sql<{ name: string }>`SELECT current_schema() AS name`.execute(target);
  return rowsIn(target, rows[0]?.name);
}

describe("moving a SQLite database into PostgreSQL", () => {
  it("copies every table of the schema, and leaves the file as it was", async () => {
    const before = digestOfFile();
    const moved = await move();
    const counted = Object.fromEntries(moved.map(({ name, rows }) => [name, rows]));
    expect(digestOfFile()).toBe(before);
    expect(await rowsInTarget()).toEqual(counted);
    await withSource(async (db) => expect(await rowsIn(db)).toEqual(counted));
    expect(Object.values(counted), "a table of the filled database is empty").not.toContain(0);
    for (const { name, rows } of moved)
      expect(said.find((line) => line.startsWith(`${name}: ${rows} rows, the same in both`))).toBeDefined();
  });

  it("copies parents before what points to them", async () => {
    const names = (await move()).map((table) => table.name);
    const place = (name: string) => names.indexOf(name);
    expect(place("users")).toBeLessThan(place("sessions"));
    expect(place("repositories")).toBeLessThan(place("hosts"));
    expect(place("hosts")).toBeLessThan(place("jobs"));
    expect(place("jobs")).toBeLessThan(place("job_log_chunks"));
    expect(place("source_groups")).toBeLessThan(place("pending_runs"));
  });

  it("keeps each value to the last digit and byte", async () => {
    const text = "a'b\"c\\{,}\n\u{1f511} ü NULL";
    await withSource(async (db) => {
      await sql`UPDATE server_facts SET value = ${text}`.execute(db);
      await sql`UPDATE jobs SET exit_code = 9007199254740993, error = ${""}`.execute(db);
      await sql`UPDATE job_log_chunks SET lines = ${Buffer.from([0, 92, 120, 255])}`.execute(db);
      await sql`UPDATE maintenance SET max_removed_percent = 33.3`.execute(db);
    });
    await move();
    const one = async (query: string) => (await sql.raw<{ x: unknown }>(query).execute(target)).rows[0]?.x;
    expect(await one("SELECT value AS x FROM server_facts")).toBe(text);
    expect(await one("SELECT exit_code::text AS x FROM jobs")).toBe("9007199254740993");
    expect(await one("SELECT error || '.' AS x FROM jobs")).toBe(".");
    expect(await one("SELECT finished_at IS NULL AS x FROM jobs")).toBe(true);
    expect(await one("SELECT lines AS x FROM job_log_chunks")).toEqual(Buffer.from([0, 92, 120, 255]));
    expect(await one("SELECT max_removed_percent AS x FROM maintenance")).toBe(33.3);
  });

  it("sends many rows in batches and says how far it is", async () => {
    await withSource((db) =>
      sql`INSERT INTO audit_entries (id, at, actor_kind, actor_name, action, payload)
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50001)
        SELECT 'entry ' || i, i, 'user', 'admin', 'auth.login', '{}' FROM n`.execute(db),
    );
    const moved = await move();
    expect(moved.find(({ name }) => name === "audit_entries")?.rows).toBe(50_002);
    expect(said).toContain("audit_entries: 50000 of 50002 rows");
  });

  it("goes into a database that has the tables already, but no row", async () => {
    await migrate({ db: target, engine: "postgres", migrations: migrations("postgres") });
    expect((await move()).length).toBeGreaterThan(20);
  });
});

describe("a move is refused", () => {
  it("into a database that has a row, which stays as it is", async () => {
    await migrate({ db: target, engine: "postgres", migrations: migrations("postgres") });
    await sql`INSERT INTO server_facts VALUES ('key_check', 'another installation')`.execute(target);
    await expect(move()).rejects.toMatchObject({
      code: "database.not_empty",
      message: expect.stringContaining("server_facts"),
    });
    expect((await sql`SELECT * FROM server_facts`.execute(target)).rows).toHaveLength(1);
  });

  it("into a database that is somebody else's, before anything is made there", async () => {
    await sql`CREATE TABLE invoices AS SELECT 1 AS number`.execute(target);
    await expect(move()).rejects.toMatchObject({ code: "database.not_empty" });
    expect(await rowsInTarget()).toEqual({ invoices: 1 });
  });

  it("while a server has the file open, also one that does nothing", async () => {
    const server = openSqlite(file);
    await sql`SELECT 1 FROM users`.execute(server);
    await expect(move()).rejects.toMatchObject({
      code: "database.in_use",
      message: expect.stringContaining("stop the server"),
    });
    await server.destroy();
    expect((await move()).length).toBeGreaterThan(20);
  });

  it("while another program has the file open", async () => {
    const script = `
      const db = new (require("node:sqlite").DatabaseSync)(process.argv[1]);
      db.prepare("SELECT count(*) FROM users").get();
      console.log("open");
      process.stdin.on("data", () => process.exit(0));`;
    const other = run(process.execPath, ["-e", script, file]);
    await new Promise((resolve) => other.child.stdout?.once("data", resolve));
    await expect(move()).rejects.toMatchObject({ code: "database.in_use" });
    other.child.stdin?.end("go");
    await other;
    expect((await move()).length).toBeGreaterThan(20);
  });

  it("where there is no file, and none is made", async () => {
    const missing = join(folder, "nothing.db");
    await expect(
      moveDatabase({ file: missing, target, migrations, say: () => undefined }),
    ).rejects.toMatchObject({ code: "database.missing" });
    expect(() => readFileSync(missing)).toThrow("ENOENT");
  });

  it.each([
    ["older", "DELETE FROM kysely_migration WHERE name = (SELECT max(name) FROM kysely_migration)"],
    ["newer", "INSERT INTO kysely_migration VALUES ('9999-future', '2030-01-01')"],
  ])("of a file that an %s version wrote, before anything is made in the target", async (age, change) => {
    await withSource((db) => sql.raw(change).execute(db));
    await expect(move()).rejects.toMatchObject({ code: `database.${age}` });
    expect(await rowsInTarget()).toEqual({});
  });

  it("of a file with a table that is not ours", async () => {
    await withSource((db) => sql`CREATE TABLE notes (text TEXT)`.execute(db));
    await expect(move()).rejects.toMatchObject({
      code: "database.unmovable",
      message: expect.stringContaining("notes"),
    });
  });
});

describe("a move that is cut short leaves PostgreSQL empty and can be made again", () => {
  const untouched = async () => {
    expect(Object.values(await rowsInTarget()).every((rows) => rows === 0)).toBe(true);
    said = [];
  };

  /** PostgreSQL does that with each row that comes. */
  const onInsert = async (table: string, does: string) => {
    await sql`CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql
      AS ${sql.lit(`BEGIN ${does} RETURN NEW; END`)}`.execute(target);
    await sql`CREATE TRIGGER meddle BEFORE INSERT ON ${sql.table(table)}
      FOR EACH ROW EXECUTE FUNCTION meddle()`.execute(target);
  };

  it("by a value that PostgreSQL does not take", async () => {
    await withSource((db) => sql`UPDATE jobs SET error = 'a' || char(0) || 'b'`.execute(db));
    await expect(move()).rejects.toMatchObject({
      code: "database.move_failed",
      message: expect.stringContaining("0x00"),
    });
    await untouched();
    await withSource((db) => sql`UPDATE jobs SET error = NULL`.execute(db));
    expect((await move()).length).toBeGreaterThan(20);
  });

  it("by the end of its connection", async () => {
    await migrate({ db: target, engine: "postgres", migrations: migrations("postgres") });
    await onInsert("jobs", "PERFORM pg_terminate_backend(pg_backend_pid());");
    await expect(move()).rejects.toMatchObject({
      code: "database.move_failed",
      message: expect.stringContaining("terminat"),
    });
    expect(said.some((line) => line.startsWith("hosts:"))).toBe(true);
    await untouched();
    await sql`DROP TRIGGER meddle ON jobs`.execute(target);
    expect((await move()).length).toBeGreaterThan(20);
  });

  it("by a row that came out different", async () => {
    await migrate({ db: target, engine: "postgres", migrations: migrations("postgres") });
    await onInsert("snapshots", "NEW.hostname := left(NEW.hostname, 3);");
    await expect(move()).rejects.toMatchObject({
      code: "database.differs",
      message: expect.stringContaining("snapshots"),
    });
    await untouched();
  });
});
