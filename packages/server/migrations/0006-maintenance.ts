/** How repositories look after themselves: cadences, their outcomes, statistics and what was read by checks. */
import type { Db } from "../src/platform/db/db.ts";

async function widenRepositories({ schema }: Db): Promise<void> {
  const add = () => schema.alterTable("repositories");
  // The id in the repository's own config, as first seen: another one is another repository under the same address.
  await add().addColumn("restic_id", "text").execute();
  // As last told; null until then.
  await add().addColumn("raw_bytes", "bigint").execute();
  await add().addColumn("uncompressed_bytes", "bigint").execute();
  await add().addColumn("snapshot_count", "bigint").execute();
  // JSON list of restic's locks.
  await add().addColumn("locks", "text").execute();
  await add().addColumn("stats_at", "bigint").execute();
  // Set while another repository answers under this address: nothing is done to it then. The id that was found.
  await add().addColumn("foreign_id", "text").execute();
}

async function createStatistics({ schema }: Db): Promise<void> {
  await schema
    .createTable("repository_history")
    .addColumn("repository_id", "text", (c) => c.notNull().references("repositories.id").onDelete("cascade"))
    // Days since 1970-01-01, UTC.
    .addColumn("day", "bigint", (c) => c.notNull())
    .addColumn("raw_bytes", "bigint")
    .addColumn("snapshot_count", "bigint")
    .addPrimaryKeyConstraint("repository_history_pk", ["repository_id", "day"])
    .execute();
  await schema
    .createTable("check_slices")
    .addColumn("repository_id", "text", (c) => c.notNull().references("repositories.id").onDelete("cascade"))
    .addColumn("slice", "bigint", (c) => c.notNull())
    .addColumn("of", "bigint", (c) => c.notNull())
    .addColumn("checked_at", "bigint", (c) => c.notNull())
    .addPrimaryKeyConstraint("check_slices_pk", ["repository_id", "of", "slice"])
    .execute();
}

async function createMaintenance({ schema }: Db): Promise<void> {
  await schema
    .createTable("maintenance")
    .addColumn("repository_id", "text", (c) =>
      c.primaryKey().references("repositories.id").onDelete("cascade"),
    )
    // The host that prunes and checks for all that share the repository; null: the one that was added first.
    .addColumn("owner_host_id", "text", (c) => c.references("hosts.id").onDelete("set null"))
    .addColumn("time_zone", "text", (c) => c.notNull())
    // Five-field cron each; null is off.
    .addColumn("forget_cron", "text")
    .addColumn("prune_cron", "text")
    .addColumn("check_cron", "text")
    // Percent of the data that a check reads, or null with slices: then each check reads the next of so many.
    .addColumn("check_percent", "real")
    .addColumn("check_slices", "bigint")
    .addColumn("max_removed_percent", "real", (c) => c.notNull())
    .addColumn("version", "bigint", (c) => c.notNull())
    .addColumn("updated_at", "bigint", (c) => c.notNull())
    .execute();
  await schema
    .createTable("maintenance_fires")
    .addColumn("repository_id", "text", (c) => c.notNull().references("repositories.id").onDelete("cascade"))
    // `forget`, `prune` or `check`.
    .addColumn("operation", "text", (c) => c.notNull())
    .addColumn("planned_at", "bigint", (c) => c.notNull())
    .addColumn("fired_at", "bigint", (c) => c.notNull())
    // `run`, `skipped` and why in a word, such as `offline` or `busy`.
    .addColumn("outcome", "text", (c) => c.notNull())
    .addPrimaryKeyConstraint("maintenance_fires_pk", ["repository_id", "operation", "planned_at"])
    .execute();
}

export async function up(db: Db): Promise<void> {
  await widenRepositories(db);
  await createStatistics(db);
  await createMaintenance(db);
  await db.schema.alterTable("jobs").addColumn("result", "text").execute();
  await db.schema
    .createIndex("jobs_by_operation")
    .on("jobs")
    .columns(["repository_id", "kind", "created_at"])
    .execute();
}
