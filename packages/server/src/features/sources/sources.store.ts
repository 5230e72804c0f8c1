/** The source groups' rows. No rules. */
import type { Insertable } from "kysely";
import { z } from "zod";
import type { Db } from "../../platform/db/db.ts";
import type { SourceGroup } from "./source-group.ts";

interface GroupTable {
  id: string;
  host_id: string;
  name: string;
  name_key: string;
  /** JSON list of strings, as the excludes. */
  includes: string;
  excludes: string;
  /** JSON of SourceOptions; `{}` in a row from before there were any. */
  options: string;
  /** JSON of Retention. */
  retention: string;
  retry_max: number;
  retry_backoff_seconds: number;
  version: number;
  created_at: number;
  updated_at: number | null;
}

const list = z.array(z.string());
const number = z.number().nullable().default(null);
const optionsColumn = z.object({
  excludeIfPresent: list.default([]),
  excludeLargerThanBytes: number,
  oneFileSystem: z.boolean().default(false),
  excludeCaches: z.boolean().default(false),
  minSizeBytes: number,
});
const retentionColumn = z.object({
  keepLast: number,
  keepHourly: number,
  keepDaily: number,
  keepWeekly: number,
  keepMonthly: number,
  keepYearly: number,
  keepWithin: z.string().nullable().default(null),
});

const groups = (db: Db) => db.withTables<{ source_groups: GroupTable }>();

/** What a person edits, as columns. SQLite's lower() knows ASCII only, so the key is made here. */
const toColumns = (group: SourceGroup) => ({
  name: group.name,
  name_key: group.name.toLowerCase(),
  includes: JSON.stringify(group.includes),
  excludes: JSON.stringify(group.excludes),
  options: JSON.stringify(group.options),
  retention: JSON.stringify(group.retention),
  retry_max: group.retryMax,
  retry_backoff_seconds: group.retryBackoffSeconds,
  version: group.version,
  updated_at: group.updatedAt,
});

const toGroup = (row: GroupTable): SourceGroup => ({
  id: row.id,
  hostId: row.host_id,
  name: row.name,
  includes: list.parse(JSON.parse(row.includes)),
  excludes: list.parse(JSON.parse(row.excludes)),
  options: optionsColumn.parse(JSON.parse(row.options)),
  retention: retentionColumn.parse(JSON.parse(row.retention)),
  retryMax: row.retry_max,
  retryBackoffSeconds: row.retry_backoff_seconds,
  version: row.version,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

/** Fails with a unique violation when the name is taken. */
export async function insertSourceGroup(tx: Db, group: SourceGroup): Promise<void> {
  const row: Insertable<GroupTable> = {
    id: group.id,
    host_id: group.hostId,
    ...toColumns(group),
    created_at: group.createdAt,
  };
  await groups(tx).insertInto("source_groups").values(row).execute();
}

/** Compare-and-set on the version that the editor saw; fails with a unique violation when the name is taken. */
export async function updateSourceGroup(tx: Db, group: SourceGroup, seenVersion: number): Promise<boolean> {
  const result = await groups(tx)
    .updateTable("source_groups")
    .set(toColumns(group))
    .where("id", "=", group.id)
    .where("version", "=", seenVersion)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

export async function deleteSourceGroupRow(tx: Db, groupId: string): Promise<void> {
  await groups(tx).deleteFrom("source_groups").where("id", "=", groupId).execute();
}

export async function selectSourceGroup(
  db: Db,
  hostId: string,
  groupId: string,
): Promise<SourceGroup | null> {
  const query = groups(db).selectFrom("source_groups").selectAll().where("id", "=", groupId);
  const row = await query.where("host_id", "=", hostId).executeTakeFirst();
  return row ? toGroup(row) : null;
}

/** By name, whatever the case. */
export async function listSourceGroups(db: Db, hostId: string): Promise<SourceGroup[]> {
  const query = groups(db).selectFrom("source_groups").selectAll();
  const rows = await query.where("host_id", "=", hostId).orderBy("name_key").execute();
  return rows.map(toGroup);
}

/** How many each host of the fleet has; hosts without one are absent. */
export async function countSourceGroups(db: Db, hostIds: readonly string[]): Promise<Map<string, number>> {
  if (hostIds.length === 0) return new Map();
  const rows = await groups(db)
    .selectFrom("source_groups")
    .select((e) => ["host_id", e.fn.countAll<number>().as("count")])
    .where("host_id", "in", hostIds)
    .groupBy("host_id")
    .execute();
  return new Map(rows.map((row) => [row.host_id, Number(row.count)]));
}
