/** `GET /api/installation`: what this installation is made of, for monitors and scripts. */
import { z } from "zod";
import { toInstant } from "../../platform/clock.ts";
import { type App, apiRoute } from "../../platform/http/route.ts";
import { getInstallation, type InstallationDeps } from "./installation.ts";

const answer = z.object({
  version: z.string(),
  database: z.object({
    engine: z.enum(["sqlite", "postgresql"]),
    version: z.string(),
    size_bytes: z.number(),
  }),
  job_log_days: z.number(),
  downloads: z.boolean(),
  replicas: z.array(
    z.object({
      id: z.string(),
      url: z.string(),
      version: z.string(),
      started_at: z.string(),
      seen_at: z.string(),
      is_alive: z.boolean(),
      is_leader: z.boolean(),
      is_this: z.boolean(),
      agents: z.number(),
    }),
  ),
});

export function registerInstallationRoutes(app: App, deps: InstallationDeps): void {
  apiRoute(app, {
    method: "GET",
    url: "/api/installation",
    policy: "viewer",
    summary: "The database, and the server or the replicas on it.",
    schema: { response: { 200: answer } },
    async answer() {
      const { version, database, jobLogDays, downloads, replicas } = await getInstallation(deps);
      return {
        ...{ version, downloads, job_log_days: jobLogDays },
        database: {
          engine: database.engine === "SQLite" ? ("sqlite" as const) : ("postgresql" as const),
          ...{ version: database.version, size_bytes: database.sizeBytes },
        },
        replicas: replicas.map((one) => ({
          ...{ id: one.id, url: one.url, version: one.version, agents: one.agents },
          ...{ started_at: toInstant(one.startedAt), seen_at: toInstant(one.seenAt) },
          ...{ is_alive: one.isAlive, is_leader: one.isLeader, is_this: one.isThis },
        })),
      };
    },
  });
}
