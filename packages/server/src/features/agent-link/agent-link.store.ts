/** How far each agent's stream of events is committed. */
import type { Db } from "../../platform/db/db.ts";

type Tables = { agent_streams: { host_id: string; stream_id: string; acked_seq: number } };

/** The last committed event of this stream: 0 for one that was never seen. */
export async function findAckedSeq(db: Db, hostId: string, streamId: string): Promise<number> {
  const row = await db
    .withTables<Tables>()
    .selectFrom("agent_streams")
    .select(["stream_id", "acked_seq"])
    .where("host_id", "=", hostId)
    .executeTakeFirst();
  return row?.stream_id === streamId ? row.acked_seq : 0;
}

export async function saveAckedSeq(tx: Db, hostId: string, streamId: string, seq: number): Promise<void> {
  await tx
    .withTables<Tables>()
    .insertInto("agent_streams")
    .values({ host_id: hostId, stream_id: streamId, acked_seq: seq })
    .onConflict((c) => c.column("host_id").doUpdateSet({ stream_id: streamId, acked_seq: seq }))
    .execute();
}
