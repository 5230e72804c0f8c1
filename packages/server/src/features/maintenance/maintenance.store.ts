/** SQL of `maintenance`, `maintenance_fires` and `check_slices`. No rules. */
import type { Db } from "../../platform/db/db.ts";
import type { Maintenance, Operation } from "./cadences.ts";

/**
 * `run`: its jobs exist. Everything else is why there are none: the last one has not ended, the host is away, its clock
 * is wrong, another repository answers, what may delete is missing or was refused, or no group forgets anything or, for a
 * drill, has a snapshot.
 */
export type FireOutcome =
  | "run"
  | "busy"
  | "offline"
  | "clock_skew"
  | "swapped"
  | "no_admin_credential"
  | "refused"
  | "nothing";

export interface Fire {
  repositoryId: string;
  operation: Operation;
  plannedAt: number;
  firedAt: number;
  outcome: FireOutcome;
}

export interface CheckedSlice {
  slice: number;
  of: number;
  checkedAt: number;
}

interface MaintenanceTable {
  repository_id: string;
  owner_host_id: string | null;
  time_zone: string;
  forget_cron: string | null;
  prune_cron: string | null;
  check_cron: string | null;
  verify_cron: string | null;
  check_percent: number | null;
  check_slices: number | null;
  verify_files: number;
  verify_bytes: number;
  max_removed_percent: number;
  version: number;
  updated_at: number;
}

interface FireTable {
  repository_id: string;
  operation: string;
  planned_at: number;
  fired_at: number;
  outcome: string;
}

type Tables = {
  maintenance: MaintenanceTable;
  maintenance_fires: FireTable;
  check_slices: { repository_id: string; slice: number; of: number; checked_at: number };
};

const tables = (db: Db) => db.withTables<Tables>();

const toMaintenance = (row: MaintenanceTable): Maintenance => ({
  repositoryId: row.repository_id,
  ownerHostId: row.owner_host_id,
  timeZone: row.time_zone,
  forgetCron: row.forget_cron,
  pruneCron: row.prune_cron,
  checkCron: row.check_cron,
  verifyCron: row.verify_cron,
  checkPercent: row.check_percent,
  checkSlices: row.check_slices,
  verifyFiles: row.verify_files,
  verifyBytes: row.verify_bytes,
  maxRemovedPercent: row.max_removed_percent,
  version: row.version,
  updatedAt: row.updated_at,
});

const toColumns = (maintenance: Maintenance, at: number): MaintenanceTable => ({
  repository_id: maintenance.repositoryId,
  owner_host_id: maintenance.ownerHostId,
  time_zone: maintenance.timeZone,
  forget_cron: maintenance.forgetCron,
  prune_cron: maintenance.pruneCron,
  check_cron: maintenance.checkCron,
  verify_cron: maintenance.verifyCron,
  check_percent: maintenance.checkPercent,
  check_slices: maintenance.checkSlices,
  verify_files: maintenance.verifyFiles,
  verify_bytes: maintenance.verifyBytes,
  max_removed_percent: maintenance.maxRemovedPercent,
  version: maintenance.version,
  updated_at: at,
});

/** Null while nobody set anything. */
export async function findMaintenance(db: Db, repositoryId: string): Promise<Maintenance | null> {
  const query = tables(db).selectFrom("maintenance").selectAll();
  const row = await query.where("repository_id", "=", repositoryId).executeTakeFirst();
  return row ? toMaintenance(row) : null;
}

/** Those that somebody set, of these repositories. */
export async function listMaintenance(db: Db, repositoryIds: readonly string[]): Promise<Maintenance[]> {
  if (repositoryIds.length === 0) return [];
  const query = tables(db).selectFrom("maintenance").selectAll().where("repository_id", "in", repositoryIds);
  return (await query.execute()).map(toMaintenance);
}

