/** Repositories and sealed credentials on both engines: identity, versions, edits, races, nothing readable at rest. */
import type { RepositoryAccess } from "@restic-manager/protocol";
import { engines, FakeClock, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import { EventBus } from "../../platform/events.ts";
import { systemActor } from "../../platform/http/identity.ts";
import { createLog } from "../../platform/log.ts";
import { createSecretBox } from "../../platform/secrets.ts";
import {
  type CredentialsEdit,
  credentialsChanged,
  editCredentials,
  ensureRepository,
  findEverydayAccess,
  redactedCredentials,
  saveEverydayAccess,
} from "./repositories.ts";

const clock = new FakeClock();
const box = createSecretBox(Buffer.alloc(32, 7));
const access: RepositoryAccess = {
  location: "rest:https://backup.example.org/web-01",
  password: "Encrypts-Everything-1",
  rest_username: "web-01",
  rest_password: "Opens-The-Server-1",
};

/** A row is all that this slice needs of a host. */
async function insertHost(db: Db, id: string): Promise<void> {
  await sql`INSERT INTO hosts (id, name, name_key, os, arch, tags, bearer_hash, created_at)
    VALUES (${id}, ${id}, ${id}, 'linux', 'x64', '[]', ${id}, 1)`.execute(db);
}

async function nameOf(db: Db, hostId: string): Promise<string> {
  const { rows } = await sql<{ name: string }>`SELECT name FROM hosts WHERE id = ${hostId}`.execute(db);
  if (!rows[0]) throw new AppError("not_found", "hosts.not_found", "There is no such host.");
  return rows[0].name;
}

async function setRepository(tx: Db, hostId: string, repositoryId: string): Promise<void> {
  await sql`UPDATE hosts SET repository_id = ${repositoryId} WHERE id = ${hostId}`.execute(tx);
}

describe.each(engines)("repositories on %s", (engine) => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await openTestDatabase(engine);
    await insertHost(database.db, "H1");
  });
  afterEach(() => database.close());

  const open = () => {
    const { db } = database;
    const events = new EventBus(createLog("silent"));
    const changed: string[] = [];
    events.on(credentialsChanged, ({ hostId }) => changed.push(hostId));
    const deps = { db, box, clock, events, hosts: { nameOf, setRepository } };
    const edit = (fields: Omit<CredentialsEdit, "hostId" | "actor">) =>
      editCredentials(deps, { hostId: "H1", actor: systemActor, ...fields });
    return { db, changed, edit };
  };

  const auditRows = async () => {
    const { rows } = await sql<{ action: string; payload: string; target_name: string }>`
      SELECT action, payload, target_name FROM audit_entries ORDER BY id`.execute(database.db);
    return rows;
  };

  it("are one for one location, also when two enrolments race", async () => {
    const { db } = database;
    const make = () => inTransaction(db, (tx) => ensureRepository(tx, "/srv/restic", clock.now()));
    const [first, ...others] = await Promise.all([make(), make(), make()]);
    expect(first).toMatchObject({ location: "/srv/restic" });
    for (const other of others) expect(other).toEqual(first);
    expect((await ensureRepository(db, "/srv/other", clock.now())).id).not.toBe(first?.id);
  });

  it("give an access back as it was saved, with a version that grows", async () => {
    const { db } = database;
    expect(await findEverydayAccess(db, box, "H1")).toBeNull();
    expect(await redactedCredentials(db, box, "H1")).toBeNull();
    await saveEverydayAccess(db, box, { hostId: "H1", access, at: 5 });
    expect(await findEverydayAccess(db, box, "H1")).toEqual({ version: 1, access, updatedAt: 5 });
    await saveEverydayAccess(db, box, {
      hostId: "H1",
      access: { ...access, password: "new" },
      at: 6,
      replaces: 1,
    });
    expect(await findEverydayAccess(db, box, "H1")).toMatchObject({
      version: 2,
      access: { password: "new" },
    });
  });

  it("never write over a version that the writer has not read", async () => {
    const { db } = database;
    await saveEverydayAccess(db, box, { hostId: "H1", access, at: 5 });
    const other = { hostId: "H1", access: { ...access, password: "new" }, at: 6 };
    for (const late of [other, { ...other, replaces: 0 }]) {
      await expect(saveEverydayAccess(db, box, late)).rejects.toMatchObject({
        code: "repositories.edit_conflict",
      });
    }
    expect(await findEverydayAccess(db, box, "H1")).toEqual({ version: 1, access, updatedAt: 5 });
  });

  it("hold nothing readable at rest, and nothing that opens for another host or key", async () => {
    const { db } = database;
    await saveEverydayAccess(db, box, { hostId: "H1", access, at: 5 });
    const { rows } = await sql<{ sealed: string }>`SELECT * FROM repository_credentials`.execute(db);
    for (const secret of [access.password, "Opens-The-Server-1", "web-01"]) {
      expect(JSON.stringify(rows)).not.toContain(secret);
    }
    await insertHost(db, "H2");
    await sql`UPDATE repository_credentials SET host_id = 'H2'`.execute(db);
    await expect(findEverydayAccess(db, box, "H2")).rejects.toMatchObject({ code: "secrets.unreadable" });
    await sql`UPDATE repository_credentials SET host_id = 'H1'`.execute(db);
    const otherKey = createSecretBox(Buffer.alloc(32, 8));
    await expect(findEverydayAccess(db, otherKey, "H1")).rejects.toMatchObject({
      code: "secrets.unreadable",
    });
  });

  it("show where and whether, never what", async () => {
    const { db } = database;
    await saveEverydayAccess(db, box, { hostId: "H1", access, at: 5 });
    expect(await redactedCredentials(db, box, "H1")).toEqual({
      location: access.location,
      restUsername: "web-01",
      passwordSet: true,
      restPasswordSet: true,
      version: 1,
      updatedAt: 5,
      ...{ kind: "rest", environment: {}, secretsSet: [], caCertificate: null, options: {} },
    });
  });

  describe("when edited", () => {
    beforeEach(() => saveEverydayAccess(database.db, box, { hostId: "H1", access, at: 5 }));

    it("keep what is absent, and name the changed fields in the audit only", async () => {
      const { db, changed, edit } = open();
      expect(await edit({ password: "Another-Password-2" })).toMatchObject({
        version: 2,
        updatedAt: clock.now(),
      });
      expect((await findEverydayAccess(db, box, "H1"))?.access).toEqual({
        ...access,
        password: "Another-Password-2",
      });
      expect(changed).toEqual(["H1"]);
      const rows = await auditRows();
      expect(rows).toMatchObject([{ action: "repository.credentials_edit", target_name: "H1" }]);
      expect(JSON.parse(rows[0]?.payload ?? "")).toEqual({ fields: ["repo_password"] });
    });

    it("do nothing when nothing differs", async () => {
      const { changed, edit } = open();
      const same = { location: `${access.location}/`, password: access.password, restUsername: "web-01" };
      expect(await edit(same)).toMatchObject({ version: 1 });
      expect(await auditRows()).toEqual([]);
      expect(changed).toEqual([]);
    });

    it("clear the user and with it the user's password", async () => {
      const { db, edit } = open();
      await edit({ restUsername: "" });
      expect((await findEverydayAccess(db, box, "H1"))?.access).toEqual({
        ...access,
        rest_username: null,
        rest_password: null,
      });
    });

    it("move the host to another repository and leave behind what belonged to the rest-server", async () => {
      const { db, edit } = open();
      await edit({ location: "/srv/restic/" });
      expect((await findEverydayAccess(db, box, "H1"))?.access).toEqual({
        location: "/srv/restic",
        password: access.password,
        rest_username: null,
        rest_password: null,
      });
      const { rows } =
        await sql`SELECT r.location FROM hosts h JOIN repositories r ON r.id = h.repository_id`.execute(db);
      expect(rows).toEqual([{ location: "/srv/restic" }]);
    });

    it("take the credentials out of a URL", async () => {
      const { db, edit } = open();
      const shown = await edit({ location: "rest:https://me:Typed-In-The-Url@b.example.org/x" });
      expect(shown).toMatchObject({ location: "rest:https://b.example.org/x", restUsername: "me" });
      expect((await findEverydayAccess(db, box, "H1"))?.access.rest_password).toBe("Typed-In-The-Url");
      expect(JSON.stringify(await auditRows())).not.toContain("Typed-In-The-Url");
    });

    it.each<[Partial<CredentialsEdit>, string, string]>([
      [{ location: "backup.example.org/x" }, "repositories.location_invalid", "repo_url"],
      [{ location: "" }, "repositories.location_invalid", "repo_url"],
      [{ password: "" }, "repositories.credentials_invalid", "repo_password"],
      [{ password: "a\u0000b" }, "repositories.credentials_invalid", "repo_password"],
      [{ restPassword: "x".repeat(1025) }, "repositories.credentials_invalid", "rest_password"],
      [{ location: "/srv/x", restUsername: "me" }, "repositories.credentials_invalid", "repo_username"],
    ])("refuse %o and change nothing", async (fields, code, path) => {
      const { db, changed, edit } = open();
      await expect(edit(fields)).rejects.toMatchObject({ kind: "invalid", code, details: [{ path }] });
      expect(await findEverydayAccess(db, box, "H1")).toEqual({ version: 1, access, updatedAt: 5 });
      expect(changed).toEqual([]);
    });

    it("lose no edit when two race: the later one wins whole or is told to look again", async () => {
      const { db, edit } = open();
      const outcomes = await Promise.allSettled([
        edit({ password: "first" }),
        edit({ restPassword: "second" }),
      ]);
      const stored = (await findEverydayAccess(db, box, "H1"))?.access;
      const refused = outcomes.filter((outcome) => outcome.status === "rejected");
      for (const { reason } of refused) expect(reason).toMatchObject({ code: "repositories.edit_conflict" });
      const kept = [stored?.password === "first", stored?.rest_password === "second"];
      expect(kept).toEqual(outcomes.map((outcome) => outcome.status === "fulfilled"));
    });
  });

  it("are given to a host that never had any only as a whole", async () => {
    const { edit } = open();
    await expect(edit({ password: "p" })).rejects.toMatchObject({ details: [{ path: "repo_url" }] });
    await expect(edit({ location: "/srv/x" })).rejects.toMatchObject({
      details: [{ path: "repo_password" }],
    });
    expect(await edit({ location: "/srv/x", password: "p" })).toMatchObject({
      version: 1,
      location: "/srv/x",
    });
  });

  it("know no host that does not exist", async () => {
    const { db } = database;
    const deps = {
      db,
      box,
      clock,
      events: new EventBus(createLog("silent")),
      hosts: { nameOf, setRepository },
    };
    const edit = editCredentials(deps, { hostId: "gone", actor: systemActor, password: "p" });
    await expect(edit).rejects.toMatchObject({ code: "hosts.not_found" });
  });
});
