/** The pages of schedules: one form to make and to edit, and the next runs of an expression while it is typed. */
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { type Refusal, tryForm } from "../../platform/http/forms.ts";
import { actorOf } from "../../platform/http/identity.ts";
import type { PageOf } from "../../platform/http/page-context.ts";
import { type App, pageRoute, requireIdentity } from "../../platform/http/route.ts";
import { changedSince, maxSeenChars, seenOf } from "../../platform/http/seen-fields.ts";
import { getHost, isOnline } from "../hosts/hosts.ts";
import { listSourceGroups, type SourceGroup } from "../sources/sources.ts";
import { previewCron, renderCronPreview } from "./cron-preview.views.tsx";
import { listRetentionConflicts } from "./retention-conflicts.ts";
import {
  createSchedule,
  deleteSchedule,
  editSchedule,
  getSchedule,
  type Schedule,
  type SchedulesDeps,
} from "./schedule.ts";
import {
  newSchedule,
  readScheduleForm,
  type ScheduleValues,
  scheduleProblems,
  scheduleValues,
} from "./schedule-form.ts";
import { renderSchedulePage, type SchedulePageProps } from "./schedule-form.views.tsx";
import { listSchedules } from "./schedules.store.ts";

export type SchedulePageDeps = SchedulesDeps & { page: PageOf };

const hostParams = z.object({ hostId: z.string().max(64) });
const scheduleParams = hostParams.extend({ scheduleId: z.string().max(64) });
/** As long as it likes: the rule beside the field answers, not a page about a bad request. */
const typed = z.string().default("");
/** One box posts a text, several a list, none nothing. */
const chosen = z
  .union([z.string().max(64), z.array(z.string().max(64)).max(100)])
  .default([])
  .transform((ids) => [ids].flat());
const body = z.object({
  cron: typed,
  time_zone: typed,
  jitter_minutes: typed,
  enabled: typed,
  source_group_ids: chosen,
  version: z.coerce.number().int().catch(0),
  seen: z.string().max(maxSeenChars).catch(""),
});

export function registerSchedulePages(app: App, deps: SchedulePageDeps): void {
  registerPreview(app, deps);
  registerForms(app, deps);
  registerNew(app, deps);
  registerEdit(app, deps);
  registerDelete(app, deps);
}

function registerPreview(app: App, deps: SchedulePageDeps): void {
  pageRoute(app, {
    method: "GET",
    url: "/fragments/cron",
    policy: "viewer",
    schema: { querystring: z.object({ cron: typed, time_zone: typed }) },
    answer: ({ query, request }) =>
      renderCronPreview(
        deps.page(request),
        previewCron(query.cron, query.time_zone.trim(), deps.clock.now()),
      ),
  });
}

type Shown = Pick<
  SchedulePageProps,
  "schedule" | "values" | "chosenGroupIds" | "seen" | "errors" | "message" | "changes" | "notice"
>;

/** The page with everything around its form. */
async function draw(deps: SchedulePageDeps, request: FastifyRequest, hostId: string, shown: Shown) {
  const { db, clock } = deps;
  const host = await getHost(db, hostId);
  const groups = await listSourceGroups(db, hostId);
  const now = clock.now();
  return renderSchedulePage(deps.page(request), {
    host: { id: host.id, name: host.name, online: isOnline(host, now) },
    groups: groups.map(({ id, name, includes }) => ({ id, name, includes })),
    preview: previewCron(shown.values.cron, shown.values.time_zone.trim(), now),
    conflicts: shown.schedule === null ? [] : await conflictsOf(deps, groups, hostId, shown.schedule.id),
    ...shown,
  });
}

/** Of the groups that the stored schedule runs. */
async function conflictsOf(
  deps: SchedulePageDeps,
  groups: SourceGroup[],
  hostId: string,
  scheduleId: string,
): Promise<string[]> {
  const schedules = await listSchedules(deps.db, hostId);
  const own = schedules.find(({ id }) => id === scheduleId)?.sourceGroupIds ?? [];
  const using = groups.filter(({ id }) => own.includes(id));
  return listRetentionConflicts(using, schedules, deps.clock.now()).map(({ sentence }) => sentence);
}

const headOf = (schedule: Schedule, version = schedule.version): NonNullable<Shown["schedule"]> => ({
  id: schedule.id,
  cron: schedule.cron,
  version,
  paused: schedule.pausedAt !== null,
});

/** What is stored, with the chosen groups as one more field. */
const seenValues = (schedule: Schedule) => ({
  ...scheduleValues(schedule),
  source_group_ids: schedule.sourceGroupIds.toSorted().join(" "),
});

