/** Update runs and the update of one host as JSON. */
import { updateProgram } from "@restic-manager/protocol";
import { z } from "zod";
import { toInstant } from "../../platform/clock.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import {
  cancelUpdate,
  pauseUpdate,
  resumeUpdate,
  startUpdate,
  type UpdatesDeps,
  updateHost,
} from "./update-edits.ts";
import { getRunView, listRunSummaries, type RunSummary, type RunView } from "./update-view.ts";

const params = z.object({ id: z.string().max(64) });
const problem = z.object({ code: z.string(), message: z.string() });
const when = z.string().nullable();

const wireSummary = z.object({
  ...{
    id: z.string(),
    state: z.string(),
    program: z.string(),
    version: z.string(),
    tag: z.string().nullable(),
  },
  ...{ started_by: z.string(), started_at: z.string(), ended_at: when },
  pause: problem.extend({ host_id: z.string().nullable(), host_name: z.string().nullable() }).nullable(),
  counts: z.object({
    ...{
      waiting: z.number(),
      updating: z.number(),
      done: z.number(),
      failed: z.number(),
      skipped: z.number(),
    },
  }),
});

const wireRun = wireSummary.extend({
  wave: z.number(),
  hosts: z.array(
    z.object({
      ...{ id: z.string(), name: z.string(), state: z.string(), wave: z.number().nullable() },
      ...{ online: z.boolean(), last_seen_at: when, job_id: z.string().nullable() },
      ...{ from_version: z.string().nullable(), error: problem.nullable() },
    }),
  ),
});

const orNull = (at: number | null): string | null => (at === null ? null : toInstant(at));

function toSummary({ run, counts }: RunSummary): z.output<typeof wireSummary> {
  const { id, state, program, version, tag, pause } = run;
  return {
    ...{ id, state, program, version, tag, counts },
    started_by: run.actor.name,
    started_at: toInstant(run.startedAt),
    ended_at: orNull(run.endedAt),
    pause: pause && {
      ...{ code: pause.code, message: pause.message, host_id: pause.hostId, host_name: pause.hostName },
    },
  };
}

function toWire(view: RunView): z.output<typeof wireRun> {
  return {
    ...toSummary(view),
    wave: view.wave,
    hosts: view.targets.map((target) => ({
      ...{ id: target.id, name: target.name, state: target.state, wave: target.wave },
      ...{ online: target.isOnline, last_seen_at: orNull(target.lastSeenAt), job_id: target.jobId },
      ...{ from_version: target.fromVersion, error: target.problem },
    })),
  };
}

/** More than this is no page of a list any more. */
const listed = 50;
const mostHosts = 10_000;

export function registerUpdateRoutes(app: App, deps: UpdatesDeps): void {
  apiRoute(app, {
    method: "GET",
    url: "/api/updates",
    policy: "viewer",
    summary: "The last 50 updates of the fleet, newest first.",
    schema: { response: { 200: z.object({ updates: z.array(wireSummary) }) } },
    answer: async () => ({ updates: (await listRunSummaries(deps.db, listed)).map(toSummary) }),
  });
  apiRoute(app, {
    method: "POST",
    url: "/api/updates",
    policy: "admin",
    summary:
      "Update every host that is behind what is served, in waves: all hosts, those with a tag, or those that are named.",
    schema: {
      body: z.strictObject({
        program: updateProgram.default("agent"),
        tag: z.string().max(64).optional(),
        host_ids: z.array(z.string().max(64)).min(1).max(mostHosts).optional(),
      }),
      response: { 201: wireRun },
    },
    async answer({ body, identity, reply }) {
      const actor = actorOf(requireIdentity(identity));
      const { program, tag, host_ids: hostIds } = body;
      const { id } = await startUpdate(deps, { program, tag, hostIds, actor });
      return reply.code(201).send(toWire(await getRunView(deps, id)));
    },
  });
  apiRoute(app, {
    method: "GET",
    url: "/api/updates/:id",
    policy: "viewer",
    summary: "One update of the fleet with its hosts.",
    schema: { params, response: { 200: wireRun } },
    answer: async ({ params: { id } }) => toWire(await getRunView(deps, id)),
  });
  registerDecisions(app, deps);
  apiRoute(app, {
    method: "POST",
    url: "/api/hosts/:id/update",
    policy: "admin",
    summary: "Update the agent of one host, or its restic, to what is served.",
    schema: {
      params,
      body: z.strictObject({ program: updateProgram.default("agent") }).optional(),
      response: { 202: z.object({ job_id: z.string() }) },
    },
    async answer({ params: { id }, body, identity, reply }) {
      const actor = actorOf(requireIdentity(identity));
      const job = await updateHost(deps, { hostId: id, program: body?.program ?? "agent", actor });
      return reply.code(202).send({ job_id: job.id });
    },
  });
}

function registerDecisions(app: App, deps: UpdatesDeps): void {
  const decisions = [
    ["pause", "Let no other host begin; what is under way goes on.", pauseUpdate],
    ["resume", "Go on with the next host. One that failed is left as it is.", resumeUpdate],
    ["cancel", "End it before its time; what is under way comes to its end.", cancelUpdate],
  ] as const;
  for (const [verb, summary, decide] of decisions) {
    apiRoute(app, {
      method: "POST",
      url: `/api/updates/:id/${verb}`,
      policy: "admin",
      summary,
      schema: { params, response: { 200: wireRun } },
      async answer({ params: { id }, identity }) {
        await decide(deps, { runId: id, actor: actorOf(requireIdentity(identity)) });
        return toWire(await getRunView(deps, id));
      },
    });
  }
}
