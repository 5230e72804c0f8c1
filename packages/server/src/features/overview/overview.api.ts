/** The fleet's figures as JSON. */
import { z } from "zod";
import { type App, apiRoute } from "../../platform/http/route.ts";
import type { FleetPictures } from "./fleet-picture.ts";

const summary = z.object({
  hosts: z.number(),
  online: z.number(),
  offline: z.number(),
  need_attention: z.number(),
  running: z.number(),
  snapshots: z.number(),
  protected_bytes: z.number(),
  repositories: z.number(),
  /** Hosts on which a restore drill ended well. */
  restore_proven: z.number(),
  /** Hosts whose agent, or restic, is older than what this server serves. */
  agents_behind: z.number(),
  restic_behind: z.number(),
});

export function registerOverviewRoutes(app: App, deps: { fleet: FleetPictures }): void {
  apiRoute(app, {
    method: "GET",
    url: "/api/fleet/summary",
    policy: "viewer",
    summary: "The fleet in figures.",
    schema: { response: { 200: summary } },
    async answer() {
      const fleet = (await deps.fleet.look()).figures;
      return {
        hosts: fleet.total,
        online: fleet.online,
        offline: fleet.offline,
        need_attention: fleet.attention,
        running: fleet.running,
        snapshots: fleet.snapshotCount,
        protected_bytes: fleet.protectedBytes,
        repositories: fleet.repositoryCount,
        restore_proven: fleet.drills?.provenHosts ?? 0,
        agents_behind: fleet.behind.agent,
        restic_behind: fleet.behind.restic,
      };
    },
  });
}
