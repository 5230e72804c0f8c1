/** The JSON routes of enrolment as a client and an agent see them, and everything that must not be seen. */
import {
  buildTestApp,
  FakeClock,
  openTestDatabase,
  type TestDatabase,
  testIdentity,
} from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EventBus } from "../../platform/events.ts";
import type { Role } from "../../platform/http/identity.ts";
import type { App } from "../../platform/http/route.ts";
import { createLog } from "../../platform/log.ts";
import { createSecretBox } from "../../platform/secrets.ts";
import { findEverydayAccess } from "../repositories/repositories.ts";
import { enrolmentsPerMinute, registerEnrolmentRoutes } from "./enrolment.api.ts";
import { tokenLifetimeMs } from "./enrolment.ts";

const repoPassword = "Encrypts-Everything-1";
const restPassword = "Opens-The-Server-1";

let database: TestDatabase;
let app: App;
let clock: FakeClock;
let role: Role | null;
let lines: string[];

beforeEach(async () => {
  database = await openTestDatabase("sqlite");
  clock = new FakeClock();
  role = "operator";
  lines = [];
  const log = createLog("trace", { write: (line) => lines.push(line) });
  app = (await buildTestApp({ log, identify: async () => (role ? testIdentity(role) : null) })).app;
  registerEnrolmentRoutes(app, {
    db: database.db,
    box: createSecretBox(Buffer.alloc(32, 7)),
    clock,
    events: new EventBus(log),
    onEnrolled: () => Promise.resolve(),
    certPin: null,
  });
});
afterEach(async () => {
  await app.close();
  await database.close();
});

const post = (url: string, payload: object) => app.inject({ method: "POST", url, payload });
const wanted = { hostname: "web-01", repo_url: "/srv/restic", repo_password: repoPassword };
const create = (more: object = {}) => post("/api/enrollment-tokens", { ...wanted, ...more });
const agent = { hostname: "ip-10-0-0-7", os: "linux", arch: "x64", agent_version: "0.1.0" };
const enroll = (token: string, more: object = {}) => post("/api/agents/enroll", { ...agent, token, ...more });

async function createdToken(more: object = {}): Promise<{ id: string; token: string }> {
  return (await create(more)).json();
}

describe("making a token", () => {
  it("answers with the token and its hour, and with no password that was given", async () => {
    const answer = await create();
    expect(answer.statusCode).toBe(201);
    expect(answer.headers["cache-control"]).toBe("no-store");
    expect(answer.json()).toEqual({
      id: expect.stringMatching(/^[0-9A-Z]{26}$/),
      token: expect.stringMatching(/^[\w-]{43}$/),
      expires_at: new Date(clock.now() + tokenLifetimeMs).toISOString(),
    });
  });

  it("takes a storage's variables and options, which the host then has, and shows no secret", async () => {
    const environment = { AWS_ACCESS_KEY_ID: "key-id", AWS_SECRET_ACCESS_KEY: "The-Secret-Key-1" };
    const s3 = { repo_url: "s3:s3.example.org/backups", environment, options: { "s3.retries": "3" } };
    const answer = await create(s3);
    expect(answer.statusCode, answer.body).toBe(201);
    const { host_id } = (await enroll(answer.json().token)).json();
    const stored = await findEverydayAccess(database.db, createSecretBox(Buffer.alloc(32, 7)), host_id);
    expect(stored?.access).toMatchObject({ location: s3.repo_url, environment, options: s3.options });
    expect(answer.body + JSON.stringify(lines)).not.toContain("The-Secret-Key-1");
  });

  it("names what is wrong with them beside what is wrong with the rest", async () => {
    const answer = await create({
      ...{ hostname: "web 01", repo_url: "b2:bucket", environment: { LD_PRELOAD: "/x.so" } },
      ca_certificate: "nonsense",
    });
    expect(answer.statusCode).toBe(400);
    const paths = answer.json().details.map(({ path }: { path: string }) => path);
    expect(paths).toEqual([
      ...["hostname", "ca_certificate", "environment.LD_PRELOAD"],
      ...["environment.B2_ACCOUNT_ID", "environment.B2_ACCOUNT_KEY"],
    ]);
  });

  it("mints the repository's password when it is left out", async () => {
    const answer = await create({ repo_password: undefined });
    expect(answer.json()).toMatchObject({ repo_password: expect.stringMatching(/^[A-Za-z2-9]{24}$/) });
    const other = await create({ repo_password: undefined, hostname: "db-01" });
    expect(other.json().repo_password).not.toBe(answer.json().repo_password);
  });

  it.each([
    [
      "a URL without scheme",
      { repo_url: "backup.example.org/x" },
      "repositories.location_invalid",
      "repo_url",
    ],
    ["a relative repository", { repo_url: "srv/restic" }, "repositories.location_invalid", "repo_url"],
    ["an empty password", { repo_password: "" }, "repositories.credentials_invalid", "repo_password"],
    ["a user for a local path", { repo_username: "me" }, "repositories.credentials_invalid", "repo_username"],
    ["a relative include path", { initial_paths: ["/ok", "etc"] }, "sources.path_relative", "initial_paths"],
    ["a tag with a blank", { tags: ["two words"] }, "hosts.tag_invalid", "tags"],
    ["a host name with a blank", { hostname: "web 01" }, "hosts.name_invalid", "hostname"],
    ["no host name", { hostname: "" }, "hosts.name_invalid", "hostname"],
  ])("refuses %s by its field", async (_what, wrong, code, path) => {
    const answer = await create(wrong);
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code, details: [{ path }] });
    const { rows } = await sql`SELECT id FROM enrolment_tokens`.execute(database.db);
    expect(rows).toEqual([]);
  });

  it("names every wrong field at once", async () => {
    const answer = await create({ hostname: "-", tags: ["?"], repo_url: "x", initial_paths: ["x"] });
    const { details } = answer.json<{ details: { path: string }[] }>();
    expect(details.map(({ path }) => path)).toEqual(["hostname", "tags", "initial_paths", "repo_url"]);
  });

  it("refuses fields that it does not know, instead of ignoring them", async () => {
    expect((await create({ repo_passwort: "x" })).json()).toMatchObject({ code: "request.invalid" });
  });

  it("is for operators", async () => {
    role = "viewer";
    expect((await create()).statusCode).toBe(403);
    role = null;
    expect((await create()).statusCode).toBe(401);
  });
});

