/** The snapshots' rows. Rows of a report that is still arriving are there, but never read. */
import { sql } from "kysely";
import type { Db } from "../../platform/db/db.ts";
import type { Snapshot } from "./snapshots.ts";

type Tables = {
  snapshot_reports: {
    host_id: string;
    report_id: string;
    reported_at: number;
    snapshot_count: number;
    newest_at: number | null;
    protected_bytes: number;
  };
  snapshot_arrivals: { host_id: string; report_id: string; size_bytes: number };
  snapshots: {
    host_id: string;
    report_id: string;
    id: string;
    time: number;
    hostname: string;
    username: string | null;
    paths: string;
    tags: string;
    size_bytes: number | null;
    file_count: number | null;
    added_bytes: number | null;
  };
};

/** Rows in one statement: eleven parameters each, far below both engines' limits. */
const rowsAtOnce = 500;

/** Whether this report has arrived whole and nothing newer took its place. */
export async function isShown(db: Db, hostId: string, reportId: string): Promise<boolean> {
  const row = await db
    .withTables<Tables>()
    .selectFrom("snapshot_reports")
    .select("report_id")
    .where("host_id", "=", hostId)
    .executeTakeFirst();
  return row?.report_id === reportId;
}

/**
 * Counts what arrives for a report. The first part of another one drops what an unfinished one has left.
 * @returns the report's bytes so far
 */
export async function countArrival(
  tx: Db,
  input: { hostId: string; reportId: string; sizeBytes: number },
): Promise<number> {
  const { hostId, reportId } = input;
  const db = tx.withTables<Tables>();
  const arrivals = db.selectFrom("snapshot_arrivals").selectAll().where("host_id", "=", hostId);
  const known = await arrivals.executeTakeFirst();
  const same = known?.report_id === reportId;
  if (!same) {
    await db
      .deleteFrom("snapshots")
      .where("host_id", "=", hostId)
      .where("report_id", "not in", (e) =>
        e.selectFrom("snapshot_reports").select("report_id").where("host_id", "=", hostId),
      )
      .execute();
  }
  const size = { report_id: reportId, size_bytes: (same ? known.size_bytes : 0) + input.sizeBytes };
  await db
    .insertInto("snapshot_arrivals")
    .values({ host_id: hostId, ...size })
    .onConflict((c) => c.column("host_id").doUpdateSet(size))
    .execute();
  return size.size_bytes;
}

export async function insertSnapshots(
  tx: Db,
  input: { hostId: string; reportId: string; snapshots: Snapshot[] },
): Promise<void> {
  const rows = input.snapshots.map((snapshot) => ({
    host_id: input.hostId,
    report_id: input.reportId,
    id: snapshot.id,
    time: snapshot.time,
    hostname: snapshot.hostname,
    username: snapshot.username,
    paths: JSON.stringify(snapshot.paths),
    tags: JSON.stringify(snapshot.tags),
    size_bytes: snapshot.sizeBytes,
    file_count: snapshot.fileCount,
    added_bytes: snapshot.addedBytes,
  }));
  for (let from = 0; from < rows.length; from += rowsAtOnce) {
    await tx
      .withTables<Tables>()
      .insertInto("snapshots")
      .values(rows.slice(from, from + rowsAtOnce))
      .onConflict((c) => c.columns(["host_id", "report_id", "id"]).doNothing())
      .execute();
  }
}

/** Makes a report the one that is shown and drops every other row of the host. */
export async function showReport(
  tx: Db,
  input: { hostId: string; reportId: string; at: number },
): Promise<void> {
  const db = tx.withTables<Tables>();
  const shown = { report_id: input.reportId, reported_at: input.at };
  await db
    .insertInto("snapshot_reports")
    .values({ host_id: input.hostId, ...shown, snapshot_count: 0, protected_bytes: 0 })
    .onConflict((c) => c.column("host_id").doUpdateSet(shown))
    .execute();
  await db
    .deleteFrom("snapshots")
    .where("host_id", "=", input.hostId)
    .where("report_id", "!=", input.reportId)
    .execute();
  await keepTotals(tx, input.hostId);
}

/** Into the list that is shown; a host that never reported one gets its first. */
export async function addToShown(
  tx: Db,
  input: { hostId: string; newReportId: string; snapshot: Snapshot; at: number },
): Promise<void> {
  const { hostId, newReportId, snapshot, at } = input;
  const reports = tx.withTables<Tables>();
  const row = await reports
    .selectFrom("snapshot_reports")
    .select("report_id")
    .where("host_id", "=", hostId)
    .executeTakeFirst();
  const reportId = row?.report_id ?? newReportId;
  // Not showReport: it would drop what has arrived of the host's first report.
  if (!row)
    await reports
      .insertInto("snapshot_reports")
      .values({
        ...{ host_id: hostId, report_id: reportId, reported_at: at },
        ...{ snapshot_count: 0, protected_bytes: 0 },
      })
      .execute();
  await insertSnapshots(tx, { hostId, reportId, snapshots: [snapshot] });
  await keepTotals(tx, hostId);
}

const shown = (db: Db) =>
  db
    .withTables<Tables>()
    .selectFrom("snapshots")
    .innerJoin("snapshot_reports", (join) =>
      join
        .onRef("snapshot_reports.host_id", "=", "snapshots.host_id")
        .onRef("snapshot_reports.report_id", "=", "snapshots.report_id"),
    );

