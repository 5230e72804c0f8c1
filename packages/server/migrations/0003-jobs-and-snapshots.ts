/** Jobs with their logs, source groups, and the copy of each host's list of snapshots. */
import type { Db, Engine } from "../src/platform/db/db.ts";
import { bytes } from "./columns.ts";

async function createJobs({ schema }: Db): Promise<void> {
  await schema
    .createTable("jobs")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("host_id", "text", (c) => c.notNull().references("hosts.id").onDelete("cascade"))
    .addColumn("repository_id", "text", (c) => c.references("repositories.id"))
    .addColumn("kind", "text", (c) => c.notNull())
    .addColumn("status", "text", (c) => c.notNull())
    .addColumn("attempt", "bigint", (c) => c.notNull())
    .addColumn("source_group", "text")
    .addColumn("spec", "text", (c) => c.notNull())
    .addColumn("actor_kind", "text", (c) => c.notNull())
    .addColumn("actor_id", "text")
    .addColumn("actor_name", "text", (c) => c.notNull())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("dispatched_at", "bigint")
    .addColumn("acknowledged_at", "bigint")
    .addColumn("started_at", "bigint")
    .addColumn("finished_at", "bigint")
    .addColumn("cancel_requested_at", "bigint")
    .addColumn("progress", "text")
    .addColumn("summary", "text")
    .addColumn("error", "text")
    .addColumn("exit_code", "bigint")
    // How many lines the log has, once the agent said so; the log is complete when that many are stored.
    .addColumn("log_lines", "bigint")
    .addColumn("log_pruned_at", "bigint")
    .execute();
  await schema.createIndex("jobs_by_host").on("jobs").columns(["host_id", "created_at"]).execute();
  await schema.createIndex("jobs_by_repository").on("jobs").columns(["repository_id", "status"]).execute();
  // The oldest job that still has its log is found for every log that is removed.
  await schema.createIndex("jobs_by_end").on("jobs").columns(["log_pruned_at", "finished_at"]).execute();
  await schema.createIndex("jobs_by_status").on("jobs").columns(["status", "host_id"]).execute();
}

async function createLogs({ schema }: Db, engine: Engine): Promise<void> {
  await schema
    .createTable("job_log_chunks")
    .addColumn("job_id", "text", (c) => c.notNull().references("jobs.id").onDelete("cascade"))
    .addColumn("first_line", "bigint", (c) => c.notNull())
    .addColumn("last_line", "bigint", (c) => c.notNull())
    // NDJSON of the lines as on the wire, deflated.
    .addColumn("lines", bytes(engine) as never, (c) => c.notNull())
    .addPrimaryKeyConstraint("job_log_chunks_pk", ["job_id", "first_line"])
    .execute();
}

async function createSources({ schema }: Db): Promise<void> {
  await schema
    .createTable("source_groups")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("host_id", "text", (c) => c.notNull().references("hosts.id").onDelete("cascade"))
    .addColumn("name", "text", (c) => c.notNull())
    .addColumn("includes", "text", (c) => c.notNull())
    .addColumn("excludes", "text", (c) => c.notNull())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addUniqueConstraint("source_groups_name", ["host_id", "name"])
    .execute();
}

async function createSnapshots({ schema }: Db): Promise<void> {
  await schema
    .createTable("snapshot_reports")
    .addColumn("host_id", "text", (c) => c.primaryKey().references("hosts.id").onDelete("cascade"))
    // The report whose rows are shown; rows of another report are still arriving.
    .addColumn("report_id", "text", (c) => c.notNull())
    .addColumn("reported_at", "bigint", (c) => c.notNull())
    .execute();
  await schema
    .createTable("snapshots")
    .addColumn("host_id", "text", (c) => c.notNull().references("hosts.id").onDelete("cascade"))
    .addColumn("report_id", "text", (c) => c.notNull())
    .addColumn("id", "text", (c) => c.notNull())
    .addColumn("time", "bigint", (c) => c.notNull())
    .addColumn("hostname", "text", (c) => c.notNull())
    .addColumn("username", "text")
    .addColumn("paths", "text", (c) => c.notNull())
    .addColumn("tags", "text", (c) => c.notNull())
    .addColumn("size_bytes", "bigint")
    .addColumn("file_count", "bigint")
    .addColumn("added_bytes", "bigint")
    .addPrimaryKeyConstraint("snapshots_pk", ["host_id", "report_id", "id"])
    .execute();
  await schema
    .createIndex("snapshots_by_time")
    .on("snapshots")
    .columns(["host_id", "report_id", "time"])
    .execute();
}

export async function up(db: Db, engine: Engine): Promise<void> {
  await createJobs(db);
  await createLogs(db, engine);
  await createSources(db);
  await createSnapshots(db);
}
