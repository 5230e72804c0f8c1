/** What is started from the dashboard and a host's page, and the verbs of its schedules. */
import { z } from "zod";
import { AppError } from "../../platform/errors.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, type Call, pageRoute, requireIdentity } from "../../platform/http/route.ts";
import { getHost, isOnline } from "../hosts/hosts.ts";
import { type Job, type RunDeps, type RunRequest, runNow } from "../jobs/jobs.ts";
import {
  getSchedule,
  renderRunPausedPage,
  runScheduleNow,
  type SchedulesDeps,
  setSchedulePaused,
} from "../schedules/schedules.ts";
import { listSourceGroups } from "../sources/sources.ts";
import type { HostPageQuery } from "./host-page.ts";
import { answerRefused, asOutcome, hostParams, type RefusedFormDeps } from "./refused-form.ts";

export type HostRunDeps = RefusedFormDeps & RunDeps & SchedulesDeps;

const groupParams = hostParams.extend({ groupId: z.string().max(64) });
const scheduleParams = hostParams.extend({ scheduleId: z.string().max(64) });
type HostCall = Call<{ params: typeof hostParams }>;

export function registerHostRuns(app: App, deps: HostRunDeps): void {
  const run = (call: HostCall, request: RunRequest, tab: HostPageQuery["tab"]) => {
    const actor = actorOf(requireIdentity(call.identity));
    return answerRun(deps, call, tab, runNow(deps, { hostId: call.params.hostId, request, actor }));
  };
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/run",
    policy: "operator",
    schema: { params: hostParams },
    answer: (call) => run(call, { kind: "backup" }, "snapshots"),
  });
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/sources/:groupId/run",
    policy: "operator",
    schema: { params: groupParams },
    answer: (call) => run(call, { kind: "backup", source_group_id: call.params.groupId }, "sources"),
  });
  registerScheduleRun(app, deps);
  registerPausing(app, deps);
}

/** One job: its live page. Several: the host's list of them. */
export async function answerRun(
  deps: HostRunDeps,
  call: HostCall,
  tab: HostPageQuery["tab"],
  work: Promise<Job[]>,
): Promise<unknown> {
  const outcome = await asOutcome(work);
  if (outcome instanceof AppError) {
    return answerRefused(deps, call, tab, outcome, () => ({
      notice: { tone: "fail", text: outcome.message },
    }));
  }
  const [first, second] = outcome;
  const { hostId } = call.params;
  return call.reply.redirect(first && !second ? `/jobs/${first.id}` : `/hosts/${hostId}?tab=jobs`, 303);
}

function registerScheduleRun(app: App, deps: HostRunDeps): void {
  const url = "/hosts/:hostId/schedules/:scheduleId/run";
  pageRoute(app, {
    method: "POST",
    url,
    policy: "operator",
    schema: { params: scheduleParams, body: z.object({ confirmed: z.literal("1").optional() }) },
    async answer(call) {
      const { params, body, identity, reply } = call;
      const confirmPaused = body.confirmed === "1";
      const schedule = await getSchedule(deps.db, params.hostId, params.scheduleId);
      if (schedule.pausedAt !== null && !confirmPaused)
        return reply.redirect(`/hosts/${params.hostId}/schedules/${schedule.id}/run`, 303);
      const actor = actorOf(requireIdentity(identity));
      return answerRun(deps, call, "schedules", runScheduleNow(deps, { ...params, confirmPaused, actor }));
    },
  });
  pageRoute(app, {
    method: "GET",
    url,
    policy: "operator",
    schema: { params: scheduleParams },
    async answer({ params, request, reply }) {
      const host = await getHost(deps.db, params.hostId);
      const schedule = await getSchedule(deps.db, host.id, params.scheduleId);
      // Resumed meanwhile: there is nothing to ask.
      if (schedule.pausedAt === null) return reply.redirect(`/hosts/${host.id}?tab=schedules`, 303);
      const groups = await listSourceGroups(deps.db, host.id);
      return renderRunPausedPage(deps.page(request), {
        host: { id: host.id, name: host.name, online: isOnline(host, deps.clock.now()) },
        schedule: { id: schedule.id, cron: schedule.cron, pausedAt: schedule.pausedAt },
        groups: groups.filter(({ id }) => schedule.sourceGroupIds.includes(id)).map(({ name }) => name),
      });
    },
  });
}

function registerPausing(app: App, deps: HostRunDeps): void {
  for (const verb of ["pause", "resume"] as const) {
    pageRoute(app, {
      method: "POST",
      url: `/hosts/:hostId/schedules/:scheduleId/${verb}`,
      policy: "operator",
      schema: { params: scheduleParams },
      async answer(call) {
        const { params, identity, reply } = call;
        const actor = actorOf(requireIdentity(identity));
        const outcome = await asOutcome(
          setSchedulePaused(deps, { ...params, paused: verb === "pause", actor }),
        );
        if (!(outcome instanceof AppError))
          return reply.redirect(`/hosts/${params.hostId}?tab=schedules`, 303);
        return answerRefused(deps, call, "schedules", outcome, () => ({
          notice: { tone: "fail", text: outcome.message },
        }));
      },
    });
  }
}
