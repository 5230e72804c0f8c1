import { engines, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { systemActor } from "../../platform/http/identity.ts";
import { type AuditFilter, listAudit, listAuditChoices, type NewAuditEntry, recordAudit } from "./audit.ts";

const ada = { kind: "user" as const, id: "U1", name: "ada" };
const web = { kind: "host", id: "H1", name: "web-01" };

describe.each(engines)("the audit trail on %s", (engine) => {
  let database: TestDatabase;
  let db: Db;
  beforeEach(async () => {
    database = await openTestDatabase(engine);
    db = database.db;
  });
  afterEach(() => database.close());

  const record = (entry: Partial<NewAuditEntry> = {}) =>
    recordAudit(db, { at: 1_000, actor: systemActor, action: "host.create", ...entry });
  const found = async (filter: AuditFilter) =>
    (await listAudit({ db }, filter)).entries.map((entry) => entry.at);

  it("gives back what was recorded, in order of time, newest first", async () => {
    await record({ at: 1, payload: { tags: ["a", "b"], count: 2, enabled: false, none: null } });
    await record({ at: 2, actor: ada, action: "host.delete", target: web });
    expect((await listAudit({ db }, {})).entries).toEqual([
      { id: expect.any(String), at: 2, actor: ada, action: "host.delete", target: web, payload: {} },
      {
        id: expect.any(String),
        at: 1,
        actor: systemActor,
        action: "host.create",
        target: null,
        payload: { tags: ["a", "b"], count: 2, enabled: false, none: null },
      },
    ]);
  });

  it("forgets an entry whose change was undone", async () => {
    const failed = inTransaction(db, async (tx) => {
      await recordAudit(tx, { at: 1, actor: ada, action: "host.delete", target: web });
      throw new Error("undone");
    });
    await expect(failed).rejects.toThrow("undone");
    expect(await found({})).toEqual([]);
  });

  it("is read page by page without a gap or a double, even within one millisecond and while it grows", async () => {
    for (const at of [1, 2, 2, 2, 2, 3, 4]) await record({ at });
    const whole = (await listAudit({ db }, {})).entries.map((entry) => entry.id);
    const ids: string[] = [];
    let next: string | null | undefined;
    while (next !== null) {
      const page = await listAudit({ db }, { limit: 2, ...(next ? { before: next } : {}) });
      ids.push(...page.entries.map((entry) => entry.id));
      next = page.next;
      await record({ at: 100 + ids.length });
    }
    expect(ids).toEqual(whole);
  });

  it("has no further page when the last one is just full", async () => {
    await record();
    await record();
    expect((await listAudit({ db }, { limit: 2 })).next).toBeNull();
  });

  it.each(["", "x", "1-", "1-abc", "1-01ARZ3NDEKTSV4RRFFQ69G5FAV'", "-1-01ARZ3NDEKTSV4RRFFQ69G5FAV"])(
    "has no page at %j",
    async (before) => {
      await expect(listAudit({ db }, { before })).rejects.toMatchObject({ code: "audit.cursor_invalid" });
    },
  );

  describe("is filtered", () => {
    beforeEach(async () => {
      await record({ at: 1, actor: ada, action: "host.create", target: web });
      await record({
        at: 2,
        actor: ada,
        action: "host.delete",
        target: { kind: "host", id: "H2", name: "DB_100%" },
      });
      await record({ at: 3, action: "host.delete" });
    });

    it.each<{ name: string; filter: AuditFilter; expected: number[] }>([
      { name: "by nothing", filter: {}, expected: [3, 2, 1] },
      { name: "by user", filter: { user: "ada" }, expected: [2, 1] },
      { name: "by a part of a user's name, which is none", filter: { user: "ad" }, expected: [] },
      { name: "by action", filter: { action: "host.delete" }, expected: [3, 2] },
      { name: "by a target's id", filter: { target: "H1" }, expected: [1] },
      { name: "by a part of its name in another case", filter: { target: "WEB" }, expected: [1] },
      { name: "by a percent sign, which stands for itself", filter: { target: "0%" }, expected: [2] },
      { name: "by an underscore, which stands for itself", filter: { target: "_" }, expected: [2] },
      { name: "by the escape itself", filter: { target: "!" }, expected: [] },
      { name: "from, inclusive", filter: { from: 2 }, expected: [3, 2] },
      { name: "to, exclusive", filter: { to: 2 }, expected: [1] },
      {
        name: "by all at once",
        filter: { user: "ada", action: "host.delete", from: 1, to: 3 },
        expected: [2],
      },
    ])("$name", async ({ filter, expected }) => {
      expect(await found(filter)).toEqual(expected);
    });

    it("and the choices are what occurs, once and in order", async () => {
      expect(await listAuditChoices({ db })).toEqual({
        users: ["ada", "system"],
        actions: ["host.create", "host.delete"],
      });
    });
  });
});
