/** SQL of `pending_hosts`; rows become domain types here. No rules. */
import type { Selectable } from "kysely";
import type { Db } from "../../platform/db/db.ts";

interface PendingHostTable {
  id: string;
  fingerprint: string;
  live_fingerprint: string | null;
  public_key: string;
  hostname: string;
  os: string;
  arch: string;
  agent_version: string;
  restic_version: string | null;
  machine_id: string | null;
  note: string | null;
  address: string;
  nonce: string | null;
  proved_nonce: string | null;
  server_name: string | null;
  state: string;
  announced_at: number;
  expires_at: number;
  decided_at: number | null;
  reason: string | null;
  host_id: string | null;
}

/** What a machine says of itself. */
export interface AnnouncedFacts {
  hostname: string;
  os: string;
  arch: string;
  agentVersion: string;
  resticVersion: string | null;
  machineId: string | null;
  note: string | null;
  /** Where it announced itself from, as the server sees it. */
  address: string;
}

export interface PendingHost extends AnnouncedFacts {
  id: string;
  /** `SHA256:…` */
  fingerprint: string;
  /** SubjectPublicKeyInfo, base64. */
  publicKey: string;
  /** For the next proof; null once one used it. */
  nonce: string | null;
  /** Of the last good proof, whose sender is the one to be told; null until there is one. */
  provedNonce: string | null;
  /** The name of this server that the machine dialled; null until it has proved its key. */
  serverName: string | null;
  state: "pending" | "accepted" | "rejected";
  announcedAt: number;
  expiresAt: number;
  decidedAt: number | null;
  /** Why it was rejected, when somebody said so. */
  reason: string | null;
  /** Once it is accepted. */
  hostId: string | null;
}

const table = (db: Db) => db.withTables<{ pending_hosts: PendingHostTable }>();

const toPendingHost = (row: Selectable<PendingHostTable>): PendingHost => ({
  id: row.id,
  fingerprint: row.fingerprint,
  publicKey: row.public_key,
  hostname: row.hostname,
  os: row.os,
  arch: row.arch,
  agentVersion: row.agent_version,
  resticVersion: row.restic_version,
  machineId: row.machine_id,
  note: row.note,
  address: row.address,
  nonce: row.nonce,
  provedNonce: row.proved_nonce,
  serverName: row.server_name,
  state: row.state as PendingHost["state"],
  announcedAt: row.announced_at,
  expiresAt: row.expires_at,
  decidedAt: row.decided_at,
  reason: row.reason,
  hostId: row.host_id,
});

const toColumns = (facts: AnnouncedFacts) => ({
  hostname: facts.hostname,
  os: facts.os,
  arch: facts.arch,
  agent_version: facts.agentVersion,
  restic_version: facts.resticVersion,
  machine_id: facts.machineId,
  note: facts.note,
  address: facts.address,
});

export async function selectPendingHost(db: Db, id: string): Promise<PendingHost | null> {
  const query = table(db).selectFrom("pending_hosts").selectAll().where("id", "=", id);
  const row = await query.executeTakeFirst();
  return row ? toPendingHost(row) : null;
}

/** The one announcement of a key that is not over. */
export async function selectLive(db: Db, fingerprint: string): Promise<PendingHost | null> {
  const query = table(db).selectFrom("pending_hosts").selectAll().where("live_fingerprint", "=", fingerprint);
  const row = await query.executeTakeFirst();
  return row ? toPendingHost(row) : null;
}

/** Those that wait for a decision, the oldest first. */
export async function selectWaiting(db: Db, nowMs: number): Promise<PendingHost[]> {
  const rows = await table(db)
    .selectFrom("pending_hosts")
    .selectAll()
    .where("state", "=", "pending")
    .where("expires_at", ">", nowMs)
    .orderBy("announced_at")
    .orderBy("id")
    .execute();
  return rows.map(toPendingHost);
}

export async function countWaiting(db: Db, nowMs: number): Promise<number> {
  const row = await table(db)
    .selectFrom("pending_hosts")
    .select((e) => e.fn.countAll<number>().as("n"))
    .where("state", "=", "pending")
    .where("expires_at", ">", nowMs)
    .executeTakeFirstOrThrow();
  return Number(row.n);
}

