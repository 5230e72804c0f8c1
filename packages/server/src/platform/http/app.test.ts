/** The ground under every route: policies, headers, limits, input and output schemas, errors. */
import { buildTestApp, testIdentity } from "@restic-manager/testkit";
import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { AppError, type ErrorKind, httpStatusOf } from "../errors.ts";
import { createLog } from "../log.ts";
import type { AppDeps, BuiltApp } from "./app.ts";
import { clientAddress } from "./client-address.ts";
import { ownOrigin } from "./csrf.ts";
import { type Policy, type Role, roles } from "./identity.ts";
import { apiRoute, pageRoute } from "./route.ts";

let built: BuiltApp;
afterEach(() => built.app.close());

async function appFor(role: Role | null, deps: Partial<AppDeps> = {}): Promise<BuiltApp["app"]> {
  built = await buildTestApp({ identify: async () => (role ? testIdentity(role) : null), ...deps });
  return built.app;
}

/** An app with one JSON route and one page that throw. */
async function throwing(thrown: () => unknown, deps: Partial<AppDeps> = {}): Promise<BuiltApp["app"]> {
  const app = await appFor(null, deps);
  const answer = () => {
    throw thrown();
  };
  apiRoute(app, { method: "GET", url: "/api/broken", policy: "anonymous", answer });
  pageRoute(app, { method: "GET", url: "/broken", policy: "anonymous", answer });
  return app;
}

describe("a connection", () => {
  it("that sends its request byte by byte is not waited for without end", async () => {
    const { server } = await appFor(null);
    expect(server.requestTimeout).toBeGreaterThan(0);
    expect(server.headersTimeout).toBeGreaterThan(0);
  });
});

describe("a policy", () => {
  const visitors: (Role | null)[] = [...roles, null];
  const policies: Policy[] = ["anonymous", "viewer", "operator", "admin", "agent"];

  it.each(visitors)("is applied to every route, for %s", async (role) => {
    const app = await appFor(role);
    for (const policy of policies) {
      apiRoute(app, { method: "GET", url: `/api/${policy}`, policy, answer: () => ({ ok: true }) });
    }
    const statuses = await Promise.all(
      policies.map(async (policy) => (await app.inject({ url: `/api/${policy}` })).statusCode),
    );
    const expected = {
      admin: [200, 200, 200, 200, 200],
      operator: [200, 200, 200, 403, 200],
      viewer: [200, 200, 403, 403, 200],
      null: [200, 401, 401, 401, 200],
    };
    expect(statuses).toEqual(expected[role ?? "null"]);
  });

  it("is recorded for every route, and a route without one answers as if it were not there", async () => {
    const app = await appFor("admin");
    apiRoute(app, { method: "GET", url: "/api/things", policy: "operator", answer: () => ({}) });
    pageRoute(app, { method: "POST", url: "/things", policy: "admin", answer: () => "" });
    app.get("/forgotten", () => "secret");
    expect(built.declaredRoutes).toEqual([
      { method: "GET", url: "/api/things", policy: "operator", page: false },
      { method: "POST", url: "/things", policy: "admin", page: true },
    ]);
    expect((await app.inject({ url: "/forgotten" })).statusCode).toBe(404);
  });

  it("is checked before the body is looked at", async () => {
    const app = await appFor("viewer");
    apiRoute(app, {
      method: "POST",
      url: "/api/things",
      policy: "admin",
      schema: { body: z.strictObject({}) },
      answer: () => ({}),
    });
    const headers = { "content-type": "application/json" };
    const answer = await app.inject({ method: "POST", url: "/api/things", headers, payload: "{ broken" });
    expect(answer.json()).toMatchObject({ code: "auth.role_too_low" });
  });
});

describe("a rate limit", () => {
  it("of a route comes before anybody is looked up", async () => {
    let lookups = 0;
    const app = await appFor(null, {
      identify: async () => {
        lookups++;
        return null;
      },
    });
    apiRoute(app, { method: "GET", url: "/api/few", policy: "viewer", perMinute: 2, answer: () => ({}) });
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) statuses.push((await app.inject({ url: "/api/few" })).statusCode);
    expect(statuses).toEqual([401, 401, 429]);
    expect(lookups).toBe(2);
  });
});