function registerForms(app: App, deps: SchedulePageDeps): void {
  pageRoute(app, {
    method: "GET",
    url: "/hosts/:hostId/schedules/new",
    policy: "operator",
    schema: { params: hostParams },
    async answer({ params: { hostId }, request }) {
      const groups = await listSourceGroups(deps.db, hostId);
      // All of them: what is meant most often, and nothing is left out by oversight.
      const chosenGroupIds = groups.map(({ id }) => id);
      const shown = { schedule: null, values: newSchedule, chosenGroupIds, seen: "" };
      return draw(deps, request, hostId, shown);
    },
  });
  pageRoute(app, {
    method: "GET",
    url: "/hosts/:hostId/schedules/:scheduleId",
    policy: "viewer",
    schema: { params: scheduleParams },
    async answer({ params: { hostId, scheduleId }, request }) {
      const schedule = await getSchedule(deps.db, hostId, scheduleId);
      return draw(deps, request, hostId, {
        schedule: headOf(schedule),
        values: scheduleValues(schedule),
        chosenGroupIds: schedule.sourceGroupIds,
        seen: seenOf(seenValues(schedule)),
      });
    },
  });
}

function refused(refusal: Refusal): Pick<Shown, "errors" | "message"> {
  const errors = scheduleProblems(refusal.errors);
  const isBeside = Object.keys(errors).length > 0;
  return { errors, message: isBeside ? "Nothing was saved. See below." : refusal.message };
}

/** The form's own fields and the rest of what it posts. */
function split(posted: z.output<typeof body>) {
  const { version, seen, source_group_ids: chosenGroupIds, ...values } = posted;
  return { version, seen, chosenGroupIds, values: values satisfies ScheduleValues };
}

function registerNew(app: App, deps: SchedulePageDeps): void {
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/schedules/new",
    policy: "operator",
    schema: { params: hostParams, body },
    async answer({ params: { hostId }, body: posted, identity, request, reply }) {
      const { chosenGroupIds, values } = split(posted);
      const draft = readScheduleForm(values, chosenGroupIds);
      const actor = actorOf(requireIdentity(identity));
      const outcome = await tryForm(createSchedule(deps, { hostId, draft, actor }));
      if (outcome.done) return reply.redirect(`/hosts/${hostId}?tab=schedules&saved=1`, 303);
      void reply.code(outcome.refusal.status);
      const shown = { schedule: null, values, chosenGroupIds, seen: "" };
      return draw(deps, request, hostId, { ...shown, ...refused(outcome.refusal) });
    },
  });
}

function registerEdit(app: App, deps: SchedulePageDeps): void {
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/schedules/:scheduleId",
    policy: "operator",
    schema: { params: scheduleParams, body },
    async answer({ params, body: posted, identity, request, reply }) {
      const { hostId, scheduleId } = params;
      const { version, seen, chosenGroupIds, values } = split(posted);
      const before = await getSchedule(deps.db, hostId, scheduleId);
      const draft = readScheduleForm(values, chosenGroupIds);
      const edit = { ...params, version, draft, actor: actorOf(requireIdentity(identity)) };
      const outcome = await tryForm(editSchedule(deps, edit));
      if (outcome.done) return reply.redirect(`/hosts/${hostId}?tab=schedules&saved=1`, 303);
      const { refusal } = outcome;
      if (refusal.code !== "schedules.edit_conflict") {
        void reply.code(refusal.status);
        const shown = { schedule: headOf(before, version), values, chosenGroupIds, seen };
        return draw(deps, request, hostId, { ...shown, ...refused(refusal) });
      }
      void reply.code(409);
      // Saved again, the form counts as made after theirs.
      const now = await getSchedule(deps.db, hostId, scheduleId);
      const names = (await listSourceGroups(deps.db, hostId)).filter(({ id }) =>
        now.sourceGroupIds.includes(id),
      );
      const changes = changedSince(seen, seenValues(now)).map((field) => changeSentence(field, now, names));
      const shown = { schedule: headOf(now), values, chosenGroupIds, seen: seenOf(seenValues(now)) };
      const message = changes.length > 0 ? undefined : refusal.message;
      return draw(deps, request, hostId, { ...shown, changes, message });
    },
  });
}

/** How a field is now, that somebody else changed. */
function changeSentence(field: string, now: Schedule, groups: readonly SourceGroup[]): string {
  switch (field) {
    case "cron":
      return `The cron expression is now ${now.cron}.`;
    case "time_zone":
      return `The time zone is now ${now.timeZone}.`;
    case "jitter_minutes":
      return `The spread is now ${scheduleValues(now).jitter_minutes} minutes.`;
    case "enabled":
      return now.pausedAt === null ? "It is enabled now." : "It is paused now.";
    default:
      return `It now runs ${groups.map(({ name }) => name).join(", ")}.`;
  }
}

function registerDelete(app: App, deps: SchedulePageDeps): void {
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/schedules/:scheduleId/delete",
    policy: "operator",
    schema: { params: scheduleParams },
    async answer({ params, identity, reply }) {
      await deleteSchedule(deps, { ...params, actor: actorOf(requireIdentity(identity)) });
      return reply.redirect(`/hosts/${params.hostId}?tab=schedules&saved=1`, 303);
    },
  });
}