/** Fails with a unique violation when the key has a live announcement. */
export async function insertPendingHost(
  tx: Db,
  input: AnnouncedFacts &
    Pick<PendingHost, "id" | "fingerprint" | "publicKey" | "announcedAt" | "expiresAt"> & { nonce: string },
): Promise<void> {
  const row = {
    ...toColumns(input),
    id: input.id,
    fingerprint: input.fingerprint,
    live_fingerprint: input.fingerprint,
    public_key: input.publicKey,
    nonce: input.nonce,
    proved_nonce: null,
    server_name: null,
    state: "pending",
    announced_at: input.announcedAt,
    expires_at: input.expiresAt,
    decided_at: null,
    reason: null,
    host_id: null,
  };
  await table(tx).insertInto("pending_hosts").values(row).execute();
}

/** What a machine that announced itself again says now; of one that was accepted only the nonce is new. */
export async function updateAnnouncement(
  tx: Db,
  input: { id: string; nonce: string; facts: AnnouncedFacts | null; expiresAt: number },
): Promise<void> {
  const facts = input.facts === null ? {} : { ...toColumns(input.facts), expires_at: input.expiresAt };
  await table(tx)
    .updateTable("pending_hosts")
    .set({ nonce: input.nonce, ...facts })
    .where("id", "=", input.id)
    .execute();
}

/** Compare-and-set: of several proofs with one nonce, one gets true. */
export async function takeNonce(tx: Db, id: string, nonce: string): Promise<boolean> {
  const result = await table(tx)
    .updateTable("pending_hosts")
    .set({ nonce: null })
    .where("id", "=", id)
    .where("nonce", "=", nonce)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

export async function saveProof(
  tx: Db,
  proof: { id: string; nonce: string; serverName: string },
): Promise<void> {
  await table(tx)
    .updateTable("pending_hosts")
    .set({ proved_nonce: proof.nonce, server_name: proof.serverName })
    .where("id", "=", proof.id)
    .execute();
}

/**
 * Compare-and-set: of several decisions about one machine, exactly one gets true. None once it has expired, and no
 * acceptance when the machine has meanwhile proved itself for another name than `serverName`.
 */
export async function decide(
  tx: Db,
  input: { id: string; at: number } & (
    | { state: "accepted"; serverName: string | null }
    | { state: "rejected"; reason: string | null }
  ),
): Promise<boolean> {
  const { id, at, state } = input;
  const decided = state === "accepted" ? { state } : { state, reason: input.reason, live_fingerprint: null };
  let update = table(tx)
    .updateTable("pending_hosts")
    .set({ ...decided, decided_at: at })
    .where("id", "=", id)
    .where("state", "=", "pending")
    .where("expires_at", ">", at);
  if (state === "accepted") update = update.where("server_name", "=", input.serverName);
  return (await update.executeTakeFirst()).numUpdatedRows > 0n;
}

export async function linkHost(tx: Db, id: string, hostId: string): Promise<void> {
  await table(tx).updateTable("pending_hosts").set({ host_id: hostId }).where("id", "=", id).execute();
}

/** The key may announce itself anew. */
export async function endAnnouncement(tx: Db, id: string): Promise<void> {
  await table(tx).updateTable("pending_hosts").set({ live_fingerprint: null }).where("id", "=", id).execute();
}

/** Lets go of the keys of those that expired. @returns each of them once, however many do this at once */
export async function expireWaiting(tx: Db, nowMs: number): Promise<PendingHost[]> {
  const rows = await table(tx)
    .updateTable("pending_hosts")
    .set({ live_fingerprint: null })
    .where("state", "=", "pending")
    .where("expires_at", "<=", nowMs)
    .where("live_fingerprint", "is not", null)
    .returningAll()
    .execute();
  return rows.map(toPendingHost);
}

/** Forgets what was over before this moment. */
export async function forgetOver(tx: Db, forgetBefore: number): Promise<void> {
  await table(tx)
    .deleteFrom("pending_hosts")
    .where("live_fingerprint", "is", null)
    .where("expires_at", "<", forgetBefore)
    .execute();
}
