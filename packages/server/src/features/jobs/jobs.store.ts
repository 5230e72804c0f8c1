/** The jobs' rows. No rules. */
import type { ExpressionBuilder } from "kysely";
import type { Db } from "../../platform/db/db.ts";
import type { Actor } from "../../platform/http/identity.ts";
import type { Job, JobPatch, JobStatus } from "./job.ts";

interface JobRow {
  id: string;
  host_id: string;
  repository_id: string | null;
  kind: string;
  status: string;
  attempt: number;
  source_group: string | null;
  source_group_id: string | null;
  schedule_id: string | null;
  planned_at: number | null;
  spec: string;
  actor_kind: string;
  actor_id: string | null;
  actor_name: string;
  created_at: number;
  dispatched_at: number | null;
  acknowledged_at: number | null;
  started_at: number | null;
  finished_at: number | null;
  cancel_requested_at: number | null;
  progress: string | null;
  summary: string | null;
  result: string | null;
  error: string | null;
  exit_code: number | null;
  log_lines: number | null;
  log_pruned_at: number | null;
}
type Tables = { jobs: JobRow };

const live: JobStatus[] = ["dispatched", "running"];

/** JSON that we wrote ourselves, after its schema. */
const parse = <T>(text: string | null): T | null => (text === null ? null : (JSON.parse(text) as T));
const print = (value: unknown): string | null =>
  value === null || value === undefined ? null : JSON.stringify(value);

function toJob(row: JobRow): Job {
  return {
    id: row.id,
    hostId: row.host_id,
    repositoryId: row.repository_id,
    kind: row.kind as Job["kind"],
    status: row.status as JobStatus,
    attempt: row.attempt,
    sourceGroup: row.source_group,
    sourceGroupId: row.source_group_id,
    scheduleId: row.schedule_id,
    plannedAt: row.planned_at,
    spec: JSON.parse(row.spec) as Job["spec"],
    actor: { kind: row.actor_kind as Actor["kind"], id: row.actor_id, name: row.actor_name },
    createdAt: row.created_at,
    dispatchedAt: row.dispatched_at,
    acknowledgedAt: row.acknowledged_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    cancelRequestedAt: row.cancel_requested_at,
    progress: parse(row.progress),
    summary: parse(row.summary),
    result: parse(row.result),
    error: parse(row.error),
    exitCode: row.exit_code,
    logLines: row.log_lines,
    logPrunedAt: row.log_pruned_at,
  };
}

export async function insertJob(tx: Db, job: Job): Promise<void> {
  await tx
    .withTables<Tables>()
    .insertInto("jobs")
    .values({
      id: job.id,
      host_id: job.hostId,
      repository_id: job.repositoryId,
      kind: job.kind,
      status: job.status,
      attempt: job.attempt,
      source_group: job.sourceGroup,
      source_group_id: job.sourceGroupId,
      schedule_id: job.scheduleId,
      planned_at: job.plannedAt,
      spec: JSON.stringify(job.spec),
      actor_kind: job.actor.kind,
      actor_id: job.actor.id,
      actor_name: job.actor.name,
      created_at: job.createdAt,
    } as JobRow)
    .execute();
}

export async function findJob(db: Db, jobId: string): Promise<Job | null> {
  const row = await db
    .withTables<Tables>()
    .selectFrom("jobs")
    .selectAll()
    .where("id", "=", jobId)
    .executeTakeFirst();
  return row ? toJob(row) : null;
}

/** As findJob; the row stays as it is until the transaction ends: whoever else moves it waits. A write of nothing does it on both engines. */
export async function lockJob(tx: Db, jobId: string): Promise<Job | null> {
  await tx
    .withTables<Tables>()
    .updateTable("jobs")
    .set((e) => ({ status: e.ref("status") }))
    .where("id", "=", jobId)
    .execute();
  return findJob(tx, jobId);
}

