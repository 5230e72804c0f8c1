/**
 * Schedules: when which source groups of a host are backed up. Invariants: a schedule's groups are its host's; its next
 * planned time is stored and never a timer's memory; every change bumps the host's schedule version in the same
 * transaction, so that the agent is told.
 */
import { readCron } from "@restic-manager/protocol";
import type { Clock } from "../../platform/clock.ts";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { AppError, type FieldProblem, invalidFields } from "../../platform/errors.ts";
import type { EventBus } from "../../platform/events.ts";
import type { Actor } from "../../platform/http/identity.ts";
import { newId } from "../../platform/random.ts";
import { recordAudit } from "../audit/audit.ts";
import { bumpScheduleVersion, getHost, type Host, scheduleSetChanged } from "../hosts/hosts.ts";
import { listSourceGroups } from "../sources/sources.ts";
import { timesOf } from "./planned-times.ts";
import * as store from "./schedules.store.ts";

export interface Schedule {
  id: string;
  hostId: string;
  /** Five fields, see the protocol's `readCron`. */
  cron: string;
  timeZone: string;
  /** A run begins up to so many seconds after its planned time. */
  jitterSeconds: number;
  pausedAt: number | null;
  /** A deleted one is kept a while: its host may still report what it ran before it knew. */
  deletedAt: number | null;
  /** The first planned time without an outcome; null while paused. */
  nextFireAt: number | null;
  /** By the groups' names. */
  sourceGroupIds: string[];
  /** Counts edits. */
  version: number;
  createdAt: number;
  updatedAt: number;
}

/** What a person writes. */
export interface ScheduleDraft {
  cron: string;
  timeZone: string;
  jitterSeconds: number;
  enabled: boolean;
  sourceGroupIds: string[];
}

export interface SchedulesDeps {
  db: Db;
  clock: Clock;
  events: EventBus;
}

/** Half a day: a spread that is longer than the day has hours is no schedule any more. */
export const maxJitterSeconds = 43_200;
export const maxSchedulesOfHost = 100;

/** @throws AppError `schedules.not_found` */
export async function getSchedule(db: Db, hostId: string, scheduleId: string): Promise<Schedule> {
  const found = await store.findSchedule(db, scheduleId);
  if (found?.hostId !== hostId || found.deletedAt !== null) throw notFound();
  return found;
}

export const notFound = (): AppError =>
  new AppError(
    "not_found",
    "schedules.not_found",
    "This host has no such schedule. It may have been deleted.",
  );

/** Everything that is wrong with a draft, by the fields' wire names. */
async function checkDraft(db: Db, host: Host, draft: ScheduleDraft): Promise<FieldProblem[]> {
  const problems: FieldProblem[] = [];
  const read = readCron(draft.cron, draft.timeZone);
  if ("problem" in read) problems.push({ path: read.problem.field, message: read.problem.message });
  if (!(draft.jitterSeconds >= 0 && draft.jitterSeconds <= maxJitterSeconds)) {
    const message = `Between 0 and ${maxJitterSeconds / 60} minutes, please.`;
    problems.push({ path: "jitter_seconds", message });
  }
  const known = new Set((await listSourceGroups(db, host.id)).map((group) => group.id));
  if (draft.sourceGroupIds.length === 0) {
    problems.push({ path: "source_group_ids", message: "Choose at least one source group." });
  } else if (draft.sourceGroupIds.some((id) => !known.has(id))) {
    const message = `A chosen source group is not one of ${host.name}. Choose among its own.`;
    problems.push({ path: "source_group_ids", message });
  }
  return problems;
}

async function refuseInvalid(tx: Db, host: Host, draft: ScheduleDraft): Promise<void> {
  const problems = await checkDraft(tx, host, draft);
  if (problems.length > 0) throw invalidFields("schedules.invalid", problems);
}

/** The stored spelling: one blank between fields, each group once. */
const tidy = (draft: ScheduleDraft): ScheduleDraft => ({
  ...draft,
  cron: draft.cron.trim().split(/\s+/).join(" "),
  sourceGroupIds: [...new Set(draft.sourceGroupIds)].sort(),
});

/** @throws AppError `hosts.not_found`, `schedules.invalid`, `schedules.too_many` */
export async function createSchedule(
  deps: SchedulesDeps,
  input: { hostId: string; draft: ScheduleDraft; actor: Actor },
): Promise<Schedule> {
  const { hostId, actor } = input;
  const draft = tidy(input.draft);
  const at = deps.clock.now();
  const made = await inTransaction(deps.db, async (tx) => {
    const host = await lockHost(tx, hostId);
    await refuseInvalid(tx, host, draft);
    if ((await store.listSchedules(tx, hostId)).length >= maxSchedulesOfHost) throw tooMany(host);
    const id = newId(at);
    const pausedAt = draft.enabled ? null : at;
    const identity = { id, hostId, ...partsOf(draft), pausedAt, deletedAt: null };
    const schedule = { ...identity, nextFireAt: null, version: 1, createdAt: at, updatedAt: at };
    const planned = plan(schedule, at);
    await store.insertSchedule(tx, planned);
    await record(tx, {
      at,
      actor,
      action: "schedule.create",
      host,
      schedule: planned,
      payload: wireDraft(draft),
    });
    return planned;
  });
  deps.events.emit(scheduleSetChanged, { hostId });
  return made;
}

/**
 * The host, its version bumped. That first: whoever else changes its schedules or groups at the same moment waits, so
 * that no group is deleted while it is put into a schedule.
 */
