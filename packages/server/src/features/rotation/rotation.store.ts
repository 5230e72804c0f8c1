/** SQL of `rotations`, `rotation_accesses` and `rotation_keys`. Sees sealed text only; no rules. */
import type { Db } from "../../platform/db/db.ts";
import type { Actor } from "../../platform/http/identity.ts";
import type { Slot } from "../repositories/repositories.ts";
import type {
  AccessRow,
  AccessStep,
  KeyRole,
  Rotation,
  RotationKey,
  RotationState,
  Task,
} from "./rotation-state.ts";

interface TaskColumns {
  job_id: string | null;
  error_code: string | null;
  error_message: string | null;
  retry_at: number | null;
}

interface RotationTable extends TaskColumns {
  id: string;
  repository_id: string;
  active_repository_id: string | null;
  state: string;
  sealed_password: string | null;
  actor_kind: string;
  actor_id: string | null;
  actor_name: string;
  started_at: number;
  changed_at: number;
  ended_at: number | null;
}

interface AccessTable extends TaskColumns {
  rotation_id: string;
  host_id: string;
  slot: string;
  step: string;
  version: number;
}

interface KeyTable {
  rotation_id: string;
  key_id: string;
  role: string;
  username: string;
  hostname: string;
  created_at: number | null;
  removed_at: number | null;
}

type Tables = { rotations: RotationTable; rotation_accesses: AccessTable; rotation_keys: KeyTable };
const tables = (db: Db) => db.withTables<Tables>();

const toTask = (row: TaskColumns): Task => ({
  jobId: row.job_id,
  problem: row.error_code === null ? null : { code: row.error_code, message: row.error_message ?? "" },
  retryAt: row.retry_at,
});

const taskColumns = ({ jobId, problem, retryAt }: Task): TaskColumns => ({
  job_id: jobId,
  error_code: problem?.code ?? null,
  error_message: problem?.message ?? null,
  retry_at: retryAt,
});

const toRotation = (row: RotationTable): Rotation => ({
  id: row.id,
  repositoryId: row.repository_id,
  state: row.state as RotationState,
  sealedPassword: row.sealed_password,
  actor: { kind: row.actor_kind as Actor["kind"], id: row.actor_id, name: row.actor_name },
  startedAt: row.started_at,
  changedAt: row.changed_at,
  endedAt: row.ended_at,
  ...toTask(row),
});

const toAccess = (row: AccessTable): AccessRow => ({
  hostId: row.host_id,
  slot: row.slot as Slot,
  step: row.step as AccessStep,
  version: row.version,
  ...toTask(row),
});

/** In place of those of the repository that are over. @throws a unique violation while one is under way */
export async function insertRotation(tx: Db, rotation: Rotation): Promise<void> {
  const { repositoryId } = rotation;
  await tables(tx)
    .deleteFrom("rotations")
    .where("repository_id", "=", repositoryId)
    .where("active_repository_id", "is", null)
    .execute();
  await tables(tx)
    .insertInto("rotations")
    .values({
      id: rotation.id,
      repository_id: repositoryId,
      active_repository_id: repositoryId,
      state: rotation.state,
      sealed_password: rotation.sealedPassword,
      actor_kind: rotation.actor.kind,
      actor_id: rotation.actor.id,
      actor_name: rotation.actor.name,
      started_at: rotation.startedAt,
      changed_at: rotation.changedAt,
      ended_at: rotation.endedAt,
      ...taskColumns(rotation),
    })
    .execute();
}

/** The one that is under way, or else the last one; null when there never was one. */
export async function findRotation(db: Db, repositoryId: string): Promise<Rotation | null> {
  const query = tables(db).selectFrom("rotations").selectAll().where("repository_id", "=", repositoryId);
  const row = await query.orderBy("id", "desc").executeTakeFirst();
  return row ? toRotation(row) : null;
}

/** The one that is under way. */
export async function findActive(db: Db, repositoryId: string): Promise<Rotation | null> {
  const query = tables(db).selectFrom("rotations").selectAll();
  const row = await query.where("active_repository_id", "=", repositoryId).executeTakeFirst();
  return row ? toRotation(row) : null;
}

/** The repositories that have one under way. */
export async function listActive(db: Db): Promise<string[]> {
  const query = tables(db).selectFrom("rotations").select("repository_id");
  const rows = await query.where("active_repository_id", "is not", null).orderBy("id").execute();
  return rows.map((row) => row.repository_id);
}

/** Compare-and-set on the state. @returns whether it was still there */
export async function updateRotation(tx: Db, seen: Rotation, after: Rotation): Promise<boolean> {
  const over = after.endedAt !== null;
  const result = await tables(tx)
    .updateTable("rotations")
    .set({
      state: after.state,
      active_repository_id: over ? null : after.repositoryId,
      sealed_password: after.sealedPassword,
      changed_at: after.changedAt,
      ended_at: after.endedAt,
      ...taskColumns(after),
    })
    .where("id", "=", seen.id)
    .where("state", "=", seen.state)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** In the order in which the hosts were added, each host's everyday access last: it is worked on in that order. */
export async function listAccesses(db: Db, rotationId: string): Promise<AccessRow[]> {
  const query = tables(db).selectFrom("rotation_accesses").selectAll();
  const rows = await query.where("rotation_id", "=", rotationId).orderBy("host_id").orderBy("slot").execute();
  return rows.map(toAccess);
}

/** As it is now, whatever it was. */
export async function putAccess(tx: Db, rotationId: string, access: AccessRow): Promise<void> {
  const changing = { step: access.step, version: access.version, ...taskColumns(access) };
  await tables(tx)
    .insertInto("rotation_accesses")
    .values({ rotation_id: rotationId, host_id: access.hostId, slot: access.slot, ...changing })
    .onConflict((conflict) => conflict.columns(["rotation_id", "host_id", "slot"]).doUpdateSet(changing))
    .execute();
}

export async function deleteAccess(tx: Db, rotationId: string, access: AccessRow): Promise<void> {
  await tables(tx)
    .deleteFrom("rotation_accesses")
    .where("rotation_id", "=", rotationId)
    .where("host_id", "=", access.hostId)
    .where("slot", "=", access.slot)
    .execute();
}

/** The oldest first. */
export async function listKeys(db: Db, rotationId: string): Promise<RotationKey[]> {
  const query = tables(db).selectFrom("rotation_keys").selectAll();
  const rows = await query
    .where("rotation_id", "=", rotationId)
    .orderBy("created_at")
    .orderBy("key_id")
    .execute();
  return rows.map((row) => ({
    id: row.key_id,
    role: row.role as KeyRole,
    username: row.username,
    hostname: row.hostname,
    createdAt: row.created_at,
    removedAt: row.removed_at,
  }));
}

/** As it is now, whatever it was. */
export async function putKey(tx: Db, rotationId: string, key: RotationKey): Promise<void> {
  const changing = {
    role: key.role,
    username: key.username,
    hostname: key.hostname,
    created_at: key.createdAt,
    removed_at: key.removedAt,
  };
  await tables(tx)
    .insertInto("rotation_keys")
    .values({ rotation_id: rotationId, key_id: key.id, ...changing })
    .onConflict((conflict) => conflict.columns(["rotation_id", "key_id"]).doUpdateSet(changing))
    .execute();
}

export async function deleteKey(tx: Db, rotationId: string, keyId: string): Promise<void> {
  await tables(tx)
    .deleteFrom("rotation_keys")
    .where("rotation_id", "=", rotationId)
    .where("key_id", "=", keyId)
    .execute();
}
