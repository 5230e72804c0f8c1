import {
  buildTestApp,
  FakeClock,
  openTestDatabase,
  type TestDatabase,
  testPage,
} from "@restic-manager/testkit";
import { parse } from "node-html-parser";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { App } from "../../platform/http/route.ts";
import { createAttemptLimit } from "./users.attempts.ts";
import { registerUserPages, type UserPageDeps } from "./users.pages.tsx";
import { createPasswordHasher } from "./users.passwords.ts";
import { ensureSetupToken, identify } from "./users.ts";

const password = "correct horse battery";
const headers = { host: "rm.example", origin: "http://rm.example" };

let database: TestDatabase;
let app: App;
let setupToken: string;

beforeEach(async () => {
  database = await openTestDatabase("sqlite");
  const deps: UserPageDeps = {
    db: database.db,
    clock: new FakeClock(),
    cookieSecure: false,
    attempts: createAttemptLimit(),
    passwords: createPasswordHasher({ memoryKib: 64, passes: 1, parallelism: 1 }),
    page: testPage,
  };
  app = (await buildTestApp({ identify: (request) => identify(deps, request) })).app;
  registerUserPages(app, deps);
  setupToken = (await ensureSetupToken(deps)) ?? "";
});
afterEach(async () => {
  await app.close();
  await database.close();
});

const get = (url: string, cookies: Record<string, string> = {}) => app.inject({ url, cookies, headers });

const post = (url: string, fields: Record<string, string>, cookies: Record<string, string> = {}) =>
  app.inject({
    method: "POST",
    url,
    cookies,
    headers: { ...headers, "content-type": "application/x-www-form-urlencoded" },
    payload: new URLSearchParams(fields).toString(),
  });

type Answer = Awaited<ReturnType<typeof get>>;
const value = (answer: Answer, field: string) =>
  parse(answer.body).querySelector(`input[name=${field}]`)?.getAttribute("value");
/** Of the sign-in form: the theme switch has a way back of its own. */
const returnTo = (answer: Answer) =>
  parse(answer.body).querySelector("form[action=/login] input[name=return_to]")?.getAttribute("value");
const heading = (answer: Answer) => parse(answer.body).querySelector("h1")?.text;
const alert = (answer: Answer) => parse(answer.body).querySelector("[role=alert]")?.text;
const fieldError = (answer: Answer, field: string) =>
  parse(answer.body).querySelector(`#field-${field}-error`)?.text;
const cookiesOf = (answer: Answer) => ({ rm_session: answer.cookies[0]?.value ?? "" });

const setUp = (fields: Record<string, string> = {}) =>
  post("/login/setup", { token: setupToken, username: "ada", password, ...fields });

describe("the first run", () => {
  it("takes the place of the sign-in form and fills in the token of the link", async () => {
    const answer = await get(`/login?setup=${setupToken}`);
    expect(heading(answer)).toBe("Create the first admin");
    expect(value(answer, "token")).toBe(setupToken);
    expect(answer.body).toContain("At least 12 characters");
  });

  it("signs the new admin in and leads to the dashboard; then /login is for signing in", async () => {
    const answer = await setUp();
    expect(answer.statusCode).toBe(303);
    expect(answer.headers.location).toBe("/");
    expect((await get("/settings/account", cookiesOf(answer))).body).toContain("ada");
    expect(heading(await get("/login"))).toBe("Sign in");
  });

  it("keeps what was typed, but no password, and says what is wrong beside the field", async () => {
    const answer = await setUp({ username: "<script>x", password: "short one" });
    expect(answer.statusCode).toBe(422);
    expect(value(answer, "token")).toBe(setupToken);
    expect(value(answer, "username")).toBe("<script>x");
    expect(answer.body).not.toContain("<script>x");
    expect(answer.body).not.toContain("short one");
    expect(fieldError(answer, "username")).toContain("begins with a letter or digit");
    expect(fieldError(answer, "password")).toContain("at least 12 characters");
  });

  it("says that a token is wrong", async () => {
    const answer = await setUp({ token: "wrong" });
    expect(answer.statusCode).toBe(422);
    expect(alert(answer)).toContain("wrong or used up");
  });

  it("that comes too late shows the sign-in form", async () => {
    await setUp();
    const answer = await setUp();
    expect(answer.statusCode).toBe(422);
    expect(heading(answer)).toBe("Sign in");
    expect(alert(answer)).toContain("used up");
  });
});

