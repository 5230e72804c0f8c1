/**
 * A repository's days lie beside each other. They are written day by day for the whole fleet, so that in a table with row
 * numbers each of them lies on a page of its own, and a page of the fleet reads fifteen hundred.
 */
import { sql } from "kysely";
import type { Db, Engine } from "../src/platform/db/db.ts";

export async function up(db: Db, engine: Engine): Promise<void> {
  // PostgreSQL has no such tables.
  if (engine === "postgres") return;
  await db.schema
    .createTable("repository_history_by_repository")
    .addColumn("repository_id", "text", (c) => c.notNull().references("repositories.id").onDelete("cascade"))
    // Days since 1970-01-01, UTC.
    .addColumn("day", "bigint", (c) => c.notNull())
    .addColumn("raw_bytes", "bigint")
    .addColumn("snapshot_count", "bigint")
    .addPrimaryKeyConstraint("repository_history_pk", ["repository_id", "day"])
    .modifyEnd(sql`WITHOUT ROWID`)
    .execute();
  await sql`INSERT INTO repository_history_by_repository (repository_id, day, raw_bytes, snapshot_count)
    SELECT repository_id, day, raw_bytes, snapshot_count FROM repository_history ORDER BY repository_id, day`.execute(
    db,
  );
  // Nothing refers to it, so that nothing goes with it.
  await db.schema.dropTable("repository_history").execute();
  await db.schema.alterTable("repository_history_by_repository").renameTo("repository_history").execute();
}
