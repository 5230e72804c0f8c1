/** Schedules as JSON. */
import { maxCronChars, readCron } from "@restic-manager/protocol";
import { z } from "zod";
import { toInstant } from "../../platform/clock.ts";
import { AppError } from "../../platform/errors.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import { getHost } from "../hosts/hosts.ts";
import type { RunDeps } from "../jobs/jobs.ts";
import { runScheduleNow } from "./run-schedule.ts";
import {
  createSchedule,
  deleteSchedule,
  editSchedule,
  getSchedule,
  maxJitterSeconds,
  type Schedule,
  type ScheduleDraft,
  type SchedulesDeps,
} from "./schedule.ts";
import { type ScheduleState, scheduleStates } from "./schedule-states.ts";
import { listSchedules } from "./schedules.store.ts";

const hostParams = z.object({ hostId: z.string().max(64) });
const scheduleParams = hostParams.extend({ scheduleId: z.string().max(64) });

const wireDraft = z.strictObject({
  /** Longer than a cron is, so that a long one gets a sentence of its own. */
  cron: z.string().max(4 * maxCronChars),
  time_zone: z.string().max(64),
  jitter_seconds: z.int().min(0).max(maxJitterSeconds).default(0),
  enabled: z.boolean().default(true),
  source_group_ids: z.array(z.string().max(64)).max(100),
});

const when = z.string().nullable();
const wireSchedule = z.object({
  id: z.string(),
  host_id: z.string(),
  cron: z.string(),
  time_zone: z.string(),
  jitter_seconds: z.number(),
  enabled: z.boolean(),
  source_group_ids: z.array(z.string()),
  version: z.number(),
  next_at: when,
  last: z.object({ at: z.string(), status: z.string(), job_id: z.string() }).nullable(),
  pending: z
    .object({
      waits: z.enum(["offline", "failed", "running"]),
      planned_at: z.string(),
      missed_since: z.string(),
      tries: z.number(),
      next_try_at: z.string(),
    })
    .nullable(),
  created_at: z.string(),
  updated_at: z.string(),
});

function toWire(schedule: Schedule, state: ScheduleState | undefined): z.output<typeof wireSchedule> {
  const { last = null, pending = null } = state ?? {};
  return {
    id: schedule.id,
    host_id: schedule.hostId,
    cron: schedule.cron,
    time_zone: schedule.timeZone,
    jitter_seconds: schedule.jitterSeconds,
    enabled: schedule.pausedAt === null,
    source_group_ids: schedule.sourceGroupIds,
    version: schedule.version,
    next_at: schedule.nextFireAt === null ? null : toInstant(schedule.nextFireAt),
    last: last && { at: toInstant(last.at), status: last.status, job_id: last.jobId },
    pending: pending && {
      waits: pending.waits,
      planned_at: toInstant(pending.plannedAt),
      missed_since: toInstant(pending.missedSince),
      tries: pending.tries,
      next_try_at: toInstant(pending.nextTryAt),
    },
    created_at: toInstant(schedule.createdAt),
    updated_at: toInstant(schedule.updatedAt),
  };
}

const toDraft = (body: z.output<typeof wireDraft>): ScheduleDraft => ({
  cron: body.cron,
  timeZone: body.time_zone,
  jitterSeconds: body.jitter_seconds,
  enabled: body.enabled,
  sourceGroupIds: body.source_group_ids,
});

export function registerScheduleRoutes(app: App, deps: SchedulesDeps & RunDeps): void {
  registerReads(app, deps);
  registerWrites(app, deps);
  apiRoute(app, {
    method: "POST",
    url: "/api/hosts/:hostId/schedules/:scheduleId/run",
    policy: "operator",
    summary: "Back up all groups of a schedule now; a paused one must be confirmed.",
    schema: {
      params: scheduleParams,
      body: z.strictObject({ confirm_paused: z.boolean().default(false) }).optional(),
      response: { 202: z.object({ job_ids: z.array(z.string()) }) },
    },
    async answer({ params, body, identity, reply }) {
      const actor = actorOf(requireIdentity(identity));
      const confirmPaused = body?.confirm_paused ?? false;
      const jobs = await runScheduleNow(deps, { ...params, confirmPaused, actor });
      void reply.code(202);
      return { job_ids: jobs.map((job) => job.id) };
    },
  });
}

