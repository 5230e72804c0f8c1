/** Hosts, their repositories with sealed credentials, enrolment tokens and the agents' event streams. */
import type { Db } from "../src/platform/db/db.ts";

async function createRepositories({ schema }: Db): Promise<void> {
  await schema
    .createTable("repositories")
    .addColumn("id", "text", (c) => c.primaryKey())
    // restic's repository string, normalised and without user info: the repository's identity.
    .addColumn("location", "text", (c) => c.notNull().unique())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .execute();
}

async function createHosts({ schema }: Db): Promise<void> {
  await schema
    .createTable("hosts")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("name", "text", (c) => c.notNull())
    // Lower case: two hosts whose names differ in case only would be one host for Windows and for a person.
    .addColumn("name_key", "text", (c) => c.notNull().unique())
    .addColumn("os", "text", (c) => c.notNull())
    .addColumn("arch", "text", (c) => c.notNull())
    .addColumn("tags", "text", (c) => c.notNull())
    .addColumn("bearer_hash", "text", (c) => c.notNull().unique())
    .addColumn("repository_id", "text", (c) => c.references("repositories.id"))
    .addColumn("agent_version", "text")
    .addColumn("restic_version", "text")
    .addColumn("restic_problem", "text")
    .addColumn("machine_id", "text")
    .addColumn("boot_id", "text")
    .addColumn("clock_skew_ms", "bigint")
    // The last machine that tried to connect as this host while another one was connected, as JSON.
    .addColumn("twin", "text")
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("first_connected_at", "bigint")
    .addColumn("last_seen_at", "bigint")
    .execute();
  await schema.createIndex("hosts_by_repository").on("hosts").column("repository_id").execute();
}

async function createCredentials({ schema }: Db): Promise<void> {
  await schema
    .createTable("repository_credentials")
    .addColumn("host_id", "text", (c) => c.notNull().references("hosts.id").onDelete("cascade"))
    // `everyday`, and in a later issue `admin`, which may delete.
    .addColumn("slot", "text", (c) => c.notNull())
    .addColumn("sealed", "text", (c) => c.notNull())
    // Grows with every edit; sent to the agent so that a late update never overwrites a newer one.
    .addColumn("version", "bigint", (c) => c.notNull())
    .addColumn("updated_at", "bigint", (c) => c.notNull())
    .addPrimaryKeyConstraint("repository_credentials_pk", ["host_id", "slot"])
    .execute();
}

async function createEnrolmentTokens({ schema }: Db): Promise<void> {
  await schema
    .createTable("enrolment_tokens")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("token_hash", "text", (c) => c.notNull().unique())
    .addColumn("host_name", "text", (c) => c.notNull())
    .addColumn("tags", "text", (c) => c.notNull())
    .addColumn("initial_paths", "text", (c) => c.notNull())
    // Location and passwords as one sealed blob; emptied when the token is used.
    .addColumn("sealed", "text")
    .addColumn("created_by", "text", (c) => c.notNull())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("expires_at", "bigint", (c) => c.notNull())
    .addColumn("used_at", "bigint")
    .addColumn("host_id", "text", (c) => c.references("hosts.id").onDelete("cascade"))
    .execute();
}

export async function up(db: Db): Promise<void> {
  await createRepositories(db);
  await createHosts(db);
  await createCredentials(db);
  await createEnrolmentTokens(db);
  // How far each agent's outbox has been committed; a new stream starts at 0.
  await db.schema
    .createTable("agent_streams")
    .addColumn("host_id", "text", (c) => c.primaryKey().references("hosts.id").onDelete("cascade"))
    .addColumn("stream_id", "text", (c) => c.notNull())
    .addColumn("acked_seq", "bigint", (c) => c.notNull())
    .execute();
}