describe("behind a reverse proxy", () => {
  const trustedProxies = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"];

  /** What the server takes a request for. */
  async function seen(remoteAddress: string, headers: Record<string, string>, trusted = trustedProxies) {
    const app = await appFor(null, { trustedProxies: trusted });
    apiRoute(app, {
      method: "GET",
      url: "/api/seen",
      policy: "anonymous",
      answer: ({ request }) => ({ from: clientAddress(request), as: ownOrigin(request, undefined) }),
    });
    const answer = await app.inject({
      url: "/api/seen",
      headers: { host: "inside:8080", ...headers },
      remoteAddress,
    });
    await app.close();
    return answer.json();
  }
  const forwarded = {
    "x-forwarded-for": "192.0.2.7",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "backup.example.org",
  };

  it("that is trusted, the client's address, the scheme and the host are what it says", async () => {
    const expected = { from: "192.0.2.7", as: "https://backup.example.org" };
    for (const proxy of ["127.0.0.1", "10.1.2.3", "fd00::5", "::ffff:10.1.2.3"])
      expect(await seen(proxy, forwarded)).toEqual(expected);
  });

  it("that is not, nobody believes a word", async () => {
    for (const stranger of ["198.51.100.9", "2001:db8::1"])
      expect(await seen(stranger, forwarded)).toEqual({ from: stranger, as: "http://inside:8080" });
    expect(await seen("127.0.0.1", forwarded, [])).toEqual({ from: "127.0.0.1", as: "http://inside:8080" });
  });

  it.each([
    ["several hops", "192.0.2.7, 10.9.9.9, 10.1.1.1", "192.0.2.7"],
    ["a client that invents hops", "203.0.113.1, 127.0.0.1, 192.0.2.7", "192.0.2.7"],
    ["a client that claims to be a proxy", "10.5.5.5, 192.0.2.7, 10.1.1.1", "192.0.2.7"],
    ["IPv6", "2001:DB8::7, fd00::9", "2001:db8::7"],
    ["a port", "192.0.2.7:51234", "192.0.2.7"],
    ["a port of IPv6", "[2001:db8::7]:51234", "2001:db8::7"],
    ["IPv4 in IPv6", "::ffff:192.0.2.7", "192.0.2.7"],
    ["IPv4 in hexadecimal IPv6", "0:0:0:0:0:FFFF:c000:0207", "192.0.2.7"],
    ["what is no address", "<script>", "10.0.0.1"],
    ["nothing", "", "10.0.0.1"],
  ])("finds the client through %s", async (_what, chain, from) => {
    expect(await seen("10.0.0.1", { "x-forwarded-for": chain })).toMatchObject({ from });
  });

  it("that nobody listed, the log says so, once", async () => {
    const lines: string[] = [];
    const log = createLog("warn", { write: (line: string) => void lines.push(line) });
    const app = await appFor(null, { log });
    for (let times = 0; times < 2; times++)
      await app.inject({ url: "/nothing", headers: forwarded, remoteAddress: "10.0.0.1" });
    await app.inject({ url: "/nothing", remoteAddress: "10.0.0.2" });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/"peer":"10\.0\.0\.1".*RM_TRUSTED_PROXY/);
  });

  it("a limit counts the client, not the proxy, and no spelling of its address is another client", async () => {
    const app = await appFor(null, { trustedProxies });
    apiRoute(app, { method: "GET", url: "/api/few", policy: "anonymous", perMinute: 2, answer: () => ({}) });
    const ask = async (client: string) => {
      const headers = { "x-forwarded-for": client };
      return (await app.inject({ url: "/api/few", headers, remoteAddress: "10.0.0.1" })).statusCode;
    };
    const same = ["192.0.2.7", "192.0.2.7:1", "::ffff:192.0.2.7"];
    expect([await ask(same[0] ?? ""), await ask(same[1] ?? ""), await ask(same[2] ?? "")]).toEqual([
      200, 200, 429,
    ]);
    expect(await ask("192.0.2.8")).toBe(200);
    const oneNetwork = ["2001:db8:0:1::7", "2001:DB8:0:1:ffff::", "[2001:db8::1:a:b:c:d]:51234"];
    expect([
      await ask(oneNetwork[0] ?? ""),
      await ask(oneNetwork[1] ?? ""),
      await ask(oneNetwork[2] ?? ""),
    ]).toEqual([200, 200, 429]);
    for (const other of ["2001:db8::7", "2001:db8:0:2::7", "::ffff:192.0.2.9", "::ffff:c000:20a", "::1"])
      expect(await ask(other), other).toBe(200);
  });
});