function registerReads(app: App, deps: SchedulesDeps): void {
  apiRoute(app, {
    method: "GET",
    url: "/api/hosts/:hostId/schedules",
    policy: "viewer",
    summary: "When a host is backed up, what ran last and what waits.",
    schema: { params: hostParams, response: { 200: z.object({ schedules: z.array(wireSchedule) }) } },
    async answer({ params }) {
      const host = await getHost(deps.db, params.hostId);
      const states = await scheduleStates(deps.db, host.id);
      const schedules = await listSchedules(deps.db, host.id);
      return { schedules: schedules.map((schedule) => toWire(schedule, states.get(schedule.id))) };
    },
  });
  apiRoute(app, {
    method: "GET",
    url: "/api/hosts/:hostId/schedules/:scheduleId",
    policy: "viewer",
    summary: "One schedule.",
    schema: { params: scheduleParams, response: { 200: wireSchedule } },
    answer: ({ params }) => answerOne(deps, params),
  });
  apiRoute(app, {
    method: "GET",
    url: "/api/cron",
    policy: "viewer",
    summary: "Whether a cron expression can be used, and its next five times.",
    schema: {
      querystring: z.object({ cron: z.string().max(4 * maxCronChars), time_zone: z.string().max(64) }),
      response: { 200: z.object({ next: z.array(z.string()) }) },
    },
    answer({ query }) {
      const read = readCron(query.cron, query.time_zone);
      if ("times" in read) return { next: read.times.nextSome(deps.clock.now(), 5).map(toInstant) };
      const { field: path, code, message } = read.problem;
      throw new AppError("invalid", code, message, { details: [{ path, message }] });
    },
  });
}

async function answerOne(deps: SchedulesDeps, params: { hostId: string; scheduleId: string }) {
  const schedule = await getSchedule(deps.db, params.hostId, params.scheduleId);
  const states = await scheduleStates(deps.db, params.hostId);
  return toWire(schedule, states.get(schedule.id));
}

function registerWrites(app: App, deps: SchedulesDeps): void {
  apiRoute(app, {
    method: "POST",
    url: "/api/hosts/:hostId/schedules",
    policy: "operator",
    summary: "Add a schedule; the host's agent has it at once.",
    schema: { params: hostParams, body: wireDraft, response: { 201: wireSchedule } },
    async answer({ params, body, identity, reply }) {
      const actor = actorOf(requireIdentity(identity));
      const made = await createSchedule(deps, { hostId: params.hostId, draft: toDraft(body), actor });
      void reply.code(201);
      return toWire(made, undefined);
    },
  });
  apiRoute(app, {
    method: "PUT",
    url: "/api/hosts/:hostId/schedules/:scheduleId",
    policy: "operator",
    summary: "Replace a schedule; `version` is the one that was read.",
    schema: {
      params: scheduleParams,
      body: wireDraft.extend({ version: z.int().min(1) }),
      response: { 200: wireSchedule },
    },
    async answer({ params, body, identity }) {
      const actor = actorOf(requireIdentity(identity));
      const edit = { ...params, version: body.version, draft: toDraft(body), actor };
      await editSchedule(deps, edit).catch(withWireDetails);
      return answerOne(deps, params);
    },
  });
  apiRoute(app, {
    method: "DELETE",
    url: "/api/hosts/:hostId/schedules/:scheduleId",
    policy: "operator",
    summary: "Remove a schedule; its jobs and snapshots stay.",
    schema: { params: scheduleParams, response: { 204: z.null() } },
    async answer({ params, identity, reply }) {
      await deleteSchedule(deps, { ...params, actor: actorOf(requireIdentity(identity)) });
      return reply.code(204).send(null);
    },
  });
}

/** The conflict's details in the API's spelling. */
function withWireDetails(error: unknown): never {
  if (!(error instanceof AppError) || error.code !== "schedules.edit_conflict") throw error;
  const { current, changed } = error.details as { current: Schedule; changed: string[] };
  const details = { current: toWire(current, undefined), changed };
  throw new AppError(error.kind, error.code, error.message, { details });
}
