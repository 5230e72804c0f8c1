/** Restore drills: when they run, how much they restore, and the way to the newest job of a kind. */
import type { Db } from "../src/platform/db/db.ts";

export async function up({ schema }: Db): Promise<void> {
  const add = () => schema.alterTable("maintenance");
  // Five-field cron; null is off, as it is until somebody wants drills.
  await add().addColumn("verify_cron", "text").execute();
  await add()
    .addColumn("verify_files", "bigint", (c) => c.notNull().defaultTo(100))
    .execute();
  await add()
    .addColumn("verify_bytes", "bigint", (c) => c.notNull().defaultTo(268_435_456))
    .execute();
  await schema.createIndex("jobs_by_kind").on("jobs").columns(["kind", "host_id", "created_at"]).execute();
}
