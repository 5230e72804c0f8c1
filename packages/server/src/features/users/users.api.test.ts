import { buildTestApp, FakeClock, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { App } from "../../platform/http/route.ts";
import { registerUserRoutes, signInsPerMinute, type UserRouteDeps } from "./users.api.ts";
import { createAttemptLimit } from "./users.attempts.ts";
import { createPasswordHasher } from "./users.passwords.ts";
import { ensureSetupToken, identify, sessionLifetimeMs } from "./users.ts";

const password = "correct horse battery";

let database: TestDatabase;
let clock: FakeClock;
let app: App;
let setupToken: string;

async function start(cookieSecure = true): Promise<void> {
  const deps: UserRouteDeps = {
    db: database.db,
    clock,
    cookieSecure,
    attempts: createAttemptLimit(),
    passwords: createPasswordHasher({ memoryKib: 64, passes: 1, parallelism: 1 }),
  };
  app = (await buildTestApp({ identify: (request) => identify(deps, request) })).app;
  registerUserRoutes(app, deps);
  setupToken = (await ensureSetupToken(deps)) ?? setupToken;
}

beforeEach(async () => {
  database = await openTestDatabase("sqlite");
  clock = new FakeClock();
  await start();
});
afterEach(async () => {
  await app.close();
  await database.close();
});

const send = (
  method: "GET" | "POST" | "PUT",
  url: string,
  payload?: object,
  cookies: Record<string, string> = {},
) => app.inject({ method, url, cookies, ...(payload ? { payload } : {}) });

type Answer = Awaited<ReturnType<typeof send>>;
const cookieOf = (answer: Answer) => answer.cookies.find((cookie) => cookie.name === "rm_session");
const cookiesOf = (answer: Answer) => ({ rm_session: cookieOf(answer)?.value ?? "" });
const bootstrapAdmin = () => send("POST", "/api/bootstrap", { token: setupToken, username: "ada", password });
const signIn = (typed: object = {}) =>
  send("POST", "/api/auth/login", { username: "ada", password, ...typed });

describe("POST /api/bootstrap", () => {
  it("makes the admin and signs it in", async () => {
    const answer = await bootstrapAdmin();
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual({ user_id: expect.stringMatching(/^[0-9A-Z]{26}$/), role: "admin" });
    const me = await send("GET", "/api/auth/me", undefined, cookiesOf(answer));
    expect(me.json()).toEqual({ user_id: answer.json().user_id, username: "ada", role: "admin" });
  });

  it("works once", async () => {
    await bootstrapAdmin();
    const again = await bootstrapAdmin();
    expect(again.statusCode).toBe(403);
    expect(again.json()).toMatchObject({ code: "users.setup_token_invalid" });
    expect(cookieOf(again)).toBeUndefined();
  });

  it("names the fields that break a rule", async () => {
    const answer = await send("POST", "/api/bootstrap", {
      token: setupToken,
      username: "ada",
      password: "short",
    });
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code: "users.password_rule", details: [{ path: "password" }] });
  });
});

