/** SQL of repositories' identity and of `repository_credentials`. Sees sealed text only; no rules. */
import type { Db } from "../../platform/db/db.ts";
import { newId } from "../../platform/random.ts";

interface RepositoryTable {
  id: string;
  location: string;
  created_at: number;
}

interface CredentialsTable {
  host_id: string;
  slot: string;
  sealed: string;
  version: number;
  updated_at: number;
}

const tables = (db: Db) =>
  db.withTables<{ repositories: RepositoryTable; repository_credentials: CredentialsTable }>();

/** The repository of that normalised location, made when it is new. */
export async function ensureRepository(
  tx: Db,
  location: string,
  at: number,
): Promise<{ id: string; location: string }> {
  await tables(tx)
    .insertInto("repositories")
    .values({ id: newId(at), location, created_at: at })
    .onConflict((conflict) => conflict.column("location").doNothing())
    .execute();
  return tables(tx)
    .selectFrom("repositories")
    .select(["id", "location"])
    .where("location", "=", location)
    .executeTakeFirstOrThrow();
}

/** Holds the repository's row until the transaction ends: whoever else wants it waits. A write of nothing does it on both engines. */
export async function lockRepository(tx: Db, repositoryId: string): Promise<void> {
  await tables(tx)
    .updateTable("repositories")
    .set((e) => ({ location: e.ref("location") }))
    .where("id", "=", repositoryId)
    .execute();
}

export interface SealedCredentials {
  sealed: string;
  version: number;
  updatedAt: number;
}

export async function selectCredentials(
  db: Db,
  hostId: string,
  slot: string,
): Promise<SealedCredentials | null> {
  const row = await tables(db)
    .selectFrom("repository_credentials")
    .select(["sealed", "version", "updated_at"])
    .where("host_id", "=", hostId)
    .where("slot", "=", slot)
    .executeTakeFirst();
  return row ? { sealed: row.sealed, version: row.version, updatedAt: row.updated_at } : null;
}

export interface NewCredentials {
  hostId: string;
  slot: string;
  sealed: string;
  at: number;
}

/** The first version is 1. @returns false when there is one already */
export async function insertCredentials(tx: Db, row: NewCredentials): Promise<boolean> {
  const values = { host_id: row.hostId, slot: row.slot, sealed: row.sealed, version: 1, updated_at: row.at };
  const result = await tables(tx)
    .insertInto("repository_credentials")
    .values(values)
    .onConflict((conflict) => conflict.columns(["host_id", "slot"]).doNothing())
    .executeTakeFirst();
  return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
}

/** Replaces the version that was read; @returns whether it was still there. */
export async function replaceCredentials(tx: Db, row: NewCredentials, version: number): Promise<boolean> {
  const result = await tables(tx)
    .updateTable("repository_credentials")
    .set({ sealed: row.sealed, version: version + 1, updated_at: row.at })
    .where("host_id", "=", row.hostId)
    .where("slot", "=", row.slot)
    .where("version", "=", version)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** @returns whether there was one */
export async function deleteCredentials(tx: Db, hostId: string, slot: string): Promise<boolean> {
  const result = await tables(tx)
    .deleteFrom("repository_credentials")
    .where("host_id", "=", hostId)
    .where("slot", "=", slot)
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}
