/** Tokens for programs that use the API, and which of them did what. */
import type { Db } from "../src/platform/db/db.ts";

export async function up({ schema }: Db): Promise<void> {
  await schema
    .createTable("api_tokens")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("user_id", "text", (c) => c.notNull().references("users.id").onDelete("cascade"))
    .addColumn("name", "text", (c) => c.notNull())
    .addColumn("role", "text", (c) => c.notNull())
    .addColumn("token_hash", "text", (c) => c.notNull().unique())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    // Null never ends.
    .addColumn("expires_at", "bigint")
    .addColumn("last_used_at", "bigint")
    .execute();
  await schema
    .createIndex("api_tokens_by_name")
    .on("api_tokens")
    .columns(["user_id", "name"])
    .unique()
    .execute();
  // The token's name at that time; null for whoever signed in.
  await schema.alterTable("audit_entries").addColumn("actor_token", "text").execute();
}
