/** What an agent can reach: the kinds of repository that it has settings for. */
import type { Db } from "../src/platform/db/db.ts";

export async function up(db: Db): Promise<void> {
  // JSON list, as told at the last hello; null for agents that know a location and passwords only.
  await db.schema.alterTable("hosts").addColumn("backend_kinds", "text").execute();
}
