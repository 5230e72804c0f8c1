/**
 * How far each agent's stream of events is committed, and which replica it is connected to. Whoever stores events claims
 * their place first: of two sessions of one agent, also at two replicas, the slower one finds the row moved on and stores
 * nothing.
 */
import type { Db } from "../../platform/db/db.ts";

type Tables = { agent_streams: { host_id: string; stream_id: string; acked_seq: number } };

/** A place in the stream of events of one installation of an agent. */
export interface StreamPosition {
  streamId: string;
  /** The last committed event. */
  seq: number;
}

/** Where the host's stream is; null when none of its events was ever stored. */
export async function findPosition(db: Db, hostId: string): Promise<StreamPosition | null> {
  const row = await db
    .withTables<Tables>()
    .selectFrom("agent_streams")
    .select(["stream_id", "acked_seq"])
    .where("host_id", "=", hostId)
    .executeTakeFirst();
  return row ? { streamId: row.stream_id, seq: row.acked_seq } : null;
}

/**
 * Compare-and-set. On PostgreSQL whoever claims at the same time waits for the end of this transaction.
 * @returns whether the row was still as `seen`
 */
export async function claimPosition(
  tx: Db,
  hostId: string,
  seen: StreamPosition | null,
  next: StreamPosition,
): Promise<boolean> {
  const streams = tx.withTables<Tables>();
  const row = { stream_id: next.streamId, acked_seq: next.seq };
  if (!seen) {
    const made = await streams
      .insertInto("agent_streams")
      .values({ host_id: hostId, ...row })
      .onConflict((c) => c.column("host_id").doNothing())
      .executeTakeFirst();
    return (made.numInsertedOrUpdatedRows ?? 0n) > 0n;
  }
  const moved = await streams
    .updateTable("agent_streams")
    .set(row)
    .where("host_id", "=", hostId)
    .where("stream_id", "=", seen.streamId)
    .where("acked_seq", "=", seen.seq)
    .executeTakeFirst();
  return moved.numUpdatedRows > 0n;
}

type LinkTables = { agent_links: { host_id: string; replica_id: string; connected_at: number } };

/** Which replica a host's agent is connected to, by the last hello that was recorded. */
export interface AgentLink {
  hostId: string;
  replicaId: string;
}

/** Whoever greeted the agent last has it; in the transaction of the hello. */
export async function claimLink(tx: Db, { hostId, replicaId }: AgentLink, at: number): Promise<void> {
  const row = { replica_id: replicaId, connected_at: at };
  await tx
    .withTables<LinkTables>()
    .insertInto("agent_links")
    .values({ host_id: hostId, ...row })
    .onConflict((c) => c.column("host_id").doUpdateSet(row))
    .execute();
}

/** For a session whose row is gone. @returns false when there is one, or no such host */
export async function restoreLink(db: Db, { hostId, replicaId }: AgentLink, at: number): Promise<boolean> {
  const made = await db
    .withTables<LinkTables & { hosts: { id: string } }>()
    .insertInto("agent_links")
    .columns(["host_id", "replica_id", "connected_at"])
    .expression((e) =>
      e
        .selectFrom("hosts")
        .select((s) => ["id", s.val(replicaId).as("replica_id"), s.val(at).as("connected_at")])
        .where("id", "=", hostId),
    )
    .onConflict((c) => c.column("host_id").doNothing())
    .executeTakeFirst();
  return (made.numInsertedOrUpdatedRows ?? 0n) > 0n;
}

/** Nothing happens when another replica has the agent by now. */
export async function releaseLink(tx: Db, { hostId, replicaId }: AgentLink): Promise<void> {
  await tx
    .withTables<LinkTables>()
    .deleteFrom("agent_links")
    .where("host_id", "=", hostId)
    .where("replica_id", "=", replicaId)
    .execute();
}

/** Of a replica that stops. */
export async function releaseLinksOf(db: Db, replicaId: string): Promise<void> {
  await db.withTables<LinkTables>().deleteFrom("agent_links").where("replica_id", "=", replicaId).execute();
}

/** The id of the replica that has the host's agent. */
export async function findLinkHolder(db: Db, hostId: string): Promise<string | null> {
  const row = await db
    .withTables<LinkTables>()
    .selectFrom("agent_links")
    .select("replica_id")
    .where("host_id", "=", hostId)
    .executeTakeFirst();
  return row?.replica_id ?? null;
}

export async function listLinks(db: Db): Promise<AgentLink[]> {
  const rows = await db
    .withTables<LinkTables>()
    .selectFrom("agent_links")
    .select(["host_id", "replica_id"])
    .execute();
  return rows.map(({ host_id, replica_id }) => ({ hostId: host_id, replicaId: replica_id }));
}
