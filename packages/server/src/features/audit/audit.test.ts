import {
  buildTestApp,
  openTestDatabase,
  type TestDatabase,
  testIdentity,
  testPage,
} from "@restic-manager/testkit";
import fc from "fast-check";
import { parse } from "node-html-parser";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { App } from "../../platform/http/route.ts";
import { registerAuditRoutes } from "./audit.api.ts";
import { registerAuditPages } from "./audit.pages.tsx";
import { recordAudit, withoutSecrets } from "./audit.ts";

describe("a payload", () => {
  it("loses every value with a telling name, at any depth, and keeps flags", () => {
    const payload = {
      repo_url: "rest:https://ada:hunter2@nas.example/repo",
      rest_password: "hunter2",
      restPasswordChanged: true,
      nested: [{ API_KEY: "hunter2", tokens: ["hunter2"], sizeBytes: 7 }],
      cookie: null,
    };
    expect(withoutSecrets(payload)).toEqual({
      repo_url: "rest:https://ada:[redacted]@nas.example/repo",
      rest_password: "[redacted]",
      restPasswordChanged: true,
      nested: [{ API_KEY: "[redacted]", tokens: "[redacted]", sizeBytes: 7 }],
      cookie: null,
    });
  });

  it.each(["a", "a://b:", "//b:", "a://"])("full of %j is written in no time", (text) => {
    const long = text.repeat(400_000 / text.length);
    expect(withoutSecrets({ path: long })).toEqual({ path: long });
  });

  it("never keeps a secret under its name, wherever it stands", () => {
    const names = fc.constantFrom(
      "password",
      "token",
      "bearer",
      "client_secret",
      "Authorization",
      "passphrase",
    );
    const places = fc.constantFrom(
      (inner: object) => inner,
      (inner: object) => ({ list: [inner] }),
      (inner: object) => ({ deep: { deeper: inner } }),
    );
    fc.assert(
      fc.property(names, places, (name, place) => {
        const payload = place({ [name]: "hunter2" }) as Record<string, unknown>;
        expect(JSON.stringify(withoutSecrets(payload))).not.toContain("hunter2");
      }),
    );
  });
});

describe("over HTTP", () => {
  let database: TestDatabase;
  let app: App;
  beforeEach(async () => {
    database = await openTestDatabase("sqlite");
    app = (await buildTestApp({ identify: async () => testIdentity("viewer") })).app;
    registerAuditRoutes(app, database);
    registerAuditPages(app, { ...database, page: testPage });
    const actor = { kind: "user" as const, id: "U1", name: "ada" };
    const target = { kind: "host", id: "H1", name: "<script>alert(1)</script>" };
    for (let minute = 0; minute < 60; minute++) {
      const at = Date.UTC(2026, 10, 23, 23, minute);
      await recordAudit(database.db, {
        at,
        actor,
        action: minute === 59 ? "host.delete" : "host.update",
        target,
      });
    }
  });
  afterEach(async () => {
    await app.close();
    await database.close();
  });

  const get = (url: string) => app.inject({ url });
  const times = (body: string) =>
    parse(body)
      .querySelectorAll("tbody time")
      .map((time) => time.getAttribute("datetime"));

  it("entries come as JSON with instants in RFC 3339 and a cursor", async () => {
    const first = (await get("/api/audit?limit=59")).json();
    expect(first.entries).toHaveLength(59);
    expect(first.entries[0]).toMatchObject({
      at: "2026-11-23T23:59:00.000Z",
      actor: { kind: "user", id: "U1", name: "ada" },
      action: "host.delete",
      payload: {},
    });
    const second = (await get(`/api/audit?limit=59&before=${first.next}`)).json();
    expect(second).toMatchObject({ entries: [{ at: "2026-11-23T23:00:00.000Z" }], next: null });
  });

  it("entries of a span are those of that span, whatever its zone", async () => {
    const span = "from=2026-11-24T00:10:00%2B01:00&to=2026-11-23T23:12:00Z";
    expect((await get(`/api/audit?${span}`)).json().entries).toHaveLength(2);
  });

  it.each(["limit=0", "limit=501", "limit=x", "from=yesterday", "user=", "order=asc", "before=x"])(
    "a query with %s is refused",
    async (query) => {
      expect((await get(`/api/audit?${query}`)).statusCode).toBe(400);
    },
  );

  it("the page shows entries in absolute time, escaped, and leads on to the older ones", async () => {
    const page = await get("/audit");
    expect(times(page.body)).toHaveLength(50);
    expect(page.body).not.toContain("<script>alert");
    const older = parse(page.body).querySelector("a[rel=next]")?.getAttribute("href") ?? "";
    const last = await get(older.replaceAll("&amp;", "&"));
    expect(times(last.body)).toHaveLength(10);
    expect(parse(last.body).querySelector("a[rel=next]")).toBeNull();
    expect(parse(last.body).querySelector("nav.pages a")?.text.trim()).toBe("Newest");
  });

  it("the page's filters are kept in the form and in the way to older entries", async () => {
    const page = parse(
      (await get("/audit?user=ada&action=&target=script&from=2026-11-23&to=2026-11-23")).body,
    );
    expect(page.querySelector("option[selected]")?.text).toBe("ada");
    expect(page.querySelector("input[name=target]")?.getAttribute("value")).toBe("script");
    expect(page.querySelector("a[rel=next]")?.getAttribute("href")).toContain("to=2026-11-23");
  });

  it("the last day of a span is within it", async () => {
    expect(times((await get("/audit?from=2026-11-23&to=2026-11-23&action=host.delete")).body)).toHaveLength(
      1,
    );
    expect(times((await get("/audit?from=2026-11-24")).body)).toHaveLength(0);
    expect(times((await get("/audit?to=2026-11-22")).body)).toHaveLength(0);
  });

  it.each(["2026-02-31", "23.11.2026", "x"])("the impossible date %s is said and ignored", async (date) => {
    const page = await get(`/audit?from=${date}`);
    expect(page.statusCode).toBe(200);
    expect(parse(page.body).querySelector("[role=alert]")?.text).toContain("YYYY-MM-DD");
    expect(times(page.body)).toHaveLength(50);
  });
});
