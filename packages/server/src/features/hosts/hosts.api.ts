/** JSON routes of hosts: list, one, delete. */
import { z } from "zod";
import { toInstant } from "../../platform/clock.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import {
  type DeleteHostDeps,
  deleteHost,
  getHost,
  type Host,
  hostModes,
  isOnline,
  listHostPage,
  maxBandwidthKib,
  setBandwidth,
  setHostMode,
} from "./hosts.ts";

/** Any word: an unknown id is answered as not found. */
const params = z.object({ id: z.string().regex(/^[\w-]{1,64}$/) });
const instant = z.string();

const wireHost = z.object({
  id: z.string(),
  name: z.string(),
  os: z.string(),
  arch: z.string(),
  tags: z.array(z.string()),
  repository_id: z.string().nullable(),
  agent_version: z.string().nullable(),
  restic_version: z.string().nullable(),
  restic_problem: z.object({ code: z.string(), message: z.string() }).nullable(),
  online: z.boolean(),
  clock_skew_ms: z.number().nullable(),
  mode: z.enum(hostModes),
  schedule_version: z.number(),
  applied_schedule_version: z.number().nullable(),
  hooks_allowed: z.boolean().nullable(),
  bandwidth: z.object({ upload_kib: z.number().nullable(), download_kib: z.number().nullable() }),
  created_at: instant,
  first_connected_at: instant.nullable(),
  last_seen_at: instant.nullable(),
});

function toWire(host: Host, nowMs: number): z.output<typeof wireHost> {
  const when = (at: number | null) => (at === null ? null : toInstant(at));
  return {
    id: host.id,
    name: host.name,
    os: host.os,
    arch: host.arch,
    tags: host.tags,
    repository_id: host.repositoryId,
    agent_version: host.agentVersion,
    restic_version: host.resticVersion,
    restic_problem: host.resticProblem,
    online: isOnline(host, nowMs),
    clock_skew_ms: host.clockSkewMs,
    mode: host.mode,
    schedule_version: host.scheduleVersion,
    applied_schedule_version: host.appliedScheduleVersion,
    hooks_allowed: host.hooksAllowed,
    bandwidth: { upload_kib: host.uploadKib, download_kib: host.downloadKib },
    created_at: toInstant(host.createdAt),
    first_connected_at: when(host.firstConnectedAt),
    last_seen_at: when(host.lastSeenAt),
  };
}

/** The most hosts in one answer, when a limit is asked for. */
const maxPage = 1000;

const filters = z.object({
  q: z.string().max(256).optional(),
  name: z.string().max(256).optional(),
  tag: z.string().max(64).optional(),
  state: z.enum(["online", "offline"]).optional(),
  limit: z.coerce.number().int().min(1).max(maxPage).optional(),
  after: z.string().max(256).optional(),
});

const hostPage = z.object({ hosts: z.array(wireHost), next: z.string().nullable() });

const kib = z.int().min(1).max(maxBandwidthKib).nullable();

function registerHostEdits(app: App, deps: DeleteHostDeps): void {
  apiRoute(app, {
    method: "PUT",
    url: "/api/hosts/:id/bandwidth",
    policy: "operator",
    summary: "Cap what restic sends and fetches on a host, in KiB a second; null is unlimited.",
    schema: {
      params,
      body: z.strictObject({ upload_kib: kib, download_kib: kib }),
      response: { 200: wireHost },
    },
    async answer({ params: { id }, body, identity }) {
      const actor = actorOf(requireIdentity(identity));
      const caps = { uploadKib: body.upload_kib, downloadKib: body.download_kib };
      return toWire(await setBandwidth(deps, { hostId: id, caps, actor }), deps.clock.now());
    },
  });
  apiRoute(app, {
    method: "PUT",
    url: "/api/hosts/:id/mode",
    policy: "operator",
    summary: "Say whether a host is always on, or away now and then like a laptop.",
    schema: { params, body: z.strictObject({ mode: z.enum(hostModes) }), response: { 200: wireHost } },
    async answer({ params: { id }, body, identity }) {
      const actor = actorOf(requireIdentity(identity));
      return toWire(await setHostMode(deps, { hostId: id, mode: body.mode, actor }), deps.clock.now());
    },
  });
}

export function registerHostRoutes(app: App, deps: DeleteHostDeps): void {
  const { db, clock } = deps;
  registerHostEdits(app, deps);
  apiRoute(app, {
    method: "GET",
    url: "/api/hosts",
    policy: "viewer",
    summary:
      "Hosts by name; narrowed by a part of the name or the whole, a tag and the state. With a limit, `next` is the `after` of the next page.",
    schema: { querystring: filters, response: { 200: hostPage } },
    async answer({ query: { limit, after, ...filter } }) {
      const nowMs = clock.now();
      // One more than asked for tells whether there is a next page.
      const found = await listHostPage(db, filter, { after, nowMs, limit: limit && limit + 1 });
      const hosts = found.slice(0, limit);
      const next = found.length > hosts.length ? (hosts.at(-1)?.name ?? null) : null;
      return { hosts: hosts.map((host) => toWire(host, nowMs)), next };
    },
  });
  apiRoute(app, {
    method: "GET",
    url: "/api/hosts/:id",
    policy: "viewer",
    summary: "One host.",
    schema: { params, response: { 200: wireHost } },
    answer: async ({ params: { id } }) => toWire(await getHost(db, id), clock.now()),
  });
  apiRoute(app, {
    method: "DELETE",
    url: "/api/hosts/:id",
    policy: "operator",
    summary: "Remove a host with its jobs and credentials; snapshots stay in the repository.",
    schema: {
      params,
      body: z.strictObject({ confirm_name: z.string().max(256) }),
      response: { 204: z.null() },
    },
    async answer({ params: { id }, body, identity, reply }) {
      const actor = actorOf(requireIdentity(identity));
      await deleteHost(deps, { hostId: id, typedName: body.confirm_name, actor });
      return reply.code(204).send(null);
    },
  });
}
