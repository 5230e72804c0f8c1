/** Enrolment tokens: when the installer with the token in it was downloaded, which is possible once. */
import type { Db } from "../src/platform/db/db.ts";

export async function up({ schema }: Db): Promise<void> {
  await schema.alterTable("enrolment_tokens").addColumn("installer_taken_at", "bigint").execute();
}
