/**
 * What the fleet's table reads for ten thousand hosts: each host's newest backups along an index of their own, and how
 * much its snapshots hold, kept beside the report that is shown.
 */
import { sql } from "kysely";
import type { Db } from "../src/platform/db/db.ts";

export async function up(db: Db): Promise<void> {
  // The conditions stand word for word in the query: an engine uses the index only where it sees that they hold. The kind
  // is in it, though it is one, so that SQLite does not prefer the index of all jobs by kind and host.
  await sql`CREATE INDEX jobs_newest_backups ON jobs (kind, host_id, source_group, created_at, id)
    WHERE kind = 'backup' AND finished_at IS NOT NULL AND status != 'cancelled'`.execute(db);
  const add = () => db.schema.alterTable("snapshot_reports");
  // Of the rows of this report, by whoever changes them.
  await add()
    .addColumn("snapshot_count", "bigint", (c) => c.notNull().defaultTo(0))
    .execute();
  await add().addColumn("newest_at", "bigint").execute();
  await add()
    .addColumn("protected_bytes", "bigint", (c) => c.notNull().defaultTo(0))
    .execute();
  await fillTotals(db);
}

/** Of each set of tags the newest counts; of two of one moment, the larger one. */
async function fillTotals(db: Db): Promise<void> {
  await sql`UPDATE snapshot_reports SET (snapshot_count, newest_at, protected_bytes) = (
    SELECT coalesce(sum(count_of_set), 0), max(time), coalesce(sum(size_bytes), 0)
    FROM (
      SELECT time, size_bytes, count(*) OVER (PARTITION BY tags) AS count_of_set,
        row_number() OVER (PARTITION BY tags ORDER BY time DESC, coalesce(size_bytes, 0) DESC) AS place
      FROM snapshots
      WHERE host_id = snapshot_reports.host_id AND report_id = snapshot_reports.report_id
    ) AS ranked
    WHERE place = 1
  )`.execute(db);
}
