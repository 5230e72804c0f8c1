/** The newest backups and the live jobs of many hosts, in outline: what a row of the fleet's table and a host's head say. */
import { sql } from "kysely";
import type { Db } from "../../platform/db/db.ts";
import type { Job, JobStatus } from "./job.ts";

/** A job without its spec, which may name ten thousand paths, and without what came of it. */
export type JobOutline = Pick<
  Job,
  | "id"
  | "hostId"
  | "kind"
  | "status"
  | "sourceGroup"
  | "sourceGroupId"
  | "createdAt"
  | "startedAt"
  | "finishedAt"
>;

interface OutlineRow {
  id: string;
  host_id: string;
  kind: string;
  status: string;
  source_group: string | null;
  source_group_id: string | null;
  created_at: number;
  started_at: number | null;
  finished_at: number | null;
}
type Tables = { jobs: OutlineRow };

const columns = [
  "jobs.id",
  "jobs.host_id",
  "jobs.kind",
  "jobs.status",
  "jobs.source_group",
  "jobs.source_group_id",
  "jobs.created_at",
  "jobs.started_at",
  "jobs.finished_at",
] as const;
const unfinished: JobStatus[] = ["queued", "dispatched", "running"];

const toOutline = (row: OutlineRow): JobOutline => ({
  id: row.id,
  hostId: row.host_id,
  kind: row.kind as JobOutline["kind"],
  status: row.status as JobStatus,
  sourceGroup: row.source_group,
  sourceGroupId: row.source_group_id,
  createdAt: row.created_at,
  startedAt: row.started_at,
  finishedAt: row.finished_at,
});

/** An index holds just these, in this order; the condition stands there in the same words. */
const ended = sql`kind = 'backup' AND finished_at IS NOT NULL AND status != 'cancelled'`;

/**
 * The ids of the newest backup of each host and source group that ended and that nobody cancelled. From group to group and
 * to its newest along the index, so it takes as long for a year of jobs as for a day of them. Of two that were made in the
 * same millisecond, the later one.
 */
const newestBackupsOf = (hostIds: readonly string[]) => sql<string>`
  WITH RECURSIVE source_groups_of (host_id, source_group) AS (
    SELECT column1, (SELECT min(source_group) FROM jobs WHERE ${ended} AND host_id = column1)
    FROM (VALUES ${sql.join(hostIds.map((id) => sql`(${id})`))}) AS wanted
    UNION ALL
    SELECT g.host_id, (
      SELECT min(source_group) FROM jobs
      WHERE ${ended} AND host_id = g.host_id AND source_group > g.source_group
    )
    FROM source_groups_of AS g WHERE g.source_group IS NOT NULL
  )
  SELECT (
    SELECT id FROM jobs WHERE ${ended} AND host_id = g.host_id AND source_group = g.source_group
    ORDER BY created_at DESC, id DESC LIMIT 1
  )
  FROM source_groups_of AS g WHERE g.source_group IS NOT NULL`;

/**
 * For each of the hosts (and source group) its newest finished backup that nobody cancelled, and what is live or queued,
 * the oldest first.
 */
export async function listLatestJobs(
  db: Db,
  hostIds: readonly string[],
): Promise<{ backups: JobOutline[]; active: JobOutline[] }> {
  if (hostIds.length === 0) return { backups: [], active: [] };
  const outlines = db.withTables<Tables>().selectFrom("jobs").select(columns).orderBy("id");
  const backups = await outlines.where("id", "in", sql<string>`(${newestBackupsOf(hostIds)})`).execute();
  const active = await outlines.where("status", "in", unfinished).where("host_id", "in", hostIds).execute();
  return { backups: backups.map(toOutline), active: active.map(toOutline) };
}
