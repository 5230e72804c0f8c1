/** The hooks' rows: of a source group, or of a host for its groups that have none. Sealed texts only. No rules. */
import type { Db } from "../../platform/db/db.ts";

/** Also the slot under which the text is sealed. */
export const hookSlots = ["pre_hook", "post_hook"] as const;
export type HookSlot = (typeof hookSlots)[number];

export interface StoredHook {
  ownerId: string;
  slot: HookSlot;
  hostId: string;
  sealed: string;
  digest: string;
  timeoutSeconds: number;
  updatedAt: number;
}

interface HookTable {
  owner_id: string;
  slot: string;
  host_id: string;
  sealed: string;
  digest: string;
  timeout_seconds: number;
  updated_at: number;
}

const hooks = (db: Db) => db.withTables<{ hooks: HookTable }>();

export async function selectHooks(db: Db, ownerIds: readonly string[]): Promise<StoredHook[]> {
  if (ownerIds.length === 0) return [];
  const rows = await hooks(db).selectFrom("hooks").selectAll().where("owner_id", "in", ownerIds).execute();
  return rows.map((row) => ({
    ownerId: row.owner_id,
    slot: row.slot as HookSlot,
    hostId: row.host_id,
    sealed: row.sealed,
    digest: row.digest,
    timeoutSeconds: row.timeout_seconds,
    updatedAt: row.updated_at,
  }));
}

/** In place of what the owner had there. */
export async function upsertHook(tx: Db, hook: StoredHook): Promise<void> {
  const columns = {
    sealed: hook.sealed,
    digest: hook.digest,
    timeout_seconds: hook.timeoutSeconds,
    updated_at: hook.updatedAt,
  };
  await hooks(tx)
    .insertInto("hooks")
    .values({ owner_id: hook.ownerId, slot: hook.slot, host_id: hook.hostId, ...columns })
    .onConflict((c) => c.columns(["owner_id", "slot"]).doUpdateSet(columns))
    .execute();
}

export async function deleteHooks(tx: Db, ownerId: string, slots: readonly HookSlot[]): Promise<void> {
  await hooks(tx).deleteFrom("hooks").where("owner_id", "=", ownerId).where("slot", "in", slots).execute();
}
