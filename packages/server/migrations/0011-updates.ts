/** Updates of agents and their restic over the fleet, and the kinds of job that an agent knows. */
import type { Db } from "../src/platform/db/db.ts";

export async function up({ schema }: Db): Promise<void> {
  // JSON list; null for an agent that does not tell.
  await schema.alterTable("hosts").addColumn("job_kinds", "text").execute();
  await schema
    .createTable("update_runs")
    .addColumn("id", "text", (c) => c.primaryKey())
    // `yes` while it is under way, null after: so there is one at a time.
    .addColumn("active", "text", (c) => c.unique())
    // `running`, `paused`, `done` or `cancelled`.
    .addColumn("state", "text", (c) => c.notNull())
    // `agent` or `restic`.
    .addColumn("program", "text", (c) => c.notNull())
    .addColumn("version", "text", (c) => c.notNull())
    // What the hosts were chosen by; null for all.
    .addColumn("tag", "text")
    .addColumn("actor_kind", "text", (c) => c.notNull())
    .addColumn("actor_id", "text")
    .addColumn("actor_name", "text", (c) => c.notNull())
    .addColumn("started_at", "bigint", (c) => c.notNull())
    .addColumn("changed_at", "bigint", (c) => c.notNull())
    .addColumn("ended_at", "bigint")
    // Why it is paused; the host's name also after the host is gone.
    .addColumn("pause_host_id", "text")
    .addColumn("pause_host_name", "text")
    .addColumn("pause_code", "text")
    .addColumn("pause_message", "text")
    .execute();
  await schema
    .createTable("update_targets")
    .addColumn("run_id", "text", (c) => c.notNull().references("update_runs.id").onDelete("cascade"))
    .addColumn("host_id", "text", (c) => c.notNull().references("hosts.id").onDelete("cascade"))
    // `waiting`, `updating`, `done`, `failed` or `skipped`.
    .addColumn("state", "text", (c) => c.notNull())
    // 1 to 3, when it was its turn.
    .addColumn("wave", "integer")
    .addColumn("job_id", "text")
    .addColumn("from_version", "text")
    .addColumn("error_code", "text")
    .addColumn("error_message", "text")
    .addColumn("changed_at", "bigint", (c) => c.notNull())
    .addPrimaryKeyConstraint("update_targets_pk", ["run_id", "host_id"])
    .execute();
}
