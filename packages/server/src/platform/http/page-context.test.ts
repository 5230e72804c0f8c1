import { buildTestApp, FakeClock, testIdentity } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Identity } from "./identity.ts";
import { addThemeRoute, createPageContext } from "./page-context.ts";
import { type App, pageRoute } from "./route.ts";

let app: App;
let visitor: Identity | null;
beforeEach(async () => {
  visitor = null;
  app = (await buildTestApp({ identify: async () => visitor })).app;
  const page = createPageContext({ assets: {}, clock: new FakeClock(5), database: "SQLite" });
  addThemeRoute(app, { cookieSecure: true });
  pageRoute(app, {
    method: "GET",
    url: "/page",
    policy: "anonymous",
    answer: ({ request }) => JSON.stringify(page(request)),
  });
});
afterEach(() => app.close());

const choose = (fields: Record<string, string>) =>
  app.inject({
    method: "POST",
    url: "/preferences/theme",
    headers: {
      host: "rm.example",
      origin: "http://rm.example",
      "content-type": "application/x-www-form-urlencoded",
    },
    payload: new URLSearchParams(fields).toString(),
  });
const pageOf = async (cookies: Record<string, string> = {}) =>
  JSON.parse((await app.inject({ url: "/page?a=1", cookies })).body) as Record<string, unknown>;

describe("a page's surroundings", () => {
  it("are those of its request", async () => {
    visitor = testIdentity("operator");
    expect(await pageOf()).toMatchObject({
      user: { name: "operator", role: "operator" },
      csrfToken: "csrf-of-operator",
      path: "/page?a=1",
      now: 5,
      database: "SQLite",
    });
  });

  it("name nobody before signing in, and follow the system's theme", async () => {
    const page = await pageOf();
    expect(page).toMatchObject({ theme: "auto", csrfToken: "" });
    expect(page).not.toHaveProperty("user");
  });

  it("take no theme from a cookie that names none", async () => {
    expect(await pageOf({ rm_theme: "light" })).toMatchObject({ theme: "light" });
    expect(await pageOf({ rm_theme: '"><script>' })).toMatchObject({ theme: "auto" });
  });
});

describe("choosing a theme", () => {
  it("is remembered for a year and leads back", async () => {
    const answer = await choose({ theme: "dark", return_to: "/hosts?tag=a" });
    expect(answer.headers.location).toBe("/hosts?tag=a");
    expect(answer.cookies[0]).toMatchObject({
      name: "rm_theme",
      value: "dark",
      secure: true,
      sameSite: "Lax",
    });
  });

  it.each(["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example"])(
    "never leads to another site: %j",
    async (path) => {
      expect((await choose({ theme: "dark", return_to: path })).headers.location).toBe("/");
    },
  );

  it("takes only the three that exist", async () => {
    expect((await choose({ theme: "pink" })).statusCode).toBe(400);
  });
});
