/** JSON routes of source groups. */
import { z } from "zod";
import type { Db } from "../../platform/db/db.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import { getHost } from "../hosts/hosts.ts";
import { type RunDeps, runLimits, runNow } from "../jobs/jobs.ts";
import { registerFolderRoutes } from "./folders.api.ts";
import type { FolderDeps } from "./folders.ts";
import { groupBody, readGroupDraft } from "./group-draft.ts";
import { cloneSourceGroup, createSourceGroup, deleteSourceGroup, editSourceGroup } from "./group-edits.ts";
import { registerHookRoutes } from "./hooks.api.ts";
import { hookFacts } from "./hooks.ts";
import { getSourceGroup, type SourceGroup, type SourcesDeps } from "./source-group.ts";
import { listSourceGroups } from "./sources.store.ts";
import { toWireGroup, type WireGroup, wireGroup } from "./sources.wire.ts";

const hostParams = z.object({ hostId: z.string().max(64) });
const groupParams = hostParams.extend({ groupId: z.string().max(64) });
const groupsUrl = "/api/hosts/:hostId/source-groups";
const groupUrl = `${groupsUrl}/:groupId`;

/** A PUT replaces the group, so a field that is left out would be lost: all must be there. Hooks that are not stay. */
const editBody = groupBody
  .required({
    excludes: true,
    exclude_if_present: true,
    exclude_larger_than_bytes: true,
    one_file_system: true,
    exclude_caches: true,
    min_size_bytes: true,
    retention: true,
    retry_max: true,
    retry_backoff_seconds: true,
  })
  .extend({ version: z.int() });

export type SourceRouteDeps = SourcesDeps & RunDeps & FolderDeps;

export function registerSourceRoutes(app: App, deps: SourceRouteDeps): void {
  registerReading(app, deps.db);
  registerChanging(app, deps);
  registerRunning(app, deps);
  registerHookRoutes(app, deps);
  registerFolderRoutes(app, deps);
}

async function withHooks(db: Db, group: SourceGroup): Promise<WireGroup> {
  return toWireGroup(group, (await hookFacts(db, [group.id])).get(group.id));
}

function registerReading(app: App, db: Db): void {
  apiRoute(app, {
    method: "GET",
    url: groupsUrl,
    policy: "viewer",
    summary: "What a host backs up.",
    schema: { params: hostParams, response: { 200: z.object({ source_groups: z.array(wireGroup) }) } },
    async answer({ params }) {
      const host = await getHost(db, params.hostId);
      const groups = await listSourceGroups(db, host.id);
      const facts = await hookFacts(
        db,
        groups.map((group) => group.id),
      );
      return { source_groups: groups.map((group) => toWireGroup(group, facts.get(group.id))) };
    },
  });
  apiRoute(app, {
    method: "GET",
    url: groupUrl,
    policy: "viewer",
    summary: "One source group; of its hooks only their digests.",
    schema: { params: groupParams, response: { 200: wireGroup } },
    answer: async ({ params }) => withHooks(db, await getSourceGroup(db, params.hostId, params.groupId)),
  });
}

function registerChanging(app: App, deps: SourcesDeps): void {
  const { db } = deps;
  apiRoute(app, {
    method: "POST",
    url: groupsUrl,
    policy: "operator",
    summary: "Make a source group. What is left out is off.",
    schema: { params: hostParams, body: groupBody, response: { 201: wireGroup } },
    async answer({ params, body, identity, reply }) {
      const actor = actorOf(requireIdentity(identity));
      const group = await createSourceGroup(deps, { ...params, draft: readGroupDraft(body), actor });
      void reply.code(201);
      return withHooks(db, group);
    },
  });
  apiRoute(app, {
    method: "PUT",
    url: groupUrl,
    policy: "operator",
    summary:
      "Replace a source group of the version that you saw. Hooks that are left out stay, null removes one.",
    schema: { params: groupParams, body: editBody, response: { 200: wireGroup } },
    async answer({ params, body: { version, ...wire }, identity }) {
      const actor = actorOf(requireIdentity(identity));
      const edit = { ...params, version, draft: readGroupDraft(wire), actor };
      return withHooks(db, await editSourceGroup(deps, edit));
    },
  });
  apiRoute(app, {
    method: "DELETE",
    url: groupUrl,
    policy: "operator",
    summary: "Remove a source group that no schedule runs; its snapshots stay in the repository.",
    schema: { params: groupParams, response: { 204: z.null() } },
    async answer({ params, identity, reply }) {
      await deleteSourceGroup(deps, { ...params, actor: actorOf(requireIdentity(identity)) });
      return reply.code(204).send(null);
    },
  });
}

function registerRunning(app: App, deps: SourceRouteDeps): void {
  apiRoute(app, {
    method: "POST",
    url: `${groupUrl}/run`,
    policy: "operator",
    summary: "Back up one source group now. Limits win over the host's caps for this run.",
    schema: {
      params: groupParams,
      body: z.strictObject({ limits: runLimits.optional() }).nullish(),
      response: { 202: z.object({ job_id: z.string() }) },
    },
    async answer({ params, body, identity, reply }) {
      const limits = body?.limits ? { limits: body.limits } : {};
      const request = { kind: "backup", source_group_id: params.groupId, ...limits } as const;
      const actor = actorOf(requireIdentity(identity));
      const [job] = await runNow(deps, { hostId: params.hostId, request, actor });
      void reply.code(202);
      return { job_id: job?.id ?? "" };
    },
  });
  apiRoute(app, {
    method: "POST",
    url: `${groupUrl}/clone`,
    policy: "operator",
    summary: "Copy a source group with its hooks to another host, or to the same one under another name.",
    schema: {
      params: groupParams,
      body: z.strictObject({ host_id: z.string().max(64), name: z.string().optional() }),
      response: { 201: wireGroup },
    },
    async answer({ params, body, identity, reply }) {
      const actor = actorOf(requireIdentity(identity));
      const copy = { ...params, toHostId: body.host_id, name: body.name, actor };
      const group = await cloneSourceGroup(deps, copy);
      void reply.code(201);
      return withHooks(deps.db, group);
    },
  });
}
