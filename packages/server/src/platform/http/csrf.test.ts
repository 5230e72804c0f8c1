import { buildTestApp, testIdentity } from "@restic-manager/testkit";
import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import type { AppDeps, BuiltApp } from "./app.ts";
import { apiRoute, pageRoute } from "./route.ts";

const own = "http://rm.example";
const form = { "content-type": "application/x-www-form-urlencoded" };
const json = { "content-type": "application/json" };

let built: BuiltApp;
afterEach(() => built.app.close());

/** An app with one route that takes `{name}` as JSON or as a form. */
async function appWith(deps: Partial<AppDeps> = {}): Promise<BuiltApp["app"]> {
  built = await buildTestApp(deps);
  const route = {
    policy: "anonymous" as const,
    schema: { body: z.strictObject({ name: z.string() }) },
    answer: ({ body }: { body: { name: string } }) => body.name,
  };
  apiRoute(built.app, { ...route, method: "POST", url: "/api/things" });
  pageRoute(built.app, { ...route, method: "POST", url: "/things" });
  pageRoute(built.app, { method: "GET", url: "/things", policy: "anonymous", answer: () => "things" });
  return built.app;
}

const signedIn: Partial<AppDeps> = { identify: async () => testIdentity("admin") };

function post(app: BuiltApp["app"], headers: Record<string, string>, payload: string, url = "/things") {
  return app.inject({ method: "POST", url, headers: { host: "rm.example", ...headers }, payload });
}

describe("the origin of a write", () => {
  it.each([
    { name: "our own", headers: { origin: own }, status: 200 },
    { name: "another site", headers: { origin: "https://evil.example" }, status: 403 },
    { name: "our host on another port", headers: { origin: "http://rm.example:81" }, status: 403 },
    { name: "a sandboxed frame", headers: { origin: "null" }, status: 403 },
    { name: "cross-site without an origin", headers: { "sec-fetch-site": "cross-site" }, status: 403 },
    { name: "same-site without an origin", headers: { "sec-fetch-site": "same-site" }, status: 403 },
    { name: "same-origin without an origin", headers: { "sec-fetch-site": "same-origin" }, status: 200 },
    {
      name: "ours behind a TLS proxy that is not declared",
      headers: { origin: "https://rm.example", "sec-fetch-site": "same-origin" },
      status: 200,
    },
    { name: "a form of no browser", headers: {}, status: 403 },
  ])("$name: $status", async ({ headers, status }) => {
    const answer = await post(await appWith(), { ...form, ...headers }, "name=a");
    expect(answer.statusCode).toBe(status);
  });

  it("must be the public URL when one is set, whatever the browser calls same-origin", async () => {
    const app = await appWith({ baseUrl: "https://backup.example" });
    expect((await post(app, { ...form, origin: "https://backup.example" }, "name=a")).statusCode).toBe(200);
    const rebound = { origin: own, "sec-fetch-site": "same-origin" };
    expect((await post(app, { ...form, ...rebound }, "name=a")).statusCode).toBe(403);
  });

  it("is not asked of a client that is no browser and sends JSON", async () => {
    const answer = await post(await appWith(), json, '{"name":"a"}', "/api/things");
    expect(answer.statusCode).toBe(200);
  });

  it("is not asked of a read", async () => {
    const app = await appWith();
    const answer = await app.inject({ url: "/things", headers: { origin: "https://evil.example" } });
    expect(answer.statusCode).toBe(200);
  });

  it("is asked of a WebSocket, though that is a GET", async () => {
    const app = await appWith();
    const headers = { upgrade: "WebSocket", connection: "upgrade", origin: "https://evil.example" };
    expect((await app.inject({ url: "/things", headers })).statusCode).toBe(403);
  });

  it("is refused with a stable code as JSON", async () => {
    const headers = { ...json, origin: "https://evil.example" };
    const answer = await post(await appWith(), headers, '{"name":"a"}', "/api/things");
    expect(answer.json()).toMatchObject({ code: "request.cross_site", request_id: "request-1" });
  });

  it("does not help plain text, which is no body that we read", async () => {
    const headers = { "content-type": "text/plain", origin: own };
    expect((await post(await appWith(), headers, '{"name":"a"}', "/api/things")).statusCode).toBe(400);
  });
});

describe("a form's token", () => {
  it("lets the form of the own session pass, and no schema has to know it", async () => {
    const answer = await post(
      await appWith(signedIn),
      { ...form, origin: own },
      "csrf_token=csrf-of-admin&name=a",
    );
    expect(answer.body).toBe("a");
  });

  it.each([
    { name: "missing", body: "name=a" },
    { name: "another session's", body: "csrf_token=csrf-of-viewer&name=a" },
    { name: "given twice", body: "csrf_token=csrf-of-admin&csrf_token=csrf-of-admin&name=a" },
    { name: "empty", body: "csrf_token=&name=a" },
  ])("refuses the form when it is $name", async ({ body }) => {
    const answer = await post(await appWith(signedIn), { ...form, origin: own }, body);
    expect(answer.statusCode).toBe(403);
  });

  it("is asked whatever the case of the content type", async () => {
    const headers = { "content-type": "Application/X-WWW-Form-Urlencoded", origin: own };
    expect((await post(await appWith(signedIn), headers, "name=a")).statusCode).toBe(403);
  });

  it("is not asked of an anonymous form, whose field is dropped all the same", async () => {
    const answer = await post(await appWith(), { ...form, origin: own }, "csrf_token=&name=a");
    expect(answer.body).toBe("a");
  });

  it("is not asked of JSON", async () => {
    const answer = await post(
      await appWith(signedIn),
      { ...json, origin: own },
      '{"name":"a"}',
      "/api/things",
    );
    expect(answer.statusCode).toBe(200);
  });
});
