/** The replicas of a PostgreSQL database as its rows tell them, to be shown. */
import { sql } from "kysely";
import type { Db } from "../db/db.ts";
import { leaderLease, nowMs } from "./replicas.store.ts";
import { lostAfterMs } from "./replicas.ts";

export interface KnownReplica {
  id: string;
  /** Where the others reach it. */
  url: string;
  version: string;
  startedAt: number;
  seenAt: number;
  /** It was seen a moment ago, by the database's clock. */
  isAlive: boolean;
  isLeader: boolean;
}

/** The oldest first. Lost ones are among them for an hour. */
export async function listReplicas(db: Db): Promise<KnownReplica[]> {
  const { rows } = await sql<KnownReplica>`
    SELECT id, url, version, started_at AS "startedAt", seen_at AS "seenAt",
      seen_at >= ${sql.raw(nowMs)} - ${lostAfterMs}::bigint AS "isAlive",
      EXISTS (SELECT 1 FROM leases WHERE name = ${leaderLease} AND holder = replicas.id
        AND expires_at >= ${sql.raw(nowMs)}) AS "isLeader"
    FROM replicas ORDER BY started_at, id`.execute(db);
  return rows;
}