describe("signing in", () => {
  beforeEach(async () => void (await setUp()));
  const signIn = (fields: Record<string, string> = {}) =>
    post("/login", { username: "ada", password, ...fields });

  it("leads back to the page that was asked for", async () => {
    const asked = await get("/settings/account?changed=x");
    expect(asked.statusCode).toBe(303);
    expect(asked.headers.location).toBe("/login?next=%2Fsettings%2Faccount%3Fchanged%3Dx");
    const card = await get(String(asked.headers.location));
    expect(returnTo(card)).toBe("/settings/account?changed=x");
    const answer = await signIn({ return_to: returnTo(card) ?? "" });
    expect(answer.headers.location).toBe("/settings/account?changed=x");
  });

  it.each([
    "//evil.example",
    "/\\evil.example",
    "https://evil.example",
    "/\t/evil.example",
    "/.//evil.example",
  ])("never leads to another site: %j", async (next) => {
    const card = await get(`/login?next=${encodeURIComponent(next)}`);
    expect(returnTo(card)).toBeUndefined();
    const answer = await signIn({ return_to: next });
    expect(answer.headers.location).toBe("/");
    const again = await get(`/login?next=${encodeURIComponent(next)}`, cookiesOf(answer));
    expect(again.headers.location).toBe("/");
  });

  it("that fails keeps name and way back, and answers 422", async () => {
    const answer = await signIn({ password: "wrong password", return_to: "/audit" });
    expect(answer.statusCode).toBe(422);
    expect(value(answer, "username")).toBe("ada");
    expect(returnTo(answer)).toBe("/audit");
    expect(alert(answer)).toBe("The name or the password is wrong.");
    expect(answer.body).not.toContain("wrong password");
    expect(answer.cookies).toEqual([]);
  });

  it("too often answers 429 and says how long to wait", async () => {
    for (let i = 0; i < 10; i++) await signIn({ password: "wrong password" });
    const answer = await signIn();
    expect(answer.statusCode).toBe(429);
    expect(alert(answer)).toBe("Too many failed tries. Try again in 15 minutes.");
  });

  it("from another site is refused", async () => {
    const answer = await app.inject({
      method: "POST",
      url: "/login",
      headers: {
        ...headers,
        origin: "https://evil.example",
        "content-type": "application/x-www-form-urlencoded",
      },
      payload: new URLSearchParams({ username: "ada", password }).toString(),
    });
    expect(answer.statusCode).toBe(403);
    expect(answer.cookies).toEqual([]);
  });
});

describe("the account page", () => {
  let cookies: Record<string, string>;
  let csrf: string;
  beforeEach(async () => {
    cookies = cookiesOf(await setUp());
    csrf = value(await get("/settings/account", cookies), "csrf_token") ?? "";
  });
  const next = "a new long password";
  const change = (fields: Record<string, string> = {}) => {
    const typed = { csrf_token: csrf, current_password: password, new_password: next, repeat_password: next };
    return post("/settings/account", { ...typed, ...fields }, cookies);
  };

  it("changes the password and says so", async () => {
    const answer = await change();
    expect(answer.headers.location).toBe("/settings/account?changed=password");
    const page = await get("/settings/account?changed=password", cookies);
    expect(parse(page.body).querySelector("[role=status]")?.text).toContain("Your password is changed");
    expect((await post("/login", { username: "ada", password: next })).statusCode).toBe(303);
  });

  it.each([
    { name: "a wrong current password", fields: { current_password: "wrong" }, field: "current_password" },
    {
      name: "a short new password",
      fields: { new_password: "short", repeat_password: "short" },
      field: "new_password",
    },
    { name: "two new passwords that differ", fields: { repeat_password: "other" }, field: "repeat_password" },
  ])("shows $name beside its field", async ({ fields, field }) => {
    const answer = await change(fields);
    expect(answer.statusCode).toBe(422);
    expect(fieldError(answer, field)).toMatch(/\w/);
    expect(answer.body).not.toContain(next);
  });

  it("refuses a form without the session's token, and changes nothing", async () => {
    expect((await change({ csrf_token: "" })).statusCode).toBe(403);
    expect((await post("/login", { username: "ada", password })).statusCode).toBe(303);
  });

  it("signs out, which needs the form's token too", async () => {
    expect((await post("/logout", {}, cookies)).statusCode).toBe(403);
    const answer = await post("/logout", { csrf_token: csrf }, cookies);
    expect(answer.headers.location).toBe("/login");
    expect((await get("/settings/account", cookies)).headers.location).toContain("/login");
    expect((await post("/logout", {})).headers.location).toBe("/login");
  });

  it("leads a refused write of nobody to the sign-in form without a way back", async () => {
    const answer = await post("/settings/account", {});
    expect(answer.headers.location).toBe("/login");
  });

  const createToken = (fields: Record<string, string> = {}) =>
    post(
      "/settings/account/tokens",
      { csrf_token: csrf, name: "ci", role: "operator", days: "90", ...fields },
      cookies,
    );
  const shownToken = (answer: Answer) => parse(answer.body).querySelector("#new-api-token")?.text ?? "";

  it("makes an API token that is shown once and works, and revokes it", async () => {
    const made = await createToken();
    expect(made.statusCode).toBe(200);
    expect(shownToken(made)).toMatch(/^rmt_/);
    const page = await get("/settings/account", cookies);
    expect(page.body).not.toContain(shownToken(made));
    const revoke = parse(page.body).querySelector("#api-tokens tbody form")?.getAttribute("action") ?? "";
    expect((await post(revoke, {}, cookies)).statusCode).toBe(403);
    const gone = await post(revoke, { csrf_token: csrf }, cookies);
    expect(gone.headers.location).toBe("/settings/account?changed=token#api-tokens");
    expect(
      parse((await get("/settings/account", cookies)).body).querySelector("#api-tokens tbody"),
    ).toBeNull();
  });

  it("keeps what was typed for a token that is refused, and makes none", async () => {
    await createToken();
    const twice = await createToken({ days: "7" });
    expect(twice.statusCode).toBe(422);
    expect(fieldError(twice, "name")).toContain("already");
    expect([value(twice, "name"), shownToken(twice)]).toEqual(["ci", ""]);
    expect((await createToken({ name: " " })).statusCode).toBe(422);
    expect((await createToken({ name: "x", days: "36500" })).statusCode).toBe(400);
  });
});
