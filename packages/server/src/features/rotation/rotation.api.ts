/** A rotation of a repository's password as JSON, by a host that uses the repository. */
import { z } from "zod";
import { toInstant } from "../../platform/clock.ts";
import { AppError } from "../../platform/errors.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import {
  type RotationDeps,
  removeOldKeys,
  retryRotation,
  startRotation,
  stopRotation,
} from "./rotation-edits.ts";
import { getRotationView, type RotationView } from "./rotation-view.ts";

const params = z.object({ hostId: z.string().max(64) });
const when = z.string().nullable();
const error = z.object({ code: z.string(), message: z.string() }).nullable();
const task = { job_id: z.string().nullable(), error, retry_at: when };

const wireRotation = z.object({
  ...{ state: z.string(), started_by: z.string(), started_at: z.string(), ended_at: when, ...task },
  hosts: z.array(
    z.object({
      ...{ id: z.string(), name: z.string(), online: z.boolean(), last_seen_at: when },
      accesses: z.array(z.object({ slot: z.string(), step: z.string(), ...task })),
    }),
  ),
  keys: z.array(
    z.object({
      ...{ id: z.string(), role: z.string(), username: z.string(), hostname: z.string() },
      ...{ created_at: when, removed_at: when },
    }),
  ),
});

const orNull = (at: number | null): string | null => (at === null ? null : toInstant(at));

const toTask = (one: { jobId: string | null; problem: z.output<typeof error>; retryAt: number | null }) => ({
  ...{ job_id: one.jobId, error: one.problem, retry_at: orNull(one.retryAt) },
});

/** @throws AppError `rotation.not_found` */
function toWire({ rotation, hosts }: RotationView): z.output<typeof wireRotation> {
  if (!rotation) {
    const message = "The password of this repository was never replaced by this server.";
    throw new AppError("not_found", "rotation.not_found", message);
  }
  return {
    state: rotation.state,
    started_by: rotation.startedBy,
    started_at: toInstant(rotation.startedAt),
    ended_at: orNull(rotation.endedAt),
    ...toTask(rotation),
    hosts: hosts.map((host) => ({
      ...{ id: host.id, name: host.name, online: host.isOnline, last_seen_at: orNull(host.lastSeenAt) },
      accesses: host.accesses.map((access) => ({
        ...{ slot: access.slot, step: access.step, ...toTask(access) },
      })),
    })),
    keys: rotation.keys.map((key) => ({
      ...{ id: key.id, role: key.role, username: key.username, hostname: key.hostname },
      ...{ created_at: orNull(key.createdAt), removed_at: orNull(key.removedAt) },
    })),
  };
}

const url = "/api/hosts/:hostId/repo-rotation";

export function registerRotationRoutes(app: App, deps: RotationDeps): void {
  const show = async (hostId: string) => toWire(await getRotationView(deps, hostId));
  apiRoute(app, {
    method: "GET",
    url,
    policy: "viewer",
    summary: "The rotation of the repository's password that is under way, or the last one.",
    schema: { params, response: { 200: wireRotation } },
    answer: ({ params: { hostId } }) => show(hostId),
  });
  apiRoute(app, {
    method: "POST",
    url,
    policy: "operator",
    summary:
      "Give the repository another password over all its hosts; made by the server and told once if left out.",
    schema: {
      params,
      // Its length is the slice's rule, with a sentence of its own; the body's limit bounds it.
      body: z.strictObject({ password: z.string().optional() }),
      response: { 201: wireRotation.extend({ password: z.string().nullable() }) },
    },
    async answer({ params: { hostId }, body, identity, reply }) {
      const actor = actorOf(requireIdentity(identity));
      const { password } = await startRotation(deps, { hostId, password: body.password, actor });
      return reply.code(201).send({ ...(await show(hostId)), password });
    },
  });
  registerDecisions(app, deps, show);
}

function registerDecisions(
  app: App,
  deps: RotationDeps,
  show: (hostId: string) => Promise<z.output<typeof wireRotation>>,
): void {
  const shared = { method: "POST", policy: "operator" } as const;
  const response = { 200: wireRotation };
  apiRoute(app, {
    ...shared,
    url: `${url}/remove`,
    summary:
      "Remove the old keys, once every host uses the new password; `confirmed` that it is kept elsewhere.",
    schema: { params, body: z.strictObject({ confirmed: z.boolean().default(false) }), response },
    async answer({ params: { hostId }, body: { confirmed }, identity }) {
      await removeOldKeys(deps, { hostId, confirmed, actor: actorOf(requireIdentity(identity)) });
      return show(hostId);
    },
  });
  apiRoute(app, {
    ...shared,
    url: `${url}/stop`,
    summary: "Stop the rotation; both passwords go on opening the repository.",
    schema: { params, response },
    async answer({ params: { hostId }, identity }) {
      await stopRotation(deps, { hostId, actor: actorOf(requireIdentity(identity)) });
      return show(hostId);
    },
  });
  apiRoute(app, {
    ...shared,
    url: `${url}/retry`,
    summary: "Try again what failed, now.",
    schema: { params, response },
    async answer({ params: { hostId }, identity }) {
      await retryRotation(deps, { hostId, actor: actorOf(requireIdentity(identity)) });
      return show(hostId);
    },
  });
}
