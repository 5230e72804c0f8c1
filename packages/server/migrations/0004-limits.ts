/** What one host may make the server keep is bounded; here is how much it is so far. */
import type { Db } from "../src/platform/db/db.ts";

export async function up({ schema }: Db): Promise<void> {
  // Bytes of this chunk and of those before it. Logs from before this migration count from here on.
  await schema
    .alterTable("job_log_chunks")
    .addColumn("bytes_so_far", "bigint", (c) => c.notNull().defaultTo(0))
    .execute();
  // The report of snapshots that arrives now, and its rows' bytes. A host has one at a time.
  await schema
    .createTable("snapshot_arrivals")
    .addColumn("host_id", "text", (c) => c.primaryKey().references("hosts.id").onDelete("cascade"))
    .addColumn("report_id", "text", (c) => c.notNull())
    .addColumn("size_bytes", "bigint", (c) => c.notNull())
    .execute();
}
