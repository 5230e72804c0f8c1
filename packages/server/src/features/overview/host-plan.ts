/** A host's source groups and schedules as its page shows them. Pure: what is there is handed in. */
import { cronWords } from "../../platform/html/cron-words.ts";
import { type Keep, keepShort } from "../../platform/html/keep-words.ts";
import type { Host } from "../hosts/hosts.ts";
import type { JobOutline } from "../jobs/jobs.ts";
import { listRetentionConflicts, type Schedule, type ScheduleState } from "../schedules/schedules.ts";
import { isEmptyRetention, type Retention, type SourceGroup } from "../sources/sources.ts";
import type { HostVitals, ScheduleSync } from "./host.views.tsx";
import type { ScheduleRow, ScheduleStanding } from "./host-schedules.views.tsx";
import type { SourceRow } from "./host-sources.views.tsx";

/** What is planned on a host. */
export interface HostPlan {
  groups: readonly SourceGroup[];
  schedules: readonly Schedule[];
}

/** A connected agent takes a change within a second or two; after this something is wrong. */
const lateAfterMs = 60_000;

/** Whether the agent has the newest schedules; null when there never was anything to know. */
export function syncOf(
  host: Host,
  plan: HostPlan,
  at: { online: boolean; now: number },
): ScheduleSync | null {
  const { scheduleVersion: version, appliedScheduleVersion: applied } = host;
  if (version === 0 && applied === null) return null;
  const changes = [...plan.groups, ...plan.schedules].map((one) => one.updatedAt ?? one.createdAt);
  const isOld = at.now - Math.max(0, ...changes) > lateAfterMs;
  return { version, applied, late: applied !== version && at.online && isOld };
}

/** The first planned time of all schedules. */
export function nextRunOf(schedules: readonly Schedule[]): HostVitals["nextRun"] {
  const planned = schedules.flatMap(({ nextFireAt: at, cron }) => (at === null ? [] : [{ at, cron }]));
  return planned.sort((a, b) => a.at - b.at)[0] ?? null;
}

export function sourceRows(plan: HostPlan, backups: readonly JobOutline[], now: number): SourceRow[] {
  const conflicts = Map.groupBy(
    listRetentionConflicts(plan.groups, plan.schedules, now),
    (conflict) => conflict.groupId,
  );
  return plan.groups.map((group) => {
    const last = backups.find((job) =>
      job.sourceGroupId === null ? job.sourceGroup === group.name : job.sourceGroupId === group.id,
    );
    return {
      id: group.id,
      name: group.name,
      includes: group.includes,
      kept: isEmptyRetention(group.retention) ? null : keepShort(toKeep(group.retention)),
      conflicts: (conflicts.get(group.id) ?? []).map(({ sentence }) => sentence),
      usedBy: plan.schedules
        .filter((schedule) => schedule.sourceGroupIds.includes(group.id))
        .map(({ id, cron }) => ({ scheduleId: id, cron, words: cronWords(cron) })),
      lastRun: last?.finishedAt ? { jobId: last.id, status: last.status, at: last.finishedAt } : null,
    };
  });
}

const toKeep = (retention: Retention): Keep => ({
  last: retention.keepLast,
  hourly: retention.keepHourly,
  daily: retention.keepDaily,
  weekly: retention.keepWeekly,
  monthly: retention.keepMonthly,
  yearly: retention.keepYearly,
  within: retention.keepWithin,
});

export function scheduleRows(plan: HostPlan, states: ReadonlyMap<string, ScheduleState>): ScheduleRow[] {
  const names = new Map(plan.groups.map(({ id, name }) => [id, name]));
  return plan.schedules.map((schedule) => {
    const state = states.get(schedule.id);
    return {
      id: schedule.id,
      cron: schedule.cron,
      words: cronWords(schedule.cron),
      timeZone: schedule.timeZone,
      groups: schedule.sourceGroupIds.flatMap((id) => names.get(id) ?? []),
      standing: standingOf(schedule, state?.pending ?? null),
      nextAt: schedule.nextFireAt,
      last: state?.last ?? null,
    };
  });
}

/** What is being waited for comes before what is planned; a paused schedule waits for nothing. */
function standingOf(schedule: Schedule, pending: ScheduleState["pending"]): ScheduleStanding {
  if (schedule.pausedAt !== null) return { state: "paused", since: schedule.pausedAt };
  switch (pending?.waits) {
    case "offline":
      return { state: "offline", plannedAt: pending.missedSince };
    case "failed":
      return { state: "retry", retry: pending.tries, nextTryAt: pending.nextTryAt };
    case "running":
      return { state: "running", plannedAt: pending.plannedAt };
    default:
      return { state: "active" };
  }
}
