/** Source groups in full, hooks, schedules, and what becomes of each planned time. */
import type { Db } from "../src/platform/db/db.ts";

type Groups = { source_groups: { id: string; name: string; name_key: string } };

async function widenHosts({ schema }: Db): Promise<void> {
  const add = () => schema.alterTable("hosts");
  // `always-on`, or `intermittent`: a laptop asleep is no alarm.
  await add()
    .addColumn("mode", "text", (c) => c.notNull().defaultTo("always-on"))
    .execute();
  // Grows with every change that the agent must know of; what it says it works with stands in the second.
  await add()
    .addColumn("schedule_version", "bigint", (c) => c.notNull().defaultTo(0))
    .execute();
  await add().addColumn("applied_schedule_version", "bigint").execute();
  // What its agent.yaml says; null before an agent told.
  await add().addColumn("hooks_allowed", "bigint").execute();
  // Caps of the host, KiB a second.
  await add().addColumn("upload_kib", "bigint").execute();
  await add().addColumn("download_kib", "bigint").execute();
}

async function widenSourceGroups(db: Db): Promise<void> {
  const add = () => db.schema.alterTable("source_groups");
  // Lower case: two groups whose names differ in case only would be one group for a person.
  await add()
    .addColumn("name_key", "text", (c) => c.notNull().defaultTo(""))
    .execute();
  // JSON each: what is left out besides the excludes, and what is kept for how long.
  await add()
    .addColumn("options", "text", (c) => c.notNull().defaultTo("{}"))
    .execute();
  await add()
    .addColumn("retention", "text", (c) => c.notNull().defaultTo("{}"))
    .execute();
  await add()
    .addColumn("retry_max", "bigint", (c) => c.notNull().defaultTo(3))
    .execute();
  await add()
    .addColumn("retry_backoff_seconds", "bigint", (c) => c.notNull().defaultTo(60))
    .execute();
  // Counts edits: two people at one form.
  await add()
    .addColumn("version", "bigint", (c) => c.notNull().defaultTo(1))
    .execute();
  await add().addColumn("updated_at", "bigint").execute();
  await fillNameKeys(db);
  await db.schema
    .createIndex("source_groups_name_key")
    .on("source_groups")
    .columns(["host_id", "name_key"])
    .unique()
    .execute();
}

/** In JavaScript: SQLite's lower() knows ASCII only. */
async function fillNameKeys(db: Db): Promise<void> {
  const groups = db.withTables<Groups>();
  const rows = await groups.selectFrom("source_groups").select(["id", "name"]).execute();
  for (const { id, name } of rows)
    await groups
      .updateTable("source_groups")
      .set({ name_key: name.toLowerCase() })
      .where("id", "=", id)
      .execute();
}

async function createHooks({ schema }: Db): Promise<void> {
  await schema
    .createTable("hooks")
    // A source group's id, or the host's for what holds where a group has none of its own.
    .addColumn("owner_id", "text", (c) => c.notNull())
    // `pre_hook` or `post_hook`; also the slot of the sealed text.
    .addColumn("slot", "text", (c) => c.notNull())
    .addColumn("host_id", "text", (c) => c.notNull().references("hosts.id").onDelete("cascade"))
    .addColumn("sealed", "text", (c) => c.notNull())
    // SHA-256 of the script: the audit names it, and a page can tell whether it changed.
    .addColumn("digest", "text", (c) => c.notNull())
    .addColumn("timeout_seconds", "bigint", (c) => c.notNull())
    .addColumn("updated_at", "bigint", (c) => c.notNull())
    .addPrimaryKeyConstraint("hooks_pk", ["owner_id", "slot"])
    .execute();
  await schema.createIndex("hooks_by_host").on("hooks").column("host_id").execute();
}

