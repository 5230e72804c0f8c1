/** Machines that announced themselves: who they say they are, their key, and what was decided. */
import type { Db } from "../src/platform/db/db.ts";

export async function up({ schema }: Db): Promise<void> {
  await schema
    .createTable("pending_hosts")
    .addColumn("id", "text", (c) => c.primaryKey())
    // `SHA256:…` of the key; and the same while it waits or is accepted and not yet connected, null after: so that a
    // machine has one announcement at a time.
    .addColumn("fingerprint", "text", (c) => c.notNull())
    .addColumn("live_fingerprint", "text", (c) => c.unique())
    .addColumn("public_key", "text", (c) => c.notNull())
    .addColumn("hostname", "text", (c) => c.notNull())
    .addColumn("os", "text", (c) => c.notNull())
    .addColumn("arch", "text", (c) => c.notNull())
    .addColumn("agent_version", "text", (c) => c.notNull())
    .addColumn("restic_version", "text")
    .addColumn("machine_id", "text")
    .addColumn("note", "text")
    .addColumn("address", "text", (c) => c.notNull())
    // Null once a proof used it.
    .addColumn("nonce", "text")
    // The nonce of the last good proof, and what the machine dialled for it; null until it has proved its key.
    .addColumn("proved_nonce", "text")
    .addColumn("server_name", "text")
    // `pending`, `accepted` or `rejected`.
    .addColumn("state", "text", (c) => c.notNull())
    .addColumn("announced_at", "bigint", (c) => c.notNull())
    .addColumn("expires_at", "bigint", (c) => c.notNull())
    .addColumn("decided_at", "bigint")
    .addColumn("reason", "text")
    .addColumn("host_id", "text", (c) => c.references("hosts.id").onDelete("cascade"))
    .execute();
}
