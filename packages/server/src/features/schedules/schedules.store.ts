/** SQL of `schedules`, `schedule_groups` and `pending_runs`. No rules. */
import type { Selectable } from "kysely";
import type { Db } from "../../platform/db/db.ts";
import { lookAtOf } from "./planned-times.ts";
import type { Schedule } from "./schedule.ts";

interface ScheduleTable {
  id: string;
  host_id: string;
  cron: string;
  time_zone: string;
  jitter_seconds: number;
  paused_at: number | null;
  deleted_at: number | null;
  next_fire_at: number | null;
  look_at: number | null;
  version: number;
  created_at: number;
  updated_at: number;
}

interface PendingTable {
  schedule_id: string;
  source_group_id: string;
  host_id: string;
  planned_at: number;
  missed_since: number;
  tries: number;
  waits: string;
  next_try_at: number;
  job_id: string | null;
}

type Tables = {
  schedules: ScheduleTable;
  schedule_groups: { schedule_id: string; source_group_id: string };
  pending_runs: PendingTable;
};

/** What a run that has no good end yet waits for: its host, its next try, or the end of its job. */
export type PendingWait = "offline" | "failed" | "running";

/** A run that has no good end yet; at most one for a schedule and a group. */
export interface PendingRun {
  scheduleId: string;
  sourceGroupId: string;
  hostId: string;
  plannedAt: number;
  /** The first of the planned times that it stands for. */
  missedSince: number;
  /** Tries that failed. Waiting for a host that is away is none. */
  tries: number;
  waits: PendingWait;
  /** When it is looked at again. */
  nextTryAt: number;
  jobId: string | null;
}

const tables = (db: Db) => db.withTables<Tables>();

