/** What every store relies on, on both engines: transactions, unique violations, types as they come back. */
import { engines, openEmptyDatabase, type TestDatabase } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { bytes } from "../../../migrations/columns.ts";
import { type Db, inTransaction, isUniqueViolation } from "./db.ts";

interface Thing {
  id: string;
  name: string;
  size: number | null;
  body: Uint8Array | null;
}

const things = (db: Db) => db.withTables<{ things: Thing }>();
const empty = { size: null, body: null };

describe.each(engines)("a database on %s", (engine) => {
  let database: TestDatabase;
  let db: Db;
  beforeEach(async () => {
    database = await openEmptyDatabase(engine);
    db = database.db;
    await db.schema
      .createTable("things")
      .addColumn("id", "text", (c) => c.primaryKey())
      .addColumn("name", "text", (c) => c.notNull().unique())
      .addColumn("size", "bigint")
      .addColumn("body", bytes(engine))
      .execute();
    await db.schema
      .createTable("parts")
      .addColumn("thing_id", "text", (c) => c.notNull().references("things.id").onDelete("cascade"))
      .execute();
  });
  afterEach(() => database.close());

  const insert = (to: Db, id: string, name = id) =>
    things(to)
      .insertInto("things")
      .values({ id, name, ...empty })
      .execute();
  const names = async () => {
    const rows = await things(db).selectFrom("things").select("name").orderBy("name").execute();
    return rows.map((row) => row.name);
  };

  it("commits all of a transaction", async () => {
    const answer = await inTransaction(db, async (tx) => {
      await insert(tx, "a");
      await insert(tx, "b");
      return "done";
    });
    expect([answer, await names()]).toEqual(["done", ["a", "b"]]);
  });

  it("undoes all of a transaction that throws, and goes on", async () => {
    const failed = inTransaction(db, async (tx) => {
      await insert(tx, "a");
      throw new Error("undone");
    });
    await expect(failed).rejects.toThrow("undone");
    await insert(db, "b");
    expect(await names()).toEqual(["b"]);
  });

  it("keeps transactions that run at once apart", async () => {
    const all = Array.from({ length: 20 }, (_, i) =>
      inTransaction(db, async (tx) => {
        await insert(tx, `${i} first`);
        if (i % 2 === 1) throw new Error("undone");
        await insert(tx, `${i} second`);
      }),
    );
    const results = await Promise.allSettled(all);
    expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(10);
    expect(await names()).toHaveLength(20);
    expect((await names()).filter((name) => name.endsWith("first"))).toHaveLength(10);
  });

  it.each([
    { name: "a primary key", id: "a", thing: "other" },
    { name: "a unique column", id: "other", thing: "a" },
  ])("says that $name is taken, and nothing else is called so", async ({ id, thing }) => {
    await insert(db, "a");
    expect(await insert(db, id, thing).catch(isUniqueViolation)).toBe(true);
    const missing = sql`INSERT INTO parts (thing_id) VALUES ('nowhere')`.execute(db);
    expect(await missing.then(() => "inserted", isUniqueViolation)).toBe(false);
    const empty = sql`INSERT INTO things (id) VALUES ('b')`.execute(db);
    expect(await empty.then(() => "inserted", isUniqueViolation)).toBe(false);
    expect(isUniqueViolation("23505")).toBe(false);
  });

  it("removes what belongs to a removed row", async () => {
    await insert(db, "a");
    await sql`INSERT INTO parts (thing_id) VALUES ('a')`.execute(db);
    await things(db).deleteFrom("things").execute();
    expect((await sql`SELECT * FROM parts`.execute(db)).rows).toEqual([]);
  });

  it("gives numbers, texts and bytes back as they went in", async () => {
    const name = "a'b\"c\n\u{1f511} ü";
    const body = Uint8Array.from([0, 1, 254, 255]);
    await things(db)
      .insertInto("things")
      .values([
        { id: "1", name, size: Number.MAX_SAFE_INTEGER, body },
        { id: "2", name: "empty", ...empty },
      ])
      .execute();
    const [full, nothing] = await things(db).selectFrom("things").selectAll().orderBy("id").execute();
    expect(full).toMatchObject({ name, size: Number.MAX_SAFE_INTEGER });
    expect(Uint8Array.from(full?.body ?? [])).toEqual(body);
    expect(nothing).toEqual({ id: "2", name: "empty", ...empty });
  });

  it("counts and sums as numbers", async () => {
    await things(db)
      .insertInto("things")
      .values([
        { id: "1", name: "a", size: 2, body: null },
        { id: "2", name: "b", size: 3, body: null },
      ])
      .execute();
    const { count, max } = await things(db)
      .selectFrom("things")
      .select((select) => [select.fn.countAll<number>().as("count"), select.fn.max("size").as("max")])
      .executeTakeFirstOrThrow();
    expect([count, max]).toEqual([2, 3]);
  });

  it("tells how many rows a change met, and gives rows back from a change", async () => {
    await insert(db, "a");
    await insert(db, "b");
    const updated = await things(db).updateTable("things").set({ size: 1 }).executeTakeFirst();
    expect(updated.numUpdatedRows).toBe(2n);
    const removed = await things(db).deleteFrom("things").where("id", "=", "a").returning("name").execute();
    expect(removed).toEqual([{ name: "a" }]);
    const none = await things(db).deleteFrom("things").where("id", "=", "a").executeTakeFirst();
    expect(none.numDeletedRows).toBe(0n);
  });
});
