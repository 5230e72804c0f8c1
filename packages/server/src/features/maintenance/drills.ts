/**
 * Restore drills: which groups of a host can have one, and when the last good one is too long ago. A host drills its own
 * snapshots, whoever shares its repository.
 */
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import { newSeed } from "../../platform/random.ts";
import type { Host } from "../hosts/hosts.ts";
import type { PlannedJob, RunRequest } from "../jobs/jobs.ts";
import { countByTag } from "../snapshots/snapshots.ts";
import { getSourceGroup, listSourceGroups, type SourceGroup } from "../sources/sources.ts";
import { type Maintenance, timesOf } from "./cadences.ts";
import { maintenanceOf } from "./edit-maintenance.ts";

/** A drill of each of these groups that has a snapshot. */
async function drillsOf(
  db: Db,
  host: Host,
  input: { groups: readonly SourceGroup[]; maintenance: Maintenance; seed?: number | undefined },
): Promise<PlannedJob[]> {
  const { verifyFiles, verifyBytes } = input.maintenance;
  const tags = new Set((await countByTag(db, host.id)).map(({ tag }) => tag));
  return input.groups
    .filter(({ name }) => tags.has(name))
    .map((group) => ({
      sourceGroupId: group.id,
      spec: {
        ...{ kind: "verify", host_name: host.name, source_group: group.name },
        ...{ seed: input.seed ?? newSeed(), max_files: verifyFiles, max_bytes: verifyBytes },
      },
    }));
}

/** The drills of a host when their time has come: one for each group that has a snapshot, perhaps none. */
export const plannedDrills = async (db: Db, host: Host, maintenance: Maintenance): Promise<PlannedJob[]> =>
  drillsOf(db, host, { groups: await listSourceGroups(db, host.id), maintenance });

type DrillRequest = Extract<RunRequest, { kind: "verify" }>;

/**
 * The drills that somebody asks for now.
 * @throws AppError `sources.not_found`, `maintenance.nothing_to_verify`
 */
export async function drillsNow(db: Db, host: Host, request: DrillRequest): Promise<PlannedJob[]> {
  const { source_group_id: groupId, seed } = request;
  const groups =
    groupId === undefined
      ? await listSourceGroups(db, host.id)
      : [await getSourceGroup(db, host.id, groupId)];
  const planned = await drillsOf(db, host, { groups, maintenance: await maintenanceOf(db, host), seed });
  if (planned.length > 0) return planned;
  const what =
    groupId === undefined ? `No source group of ${host.name}` : `“${groups[0]?.name}” of ${host.name}`;
  const message = `${what} has ${groupId === undefined ? "a" : "no"} snapshot yet, so there is nothing to restore. Back it up first.`;
  throw new AppError("conflict", "maintenance.nothing_to_verify", message);
}

/**
 * Whether drills are planned and none ended well since the planned time before the last one: one that fails or finds its
 * host away is not late yet, two are.
 * @param of.provenAt when the last good one ended; null without one
 * @param of.createdAt when the host was added: what was planned before it is none of its
 */
export function isDrillLate(
  maintenance: Maintenance,
  of: { provenAt: number | null; createdAt: number },
  now: number,
): boolean {
  const times = timesOf(maintenance, "verify");
  const last = times?.last(now) ?? null;
  const before = last === null ? null : (times?.last(last - 1) ?? null);
  if (before === null) return false;
  return Math.max(of.provenAt ?? 0, of.createdAt, maintenance.updatedAt ?? 0) < before;
}