function toSchedule(row: Selectable<ScheduleTable>, sourceGroupIds: string[]): Schedule {
  return {
    id: row.id,
    hostId: row.host_id,
    cron: row.cron,
    timeZone: row.time_zone,
    jitterSeconds: row.jitter_seconds,
    pausedAt: row.paused_at,
    deletedAt: row.deleted_at,
    nextFireAt: row.next_fire_at,
    sourceGroupIds,
    version: row.version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

async function withGroups(db: Db, rows: Selectable<ScheduleTable>[]): Promise<Schedule[]> {
  if (rows.length === 0) return [];
  const links = await tables(db)
    .selectFrom("schedule_groups")
    .selectAll()
    .where(
      "schedule_id",
      "in",
      rows.map((row) => row.id),
    )
    .orderBy("source_group_id")
    .execute();
  const groups = Map.groupBy(links, (link) => link.schedule_id);
  return rows.map((row) =>
    toSchedule(
      row,
      (groups.get(row.id) ?? []).map((link) => link.source_group_id),
    ),
  );
}

/** Also one that was deleted. */
export async function findSchedule(db: Db, id: string): Promise<Schedule | null> {
  const rows = await tables(db).selectFrom("schedules").selectAll().where("id", "=", id).execute();
  return (await withGroups(db, rows))[0] ?? null;
}

/**
 * As findSchedule; until the transaction ends nobody else gives one of its times an outcome. A write of nothing does it on
 * both engines.
 */
export async function lockSchedule(tx: Db, id: string): Promise<Schedule | null> {
  await tables(tx)
    .updateTable("schedules")
    .set((e) => ({ version: e.ref("version") }))
    .where("id", "=", id)
    .execute();
  return findSchedule(tx, id);
}

/** A host's schedules, the oldest first, without deleted ones. */
export async function listSchedules(db: Db, hostId: string): Promise<Schedule[]> {
  const rows = await tables(db)
    .selectFrom("schedules")
    .selectAll()
    .where("host_id", "=", hostId)
    .where("deleted_at", "is", null)
    .orderBy("created_at")
    .orderBy("id")
    .execute();
  return withGroups(db, rows);
}

/** Whose outcome is overdue, the longest first. */
export async function listToLookAt(db: Db, now: number, limit: number): Promise<Schedule[]> {
  const rows = await tables(db)
    .selectFrom("schedules")
    .selectAll()
    .where("look_at", "<=", now)
    .orderBy("look_at")
    .limit(limit)
    .execute();
  return withGroups(db, rows);
}

/** The schedules that use a group. */
export async function listSchedulesUsing(db: Db, sourceGroupId: string): Promise<Schedule[]> {
  const rows = await tables(db)
    .selectFrom("schedules")
    .innerJoin("schedule_groups", "schedule_groups.schedule_id", "schedules.id")
    .selectAll("schedules")
    .where("schedule_groups.source_group_id", "=", sourceGroupId)
    .where("schedules.deleted_at", "is", null)
    .orderBy("schedules.created_at")
    .execute();
  return withGroups(db, rows);
}

const lookAt = ({ id, nextFireAt, jitterSeconds }: Schedule): number | null =>
  nextFireAt === null ? null : lookAtOf(id, nextFireAt, jitterSeconds);

export async function insertSchedule(tx: Db, schedule: Schedule): Promise<void> {
  await tables(tx)
    .insertInto("schedules")
    .values({
      id: schedule.id,
      host_id: schedule.hostId,
      cron: schedule.cron,
      time_zone: schedule.timeZone,
      jitter_seconds: schedule.jitterSeconds,
      paused_at: schedule.pausedAt,
      deleted_at: schedule.deletedAt,
      next_fire_at: schedule.nextFireAt,
      look_at: lookAt(schedule),
      version: schedule.version,
      created_at: schedule.createdAt,
      updated_at: schedule.updatedAt,
    })
    .execute();
  await insertGroups(tx, schedule);
}

async function insertGroups(tx: Db, { id, sourceGroupIds }: Schedule): Promise<void> {
  const links = sourceGroupIds.map((group) => ({ schedule_id: id, source_group_id: group }));
  if (links.length > 0) await tables(tx).insertInto("schedule_groups").values(links).execute();
}

/** @returns whether the stored version was still the one that the caller has read */
export async function replaceSchedule(tx: Db, schedule: Schedule, version: number): Promise<boolean> {
  const result = await tables(tx)
    .updateTable("schedules")
    .set({
      cron: schedule.cron,
      time_zone: schedule.timeZone,
      jitter_seconds: schedule.jitterSeconds,
      paused_at: schedule.pausedAt,
      next_fire_at: schedule.nextFireAt,
      look_at: lookAt(schedule),
      version: schedule.version,
      updated_at: schedule.updatedAt,
    })
    .where("id", "=", schedule.id)
    .where("version", "=", version)
    .where("deleted_at", "is", null)
    .executeTakeFirst();
  if (result.numUpdatedRows === 0n) return false;
  await tables(tx).deleteFrom("schedule_groups").where("schedule_id", "=", schedule.id).execute();
  await insertGroups(tx, schedule);
  return true;
}

/** Moves the next planned time on, never back. */
export async function advanceSchedule(tx: Db, schedule: Schedule, nextFireAt: number | null): Promise<void> {
  await tables(tx)
    .updateTable("schedules")
    .set({ next_fire_at: nextFireAt, look_at: lookAt({ ...schedule, nextFireAt }) })
    .where("id", "=", schedule.id)
    .where("next_fire_at", "<", nextFireAt ?? Number.MAX_SAFE_INTEGER)
    .execute();
}

/** The look at a schedule that is due is put off. */
export async function lookLater(tx: Db, id: string, lookAtMs: number): Promise<void> {
  await tables(tx).updateTable("schedules").set({ look_at: lookAtMs }).where("id", "=", id).execute();
}

/** It stays for what its host may still report; it uses no group any more. */
export async function markDeleted(tx: Db, id: string, at: number): Promise<void> {
  await tables(tx)
    .updateTable("schedules")
    .set({ deleted_at: at, next_fire_at: null, look_at: null, updated_at: at })
    .where("id", "=", id)
    .execute();
  await tables(tx).deleteFrom("schedule_groups").where("schedule_id", "=", id).execute();
}

export async function purgeDeleted(db: Db, before: number): Promise<void> {
  await tables(db).deleteFrom("schedules").where("deleted_at", "<", before).execute();
}

const toPending = (row: Selectable<PendingTable>): PendingRun => ({
  scheduleId: row.schedule_id,
  sourceGroupId: row.source_group_id,
  hostId: row.host_id,
  plannedAt: row.planned_at,
  missedSince: row.missed_since,
  tries: row.tries,
  waits: row.waits as PendingWait,
  nextTryAt: row.next_try_at,
  jobId: row.job_id,
});

/** Writes the run, in place of the one before of the same schedule and group. */
export async function putPending(tx: Db, run: PendingRun): Promise<void> {
  const state = {
    planned_at: run.plannedAt,
    missed_since: run.missedSince,
    tries: run.tries,
    waits: run.waits,
    next_try_at: run.nextTryAt,
    job_id: run.jobId,
  };
  await tables(tx)
    .insertInto("pending_runs")
    .values({
      schedule_id: run.scheduleId,
      source_group_id: run.sourceGroupId,
      host_id: run.hostId,
      ...state,
    })
    .onConflict((c) => c.columns(["schedule_id", "source_group_id"]).doUpdateSet(state))
    .execute();
}

/** All of a schedule, or of it one group's. */
export async function deletePending(
  tx: Db,
  which: { scheduleId: string; sourceGroupId?: string },
): Promise<void> {
  let query = tables(tx).deleteFrom("pending_runs").where("schedule_id", "=", which.scheduleId);
  if (which.sourceGroupId !== undefined) query = query.where("source_group_id", "=", which.sourceGroupId);
  await query.execute();
}

/**
 * Removes a run as the caller has read it, so that of several servers one goes on with it.
 * @returns false when it has changed since
 */
export async function takePending(tx: Db, run: PendingRun): Promise<boolean> {
  let query = tables(tx)
    .deleteFrom("pending_runs")
    .where("schedule_id", "=", run.scheduleId)
    .where("source_group_id", "=", run.sourceGroupId)
    .where("planned_at", "=", run.plannedAt)
    .where("waits", "=", run.waits)
    .where("tries", "=", run.tries);
  if (run.jobId !== null) query = query.where("job_id", "=", run.jobId);
  return (await query.executeTakeFirst()).numDeletedRows > 0n;
}

/** When a run is looked at again; one whose host came back since it was read keeps the time that this gave it. */
export async function postponePending(tx: Db, run: PendingRun, nextTryAt: number): Promise<void> {
  await updateRead(tx, run)
    .set({ next_try_at: nextTryAt })
    .where("next_try_at", "=", run.nextTryAt)
    .execute();
}

/** What was missed before is settled: the run stands for less. Nothing else of it is written, so nothing else is lost. */
export async function narrowPending(tx: Db, run: PendingRun, missedSince: number): Promise<void> {
  await updateRead(tx, run).set({ missed_since: missedSince }).execute();
}

/** The run, should it still be the one that the caller has read. */
const updateRead = (tx: Db, run: PendingRun) =>
  tables(tx)
    .updateTable("pending_runs")
    .where("schedule_id", "=", run.scheduleId)
    .where("source_group_id", "=", run.sourceGroupId)
    .where("planned_at", "=", run.plannedAt)
    .where("waits", "=", run.waits);

export async function listPending(
  db: Db,
  filter: { scheduleId?: string; hostId?: string; jobId?: string },
): Promise<PendingRun[]> {
  let query = tables(db).selectFrom("pending_runs").selectAll();
  if (filter.scheduleId !== undefined) query = query.where("schedule_id", "=", filter.scheduleId);
  if (filter.hostId !== undefined) query = query.where("host_id", "=", filter.hostId);
  if (filter.jobId !== undefined) query = query.where("job_id", "=", filter.jobId);
  return (await query.orderBy("schedule_id").orderBy("source_group_id").execute()).map(toPending);
}

/** What is to be looked at now, the longest due first. */
export async function listDuePending(
  db: Db,
  waits: PendingWait,
  now: number,
  limit: number,
): Promise<PendingRun[]> {
  const rows = await tables(db)
    .selectFrom("pending_runs")
    .selectAll()
    .where("waits", "=", waits)
    .where("next_try_at", "<=", now)
    .orderBy("next_try_at")
    .orderBy("schedule_id")
    .limit(limit)
    .execute();
  return rows.map(toPending);
}

/** A host is back: what waits for it is looked at then, whatever anybody decided who did not know that yet. */
export async function hastenPending(db: Db, hostId: string, at: number): Promise<void> {
  await tables(db)
    .updateTable("pending_runs")
    .set({ next_try_at: at })
    .where("host_id", "=", hostId)
    .where("waits", "!=", "running")
    .execute();
}

/** For the dashboard: each host's next planned time, and its schedules with how many groups each covers. */
export async function listFleet(
  db: Db,
  hostIds: readonly string[],
): Promise<{ hostId: string; scheduleId: string; nextFireAt: number | null; groupCount: number }[]> {
  if (hostIds.length === 0) return [];
  const rows = await tables(db)
    .selectFrom("schedules")
    .leftJoin("schedule_groups", "schedule_groups.schedule_id", "schedules.id")
    .select((e) => [
      "schedules.id",
      "schedules.host_id",
      "schedules.next_fire_at",
      e.fn.count<number>("schedule_groups.source_group_id").as("groups"),
    ])
    .where("schedules.deleted_at", "is", null)
    .where("schedules.host_id", "in", hostIds)
    .groupBy(["schedules.id", "schedules.host_id", "schedules.next_fire_at"])
    .execute();
  return rows.map((row) => ({
    hostId: row.host_id,
    scheduleId: row.id,
    nextFireAt: row.next_fire_at,
    groupCount: Number(row.groups),
  }));
}
