/** A database and its key file belong together, from the first start on and whoever starts first. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { engines, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openSecretBox } from "./key-check.ts";

const place = { row: "r", slot: "s" };

describe.each(engines)("the key of a database on %s", (engine) => {
  let folder: string;
  let database: TestDatabase;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "rm-key-"));
    database = await openTestDatabase(engine);
  });
  afterEach(async () => {
    await database.close();
    rmSync(folder, { recursive: true });
  });

  const open = (name = "secret.key") => openSecretBox(database.db, join(folder, name));

  it("is made at the first start and opens what was sealed at the next", async () => {
    const sealed = (await open()).seal("a password", place);
    expect((await open()).open(sealed, place)).toBe("a password");
  });

  it("is one, also when several replicas with the same file start at once on an empty database", async () => {
    const boxes = await Promise.all(Array.from({ length: 8 }, () => open()));
    const sealed = boxes[0]?.seal("a password", place) ?? "";
    for (const box of boxes) expect(box.open(sealed, place)).toBe("a password");
  });

  it("stops whoever starts at the same time with another one", async () => {
    const started = await Promise.allSettled([open("one.key"), open("two.key")]);
    const [refused, ...more] = started.filter((one) => one.status === "rejected");
    expect(more).toEqual([]);
    // Missing, when the other one was there before it looked.
    expect(refused?.reason).toMatchObject({ code: expect.stringMatching(/^secrets\.key_(wrong|missing)$/) });
  });

  it("is missed when it is gone", async () => {
    await open();
    await expect(open("another.key")).rejects.toMatchObject({ code: "secrets.key_missing" });
  });
});
