/** The JSON routes of credentials: read redacted, edited in part, secrets in no answer, row or log line. */
import {
  buildTestApp,
  FakeClock,
  openTestDatabase,
  type TestDatabase,
  testIdentity,
} from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AppError } from "../../platform/errors.ts";
import { EventBus } from "../../platform/events.ts";
import type { Role } from "../../platform/http/identity.ts";
import type { App } from "../../platform/http/route.ts";
import { createLog } from "../../platform/log.ts";
import { createSecretBox } from "../../platform/secrets.ts";
import { registerRepositoryRoutes } from "./repositories.api.ts";
import { findEverydayAccess, saveEverydayAccess } from "./repositories.ts";

const box = createSecretBox(Buffer.alloc(32, 7));
const access = {
  location: "rest:https://backup.example.org/web-01",
  password: "Encrypts-Everything-1",
  rest_username: "web-01",
  rest_password: "Opens-The-Server-1",
};

let database: TestDatabase;
let app: App;
let role: Role;
let lines: string[];

beforeEach(async () => {
  database = await openTestDatabase("sqlite");
  const { db } = database;
  role = "operator";
  lines = [];
  const log = createLog("trace", { write: (line) => lines.push(line) });
  app = (await buildTestApp({ log, identify: async () => testIdentity(role) })).app;
  const hosts = {
    async nameOf(_db: unknown, hostId: string) {
      if (hostId === "gone") throw new AppError("not_found", "hosts.not_found", "There is no such host.");
      return hostId;
    },
    setRepository: () => Promise.resolve(),
  };
  registerRepositoryRoutes(app, { db, box, clock: new FakeClock(), events: new EventBus(log), hosts });
  for (const id of ["H1", "bare"]) {
    await sql`INSERT INTO hosts (id, name, name_key, os, arch, tags, bearer_hash, created_at)
      VALUES (${id}, ${id}, ${id}, 'linux', 'x64', '[]', ${id}, 1)`.execute(db);
  }
  await saveEverydayAccess(db, box, { hostId: "H1", access, at: Date.UTC(2026, 10, 23) });
});
afterEach(async () => {
  await app.close();
  await database.close();
});

const get = (host = "H1") => app.inject({ url: `/api/hosts/${host}/repo-credentials` });
const put = (payload: object, host = "H1") =>
  app.inject({ method: "PUT", url: `/api/hosts/${host}/repo-credentials`, payload });

describe("a host's credentials", () => {
  it("are read without their secrets, by viewers too", async () => {
    role = "viewer";
    expect((await get()).json()).toEqual({
      repo_url: access.location,
      repo_username: "web-01",
      repo_password_set: true,
      rest_password_set: true,
      version: 1,
      updated_at: "2026-11-23T00:00:00.000Z",
    });
  });

  it("are changed in part, and the rest is kept", async () => {
    const answer = await put({ rest_password: "Another-One-2" });
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toMatchObject({ version: 2, repo_username: "web-01" });
    const stored = await findEverydayAccess(database.db, box, "H1");
    expect(stored?.access).toEqual({ ...access, rest_password: "Another-One-2" });
  });

  it("are changed by operators only", async () => {
    role = "viewer";
    expect((await put({ repo_username: "x" })).statusCode).toBe(403);
    expect((await get()).json()).toMatchObject({ version: 1 });
  });

  it.each([
    [{ repo_url: "backup.example.org/x" }, "repositories.location_invalid"],
    [{ repo_password: "" }, "repositories.credentials_invalid"],
    [{ repo_passwort: "x" }, "request.invalid"],
    [{ rest_password: 7 }, "request.invalid"],
  ])("refuse %j", async (payload, code) => {
    const answer = await put(payload);
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code });
  });

  it("are not found where there are none", async () => {
    expect((await get("gone")).json()).toMatchObject({ code: "hosts.not_found" });
    expect((await put({ repo_password: "x" }, "gone")).json()).toMatchObject({ code: "hosts.not_found" });
    expect((await get("bare")).json()).toMatchObject({ code: "repositories.no_credentials" });
  });

  it("leave no secret in an answer, a table or the log", async () => {
    const secrets = [
      "Encrypts-Everything-1",
      "Opens-The-Server-1",
      "New-Secret-1",
      "New-Secret-2",
      "In-The-Url-1",
    ];
    const answers = [
      await get(),
      await put({ repo_password: "New-Secret-1", rest_password: "New-Secret-2" }),
      await put({ repo_url: "rest:https://me:In-The-Url-1@b.example.org/x", repo_username: "me" }),
      await put({ repo_url: "rest:https//me:In-The-Url-1@b.example.org/x" }),
      await put({ repo_password: "New-Secret-1\n" }),
      await get(),
    ];
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200, 400, 400, 200]);
    const tables = await database.db.introspection.getTables();
    const rows = tables.map(
      async ({ name }) => (await sql`SELECT * FROM ${sql.table(name)}`.execute(database.db)).rows,
    );
    const seen = JSON.stringify([answers.map(({ body }) => body), await Promise.all(rows), lines]);
    expect(seen).toContain("b.example.org");
    for (const secret of secrets) expect(seen).not.toContain(secret);
  });
});
