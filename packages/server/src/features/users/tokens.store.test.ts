/** API tokens on both engines, over the routes that programs use. */
import {
  buildTestApp,
  engines,
  FakeClock,
  openTestDatabase,
  type TestDatabase,
} from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { toInstant } from "../../platform/clock.ts";
import type { Identity } from "../../platform/http/identity.ts";
import { type App, apiRoute, pageRoute } from "../../platform/http/route.ts";
import { listAudit } from "../audit/audit.ts";
import { registerTokenRoutes } from "./tokens.api.ts";
import { insertUser } from "./users.store.ts";
import { identify } from "./users.ts";

const ada = { id: "01ADA", username: "ada", disabledAt: null, passwordHash: "x", createdAt: 1 };
const dayMs = 24 * 60 * 60_000;

describe.each(engines)("API tokens on %s", (engine) => {
  let database: TestDatabase;
  let clock: FakeClock;
  let app: App;
  /** Who the cookie is; null asks the real `identify`. */
  let signedIn: Identity | null;

  beforeEach(async () => {
    database = await openTestDatabase(engine);
    clock = new FakeClock();
    const deps = { db: database.db, clock };
    await insertUser(deps.db, { ...ada, role: "admin" });
    signedIn = { userId: ada.id, username: "ada", role: "admin", csrfToken: "csrf" };
    app = (
      await buildTestApp({
        identify: async (request) =>
          (await identify(deps, request)) ?? (request.cookies.rm_session ? signedIn : null),
      })
    ).app;
    registerTokenRoutes(app, deps);
    const answer = ({ identity }: { identity: Identity | null }) => ({
      role: identity?.role,
      name: identity?.username,
    });
    apiRoute(app, { method: "GET", url: "/api/seen", policy: "viewer", answer });
    apiRoute(app, { method: "POST", url: "/api/done", policy: "operator", answer });
    apiRoute(app, { method: "GET", url: "/ws/agent", policy: "agent", answer });
    pageRoute(app, { method: "GET", url: "/page", policy: "viewer", answer: () => "page" });
  });
  afterEach(async () => {
    await app.close();
    await database.close();
  });

  // The cookie is made up; `identify` finds no session and the stand-in above answers.
  const cookies = { rm_session: "session" };
  const create = (body: Record<string, unknown>, bearer?: string) =>
    app.inject({
      method: "POST",
      url: "/api/auth/tokens",
      payload: { name: "ci", role: "operator", ...body },
      ...(bearer ? { headers: { authorization: `Bearer ${bearer}` } } : { cookies }),
    });
  const made = async (body: Record<string, unknown> = {}) => String((await create(body)).json().token);
  const use = (token: string, url = "/api/seen", method: "GET" | "POST" | "DELETE" = "GET", more = {}) =>
    app.inject({ method, url, headers: { authorization: `Bearer ${token}`, ...more } });
  const list = async () => (await app.inject({ url: "/api/auth/tokens", cookies })).json().tokens;

  it("are shown once, as a hash in the database, and do what their user may", async () => {
    const answer = await create({});
    expect(answer.statusCode).toBe(201);
    const { token, ...rest } = answer.json();
    expect(token).toMatch(/^rmt_[\w-]{43}$/);
    expect(rest).toEqual({
      id: expect.any(String),
      name: "ci",
      role: "operator",
      created_at: toInstant(clock.now()),
      expires_at: null,
      last_used_at: null,
    });
    expect(await list()).toEqual([rest]);
    expect(JSON.stringify(await sql`SELECT * FROM api_tokens`.execute(database.db))).not.toContain(token);
    expect((await use(token)).json()).toEqual({ role: "operator", name: "ada" });
    expect((await use(token, "/api/done", "POST")).statusCode).toBe(200);
  });

  it("never do more than their role, nor than their user may do now", async () => {
    const viewer = await made({ name: "report", role: "viewer" });
    expect((await use(viewer, "/api/done", "POST")).json()).toMatchObject({ code: "auth.role_too_low" });
    const operator = await made({});
    await sql`UPDATE users SET role = 'viewer'`.execute(database.db);
    expect((await use(operator)).json()).toMatchObject({ role: "viewer" });
  });

  it("stop at the next request when the user is disabled, the token revoked or its time over", async () => {
    const [one, two, three] = [
      await made({ name: "1" }),
      await made({ name: "2" }),
      await made({ name: "3", expires_at: toInstant(clock.now() + dayMs) }),
    ];
    const [{ id }] = await list();
    const revoked = await app.inject({ method: "DELETE", url: `/api/auth/tokens/${id}`, cookies });
    expect(revoked.statusCode).toBe(204);
    expect((await use(one)).json()).toMatchObject({ code: "auth.token_invalid" });
    expect((await use(three)).statusCode).toBe(200);
    await clock.advance(dayMs);
    expect((await use(three)).statusCode).toBe(401);
    expect((await use(two)).statusCode).toBe(200);
    await sql`UPDATE users SET disabled_at = 1`.execute(database.db);
    expect((await use(two)).statusCode).toBe(401);
    const again = await app.inject({ method: "DELETE", url: `/api/auth/tokens/${id}`, cookies });
    expect(again.json()).toMatchObject({ code: "users.token_not_found" });
  });

  it("belong to their user: another one sees and revokes none of them", async () => {
    await made();
    const [{ id }] = await list();
    await insertUser(database.db, { ...ada, id: "01BEA", username: "bea", role: "admin" });
    signedIn = { userId: "01BEA", username: "bea", role: "admin", csrfToken: "csrf" };
    expect(await list()).toEqual([]);
    const answer = await app.inject({ method: "DELETE", url: `/api/auth/tokens/${id}`, cookies });
    expect(answer.statusCode).toBe(404);
  });

  it("are taken from any origin, because no site can send one, and win over a cookie", async () => {
    const token = await made({ role: "viewer" });
    const evil = { origin: "https://evil.example", cookie: "rm_session=session" };
    expect((await use(token, "/api/seen", "GET", evil)).json()).toMatchObject({ role: "viewer" });
    expect((await use(token, "/api/done", "POST", evil)).statusCode).toBe(403);
    const operator = await made({ name: "2" });
    expect((await use(operator, "/api/done", "POST", { origin: "https://evil.example" })).statusCode).toBe(
      200,
    );
    const none = await app.inject({
      method: "POST",
      url: "/api/done",
      cookies,
      headers: { origin: "https://evil.example" },
    });
    expect(none.json()).toMatchObject({ code: "request.cross_site" });
  });

  it("open no page and mean nothing to the agents' routes", async () => {
    const token = await made();
    const page = await use(token, "/page");
    expect([page.statusCode, page.headers.location]).toEqual([303, "/login?next=%2Fpage"]);
    expect((await use(token, "/ws/agent")).json()).toEqual({});
    expect((await use("rmt_unknown", "/ws/agent")).statusCode).toBe(200);
  });

  it.each(["rmt_unknown", `rmt_${"x".repeat(199)}`, "rmt_'; DROP TABLE users"])(
    "that nobody made are refused: %s",
    async (token) => {
      expect((await use(token)).statusCode).toBe(401);
    },
  );

  it("are written down as used, to the minute", async () => {
    const token = await made();
    await clock.advance(5_000);
    const first = toInstant(clock.now());
    await use(token);
    await clock.advance(59_000);
    await use(token);
    expect(await list()).toMatchObject([{ last_used_at: first }]);
    await clock.advance(1_000);
    await use(token);
    expect(await list()).toMatchObject([{ last_used_at: toInstant(clock.now()) }]);
  });

  it.each([
    { name: "no name", body: { name: "  " }, path: "name" },
    { name: "a name with a line break", body: { name: "a\nb" }, path: "name" },
    { name: "a name that is too long", body: { name: "x".repeat(65) }, path: "name" },
    { name: "an end in the past", body: { expires_at: "2000-01-01T00:00:00Z" }, path: "expires_at" },
  ])("are not made with $name", async ({ body, path }) => {
    const answer = await create(body);
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code: "users.token_rule", details: [{ path }] });
  });

  it("are not made with a role above one's own, a name twice, or without end", async () => {
    signedIn = { userId: ada.id, username: "ada", role: "viewer", csrfToken: "csrf" };
    expect((await create({})).json()).toMatchObject({
      code: "users.token_rule",
      details: [{ path: "role" }],
    });
    expect((await create({ role: "viewer" })).statusCode).toBe(201);
    expect((await create({ role: "viewer" })).json()).toMatchObject({ code: "users.token_name_taken" });
    const row = (n: number) =>
      sql`INSERT INTO api_tokens (id, user_id, name, role, token_hash, created_at)
      VALUES (${`T${n}`}, ${ada.id}, ${`t${n}`}, 'viewer', ${`h${n}`}, 1)`.execute(database.db);
    for (let n = 0; n < 49; n++) await row(n);
    expect((await create({ name: "more", role: "viewer" })).json()).toMatchObject({
      code: "users.too_many_tokens",
    });
  });

  it("make no others, whatever their role", async () => {
    const parent = await made({ role: "admin" });
    const answer = await create({ name: "child", role: "viewer" }, parent);
    expect(answer.statusCode).toBe(403);
    expect(answer.json()).toMatchObject({
      code: "users.token_by_token",
      message: expect.stringContaining("Settings → Account"),
    });
    expect(await list()).toHaveLength(1);
  });

  it("are named in the audit trail, when they are made, used to change something, and revoked", async () => {
    const one = await made();
    await clock.advance(1);
    const other = (await create({ name: "other" })).json();
    await clock.advance(1);
    await use(one, `/api/auth/tokens/${other.id}`, "DELETE");
    const { entries } = await listAudit({ db: database.db }, { user: "ada" });
    expect(entries.map(({ action, actor, target }) => [action, actor.token, target?.name]).reverse()).toEqual(
      [
        ["api_token.create", undefined, "ci"],
        ["api_token.create", undefined, "other"],
        ["api_token.revoke", "ci", "other"],
      ],
    );
  });
});
