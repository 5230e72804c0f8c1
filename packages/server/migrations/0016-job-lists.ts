/** Filtered lists of jobs, newest first, are read along an index: sorting a year of a fleet's backups takes a tenth of a second. */
import type { Db } from "../src/platform/db/db.ts";

export async function up({ schema }: Db): Promise<void> {
  await schema
    .createIndex("jobs_by_kind_and_creation")
    .on("jobs")
    .columns(["kind", "created_at", "id"])
    .execute();
  await schema
    .createIndex("jobs_by_status_and_creation")
    .on("jobs")
    .columns(["status", "created_at", "id"])
    .execute();
}
