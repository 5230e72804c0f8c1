/** Snapshots as JSON. */
import { z } from "zod";
import { toInstant } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import { type App, apiRoute } from "../../platform/http/route.ts";
import { getHost } from "../hosts/hosts.ts";
import { countSnapshots, listSnapshots } from "./snapshots.store.ts";

const wireSnapshot = z.object({
  id: z.string(),
  time: z.string(),
  hostname: z.string(),
  username: z.string().nullable(),
  paths: z.array(z.string()),
  tags: z.array(z.string()),
  size_bytes: z.number().nullable(),
  file_count: z.number().nullable(),
  added_bytes: z.number().nullable(),
});
const query = z.object({
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  offset: z.coerce.number().int().min(0).default(0),
});

export function registerSnapshotRoutes(app: App, deps: { db: Db }): void {
  apiRoute(app, {
    method: "GET",
    url: "/api/hosts/:hostId/snapshots",
    policy: "viewer",
    summary: "A host's snapshots as its agent last reported them, newest first.",
    schema: {
      params: z.object({ hostId: z.string().max(64) }),
      querystring: query,
      response: { 200: z.object({ snapshots: z.array(wireSnapshot), total: z.number() }) },
    },
    async answer({ params, query: page }) {
      const host = await getHost(deps.db, params.hostId);
      const found = await listSnapshots(deps.db, host.id, page);
      const snapshots = found.map(({ sizeBytes, fileCount, addedBytes, time, ...same }) => ({
        ...same,
        time: toInstant(time),
        size_bytes: sizeBytes,
        file_count: fileCount,
        added_bytes: addedBytes,
      }));
      return { snapshots, total: await countSnapshots(deps.db, host.id) };
    },
  });
}