/** How many snapshots of a host have a tag; those without any are under null. */
export interface TagCount {
  tag: string | null;
  count: number;
  newestAt: number;
}

/** The tag that most have first. One snapshot counts for each of its tags. */
export async function countByTag(db: Db, hostId: string): Promise<TagCount[]> {
  const rows = await shown(db)
    .where("snapshots.host_id", "=", hostId)
    .select((e) => [
      "snapshots.tags",
      e.fn.countAll<number>().as("count"),
      e.fn.max("snapshots.time").as("newest_at"),
    ])
    .groupBy("snapshots.tags")
    .execute();
  const byTag = new Map<string | null, TagCount>();
  for (const row of rows) {
    const tags = [...new Set(JSON.parse(row.tags) as string[])];
    for (const tag of tags.length === 0 ? [null] : tags) {
      const known = byTag.get(tag) ?? { tag, count: 0, newestAt: 0 };
      const newestAt = Math.max(known.newestAt, Number(row.newest_at));
      byTag.set(tag, { tag, count: known.count + Number(row.count), newestAt });
    }
  }
  return [...byTag.values()].sort((a, b) => b.count - a.count || ((a.tag ?? "") < (b.tag ?? "") ? -1 : 1));
}

/** Newest first. */
export async function listSnapshots(
  db: Db,
  hostId: string,
  page: { limit: number; offset: number },
): Promise<Snapshot[]> {
  const rows = await shown(db)
    .selectAll("snapshots")
    .where("snapshots.host_id", "=", hostId)
    .orderBy("snapshots.time", "desc")
    .orderBy("snapshots.id")
    .limit(page.limit)
    .offset(page.offset)
    .execute();
  return rows.map(toSnapshot);
}

/** Null when the list that is shown has no such snapshot. */
export async function findSnapshot(db: Db, hostId: string, snapshotId: string): Promise<Snapshot | null> {
  const row = await shown(db)
    .selectAll("snapshots")
    .where("snapshots.host_id", "=", hostId)
    .where("snapshots.id", "=", snapshotId)
    .executeTakeFirst();
  return row ? toSnapshot(row) : null;
}

const toSnapshot = (row: Tables["snapshots"]): Snapshot => ({
  id: row.id,
  time: row.time,
  hostname: row.hostname,
  username: row.username,
  paths: JSON.parse(row.paths) as string[],
  tags: JSON.parse(row.tags) as string[],
  sizeBytes: row.size_bytes,
  fileCount: row.file_count,
  addedBytes: row.added_bytes,
});

/**
 * Those of a host's own that carry a tag, without a limit: what `forget` looks at. The repository may be shared, so the
 * host's name counts too.
 */
export async function listTaggedSnapshots(
  db: Db,
  of: { hostId: string; hostname: string; tag: string },
): Promise<{ id: string; time: number }[]> {
  const rows = await shown(db)
    .select(["snapshots.id", "snapshots.time", "snapshots.tags"])
    .where("snapshots.host_id", "=", of.hostId)
    .where("snapshots.hostname", "=", of.hostname)
    .orderBy("snapshots.time", "desc")
    .orderBy("snapshots.id")
    .execute();
  return rows
    .filter(({ tags }) => (JSON.parse(tags) as string[]).includes(of.tag))
    .map(({ id, time }) => ({ id, time }));
}

export async function countSnapshots(db: Db, hostId: string): Promise<number> {
  const row = await shown(db)
    .select((e) => e.fn.countAll<number>().as("count"))
    .where("snapshots.host_id", "=", hostId)
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** What a host has in its repository, as far as snapshots tell. */
export interface SnapshotTotals {
  count: number;
  newestAt: number;
  /** The sizes of the newest snapshot of each set of tags added up: what a full restore would bring back. */
  protectedBytes: number;
}

/**
 * Counts the rows that are shown anew. After every change of them, in its transaction: the fleet's table reads the totals of
 * thousands of hosts at once. Of each set of tags the newest snapshot counts; of two of one moment, the larger one.
 */
async function keepTotals(tx: Db, hostId: string): Promise<void> {
  await sql`UPDATE snapshot_reports SET (snapshot_count, newest_at, protected_bytes) = (
      SELECT coalesce(sum(count_of_set), 0), max(time), coalesce(sum(size_bytes), 0)
      FROM (
        SELECT time, size_bytes, count(*) OVER (PARTITION BY tags) AS count_of_set,
          row_number() OVER (PARTITION BY tags ORDER BY time DESC, coalesce(size_bytes, 0) DESC) AS place
        FROM snapshots WHERE host_id = ${hostId} AND report_id = snapshot_reports.report_id
      ) AS ranked
      WHERE place = 1
    ) WHERE host_id = ${hostId}`.execute(tx);
}

/** Totals by host; a host that never reported is absent. */
export async function sumSnapshots(db: Db, hostIds: readonly string[]): Promise<Map<string, SnapshotTotals>> {
  if (hostIds.length === 0) return new Map();
  const rows = await db
    .withTables<Tables>()
    .selectFrom("snapshot_reports")
    .select(["host_id", "snapshot_count", "newest_at", "protected_bytes"])
    .where("host_id", "in", hostIds)
    .execute();
  return new Map(
    rows.map((row) => [
      row.host_id,
      { count: row.snapshot_count, newestAt: row.newest_at ?? 0, protectedBytes: row.protected_bytes },
    ]),
  );
}
