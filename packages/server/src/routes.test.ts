/**
 * The table of route × role, generated from the policies that the routes declare: each cell is one request to the
 * whole server. A refusal by policy is told apart from every other answer by its code.
 */
import { startTestServer, type TestAnswer, type TestClient } from "@restic-manager/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { allows, type Role } from "./platform/http/identity.ts";

const server = await startTestServer();
const routes = server.server.declaredRoutes;
const visitors: (Role | "anonymous")[] = ["anonymous", "viewer", "operator", "admin"];
/** Nothing has this id, so that an allowed request changes nothing. */
const noId = "01KAQ2XK3M5N7P9Q1R3S5T7V9W";

afterAll(() => server.stop());

const pathOf = (url: string): string => url.replace(/:\w+/g, noId);

function ask(client: TestClient, route: (typeof routes)[number]): Promise<TestAnswer> {
  const path = pathOf(route.url);
  if (route.method === "GET") return client.get(path);
  if (route.page) return client.form(path);
  return {
    POST: () => client.post(path, {}),
    PUT: () => client.put(path, {}),
    DELETE: () => client.delete(path, {}),
  }[route.method as "POST" | "PUT" | "DELETE"]();
}

/** How a policy refused, or null when it did not. A page sends strangers to the sign-in form. */
function refusalOf(answer: TestAnswer, page: boolean): "sign in first" | "role too low" | null {
  if (!page) {
    if (answer.body.code === "auth.required") return "sign in first";
    return answer.body.code === "auth.role_too_low" ? "role too low" : null;
  }
  const location = answer.headers.get("location") ?? "";
  if (answer.status === 303 && /^\/login($|\?next=)/.test(location)) return "sign in first";
  return answer.status === 403 && answer.text.includes("auth.role_too_low") ? "role too low" : null;
}

describe.each(routes)("$method $url for $policy", (route) => {
  const clients = new Map<string, TestClient>();
  beforeAll(async () => {
    // Sessions of their own for each route: signing out or a wrong password must not reach the next one.
    clients.set("anonymous", server.anonymous());
    for (const role of ["viewer", "operator", "admin"] as const) clients.set(role, await server.signIn(role));
  });

  it.each(visitors)("%s", async (visitor) => {
    const answer = await ask(clients.get(visitor) ?? server.anonymous(), route);
    const role = visitor === "anonymous" ? null : visitor;
    // Signing out answers with the same redirect as a refusal; nobody is refused there.
    const refusal = route.url === "/logout" ? null : refusalOf(answer, route.page);
    const expected = role === null ? "sign in first" : "role too low";
    expect(refusal).toBe(allows(route.policy, role) ? null : expected);
    if (!route.page && refusal !== null) expect(answer.status).toBe(role === null ? 401 : 403);
    expect(answer.status).toBeLessThan(500);
  });

  if (route.policy === "agent") {
    it("takes no session for a bearer or a token", async () => {
      for (const visitor of visitors) {
        const client = clients.get(visitor) ?? server.anonymous();
        const token = { token: "unknown", hostname: "h", os: "linux", arch: "x64", agent_version: "1" };
        const answer =
          route.method === "GET" ? await client.get(route.url) : await client.post(route.url, token);
        // A plain GET is no upgrade, and is told so before anything else.
        expect([401, 426]).toContain(answer.status);
        expect(["link.upgrade_required", "enrolment.token_invalid"]).toContain(answer.body.code);
      }
    });
  }
});

describe("the routes of Fastify", () => {
  it("all declare a policy; the built files are for everybody", async () => {
    const printed = server.server.app.printRoutes({ commonPrefix: false });
    const methods = [...printed.matchAll(/\(([A-Z, ]+)\)/g)].flatMap(([, list]) => (list ?? "").split(", "));
    expect(methods.filter((method) => method !== "HEAD")).toHaveLength(routes.length);
    expect((await server.anonymous().get("/assets/manifest.json")).status).toBe(200);
  });

  it("answer a stranger's guess with 404, as JSON under /api", async () => {
    expect((await server.anonymous().get("/nothing")).status).toBe(404);
    expect((await server.anonymous().get("/api/nothing")).body).toMatchObject({ code: "request.not_found" });
  });
});