/** Whose job it is, without the rest of the row: a backup's spec may name ten thousand paths. */
export async function findJobOwner(
  db: Db,
  jobId: string,
): Promise<Pick<Job, "hostId" | "attempt" | "logPrunedAt"> | null> {
  const row = await db
    .withTables<Tables>()
    .selectFrom("jobs")
    .select(["host_id", "attempt", "log_pruned_at"])
    .where("id", "=", jobId)
    .executeTakeFirst();
  return row ? { hostId: row.host_id, attempt: row.attempt, logPrunedAt: row.log_pruned_at } : null;
}

/** Compare-and-set on (status, attempt). @returns whether the row was still as `seen` */
export async function updateJob(
  tx: Db,
  seen: Job,
  patch: JobPatch & { status: JobStatus },
): Promise<boolean> {
  const columns: Partial<JobRow> = { status: patch.status };
  if (patch.attempt !== undefined) columns.attempt = patch.attempt;
  if (patch.dispatchedAt !== undefined) columns.dispatched_at = patch.dispatchedAt;
  if (patch.acknowledgedAt !== undefined) columns.acknowledged_at = patch.acknowledgedAt;
  if (patch.startedAt !== undefined) columns.started_at = patch.startedAt;
  if (patch.finishedAt !== undefined) columns.finished_at = patch.finishedAt;
  if (patch.exitCode !== undefined) columns.exit_code = patch.exitCode;
  if (patch.logLines !== undefined) columns.log_lines = patch.logLines;
  if (patch.progress !== undefined) columns.progress = print(patch.progress);
  if (patch.summary !== undefined) columns.summary = print(patch.summary);
  if (patch.result !== undefined) columns.result = print(patch.result);
  if (patch.error !== undefined) columns.error = print(patch.error);
  const result = await tx
    .withTables<Tables>()
    .updateTable("jobs")
    .set(columns)
    .where("id", "=", seen.id)
    .where("status", "=", seen.status)
    .where("attempt", "=", seen.attempt)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/** Notes the first wish to cancel; a later one changes nothing. */
export async function markCancelRequested(tx: Db, jobId: string, at: number): Promise<void> {
  await tx
    .withTables<Tables>()
    .updateTable("jobs")
    .set({ cancel_requested_at: at })
    .where("id", "=", jobId)
    .where("cancel_requested_at", "is", null)
    .execute();
}

/** The jobs that a host holds or should hold. */
export async function listLiveJobs(db: Db, hostId: string): Promise<Job[]> {
  const query = db.withTables<Tables>().selectFrom("jobs").selectAll();
  const rows = await query.where("status", "in", live).where("host_id", "=", hostId).orderBy("id").execute();
  return rows.map(toJob);
}

/** Everything of a host that is not final, oldest first. */
export async function listUnfinishedOf(db: Db, hostId: string): Promise<Job[]> {
  const query = db.withTables<Tables>().selectFrom("jobs").selectAll();
  const rows = await query
    .where("status", "in", ["queued", ...live])
    .where("host_id", "=", hostId)
    .orderBy("id")
    .execute();
  return rows.map(toJob);
}

/** Everything on a repository that is not final, oldest first. */
export async function listUnfinished(db: Db, repositoryId: string): Promise<Job[]> {
  const query = db
    .withTables<Tables>()
    .selectFrom("jobs")
    .selectAll()
    .where("repository_id", "=", repositoryId);
  const rows = await query
    .where("status", "in", ["queued", ...live])
    .orderBy("id")
    .execute();
  return rows.map(toJob);
}

/** Live jobs that somebody wished to cancel. */
export async function listCancelWished(db: Db): Promise<Pick<Job, "id" | "hostId">[]> {
  const rows = await db
    .withTables<Tables>()
    .selectFrom("jobs")
    .select(["id", "host_id"])
    .where("status", "in", live)
    .where("cancel_requested_at", "is not", null)
    .orderBy("id")
    .execute();
  return rows.map(({ id, host_id }) => ({ id, hostId: host_id }));
}

/** Dispatched and not acknowledged for longer than since `before`. */
export async function listUnacknowledged(db: Db, before: number): Promise<Job[]> {
  const query = db.withTables<Tables>().selectFrom("jobs").selectAll();
  const rows = await query
    .where("status", "=", "dispatched")
    .where("acknowledged_at", "is", null)
    .where("dispatched_at", "<", before)
    .orderBy("id")
    .limit(1000)
    .execute();
  return rows.map(toJob);
}

/** Jobs that should have ended: not final and made before `before`. */
export async function listOverdue(db: Db, before: number): Promise<Job[]> {
  const query = db.withTables<Tables>().selectFrom("jobs").selectAll();
  const rows = await query
    .where("status", "in", ["queued", ...live])
    .where("created_at", "<", before)
    .orderBy("id")
    .limit(1000)
    .execute();
  return rows.map(toJob);
}

/** Hosts that have a job waiting, of the fleet or of one repository. */
export async function listHostsWithQueued(db: Db, repositoryId?: string): Promise<string[]> {
  const all = db.withTables<Tables>().selectFrom("jobs").select("host_id").distinct();
  const query = repositoryId === undefined ? all : all.where("repository_id", "=", repositoryId);
  return (await query.where("status", "=", "queued").execute()).map((row) => row.host_id);
}

/** The next in a host's lane: restores, then users before schedules before the system, then the oldest. */
export async function findNextQueued(db: Db, hostId: string): Promise<Job | null> {
  const rank = (e: ExpressionBuilder<Tables, "jobs">) =>
    e
      .case()
      .when("kind", "=", "restore")
      .then(0)
      .when("actor_kind", "=", "user")
      .then(1)
      .when("actor_kind", "=", "schedule")
      .then(2)
      .else(3)
      .end();
  const row = await db
    .withTables<Tables>()
    .selectFrom("jobs")
    .selectAll()
    .where("host_id", "=", hostId)
    .where("status", "=", "queued")
    .orderBy(rank)
    .orderBy("id")
    .executeTakeFirst();
  return row ? toJob(row) : null;
}

export interface JobFilter {
  hostId?: string;
  status?: JobStatus;
  statuses?: readonly JobStatus[];
  kind?: string;
}

function filtered(db: Db, filter: JobFilter) {
  let query = db.withTables<Tables>().selectFrom("jobs");
  if (filter.hostId !== undefined) query = query.where("host_id", "=", filter.hostId);
  if (filter.status !== undefined) query = query.where("status", "=", filter.status);
  if (filter.statuses !== undefined) query = query.where("status", "in", filter.statuses);
  if (filter.kind !== undefined) query = query.where("kind", "=", filter.kind);
  return query;
}

/** Newest first. */
export async function listJobs(
  db: Db,
  filter: JobFilter,
  page: { limit: number; offset: number },
): Promise<Job[]> {
  // Not by id: that of a scheduled job follows from its planned time, which may be long past.
  const query = filtered(db, filter)
    .selectAll()
    .orderBy("created_at", "desc")
    .orderBy("id", "desc")
    .limit(page.limit)
    .offset(page.offset);
  return (await query.execute()).map(toJob);
}

export async function countJobs(db: Db, filter: JobFilter): Promise<number> {
  const row = await filtered(db, filter)
    .select((e) => e.fn.countAll<number>().as("count"))
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** Those of the given jobs that have ended. */
export async function listFinalOf(db: Db, jobIds: string[]): Promise<Job[]> {
  if (jobIds.length === 0) return [];
  const query = db.withTables<Tables>().selectFrom("jobs").selectAll().where("id", "in", jobIds);
  return (await query.where("status", "not in", ["queued", ...live]).execute()).map(toJob);
}

/** The newest job of each schedule of a host, whatever its status. */
export async function listLatestScheduled(db: Db, hostId: string): Promise<Job[]> {
  const jobs = db.withTables<Tables>();
  const newest = jobs
    .selectFrom("jobs")
    .select((e) => ["schedule_id", e.fn.max("created_at").as("created_at")])
    .where("host_id", "=", hostId)
    .where("schedule_id", "is not", null)
    .groupBy("schedule_id");
  const rows = await jobs
    .selectFrom("jobs")
    .innerJoin(newest.as("newest"), (join) =>
      join
        .onRef("newest.schedule_id", "=", "jobs.schedule_id")
        .onRef("newest.created_at", "=", "jobs.created_at"),
    )
    .selectAll("jobs")
    .where("jobs.host_id", "=", hostId)
    .orderBy("jobs.id")
    .execute();
  return rows.map(toJob);
}

/** Whether a backup of a source group was ever asked for. A job from before jobs kept the group's id has its name only. */
export async function hasBackupOf(
  db: Db,
  group: { id: string; hostId: string; name: string },
): Promise<boolean> {
  const row = await db
    .withTables<Tables>()
    .selectFrom("jobs")
    .select("id")
    .where("host_id", "=", group.hostId)
    .where("kind", "=", "backup")
    .where((e) =>
      e.or([
        e("source_group_id", "=", group.id),
        e.and([e("source_group_id", "is", null), e("source_group", "=", group.name)]),
      ]),
    )
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** The newest job of a kind on a repository that came to an end of its own. */
export async function findLastOf(db: Db, repositoryId: string, kind: Job["kind"]): Promise<Job | null> {
  const query = db.withTables<Tables>().selectFrom("jobs").selectAll();
  const row = await query
    .where("repository_id", "=", repositoryId)
    .where("kind", "=", kind)
    .where("status", "in", ["succeeded", "warning", "failed"])
    .orderBy("created_at", "desc")
    .orderBy("id", "desc")
    .limit(1)
    .executeTakeFirst();
  return row ? toJob(row) : null;
}

/**
 * For each host its newest restore drill that ended well, and its newest that ended by itself however it did; of the given
 * hosts.
 */
export async function listLatestDrills(
  db: Db,
  hostIds: readonly string[],
): Promise<{ proven: Job[]; last: Job[] }> {
  const ended: JobStatus[] = ["succeeded", "warning", "failed"];
  if (hostIds.length === 0) return { proven: [], last: [] };
  const jobs = db.withTables<Tables>();
  const newest = jobs
    .selectFrom("jobs")
    .select((e) => ["host_id", "status", e.fn.max("created_at").as("created_at")])
    .where("kind", "=", "verify")
    .where("status", "in", ended)
    .where("host_id", "in", hostIds)
    .groupBy(["host_id", "status"]);
  const rows = await jobs
    .selectFrom("jobs")
    .innerJoin(newest.as("newest"), (join) =>
      join
        .onRef("newest.host_id", "=", "jobs.host_id")
        .onRef("newest.status", "=", "jobs.status")
        .onRef("newest.created_at", "=", "jobs.created_at"),
    )
    .selectAll("jobs")
    .where("kind", "=", "verify")
    // The later ones overwrite: also of two that were made in the same millisecond.
    .orderBy("jobs.created_at")
    .orderBy("jobs.id")
    .execute();
  const newestOf = (some: JobRow[]) =>
    [...new Map(some.map((row) => [row.host_id, row])).values()].map(toJob);
  return { proven: newestOf(rows.filter(({ status }) => status === "succeeded")), last: newestOf(rows) };
}

/** What a host was running on a repository at a moment. */
export async function findJobAt(
  db: Db,
  where: { hostId: string; repositoryId: string; at: number },
): Promise<Job | null> {
  const query = db.withTables<Tables>().selectFrom("jobs").selectAll();
  const row = await query
    .where("host_id", "=", where.hostId)
    .where("repository_id", "=", where.repositoryId)
    .where("started_at", "<=", where.at)
    .where((e) => e.or([e("finished_at", "is", null), e("finished_at", ">=", where.at)]))
    .orderBy("started_at", "desc")
    .limit(1)
    .executeTakeFirst();
  return row ? toJob(row) : null;
}
