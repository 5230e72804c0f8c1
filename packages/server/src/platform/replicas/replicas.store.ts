/** Rows of `replicas` and `leases`, on the connection that also listens. All instants are the database's own. */
import type pg from "pg";
import { leaseMs, lostAfterMs } from "./replicas.ts";

const nowMs = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
/** The only lease there is: who does what only one of all shall do. */
const leaderLease = "leader";
/** Rows of replicas that ended without goodbye are kept this long, for whoever looks into the table. */
const forgottenAfterMs = 60 * 60_000;

export interface ReplicaRow {
  id: string;
  url: string;
  version: string;
}

/** What runs one statement. */
export type Query = <R extends pg.QueryResultRow>(text: string, values?: unknown[]) => Promise<R[]>;

/** Each installation has a channel of its own, also where several share a database by schemas. */
export async function findChannel(query: Query): Promise<string> {
  const [row] = await query<{ channel: string }>(
    "SELECT 'restic_manager_' || current_schema()::regnamespace::oid AS channel",
  );
  if (!row) throw new Error("the database names no schema");
  return row.channel;
}

/** This replica is alive now. */
export async function touch(query: Query, { id, url, version }: ReplicaRow): Promise<void> {
  await query(
    `INSERT INTO replicas (id, url, version, started_at, seen_at) VALUES ($1, $2, $3, ${nowMs}, ${nowMs})
     ON CONFLICT (id) DO UPDATE SET seen_at = ${nowMs}`,
    [id, url, version],
  );
}

/** Takes the lease when nobody has it, or renews it. @returns whether this replica has it now */
export async function takeLease(query: Query, id: string): Promise<boolean> {
  const rows = await query(
    `INSERT INTO leases (name, holder, expires_at) VALUES ('${leaderLease}', $1, ${nowMs} + ${leaseMs})
     ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
     WHERE leases.holder = excluded.holder OR leases.expires_at < ${nowMs} RETURNING holder`,
    [id],
  );
  return rows.length > 0;
}

/** The others that are alive. */
export const listOthers = (query: Query, id: string): Promise<ReplicaRow[]> =>
  query<ReplicaRow>(
    `SELECT id, url, version FROM replicas WHERE id <> $1 AND seen_at >= ${nowMs} - ${lostAfterMs}`,
    [id],
  );

export async function removeForgotten(query: Query): Promise<void> {
  await query(`DELETE FROM replicas WHERE seen_at < ${nowMs} - ${forgottenAfterMs}`);
}

/** Gives back what this replica has. */
export async function giveBack(query: Query, id: string): Promise<void> {
  await query("DELETE FROM leases WHERE holder = $1", [id]);
  await query("DELETE FROM replicas WHERE id = $1", [id]);
}