describe("every answer", () => {
  it("forbids inline scripts, framing and caching, and carries the request's id", async () => {
    const app = await appFor(null);
    pageRoute(app, { method: "GET", url: "/page", policy: "anonymous", answer: () => "<p>hello</p>" });
    const { headers } = await app.inject({ url: "/page" });
    const policy = String(headers["content-security-policy"]);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain("unsafe");
    expect(headers).toMatchObject({
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "x-request-id": "request-1",
    });
  });

  it.each(["/%", "/api/hosts/%zz"])(
    "is of that kind even for an address that nobody can read: %s",
    async (url) => {
      const { statusCode, headers, body } = await (await appFor(null)).inject({ url });
      expect([statusCode, JSON.parse(body)]).toEqual([
        400,
        { code: "request.invalid", message: expect.any(String), request_id: "request-1" },
      ]);
      expect(String(headers["content-security-policy"])).toContain("default-src 'none'");
      expect(headers).toMatchObject({ "cache-control": "no-store", "x-request-id": "request-1" });
    },
  );

  it("is a page for a browser that asks for one", async () => {
    const app = await appFor(null);
    const { statusCode, headers } = await app.inject({ url: "/%", headers: { accept: "text/html" } });
    expect([statusCode, headers["content-type"]]).toEqual([400, "text/html; charset=utf-8"]);
  });

  it("keeps to its schema: a field that is not declared never leaves", async () => {
    const app = await appFor(null);
    apiRoute(app, {
      method: "GET",
      url: "/api/user",
      policy: "anonymous",
      schema: { response: { 200: z.object({ name: z.string() }) } },
      answer: () => ({ name: "ada", passwordHash: "$argon2id$" }),
    });
    expect((await app.inject({ url: "/api/user" })).json()).toEqual({ name: "ada" });
  });
});

describe("an error", () => {
  it.each(Object.keys(httpStatusOf) as ErrorKind[])(
    "of kind %s has its status and its code as JSON",
    async (kind) => {
      const app = await throwing(
        () => new AppError(kind, "things.broken", "It broke.", { details: { n: 1 } }),
      );
      const answer = await app.inject({ url: "/api/broken" });
      expect(answer.statusCode).toBe(httpStatusOf[kind]);
      expect(answer.json()).toEqual({
        code: "things.broken",
        message: "It broke.",
        details: { n: 1 },
        request_id: "request-1",
      });
    },
  );

  it.each([() => new Error("password hunter2"), () => "hunter2", () => null, () => undefined])(
    "that is no error of ours says nothing of itself",
    async (thrown) => {
      const lines: string[] = [];
      const app = await throwing(thrown, { log: createLog("error", { write: (line) => lines.push(line) }) });
      const answer = await app.inject({ url: "/api/broken" });
      expect(answer.statusCode).toBe(500);
      expect(answer.json()).toMatchObject({ code: "internal", request_id: "request-1" });
      expect(answer.body).not.toContain("hunter2");
      expect(lines).toHaveLength(1);
      expect(JSON.parse(lines[0] ?? "")).toMatchObject({ code: "internal", reqId: "request-1" });
    },
  );

  it("of a page is a page", async () => {
    const app = await throwing(() => new AppError("conflict", "things.broken", "It broke."));
    const answer = await app.inject({ url: "/broken" });
    expect(answer.statusCode).toBe(409);
    expect(answer.headers["content-type"]).toBe("text/html; charset=utf-8");
    expect(answer.body).toContain("409 things.broken");
  });

  it("of input names its fields as they are on the wire", async () => {
    const app = await appFor(null);
    const body = z.strictObject({ name: z.string(), tags: z.array(z.string()) });
    apiRoute(app, {
      method: "POST",
      url: "/api/things",
      policy: "anonymous",
      schema: { body },
      answer: () => ({}),
    });
    const answer = await app.inject({
      method: "POST",
      url: "/api/things",
      payload: { tags: ["a", 1], more: true },
    });
    expect(answer.statusCode).toBe(400);
    const { code, details } = answer.json();
    expect(code).toBe("request.invalid");
    expect(details.map((problem: { path: string }) => problem.path).sort()).toEqual(["", "name", "tags.1"]);
  });

  it.each([
    {
      name: "a body that is too large",
      payload: `"${"x".repeat(2 * 1024 * 1024)}"`,
      code: "request.too_large",
    },
    { name: "a body that is no JSON", payload: "{", code: "request.invalid" },
    { name: "an empty body", payload: "", code: "request.invalid" },
  ])("is answered to $name", async ({ payload, code }) => {
    const app = await appFor(null);
    const body = z.strictObject({});
    apiRoute(app, {
      method: "POST",
      url: "/api/things",
      policy: "anonymous",
      schema: { body },
      answer: () => ({}),
    });
    const headers = { "content-type": "application/json" };
    const answer = await app.inject({ method: "POST", url: "/api/things", headers, payload });
    expect(answer.json()).toMatchObject({ code });
    expect(answer.statusCode).toBe(400);
  });

  it("is a page at an unknown address when a browser asks, and JSON otherwise", async () => {
    const app = await appFor(null);
    const page = await app.inject({ url: "/nowhere", headers: { accept: "text/html,*/*" } });
    expect([page.statusCode, page.headers["content-type"]]).toEqual([404, "text/html; charset=utf-8"]);
    const api = await app.inject({ url: "/api/nowhere", headers: { accept: "text/html" } });
    expect(api.json()).toMatchObject({ code: "request.not_found" });
  });
});
