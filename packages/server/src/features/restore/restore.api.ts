/** Restoring as JSON. */
import { z } from "zod";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import { restoreRequest } from "./restore-request.ts";
import { type RestoreDeps, startRestore } from "./start-restore.ts";

export function registerRestoreRoutes(app: App, deps: RestoreDeps): void {
  apiRoute(app, {
    method: "POST",
    url: "/api/hosts/:hostId/restore",
    policy: "operator",
    summary:
      "Restore files of one of the host's snapshots, there or on another host. Never queued for a host that is away.",
    schema: {
      params: z.object({ hostId: z.string().max(64) }),
      body: restoreRequest,
      response: { 202: z.object({ job_id: z.string() }) },
    },
    async answer({ params, body, identity, reply }) {
      const actor = actorOf(requireIdentity(identity));
      const job = await startRestore(deps, { hostId: params.hostId, request: body, actor });
      void reply.code(202);
      return { job_id: job.id };
    },
  });
}
