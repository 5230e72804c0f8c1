/** The JSON routes of credentials: read redacted, edited in part, secrets in no answer, row or log line. */
import { readFileSync } from "node:fs";
import type { RepositoryAccess, RepositoryTested } from "@restic-manager/protocol";
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
let asked: { hostId: string; tried: RepositoryAccess }[];
let answerTest: () => RepositoryTested;

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
  asked = [];
  registerRepositoryRoutes(app, {
    ...{ db, box, clock: new FakeClock(), events: new EventBus(log), hosts },
    testRepository: async (hostId, tried) => {
      asked.push({ hostId, tried });
      return answerTest();
    },
  });
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

const authority = readFileSync(
  new URL("../../../../agent/fixtures/tls/authority.pem", import.meta.url),
  "utf8",
);
const s3 = {
  repo_url: "s3:https://s3.example.org/backups/web-01",
  environment: { AWS_ACCESS_KEY_ID: "the-key-id", AWS_SECRET_ACCESS_KEY: "The-Secret-Key-1" },
};

describe("a host's credentials", () => {
  it("are read without their secrets, by viewers too", async () => {
    role = "viewer";
    expect((await get()).json()).toEqual({
      repo_url: access.location,
      repo_username: "web-01",
      repo_password_set: true,
      rest_password_set: true,
      ...{ kind: "rest", environment: {}, secrets_set: [], ca_certificates: [], options: {} },
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

describe("the settings of a storage", () => {
  const stored = async () => (await findEverydayAccess(database.db, box, "H1"))?.access;

  it("come with its kind, and the answer names secrets without showing them", async () => {
    const answer = await put({ ...s3, ca_certificate: `text\n${authority}`, options: { "s3.retries": "3" } });
    expect(answer.statusCode, answer.body).toBe(200);
    expect(answer.json()).toMatchObject({
      ...{ kind: "s3", repo_username: null, rest_password_set: false },
      environment: { AWS_ACCESS_KEY_ID: "the-key-id" },
      secrets_set: ["AWS_SECRET_ACCESS_KEY"],
      ca_certificates: [{ subject: "CN=restic-manager test authority" }],
      options: { "s3.retries": "3" },
    });
    expect(answer.json().ca_certificates[0].fingerprint).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    expect(answer.body).not.toContain("The-Secret-Key-1");
    expect(await stored()).toEqual({
      ...{ location: s3.repo_url, password: access.password, rest_username: null, rest_password: null },
      ...{ environment: s3.environment, ca_certificate: authority, options: { "s3.retries": "3" } },
    });
  });

  it("are kept where they are absent, and removed where they are empty", async () => {
    await put({ ...s3, ca_certificate: authority, options: { "s3.retries": "3" } });
    await put({ environment: { AWS_DEFAULT_REGION: " eu-west-1 " }, options: { "s3.connections": "9" } });
    expect(await stored()).toMatchObject({
      environment: { ...s3.environment, AWS_DEFAULT_REGION: "eu-west-1" },
      ca_certificate: authority,
      options: { "s3.retries": "3", "s3.connections": "9" },
    });
    await put({ ca_certificate: "", options: { "s3.retries": "", "s3.connections": "" } });
    const left = await stored();
    expect(left?.environment).toEqual({ ...s3.environment, AWS_DEFAULT_REGION: "eu-west-1" });
    expect([left?.ca_certificate, left?.options]).toEqual([undefined, undefined]);
  });

  it("are dropped with their kind", async () => {
    await put({ ...s3, ca_certificate: authority });
    expect((await put({ repo_url: "b2:bucket" })).json()).toMatchObject({
      details: [
        { path: "environment.B2_ACCOUNT_ID", message: "The key id is needed." },
        { path: "environment.B2_ACCOUNT_KEY" },
      ],
    });
    await put({ repo_url: "/srv/restic" });
    expect(await stored()).toEqual({
      ...{ location: "/srv/restic", password: access.password, rest_username: null, rest_password: null },
    });
  });

  it("are named in the audit trail, never told", async () => {
    await put({ ...s3, options: { "s3.retries": "3" } });
    const { rows } = await sql<{ payload: string }>`SELECT payload FROM audit_entries`.execute(database.db);
    expect(rows.at(-1)?.payload).toContain("environment.AWS_SECRET_ACCESS_KEY");
    expect(rows.at(-1)?.payload).toContain("options.s3.retries");
    expect(JSON.stringify([rows, lines])).not.toContain("The-Secret-Key-1");
  });

  it.each([
    [{ environment: { AWS_ACCESS_KEY_ID: "x" } }, "environment.AWS_ACCESS_KEY_ID"],
    [{ ...s3, environment: { AWS_ACCESS_KEY_ID: "x" } }, "environment.AWS_SECRET_ACCESS_KEY"],
    [{ ...s3, environment: { ...s3.environment, LD_PRELOAD: "/x.so" } }, "environment.LD_PRELOAD"],
    [{ ...s3, options: { "s3.connections": "many" } }, "options.s3.connections"],
    [{ repo_url: "sftp:u@h:/x", options: { "sftp.command": "sh" } }, "options.sftp.command"],
    [{ ...s3, ca_certificate: "nonsense" }, "ca_certificate"],
    [{ ...s3, ca_certificate: authority.replace(/[A-Z]{4}/g, "AAAA") }, "ca_certificate"],
    [
      { ...s3, ca_certificate: "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----" },
      "ca_certificate",
    ],
  ])("refuse %j at the field", async (payload, path) => {
    const answer = await put(payload);
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({
      ...{ code: "repositories.credentials_invalid", details: expect.arrayContaining([]) },
    });
    expect(answer.json().details.map((problem: { path: string }) => problem.path)).toContain(path);
    expect(await stored()).toEqual(access);
  });
});

describe("a test of the connection", () => {
  const test = (payload: object, path = "test") =>
    app.inject({ method: "POST", url: `/api/hosts/H1/repo-credentials/${path}`, payload });
  const tested = { type: "repository.tested", request_id: "R1", duration_ms: 7 } as const;
  beforeEach(() => {
    answerTest = () => ({ ...tested, outcome: "ok", error: null });
  });

  it("tries what is typed together with what is stored, and saves nothing", async () => {
    const answer = await test({ rest_password: "Typed-Only-1" });
    expect(answer.json()).toMatchObject({ outcome: "ok", code: null, duration_ms: 7 });
    expect(asked).toEqual([{ hostId: "H1", tried: { ...access, rest_password: "Typed-Only-1" } }]);
    expect((await get()).json()).toMatchObject({ version: 1 });
    expect(answer.body + JSON.stringify(lines)).not.toContain("Typed-Only-1");
  });

  it("of the admin slot begins with the everyday place, and with nobody who signs in", async () => {
    await put(s3);
    const keys = { AWS_ACCESS_KEY_ID: "admin-id", AWS_SECRET_ACCESS_KEY: "admin-key" };
    expect((await test({ environment: keys }, "admin/test")).statusCode).toBe(200);
    expect(asked[0]?.tried).toMatchObject({ location: s3.repo_url, environment: keys });
    expect((await test({}, "admin/test")).statusCode).toBe(200);
    expect(asked[1]?.tried.environment).toBeUndefined();
  });

  it("says what an absent repository and a failure mean", async () => {
    answerTest = () => ({ ...tested, outcome: "absent", error: null });
    expect((await test({})).json().message).toContain("no repository at this place yet");
    const error = { code: "restic.unauthorised", message: "Wrong key.", last_lines: ["Fatal: denied"] };
    answerTest = () => ({ ...tested, outcome: "failed", error });
    expect((await test({})).json()).toMatchObject({
      ...{ outcome: "failed", code: "restic.unauthorised", message: "Wrong key." },
      last_lines: ["Fatal: denied"],
    });
  });

  it("asks no host for what can't be right, and says at once that a host is away", async () => {
    expect((await test({ repo_url: "nonsense" })).json()).toMatchObject({
      code: "repositories.location_invalid",
    });
    expect(asked).toEqual([]);
    answerTest = () => {
      throw new AppError("conflict", "hosts.offline", "The host is offline.");
    };
    expect((await test({})).json()).toMatchObject({ code: "hosts.offline" });
    role = "viewer";
    expect((await test({})).statusCode).toBe(403);
  });
});
