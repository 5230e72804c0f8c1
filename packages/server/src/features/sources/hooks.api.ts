/** JSON routes of hooks. A script is shown to operators only, and only where one is edited. */
import { z } from "zod";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import { getHost } from "../hosts/hosts.ts";
import { hooksBody, readHookDrafts } from "./group-draft.ts";
import { hookFacts, openHooks, setHostHooks } from "./hooks.ts";
import { getSourceGroup, type SourcesDeps } from "./source-group.ts";
import { toWireFacts, toWireHooks, wireHookFacts, wireHooks } from "./sources.wire.ts";

const params = z.object({ hostId: z.string().max(64) });

export function registerHookRoutes(app: App, deps: SourcesDeps): void {
  const { db, box } = deps;
  apiRoute(app, {
    method: "GET",
    url: "/api/hosts/:hostId/source-groups/:groupId/hooks",
    policy: "operator",
    summary: "The scripts around a source group's backups, to edit them. They may hold passwords.",
    schema: { params: params.extend({ groupId: z.string().max(64) }), response: { 200: wireHooks } },
    async answer({ params: { hostId, groupId } }) {
      const group = await getSourceGroup(db, hostId, groupId);
      return toWireHooks(await openHooks(db, box, group.id));
    },
  });
  apiRoute(app, {
    method: "GET",
    url: "/api/hosts/:hostId/hooks",
    policy: "viewer",
    summary:
      "Which hooks run around the backups of a host's groups that have none of their own; not their text.",
    schema: { params, response: { 200: wireHookFacts } },
    async answer({ params: { hostId } }) {
      const host = await getHost(db, hostId);
      return toWireFacts((await hookFacts(db, [host.id])).get(host.id));
    },
  });
  apiRoute(app, {
    method: "PUT",
    url: "/api/hosts/:hostId/hooks",
    policy: "operator",
    summary: "Set a host's hooks. One that is left out stays, null removes it.",
    schema: { params, body: hooksBody, response: { 200: wireHookFacts } },
    async answer({ params: { hostId }, body, identity }) {
      const actor = actorOf(requireIdentity(identity));
      return toWireFacts(await setHostHooks(deps, { hostId, ...readHookDrafts(body), actor }));
    },
  });
}
