/** Accounts, sessions, the first-run token, the audit trail and the server's own facts. */
import type { Db } from "../src/platform/db/db.ts";

export async function up(db: Db): Promise<void> {
  const { schema } = db;
  // One row for each fact, such as the check value of the key file.
  await schema
    .createTable("server_facts")
    .addColumn("name", "text", (c) => c.primaryKey())
    .addColumn("value", "text", (c) => c.notNull())
    .execute();
  await schema
    .createTable("users")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("username", "text", (c) => c.notNull().unique())
    .addColumn("password_hash", "text", (c) => c.notNull())
    .addColumn("role", "text", (c) => c.notNull())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("disabled_at", "bigint")
    .execute();
  await schema
    .createTable("sessions")
    .addColumn("token_hash", "text", (c) => c.primaryKey())
    .addColumn("user_id", "text", (c) => c.notNull().references("users.id").onDelete("cascade"))
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("expires_at", "bigint", (c) => c.notNull())
    .execute();
  await schema.createIndex("sessions_by_user").on("sessions").column("user_id").execute();
  // At most one row, and none once an administrator exists.
  await schema
    .createTable("setup_tokens")
    .addColumn("token_hash", "text", (c) => c.primaryKey())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .execute();
  await schema
    .createTable("audit_entries")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("at", "bigint", (c) => c.notNull())
    .addColumn("actor_kind", "text", (c) => c.notNull())
    .addColumn("actor_id", "text")
    .addColumn("actor_name", "text", (c) => c.notNull())
    .addColumn("action", "text", (c) => c.notNull())
    .addColumn("target_kind", "text")
    .addColumn("target_id", "text")
    .addColumn("target_name", "text")
    .addColumn("payload", "text", (c) => c.notNull())
    .execute();
  await schema.createIndex("audit_entries_by_time").on("audit_entries").columns(["at", "id"]).execute();
  await schema
    .createIndex("audit_entries_by_target")
    .on("audit_entries")
    .columns(["target_id", "at"])
    .execute();
}