async function lockHost(tx: Db, hostId: string): Promise<Host> {
  await bumpScheduleVersion(tx, hostId);
  return getHost(tx, hostId);
}

const partsOf = ({ cron, timeZone, jitterSeconds, sourceGroupIds }: ScheduleDraft) => ({
  ...{ cron, timeZone, jitterSeconds, sourceGroupIds },
});

/** The next planned time from now on; none while it is paused. */
function plan(schedule: Schedule, now: number): Schedule {
  return { ...schedule, nextFireAt: schedule.pausedAt === null ? timesOf(schedule).next(now) : null };
}

/**
 * Replaces a schedule. Its next planned time counts from now when the times changed, or when it was paused.
 * @throws AppError as createSchedule, `schedules.not_found`, and `schedules.edit_conflict` when `version` is not the
 *   stored one: its details hold the schedule as it is now and the names of the fields that differ from the draft
 */
export async function editSchedule(
  deps: SchedulesDeps,
  input: { hostId: string; scheduleId: string; version: number; draft: ScheduleDraft; actor: Actor },
): Promise<Schedule> {
  const { hostId, scheduleId, version, actor } = input;
  const draft = tidy(input.draft);
  const at = deps.clock.now();
  const { schedule, changed } = await inTransaction(deps.db, async (tx) => {
    const before = await getSchedule(tx, hostId, scheduleId);
    const changed = changedFields(before, draft);
    if (before.version !== version) throw editConflict(before, changed);
    if (changed.length === 0) return { schedule: before, changed };
    const host = await lockHost(tx, hostId);
    await refuseInvalid(tx, host, draft);
    const pausedAt = draft.enabled ? null : (before.pausedAt ?? at);
    const edited = { ...before, ...partsOf(draft), pausedAt, version: version + 1, updatedAt: at };
    const timesChanged = changed.some(
      (field) => field === "cron" || field === "time_zone" || field === "enabled",
    );
    const after = timesChanged ? plan(edited, at) : edited;
    if (!(await store.replaceSchedule(tx, after, version))) throw editConflict(before, changed);
    if (pausedAt !== null) await store.deletePending(tx, { scheduleId });
    const payload = { fields: changed, ...wireDraft(draft) };
    await record(tx, { at, actor, action: "schedule.edit", host, schedule: after, payload });
    return { schedule: after, changed };
  });
  if (changed.length > 0) deps.events.emit(scheduleSetChanged, { hostId });
  return schedule;
}

/** Pauses or resumes; idempotent. @throws AppError `schedules.not_found` */
export async function setSchedulePaused(
  deps: SchedulesDeps,
  input: { hostId: string; scheduleId: string; paused: boolean; actor: Actor },
): Promise<Schedule> {
  const before = await getSchedule(deps.db, input.hostId, input.scheduleId);
  const draft = { ...partsOf({ ...before, enabled: true }), enabled: !input.paused };
  return editSchedule(deps, { ...input, version: before.version, draft });
}

/** @throws AppError `schedules.not_found` */
export async function deleteSchedule(
  deps: SchedulesDeps,
  input: { hostId: string; scheduleId: string; actor: Actor },
): Promise<void> {
  const { hostId, scheduleId, actor } = input;
  const at = deps.clock.now();
  await inTransaction(deps.db, async (tx) => {
    const host = await lockHost(tx, hostId);
    const schedule = await getSchedule(tx, hostId, scheduleId);
    await store.markDeleted(tx, scheduleId, at);
    await store.deletePending(tx, { scheduleId });
    const payload = { cron: schedule.cron, time_zone: schedule.timeZone };
    await record(tx, { at, actor, action: "schedule.delete", host, schedule, payload });
  });
  deps.events.emit(scheduleSetChanged, { hostId });
}

async function record(
  tx: Db,
  entry: {
    at: number;
    actor: Actor;
    action: string;
    host: Host;
    schedule: Schedule;
    payload: Record<string, unknown>;
  },
): Promise<void> {
  const { at, actor, action, host, schedule, payload } = entry;
  const target = { kind: "host", id: host.id, name: host.name };
  await recordAudit(tx, { at, actor, action, target, payload: { schedule_id: schedule.id, ...payload } });
}

/** A draft with the API's names. */
const wireDraft = (draft: ScheduleDraft) => ({
  cron: draft.cron,
  time_zone: draft.timeZone,
  jitter_seconds: draft.jitterSeconds,
  enabled: draft.enabled,
  source_group_ids: draft.sourceGroupIds,
});

/** The wire names of what a draft would change. */
function changedFields(before: Schedule, draft: ScheduleDraft): string[] {
  const now = wireDraft({ ...partsOf({ ...before, enabled: true }), enabled: before.pausedAt === null });
  const then = wireDraft(draft);
  return (Object.keys(now) as (keyof typeof now)[]).filter(
    (field) => JSON.stringify(now[field]) !== JSON.stringify(then[field]),
  );
}

function editConflict(current: Schedule, changed: string[]): AppError {
  const message =
    "Somebody else changed this schedule since you opened it. Look at what it is now, then save again.";
  return new AppError("conflict", "schedules.edit_conflict", message, { details: { current, changed } });
}

const tooMany = (host: Host): AppError =>
  new AppError(
    "conflict",
    "schedules.too_many",
    `${host.name} has ${maxSchedulesOfHost} schedules, which is the most. Put more groups into one of them.`,
  );
