/** What a load balancer, a monitor and a curious operator ask without signing in. */

import { productVersion } from "@restic-manager/protocol/version";
import { sql } from "kysely";
import { z } from "zod";
import type { Db } from "../db/db.ts";
import { AppError } from "../errors.ts";
import { type App, apiRoute } from "./route.ts";

const ok = z.object({ status: z.literal("ok") });

const away = (cause?: unknown): AppError =>
  new AppError("unavailable", "database.unreachable", "The database does not answer.", { cause });

export function addHealthRoutes(app: App, deps: { db: Db; stopping(): boolean; isHealthy(): boolean }): void {
  apiRoute(app, {
    method: "GET",
    url: "/healthz",
    policy: "anonymous",
    summary: "The server runs.",
    schema: { response: { 200: ok } },
    answer: () => ({ status: "ok" }),
  });
  apiRoute(app, {
    method: "GET",
    url: "/readyz",
    policy: "anonymous",
    summary: "The server runs and its database answers; 503 while it stops.",
    schema: { response: { 200: ok } },
    async answer() {
      if (deps.stopping()) throw new AppError("unavailable", "server.stopping", "The server is stopping.");
      if (!deps.isHealthy()) throw away();
      await sql`SELECT 1`.execute(deps.db).catch((cause: unknown) => {
        throw away(cause);
      });
      return { status: "ok" };
    },
  });
  apiRoute(app, {
    method: "GET",
    url: "/api/version",
    policy: "anonymous",
    summary: "The server's version.",
    schema: { response: { 200: z.object({ version: z.string() }) } },
    answer: () => ({ version: productVersion }),
  });
  apiRoute(app, {
    method: "GET",
    url: "/api/openapi.json",
    policy: "viewer",
    summary: "This description.",
    answer: () => app.swagger(),
  });
}
