/** What a host's agent must know to run its schedules without us: `schedule.set`, in parts that each fit a frame. */
import type { BackupSpec, ScheduledGroup, ScheduleEntry, ScheduleSet } from "@restic-manager/protocol";
import type { Logger } from "pino";
import { toInstant } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import { getHost, type Host } from "../hosts/hosts.ts";
import { listSourceGroups, type SourceGroup, specOfGroup } from "../sources/sources.ts";
import type { Schedule } from "./schedule.ts";
import { listSchedules } from "./schedules.store.ts";

export interface SetDeps {
  db: Db;
  log: Logger;
  /** Puts in what is not stored with a spec: hooks, and the host's caps. */
  completeSpec(host: Host, spec: BackupSpec, sourceGroupId: string): Promise<BackupSpec>;
}

/** Below a frame of 1 MiB with room for the rest of the message; one group is at most 728 KiB. */
const partBytes = 800 * 1024;
/**
 * The host's set as it is now, under the version that was stored before it was read: should it change meanwhile, the
 * next push carries a higher one.
 */
export async function scheduleSetOf(deps: SetDeps, hostId: string): Promise<ScheduleSet[]> {
  const host = await getHost(deps.db, hostId);
  const active = (await listSchedules(deps.db, hostId)).filter((schedule) => schedule.nextFireAt !== null);
  const groups = active.length === 0 ? [] : await groupsOf(deps, host, active);
  return cutIntoParts(host.scheduleVersion, groups, active.map(toEntry));
}

async function groupsOf(deps: SetDeps, host: Host, active: readonly Schedule[]): Promise<ScheduledGroup[]> {
  const used = new Set(active.flatMap((schedule) => schedule.sourceGroupIds));
  const groups: ScheduledGroup[] = [];
  for (const group of await listSourceGroups(deps.db, host.id)) {
    if (!used.has(group.id)) continue;
    const spec = await specFor(deps, host, group);
    if (spec) groups.push({ source_group_id: group.id, spec });
  }
  return groups;
}

/** One hook that can't be opened must not keep the agent from connecting; its runs fail and say why. */
async function specFor(deps: SetDeps, host: Host, group: SourceGroup): Promise<BackupSpec | null> {
  try {
    return await deps.completeSpec(host, specOfGroup(host, group), group.id);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    deps.log.error(
      { hostId: host.id, groupId: group.id, code: error.code },
      "a group is not sent to its agent",
    );
    return null;
  }
}

function toEntry(schedule: Schedule): ScheduleEntry {
  return {
    schedule_id: schedule.id,
    cron: schedule.cron,
    time_zone: schedule.timeZone,
    jitter_seconds: schedule.jitterSeconds,
    source_group_ids: schedule.sourceGroupIds,
    first_planned_at: toInstant(schedule.nextFireAt ?? 0),
  };
}

/** As few parts as fit; an empty set is one empty part. */
export function cutIntoParts(
  version: number,
  groups: readonly ScheduledGroup[],
  schedules: readonly ScheduleEntry[],
): ScheduleSet[] {
  const parts: Pick<ScheduleSet, "groups" | "schedules">[] = [{ groups: [], schedules: [] }];
  let bytes = 0;
  const partFor = (item: ScheduledGroup | ScheduleEntry) => {
    const size = Buffer.byteLength(JSON.stringify(item));
    if (bytes > 0 && bytes + size > partBytes) {
      parts.push({ groups: [], schedules: [] });
      bytes = 0;
    }
    bytes += size;
    return parts.at(-1);
  };
  for (const group of groups) partFor(group)?.groups.push(group);
  for (const schedule of schedules) partFor(schedule)?.schedules.push(schedule);
  return parts.map((part, index) => {
    return { type: "schedule.set", version, part: index + 1, parts: parts.length, ...part };
  });
}
