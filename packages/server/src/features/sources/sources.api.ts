/** Source groups as JSON. */
import { z } from "zod";
import { toInstant } from "../../platform/clock.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import { getHost } from "../hosts/hosts.ts";
import { type RunDeps, runNow } from "../jobs/jobs.ts";
import { listSourceGroups } from "./sources.store.ts";

const hostParams = z.object({ hostId: z.string().max(64) });
const groupParams = hostParams.extend({ groupId: z.string().max(64) });
const wireGroup = z.object({
  id: z.string(),
  name: z.string(),
  includes: z.array(z.string()),
  excludes: z.array(z.string()),
  created_at: z.string(),
});

export function registerSourceRoutes(app: App, deps: RunDeps): void {
  apiRoute(app, {
    method: "GET",
    url: "/api/hosts/:hostId/source-groups",
    policy: "viewer",
    summary: "What a host backs up.",
    schema: { params: hostParams, response: { 200: z.object({ source_groups: z.array(wireGroup) }) } },
    async answer({ params }) {
      const host = await getHost(deps.db, params.hostId);
      const groups = await listSourceGroups(deps.db, host.id);
      const wire = groups.map(({ id, name, includes, excludes, createdAt }) => {
        return { id, name, includes, excludes, created_at: toInstant(createdAt) };
      });
      return { source_groups: wire };
    },
  });
  apiRoute(app, {
    method: "POST",
    url: "/api/hosts/:hostId/source-groups/:groupId/run",
    policy: "operator",
    summary: "Back up one source group now.",
    schema: { params: groupParams, response: { 202: z.object({ job_id: z.string() }) } },
    async answer({ params, identity, reply }) {
      const request = { kind: "backup", source_group_id: params.groupId } as const;
      const actor = actorOf(requireIdentity(identity));
      const [job] = await runNow(deps, { hostId: params.hostId, request, actor });
      void reply.code(202);
      return { job_id: job?.id ?? "" };
    },
  });
}
