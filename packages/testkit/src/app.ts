/** The server's HTTP ground without a socket: a test adds the routes of its slice and sends requests by `inject`. */
import type { FastifyRequest } from "fastify";
import type { PageContext } from "../../server/src/platform/html/scope.ts";
import { type AppDeps, type BuiltApp, buildApp } from "../../server/src/platform/http/app.ts";
import type { Identity, Role } from "../../server/src/platform/http/identity.ts";
import { createLog } from "../../server/src/platform/log.ts";

/** An app where nobody is signed in and the log is silent, unless the test says otherwise. */
export function buildTestApp(deps: Partial<AppDeps> = {}): Promise<BuiltApp> {
  return buildApp({
    log: createLog("silent"),
    baseUrl: undefined,
    trustedProxies: [],
    identify: async () => null,
    errorPage: (_request, { status, code }) => `<!doctype html><title>${status} ${code}</title>`,
    newRequestId: () => "request-1",
    ...deps,
  });
}

/** Somebody signed in, as `identify` would find them. */
export const testIdentity = (role: Role): Identity => ({
  userId: `01USER${role.toUpperCase()}`,
  username: role,
  role,
  csrfToken: `csrf-of-${role}`,
});

/** The surroundings of a page, as start.ts makes them; every asset exists. */
export function testPage(request: FastifyRequest): PageContext {
  const { identity } = request;
  return {
    ...(identity ? { user: { name: identity.username, role: identity.role } } : {}),
    theme: "dark",
    version: "0.0.0-test",
    database: "SQLite",
    csrfToken: identity?.csrfToken ?? "",
    now: Date.UTC(2026, 10, 23, 4),
    assets: new Proxy({}, { get: (_assets, name) => String(name) }),
    path: request.url,
  };
}