async function createSchedules({ schema }: Db): Promise<void> {
  await schema
    .createTable("schedules")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("host_id", "text", (c) => c.notNull().references("hosts.id").onDelete("cascade"))
    .addColumn("cron", "text", (c) => c.notNull())
    .addColumn("time_zone", "text", (c) => c.notNull())
    .addColumn("jitter_seconds", "bigint", (c) => c.notNull())
    .addColumn("paused_at", "bigint")
    // A host may still run what it last knew: its report needs the row. Removed for good after a month.
    .addColumn("deleted_at", "bigint")
    // The first planned time without an outcome; null while paused or deleted.
    .addColumn("next_fire_at", "bigint")
    // When the server looks whether the host has fired: that, plus jitter and grace.
    .addColumn("look_at", "bigint")
    .addColumn("version", "bigint", (c) => c.notNull())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("updated_at", "bigint", (c) => c.notNull())
    .execute();
  await schema.createIndex("schedules_by_host").on("schedules").column("host_id").execute();
  await schema.createIndex("schedules_by_look").on("schedules").column("look_at").execute();
  await schema
    .createTable("schedule_groups")
    .addColumn("schedule_id", "text", (c) => c.notNull().references("schedules.id").onDelete("cascade"))
    .addColumn("source_group_id", "text", (c) =>
      c.notNull().references("source_groups.id").onDelete("cascade"),
    )
    .addPrimaryKeyConstraint("schedule_groups_pk", ["schedule_id", "source_group_id"])
    .execute();
  await schema
    .createIndex("schedule_groups_by_group")
    .on("schedule_groups")
    .column("source_group_id")
    .execute();
}

async function createFires({ schema }: Db): Promise<void> {
  await schema
    .createTable("schedule_fires")
    .addColumn("schedule_id", "text", (c) => c.notNull().references("schedules.id").onDelete("cascade"))
    .addColumn("planned_at", "bigint", (c) => c.notNull())
    .addColumn("host_id", "text", (c) => c.notNull().references("hosts.id").onDelete("cascade"))
    .addColumn("fired_at", "bigint", (c) => c.notNull())
    // `run`, `skipped` (the run before had not ended) or `expired` (its host never came back in time).
    .addColumn("outcome", "text", (c) => c.notNull())
    // It stands for the planned times from here on that were missed; itself when none was.
    .addColumn("covers_from", "bigint", (c) => c.notNull())
    .addPrimaryKeyConstraint("schedule_fires_pk", ["schedule_id", "planned_at"])
    .execute();
  await schema.createIndex("schedule_fires_by_time").on("schedule_fires").column("fired_at").execute();
  // Runs that have no good end yet: at most one for a schedule and a group.
  await schema
    .createTable("pending_runs")
    .addColumn("schedule_id", "text", (c) => c.notNull().references("schedules.id").onDelete("cascade"))
    .addColumn("source_group_id", "text", (c) =>
      c.notNull().references("source_groups.id").onDelete("cascade"),
    )
    .addColumn("host_id", "text", (c) => c.notNull().references("hosts.id").onDelete("cascade"))
    .addColumn("planned_at", "bigint", (c) => c.notNull())
    // The first planned time of those that it stands for.
    .addColumn("missed_since", "bigint", (c) => c.notNull())
    .addColumn("tries", "bigint", (c) => c.notNull())
    // `offline` waits for the host, `failed` for the next try; `running` for the end of `job_id`.
    .addColumn("waits", "text", (c) => c.notNull())
    .addColumn("next_try_at", "bigint", (c) => c.notNull())
    .addColumn("job_id", "text")
    .addPrimaryKeyConstraint("pending_runs_pk", ["schedule_id", "source_group_id"])
    .execute();
  await schema
    .createIndex("pending_runs_by_try")
    .on("pending_runs")
    .columns(["waits", "next_try_at"])
    .execute();
  await schema.createIndex("pending_runs_by_host").on("pending_runs").column("host_id").execute();
  await schema.createIndex("pending_runs_by_job").on("pending_runs").column("job_id").execute();
}

async function widenJobs({ schema }: Db): Promise<void> {
  await schema.alterTable("jobs").addColumn("schedule_id", "text").execute();
  await schema.alterTable("jobs").addColumn("planned_at", "bigint").execute();
  // The group itself: its name may be another's by now.
  await schema.alterTable("jobs").addColumn("source_group_id", "text").execute();
  // The id of a scheduled job follows from its planned time, so the newest job is no longer the one with the last id.
  await schema.createIndex("jobs_by_creation").on("jobs").columns(["created_at", "id"]).execute();
  await schema.createIndex("jobs_by_schedule").on("jobs").columns(["schedule_id", "planned_at"]).execute();
}

export async function up(db: Db): Promise<void> {
  await widenHosts(db);
  await widenSourceGroups(db);
  await createHooks(db);
  await createSchedules(db);
  await createFires(db);
  await widenJobs(db);
}
