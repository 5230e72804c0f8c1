/** Transactions that are shared: everything is committed, only the guilty fail, nobody waits for an ill database twice. */
import { engines, FakeClock, openEmptyDatabase, type TestDatabase } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Db } from "./db.ts";
import { DatabaseAway } from "./failures.ts";
import { GroupCommit } from "./group-commit.ts";

interface Thing {
  id: string;
}

const things = (db: Db) => db.withTables<{ things: Thing }>();

describe.each(engines)("a group commit on %s", (engine) => {
  let database: TestDatabase;
  let commits: GroupCommit;
  beforeEach(async () => {
    database = await openEmptyDatabase(engine);
    await database.db.schema
      .createTable("things")
      .addColumn("id", "text", (c) => c.primaryKey())
      .execute();
    commits = new GroupCommit(database.db, new FakeClock());
  });
  afterEach(() => database.close());

  const add = (id: string) => commits.run((tx) => insert(tx, id));
  const insert = async (tx: Db, id: string) => {
    await things(tx).insertInto("things").values({ id }).execute();
    return id;
  };
  const stored = async () =>
    (await things(database.db).selectFrom("things").select("id").orderBy("id").execute()).map(({ id }) => id);

  it("answers each with its own value, after all of it is stored", async () => {
    const ids = Array.from({ length: 150 }, (_, i) => `thing-${String(i).padStart(3, "0")}`);
    expect(await Promise.all(ids.map(add))).toEqual(ids);
    expect(await stored()).toEqual(ids);
  });

  it("shares one transaction between what waits", async () => {
    let running = 0;
    let transactions = 0;
    const seen = new Set<Db>();
    const work = async (tx: Db) => {
      expect(++running).toBe(1);
      if (!seen.has(tx)) transactions++;
      seen.add(tx);
      await insert(tx, `thing-${seen.size}-${Math.random()}`);
      running--;
    };
    await Promise.all(Array.from({ length: 20 }, () => commits.run(work)));
    expect(transactions).toBe(1);
  });

  it("fails only the one whose work throws, and keeps nothing of it", async () => {
    const broken = commits.run(async (tx) => {
      await insert(tx, "half");
      throw new Error("stopped in the middle");
    });
    const outcomes = await Promise.allSettled([add("before"), broken, add("after")]);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(await stored()).toEqual(["after", "before"]);
  });

  it("fails each one whose work throws, and no other", async () => {
    const broken = (id: string) =>
      commits.run(async (tx) => {
        await insert(tx, id);
        throw new Error("this one is wrong");
      });
    const outcomes = await Promise.allSettled([
      ...[broken("a"), add("before"), broken("b"), add("between"), broken("c"), add("after")],
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual([
      "rejected",
      "fulfilled",
      "rejected",
      "fulfilled",
      "rejected",
      "fulfilled",
    ]);
    expect(await stored()).toEqual(["after", "before", "between"]);
  });

  it("tells everybody when the database stays ill, and works again when it is well", async () => {
    let tried = 0;
    const inVain = () =>
      commits.run(async () => {
        tried++;
        throw new DatabaseAway(new Error("gone"));
      });
    const outcomes = await Promise.allSettled([inVain(), inVain(), inVain(), inVain()]);
    expect(outcomes.map(({ status }) => status)).toEqual(Array(4).fill("rejected"));
    // Each try may have waited for seconds.
    expect(tried).toBe(2);
    await add("five");
    expect(await stored()).toEqual(["five"]);
  });

  it("stays usable after a lone failure", async () => {
    await add("one");
    await expect(add("one")).rejects.toThrow();
    await expect(add("one")).rejects.toThrow();
    expect(await add("two")).toBe("two");
    expect(await stored()).toEqual(["one", "two"]);
  });
});

it("a group commit on postgres that waits for another server's in a circle is made again: nobody fails", async () => {
  const database = await openEmptyDatabase("postgres");
  try {
    await sql`CREATE TABLE rows AS SELECT * FROM (VALUES ('x', 0), ('y', 0)) AS v (id, n)`.execute(
      database.db,
    );
    const touch = (tx: Db, id: string) => sql`UPDATE rows SET n = n + 1 WHERE id = ${id}`.execute(tx);
    const held = { x: Promise.withResolvers<void>(), y: Promise.withResolvers<void>() };
    const both = (first: "x" | "y", second: "x" | "y") =>
      new GroupCommit(database.db, new FakeClock()).run(async (tx) => {
        await touch(tx, first);
        held[first].resolve();
        await held[second].promise;
        await touch(tx, second);
      });
    await Promise.all([both("x", "y"), both("y", "x")]);
    const { rows } = await sql`SELECT id, n FROM rows ORDER BY id`.execute(database.db);
    expect(rows).toEqual([
      { id: "x", n: 2 },
      { id: "y", n: 2 },
    ]);
  } finally {
    await database.close();
  }
});
