/** Servers that share one database: which are alive, who does what only one shall do, and where each agent is connected. */
import type { Db } from "../src/platform/db/db.ts";

export async function up({ schema }: Db): Promise<void> {
  await schema
    .createTable("replicas")
    .addColumn("id", "text", (c) => c.primaryKey())
    // Where other replicas reach it.
    .addColumn("url", "text", (c) => c.notNull())
    .addColumn("version", "text", (c) => c.notNull())
    // By the database's clock, as all instants of `replicas` and `leases`.
    .addColumn("started_at", "bigint", (c) => c.notNull())
    .addColumn("seen_at", "bigint", (c) => c.notNull())
    .execute();
  await schema
    .createTable("leases")
    .addColumn("name", "text", (c) => c.primaryKey())
    // A replica's id.
    .addColumn("holder", "text", (c) => c.notNull())
    .addColumn("expires_at", "bigint", (c) => c.notNull())
    .execute();
  await schema
    .createTable("agent_links")
    .addColumn("host_id", "text", (c) => c.primaryKey().references("hosts.id").onDelete("cascade"))
    // No reference: a replica's row goes before those of its agents.
    .addColumn("replica_id", "text", (c) => c.notNull())
    .addColumn("connected_at", "bigint", (c) => c.notNull())
    .execute();
}