/** In place of the version that the caller has read, 0 being none. @returns whether that was still there */
export async function replaceMaintenance(
  tx: Db,
  maintenance: Maintenance,
  input: { version: number; at: number },
): Promise<boolean> {
  const columns = toColumns(maintenance, input.at);
  if (input.version === 0) {
    const result = await tables(tx)
      .insertInto("maintenance")
      .values(columns)
      .onConflict((conflict) => conflict.column("repository_id").doNothing())
      .executeTakeFirst();
    return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
  }
  const result = await tables(tx)
    .updateTable("maintenance")
    .set(columns)
    .where("repository_id", "=", maintenance.repositoryId)
    .where("version", "=", input.version)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Claims a planned time. @returns false when it has its outcome already */
export async function insertFire(tx: Db, fire: Fire): Promise<boolean> {
  const result = await tables(tx)
    .insertInto("maintenance_fires")
    .values({
      repository_id: fire.repositoryId,
      operation: fire.operation,
      planned_at: fire.plannedAt,
      fired_at: fire.firedAt,
      outcome: fire.outcome,
    })
    .onConflict((conflict) => conflict.columns(["repository_id", "operation", "planned_at"]).doNothing())
    .executeTakeFirst();
  return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
}

/** The newest outcome of each operation, of these repositories. */
export async function listLastFires(db: Db, repositoryIds: readonly string[]): Promise<Fire[]> {
  if (repositoryIds.length === 0) return [];
  const newest = tables(db)
    .selectFrom("maintenance_fires")
    .where("repository_id", "in", repositoryIds)
    .select((e) => ["repository_id", "operation", e.fn.max("planned_at").as("planned_at")])
    .groupBy(["repository_id", "operation"]);
  const rows = await tables(db)
    .selectFrom("maintenance_fires as fires")
    .innerJoin(newest.as("newest"), (join) =>
      join
        .onRef("newest.repository_id", "=", "fires.repository_id")
        .onRef("newest.operation", "=", "fires.operation")
        .onRef("newest.planned_at", "=", "fires.planned_at"),
    )
    .selectAll("fires")
    .execute();
  return rows.map((row) => ({
    repositoryId: row.repository_id,
    operation: row.operation as Operation,
    plannedAt: row.planned_at,
    firedAt: row.fired_at,
    outcome: row.outcome as FireOutcome,
  }));
}

/** Those of these repositories for which that planned time of an operation, or a later one, has its outcome. */
export async function listSettled(
  db: Db,
  repositoryIds: readonly string[],
  { operation, plannedAt }: Pick<Fire, "operation" | "plannedAt">,
): Promise<string[]> {
  const query = tables(db)
    .selectFrom("maintenance_fires")
    .select("repository_id")
    .where("repository_id", "in", repositoryIds)
    .where("operation", "=", operation)
    .where("planned_at", ">=", plannedAt);
  return (await query.execute()).map((row) => row.repository_id);
}

/** Outcomes that nobody will ask for again. */
export async function purgeFires(
  db: Db,
  repositoryIds: readonly string[],
  plannedBefore: number,
): Promise<void> {
  if (repositoryIds.length === 0) return;
  await tables(db)
    .deleteFrom("maintenance_fires")
    .where("repository_id", "in", repositoryIds)
    .where("planned_at", "<", plannedBefore)
    .execute();
}

/** Notes that a slice was read; an earlier reading is never put over a later one. */
export async function putCheckedSlice(tx: Db, repositoryId: string, checked: CheckedSlice): Promise<void> {
  const { slice, of, checkedAt } = checked;
  await tables(tx)
    .insertInto("check_slices")
    .values({ repository_id: repositoryId, slice, of, checked_at: checkedAt })
    .onConflict((conflict) =>
      conflict
        .columns(["repository_id", "of", "slice"])
        .doUpdateSet({ checked_at: checkedAt })
        .where("check_slices.checked_at", "<", checkedAt),
    )
    .execute();
}

export async function listCheckedSlices(db: Db, repositoryId: string): Promise<CheckedSlice[]> {
  const query = tables(db).selectFrom("check_slices").selectAll();
  const rows = await query.where("repository_id", "=", repositoryId).execute();
  return rows.map((row) => ({ slice: row.slice, of: row.of, checkedAt: row.checked_at }));
}

/** Whatever was read was another repository. */
export async function deleteCheckedSlices(tx: Db, repositoryId: string): Promise<void> {
  await tables(tx).deleteFrom("check_slices").where("repository_id", "=", repositoryId).execute();
}
