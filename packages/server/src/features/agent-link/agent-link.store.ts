/**
 * How far each agent's stream of events is committed. Whoever stores events claims their place first: of two sessions of
 * one agent, also at two replicas, the slower one finds the row moved on and stores nothing.
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
