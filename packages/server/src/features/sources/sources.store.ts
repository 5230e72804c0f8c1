/** The source groups' rows. No rules. */
import type { Db } from "../../platform/db/db.ts";
import type { SourceGroup } from "./sources.ts";

type Tables = {
  source_groups: {
    id: string;
    host_id: string;
    name: string;
    includes: string;
    excludes: string;
    created_at: number;
  };
};

export async function insertSourceGroup(tx: Db, group: SourceGroup): Promise<void> {
  await tx
    .withTables<Tables>()
    .insertInto("source_groups")
    .values({
      id: group.id,
      host_id: group.hostId,
      name: group.name,
      includes: JSON.stringify(group.includes),
      excludes: JSON.stringify(group.excludes),
      created_at: group.createdAt,
    })
    .execute();
}

/** By name. */
export async function listSourceGroups(db: Db, hostId: string): Promise<SourceGroup[]> {
  const query = db.withTables<Tables>().selectFrom("source_groups").selectAll();
  const rows = await query.where("host_id", "=", hostId).orderBy("name").execute();
  return rows.map((row) => ({
    id: row.id,
    hostId: row.host_id,
    name: row.name,
    includes: JSON.parse(row.includes) as string[],
    excludes: JSON.parse(row.excludes) as string[],
    createdAt: row.created_at,
  }));
}
