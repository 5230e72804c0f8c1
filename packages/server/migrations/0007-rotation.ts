/** The rotation of a repository's password: one at a time, with a row for each access that it replaces. */
import type { Db } from "../src/platform/db/db.ts";

export async function up({ schema }: Db): Promise<void> {
  await schema
    .createTable("rotations")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("repository_id", "text", (c) => c.notNull().references("repositories.id").onDelete("cascade"))
    // The repository while it is under way, null after: so there is one at a time.
    .addColumn("active_repository_id", "text", (c) => c.unique())
    .addColumn("state", "text", (c) => c.notNull())
    // The new password; null once it is over.
    .addColumn("sealed_password", "text")
    .addColumn("actor_kind", "text", (c) => c.notNull())
    .addColumn("actor_id", "text")
    .addColumn("actor_name", "text", (c) => c.notNull())
    .addColumn("started_at", "bigint", (c) => c.notNull())
    .addColumn("changed_at", "bigint", (c) => c.notNull())
    .addColumn("ended_at", "bigint")
    // What adds or removes keys for all, and why its last try failed; with a time to try again, if it shall.
    .addColumn("job_id", "text")
    .addColumn("error_code", "text")
    .addColumn("error_message", "text")
    .addColumn("retry_at", "bigint")
    .execute();
  await schema
    .createTable("rotation_accesses")
    .addColumn("rotation_id", "text", (c) => c.notNull().references("rotations.id").onDelete("cascade"))
    .addColumn("host_id", "text", (c) => c.notNull().references("hosts.id").onDelete("cascade"))
    // `everyday` or `admin`.
    .addColumn("slot", "text", (c) => c.notNull())
    // `adopt`, `verify` or `verified`.
    .addColumn("step", "text", (c) => c.notNull())
    // Of the stored credentials that the step is about: another one begins anew.
    .addColumn("version", "bigint", (c) => c.notNull())
    .addColumn("job_id", "text")
    .addColumn("error_code", "text")
    .addColumn("error_message", "text")
    .addColumn("retry_at", "bigint")
    .addPrimaryKeyConstraint("rotation_accesses_pk", ["rotation_id", "host_id", "slot"])
    .execute();
  await schema
    .createTable("rotation_keys")
    .addColumn("rotation_id", "text", (c) => c.notNull().references("rotations.id").onDelete("cascade"))
    .addColumn("key_id", "text", (c) => c.notNull())
    // `new`, `old` (some host of ours used it) or `other`.
    .addColumn("role", "text", (c) => c.notNull())
    .addColumn("username", "text", (c) => c.notNull())
    .addColumn("hostname", "text", (c) => c.notNull())
    .addColumn("created_at", "bigint")
    .addColumn("removed_at", "bigint")
    .addPrimaryKeyConstraint("rotation_keys_pk", ["rotation_id", "key_id"])
    .execute();
}
