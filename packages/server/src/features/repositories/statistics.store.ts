/** SQL of repositories' figures and of `repository_history`. No rules. */
import type { RepositoryLock } from "@restic-manager/protocol";
import { sql } from "kysely";
import type { Db } from "../../platform/db/db.ts";
import type { Repository } from "./statistics.ts";

interface RepositoryTable {
  id: string;
  location: string;
  created_at: number;
  restic_id: string | null;
  foreign_id: string | null;
  raw_bytes: number | null;
  uncompressed_bytes: number | null;
  snapshot_count: number | null;
  /** JSON list of restic's locks. */
  locks: string | null;
  stats_at: number | null;
}

interface HistoryTable {
  repository_id: string;
  day: number;
  raw_bytes: number | null;
  snapshot_count: number | null;
}

const tables = (db: Db) =>
  db.withTables<{ repositories: RepositoryTable; repository_history: HistoryTable }>();

const toRepository = (row: RepositoryTable): Repository => ({
  id: row.id,
  location: row.location,
  createdAt: row.created_at,
  resticId: row.restic_id,
  foreignId: row.foreign_id,
  rawBytes: row.raw_bytes,
  uncompressedBytes: row.uncompressed_bytes,
  snapshotCount: row.snapshot_count,
  locks: row.locks === null ? null : (JSON.parse(row.locks) as RepositoryLock[]),
  statsAt: row.stats_at,
});

export async function findRepository(db: Db, id: string): Promise<Repository | null> {
  const row = await tables(db).selectFrom("repositories").selectAll().where("id", "=", id).executeTakeFirst();
  return row ? toRepository(row) : null;
}

/** The next ones by their ids. */
export async function listRepositoryPage(
  db: Db,
  page: { after: string; limit: number },
): Promise<Repository[]> {
  const query = tables(db).selectFrom("repositories").selectAll().where("id", ">", page.after);
  return (await query.orderBy("id").limit(page.limit).execute()).map(toRepository);
}

/** Changes those that are given. */
export async function updateIds(
  tx: Db,
  id: string,
  ids: { resticId?: string | null; foreignId?: string | null },
): Promise<void> {
  const columns: Partial<RepositoryTable> = {};
  if (ids.resticId !== undefined) columns.restic_id = ids.resticId;
  if (ids.foreignId !== undefined) columns.foreign_id = ids.foreignId;
  await tables(tx).updateTable("repositories").set(columns).where("id", "=", id).execute();
}

type Figures = Pick<Repository, "rawBytes" | "uncompressedBytes" | "snapshotCount" | "locks" | "statsAt">;

export async function updateFigures(tx: Db, id: string, figures: Figures): Promise<void> {
  await tables(tx)
    .updateTable("repositories")
    .set({
      raw_bytes: figures.rawBytes,
      uncompressed_bytes: figures.uncompressedBytes,
      snapshot_count: figures.snapshotCount,
      locks: figures.locks === null ? null : JSON.stringify(figures.locks),
      stats_at: figures.statsAt,
    })
    .where("id", "=", id)
    .execute();
}

export interface HistoryRow {
  /** Days since 1970-01-01, UTC. */
  day: number;
  rawBytes: number | null;
  snapshotCount: number | null;
}

/** The day's row; what is null keeps what the day had. */
export async function putHistoryDay(tx: Db, repositoryId: string, row: HistoryRow): Promise<void> {
  const figures = { raw_bytes: row.rawBytes, snapshot_count: row.snapshotCount };
  await tables(tx)
    .insertInto("repository_history")
    .values({ repository_id: repositoryId, day: row.day, ...figures })
    .onConflict((conflict) =>
      conflict.columns(["repository_id", "day"]).doUpdateSet((e) => ({
        raw_bytes: e.fn.coalesce("excluded.raw_bytes", "repository_history.raw_bytes"),
        snapshot_count: e.fn.coalesce("excluded.snapshot_count", "repository_history.snapshot_count"),
      })),
    )
    .execute();
}

/** The sizes of repositories, by id. */
export async function listSizes(
  db: Db,
  repositoryIds: readonly string[],
): Promise<Map<string, number | null>> {
  if (repositoryIds.length === 0) return new Map();
  const query = tables(db).selectFrom("repositories").select(["id", "raw_bytes"]);
  const rows = await query.where("id", "in", repositoryIds).execute();
  return new Map(rows.map((row) => [row.id, row.raw_bytes]));
}

/** The UTC days since 1970-01-01 that have a size, the oldest first, and the size of each: two lists of one length. */
export interface DailySizes {
  days: readonly number[];
  rawBytes: readonly number[];
}

/**
 * By repository, from one day on. One row and two lists for each: a page of a fleet asks for thousands of days, and a row or
 * an object costs more than its two numbers.
 */
export async function listDailySizes(
  db: Db,
  repositoryIds: readonly string[],
  fromDay: number,
): Promise<Map<string, DailySizes>> {
  if (repositoryIds.length === 0) return new Map();
  // Both engines have string_agg, and give the two lists of one group the same order.
  const joined = (column: "day" | "raw_bytes") =>
    sql<string>`string_agg(cast(${sql.ref(column)} AS text), ',')`;
  const rows = await tables(db)
    .selectFrom("repository_history")
    .select(["repository_id", joined("day").as("days"), joined("raw_bytes").as("sizes")])
    .where("repository_id", "in", repositoryIds)
    .where("day", ">=", fromDay)
    .where("raw_bytes", "is not", null)
    .groupBy("repository_id")
    .execute();
  const numbers = (list: string): number[] => JSON.parse(`[${list}]`);
  return new Map(rows.map((row) => [row.repository_id, inOrder(numbers(row.days), numbers(row.sizes))]));
}

/** Along the primary key the days come in order, which no engine promises, and asking for it costs a sort of each. */
function inOrder(days: number[], rawBytes: number[]): DailySizes {
  if (days.every((day, index) => index === 0 || day > (days[index - 1] ?? 0))) return { days, rawBytes };
  const pairs = days.map((day, index) => ({ day, rawBytes: rawBytes[index] ?? 0 }));
  pairs.sort((a, b) => a.day - b.day);
  return { days: pairs.map(({ day }) => day), rawBytes: pairs.map((pair) => pair.rawBytes) };
}

/** From that day on, the oldest first. */
export async function listHistoryFrom(db: Db, repositoryId: string, fromDay: number): Promise<HistoryRow[]> {
  const rows = await tables(db)
    .selectFrom("repository_history")
    .selectAll()
    .where("repository_id", "=", repositoryId)
    .where("day", ">=", fromDay)
    .orderBy("day")
    .execute();
  return rows.map((row) => ({ day: row.day, rawBytes: row.raw_bytes, snapshotCount: row.snapshot_count }));
}
