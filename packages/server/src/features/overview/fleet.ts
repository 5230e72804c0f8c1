/**
 * The fleet as a whole: what order, filters and figures need of each host, and no more, so that ten thousand hosts fit
 * beside each other. Pure.
 */
import type { JobStatus } from "../jobs/jobs.ts";
import type { FleetFigures } from "./fleet-tiles.views.tsx";
import type { HostDrill } from "./host-drill.ts";
import type { HostCondition, HostFilter, HostSort } from "./host-table.views.tsx";
import { type HostOverview, lastBackupOf } from "./overview.ts";

/** One host of the fleet. */
export interface FleetEntry {
  id: string;
  name: string;
  tags: readonly string[];
  condition: HostCondition;
  online: boolean;
  lastBackup: { status: JobStatus; finishedAt: number } | null;
  nextRunAt: number | null;
  repositoryId: string | null;
  repositoryBytes: number;
  snapshotCount: number;
  /** 0 without a snapshot. */
  newestSnapshotAt: number;
  protectedBytes: number;
  drill: { planned: boolean; provenAt: number | null; late: boolean };
  behind: { agent: boolean; restic: boolean };
}

/** What an entry says beside how its host stands. */
export interface EntryFacts {
  nextRunAt: number | null;
  repositoryBytes: number | null;
  drill: HostDrill;
}

export function toEntry(
  overview: HostOverview,
  { nextRunAt, repositoryBytes, drill }: EntryFacts,
): FleetEntry {
  const { host, totals, behind } = overview;
  const last = lastBackupOf(overview);
  return {
    id: host.id,
    name: host.name,
    tags: host.tags,
    condition: overview.condition,
    online: overview.online,
    lastBackup: last?.finishedAt ? { status: last.status, finishedAt: last.finishedAt } : null,
    nextRunAt,
    repositoryId: host.repositoryId,
    repositoryBytes: repositoryBytes ?? 0,
    snapshotCount: totals.count,
    newestSnapshotAt: totals.newestAt,
    protectedBytes: totals.protectedBytes,
    drill: {
      planned: drill.planned,
      provenAt: drill.proven?.finishedAt ?? null,
      // Without a snapshot there is nothing to prove.
      late: drill.late && totals.count > 0,
    },
    behind: { agent: behind.agent !== null, restic: behind.restic !== null },
  };
}

const attention: readonly HostCondition[] = ["failed", "warning", "offline"];

export function filterFleet(entries: readonly FleetEntry[], filter: HostFilter): readonly FleetEntry[] {
  const { sort: _sort, direction: _direction, ...conditions } = filter;
  if (Object.values(conditions).every((value) => !value)) return entries;
  const search = filter.search?.trim().toLowerCase() ?? "";
  return entries.filter((entry) => {
    const { name, tags, behind, condition } = entry;
    if (search && !name.toLowerCase().includes(search) && !tags.some((tag) => tag.includes(search)))
      return false;
    if (filter.tag && !tags.includes(filter.tag)) return false;
    if (filter.agent && !behind.agent) return false;
    if (filter.restic && !behind.restic) return false;
    if (filter.state === "attention") return attention.includes(condition);
    if (filter.state === "running") return condition === "running";
    return filter.state !== "offline" || !entry.online;
  });
}

const sortKeys: Record<Exclude<HostSort, "name">, (entry: FleetEntry) => number> = {
  backup: (entry) => entry.lastBackup?.finishedAt ?? 0,
  size: (entry) => entry.repositoryBytes,
  snapshots: (entry) => entry.snapshotCount,
};
const collator = new Intl.Collator("en");

/** By the chosen column, then by name, so that the order never jumps. */
export function sortFleet(
  entries: readonly FleetEntry[],
  { sort = "name", direction }: Pick<HostFilter, "sort" | "direction">,
): FleetEntry[] {
  const sign = direction === "desc" ? -1 : 1;
  const byName = (a: FleetEntry, b: FleetEntry) => collator.compare(a.name, b.name);
  if (sort === "name") return entries.toSorted((a, b) => sign * byName(a, b));
  const key = sortKeys[sort];
  return entries.toSorted((a, b) => sign * (key(a) - key(b)) || byName(a, b));
}

/** The fleet's figures, of all hosts whatever is filtered. */
export function sumFleet(all: readonly FleetEntry[]): FleetFigures {
  const counts = (condition: HostCondition) => all.filter((entry) => entry.condition === condition).length;
  const offline = all.filter((entry) => !entry.online).length;
  const reasons: [HostCondition, string][] = [
    ["failed", "failed"],
    ["offline", "offline"],
    ["warning", "warnings"],
  ];
  return {
    total: all.length,
    online: all.length - offline,
    attention: all.filter(({ condition }) => attention.includes(condition)).length,
    running: counts("running"),
    offline,
    attentionSummary: reasons
      .filter(([condition]) => counts(condition) > 0)
      .map(([condition, word]) => `${counts(condition)} ${word}`)
      .join(", "),
    snapshotCount: all.reduce((sum, entry) => sum + entry.snapshotCount, 0),
    newestSnapshotAt: all.reduce((newest, entry) => Math.max(newest, entry.newestSnapshotAt), 0) || null,
    protectedBytes: all.reduce((sum, entry) => sum + entry.protectedBytes, 0),
    repositoryCount: new Set(all.map(({ repositoryId }) => repositoryId).filter(Boolean)).size,
    lastBackup: lastOf(all),
    asleep: counts("asleep"),
    nextRun: firstRun(all),
    drills: sumDrills(all),
    behind: {
      agent: all.filter(({ behind }) => behind.agent).length,
      restic: all.filter(({ behind }) => behind.restic).length,
    },
  };
}

/** Null while nobody plans drills and none ever ended well. */
function sumDrills(all: readonly FleetEntry[]): FleetFigures["drills"] {
  const known = all.filter(({ drill }) => drill.planned || drill.provenAt !== null);
  if (known.length === 0) return null;
  const provenAt = known.flatMap(({ drill }) => drill.provenAt ?? []);
  return {
    provenHosts: provenAt.length,
    lastProvenAt: provenAt.reduce<number | null>((last, at) => Math.max(last ?? at, at), null),
    late: known.filter(({ drill }) => drill.late).map(({ id, name }) => ({ id, name })),
  };
}

function firstRun(all: readonly FleetEntry[]): FleetFigures["nextRun"] {
  let first: FleetFigures["nextRun"] = null;
  for (const { id: hostId, name: hostName, nextRunAt: at } of all)
    if (at !== null && (first === null || at < first.at)) first = { hostId, hostName, at };
  return first;
}

function lastOf(all: readonly FleetEntry[]): FleetFigures["lastBackup"] {
  let last: FleetFigures["lastBackup"] = null;
  for (const { id: hostId, name: hostName, lastBackup } of all)
    if (lastBackup !== null && (last === null || lastBackup.finishedAt > last.finishedAt))
      last = { hostId, hostName, ...lastBackup };
  return last;
}