describe("enrolling", () => {
  it("trades the token for a host, without signing in", async () => {
    const { token } = await createdToken();
    role = null;
    const answer = await enroll(token, { restic_version: "0.18.0" });
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual({
      host_id: expect.stringMatching(/^[0-9A-Z]{26}$/),
      bearer: expect.stringMatching(/^[\w-]{43}$/),
      cert_pin: null,
    });
  });

  it("refuses a wrong, a used and an expired token, each with a sentence of its own", async () => {
    const { token } = await createdToken();
    const expired = await createdToken({ hostname: "db-01" });
    expect((await enroll("wrong")).json()).toMatchObject({ code: "enrolment.token_invalid" });
    expect((await enroll(token)).statusCode).toBe(200);
    expect(await enroll(token)).toMatchObject({ statusCode: 409 });
    expect((await enroll(token)).json()).toMatchObject({ code: "enrolment.token_used" });
    await clock.advance(tokenLifetimeMs);
    const late = await enroll(expired.token);
    expect(late.statusCode).toBe(403);
    expect(late.json()).toMatchObject({
      code: "enrolment.token_expired",
      message: expect.stringContaining("Make a new one"),
    });
  });

  it.each([
    ["no token", { token: "" }],
    ["an unknown field", { extra: 1 }],
    ["a host name that is none", { hostname: "<script>" }],
    ["an endless version", { agent_version: "9".repeat(65) }],
  ])("refuses %s", async (_what, wrong) => {
    const answer = await enroll("token", wrong);
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code: "request.invalid" });
  });

  it("slows down an address that tries too often", async () => {
    for (let i = 0; i < enrolmentsPerMinute; i++) expect((await enroll("wrong")).statusCode).toBe(401);
    const answer = await enroll("wrong");
    expect(answer.statusCode).toBe(429);
    expect(answer.json()).toMatchObject({ code: "request.rate_exceeded" });
  });
});

describe("the status of a token", () => {
  it("goes from waiting to enrolled and names the host", async () => {
    const { id, token } = await createdToken();
    role = "viewer";
    const status = async () => (await app.inject({ url: `/api/enrollment-tokens/${id}` })).json();
    expect(await status()).toMatchObject({ id, hostname: "web-01", state: "waiting", host_id: null });
    const { host_id } = (await enroll(token)).json<{ host_id: string }>();
    expect(await status()).toMatchObject({ state: "enrolled", host_id });
  });

  it("of an unknown id is not found", async () => {
    const answer = await app.inject({ url: "/api/enrollment-tokens/01JDBQ0000000000000000F0RM" });
    expect(answer.statusCode).toBe(404);
    expect(answer.json()).toMatchObject({ code: "enrolment.not_found" });
    expect((await app.inject({ url: "/api/enrollment-tokens/%00" })).statusCode).toBe(400);
  });
});

describe("secrets", () => {
  it("are in no answer, no table and no log line, whatever goes wrong", async () => {
    const secrets = { repo_url: "rest:https://me:In-The-Url-1@b.example.org/x", rest_password: restPassword };
    const answers = [
      await create({ ...secrets, initial_paths: ["relative"] }),
      await create({ ...secrets, hostname: "" }),
      await create({ ...secrets, repo_url: "rest:https//me:In-The-Url-1@b.example.org/x" }),
      await create({ ...secrets, rest_password: 1 }),
      await create(secrets),
      await create({ ...secrets, rest_password: undefined, hostname: "db-01" }),
    ];
    const made = answers.map((answer) => answer.json<{ id?: string; token?: string }>());
    for (const { token } of made) if (token) answers.push(await enroll(token));
    for (const { id } of made)
      if (id) answers.push(await app.inject({ url: `/api/enrollment-tokens/${id}` }));
    const tables = await database.db.introspection.getTables();
    const rows = tables.map(
      async ({ name }) => (await sql`SELECT * FROM ${sql.table(name)}`.execute(database.db)).rows,
    );
    const seen = [answers.map(({ body }) => body), await Promise.all(rows), lines];
    for (const secret of [repoPassword, restPassword, "In-The-Url-1"]) {
      expect(JSON.stringify(seen)).not.toContain(secret);
    }
    const stored = JSON.stringify([await Promise.all(rows), lines]);
    for (const { token } of made) if (token) expect(stored).not.toContain(token);
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([
      400, 400, 400, 400, 201, 201, 200, 200, 200, 200,
    ]);
  });
});