describe("POST /api/auth/login", () => {
  beforeEach(bootstrapAdmin);

  it("sets a cookie that scripts and other sites don't get", async () => {
    const cookie = cookieOf(await signIn());
    expect(cookie).toMatchObject({ path: "/", httpOnly: true, secure: true, sameSite: "Lax" });
    expect(cookie?.expires).toEqual(new Date(clock.now() + sessionLifetimeMs));
    expect(Buffer.from(cookie?.value ?? "", "base64url")).toHaveLength(32);
  });

  it("leaves the Secure flag out when the server is told that it runs over plain HTTP", async () => {
    await app.close();
    await start(false);
    expect(cookieOf(await signIn())?.secure).toBeUndefined();
  });

  it("says the same to a wrong password and an unknown name, and sets no cookie", async () => {
    const wrong = await signIn({ password: "wrong password" });
    const unknown = await signIn({ username: "nobody" });
    expect(wrong.statusCode).toBe(401);
    expect(wrong.json()).toMatchObject({ code: "auth.wrong_credentials" });
    expect(unknown.json()).toEqual(wrong.json());
    expect(wrong.cookies).toEqual([]);
  });

  it("refuses a disabled user", async () => {
    await sql`UPDATE users SET disabled_at = 1`.execute(database.db);
    expect((await signIn()).json()).toMatchObject({ code: "auth.user_disabled" });
  });

  it("refuses the eleventh failure with 429", async () => {
    for (let i = 0; i < 10; i++) await signIn({ password: "wrong password" });
    const answer = await signIn();
    expect(answer.statusCode).toBe(429);
    expect(answer.json()).toMatchObject({ code: "auth.rate_limited", details: { retry_after_seconds: 900 } });
  });

  it("limits the tries of one address whatever names it tries", async () => {
    const codes: string[] = [];
    for (let i = 0; i <= signInsPerMinute; i++)
      codes.push((await signIn({ username: `name${i}` })).json().code);
    expect(new Set(codes.slice(0, -1))).toEqual(new Set(["auth.wrong_credentials"]));
    expect(codes.at(-1)).toBe("request.rate_exceeded");
  });

  it.each([
    { name: "a field too many", typed: { role: "admin" } },
    { name: "a password that is no text", typed: { password: ["x"] } },
    { name: "a password of 2 KiB", typed: { password: "x".repeat(2048) } },
  ])("refuses $name", async ({ typed }) => {
    const answer = await signIn(typed);
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code: "request.invalid" });
  });

  it("never repeats a password, not even of a body that can't be read", async () => {
    const headers = { "content-type": "application/json" };
    const payload = `{"username":"ada","password":"${password}`;
    const answer = await app.inject({ method: "POST", url: "/api/auth/login", headers, payload });
    expect(answer.statusCode).toBe(400);
    expect(answer.body).not.toContain("horse");
  });

  it("refuses a browser that comes from another site", async () => {
    const headers = { origin: "https://evil.example" };
    const payload = { username: "ada", password };
    const answer = await app.inject({ method: "POST", url: "/api/auth/login", headers, payload });
    expect(answer.json()).toMatchObject({ code: "request.cross_site" });
  });
});

describe("a session", () => {
  let cookies: Record<string, string>;
  beforeEach(async () => {
    cookies = cookiesOf(await bootstrapAdmin());
  });
  const me = () => send("GET", "/api/auth/me", undefined, cookies);

  it("is asked for", async () => {
    const answer = await send("GET", "/api/auth/me");
    expect(answer.statusCode).toBe(401);
    expect(answer.json()).toMatchObject({ code: "auth.required" });
  });

  it("ends after a day", async () => {
    await clock.advance(sessionLifetimeMs - 1);
    expect((await me()).statusCode).toBe(200);
    await clock.advance(1);
    expect((await me()).statusCode).toBe(401);
  });

  it("has the new role, or nothing at all, on the next request", async () => {
    await sql`UPDATE users SET role = 'viewer'`.execute(database.db);
    expect((await me()).json()).toMatchObject({ role: "viewer" });
    await sql`UPDATE users SET disabled_at = 1`.execute(database.db);
    expect((await me()).statusCode).toBe(401);
  });

  it("ends with signing out, here and in the browser", async () => {
    const answer = await send("POST", "/api/auth/logout", undefined, cookies);
    expect(answer.statusCode).toBe(204);
    expect(cookieOf(answer)).toMatchObject({ value: "", path: "/", expires: new Date(0) });
    expect((await me()).statusCode).toBe(401);
    expect((await send("POST", "/api/auth/logout")).statusCode).toBe(204);
  });

  it("goes on after a new password while the others end", async () => {
    const others = cookiesOf(await signIn());
    const typed = { current_password: password, new_password: "a new long password" };
    expect((await send("PUT", "/api/auth/password", typed, cookies)).statusCode).toBe(204);
    expect((await me()).statusCode).toBe(200);
    expect((await send("GET", "/api/auth/me", undefined, others)).statusCode).toBe(401);
    expect((await signIn()).statusCode).toBe(401);
    expect((await signIn({ password: "a new long password" })).statusCode).toBe(200);
  });

  it("keeps its password when the current one is wrong", async () => {
    const typed = { current_password: "wrong password", new_password: "a new long password" };
    const answer = await send("PUT", "/api/auth/password", typed, cookies);
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({
      code: "users.password_wrong",
      details: [{ path: "current_password" }],
    });
  });
});
