/**
 * The fleet at a glance and one host with everything around it: read-only, put together at the moment somebody
 * asks from the slices that own the facts. Nothing here is stored.
 */

import type { Clock } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import type { Release, ReleaseShelf } from "../artefacts/artefacts.ts";
import { type Host, isOnline, listHosts, twinOf } from "../hosts/hosts.ts";
import { type Job, type JobStatus, type LiveProgress, listLatestJobs, toViewProgress } from "../jobs/jobs.ts";
import { listFleetSizes, type SizeHistory } from "../repositories/repositories.ts";
import { type FleetSchedules, listFleetSchedules } from "../schedules/schedules.ts";
import { type SnapshotTotals, sumSnapshots } from "../snapshots/snapshots.ts";
import { countSourceGroups } from "../sources/sources.ts";
import type { FleetFigures } from "./fleet-tiles.views.tsx";
import { type Behind, behindOf, outdatedWords } from "./host-drift.ts";
import { type HostDrill, listHostDrills } from "./host-drill.ts";
import type { HostCondition, HostFilter, HostRow, HostSort } from "./host-table.views.tsx";
import { chartRange, sparkPath } from "./size-chart.ts";

export interface OverviewDeps {
  db: Db;
  clock: Clock;
  progress: LiveProgress;
  shelf: Pick<ReleaseShelf, "current">;
}

/** One host with what the table says about it. */
export interface HostOverview {
  host: Host;
  online: boolean;
  condition: HostCondition;
  /** The newest finished backup of each source group. */
  backups: Job[];
  /** Live and queued jobs, oldest first. */
  active: Job[];
  totals: SnapshotTotals;
  behind: Behind;
}

/** One host of the fleet with what is planned on it. */
export interface FleetHost extends HostOverview {
  nextRunAt: number | null;
  /** The one active schedule that runs all groups of the host; null when there is none or more than one. */
  coveringScheduleId: string | null;
  drill: HostDrill;
  /** Of its repository, which other hosts may share; null without one. */
  size: SizeHistory | null;
}

const noDrill: HostDrill = { proven: null, last: null, planned: false, late: false };
const noTotals: SnapshotTotals = { count: 0, newestAt: 0, protectedBytes: 0 };
const failedStatuses: readonly JobStatus[] = ["failed", "lost", "expired"];

/** The worst thing first; what happens now comes before what happened. */
function conditionOf(host: Host, now: number, backups: Job[], active: Job[]): HostCondition {
  const online = isOnline(host, now);
  const broken = host.resticProblem !== null || twinOf(host, now) !== null;
  if (host.firstConnectedAt === null) return "new";
  if (active.some((job) => job.status === "running")) return "running";
  if (backups.some((job) => failedStatuses.includes(job.status)) || broken) return "failed";
  // Asleep is how an intermittent host is most of the time.
  if (!online) return host.mode === "intermittent" ? "asleep" : "offline";
  if (active.length > 0) return "waiting";
  // Connected and never backed up is not healthy.
  if (backups.length === 0) return "new";
  return backups.some((job) => job.status === "warning") ? "warning" : "ok";
}

/** How far back a sparkline goes. */
const trendDays = 30;

/** Every host, by name. Nine queries, however many hosts there are. */
export async function listOverview(deps: OverviewDeps): Promise<FleetHost[]> {
  const hosts = await listHosts(deps.db);
  const { backups, active } = await listLatestJobs(deps.db);
  const [totals, release] = [await sumSnapshots(deps.db), await deps.shelf.current()];
  const all = assemble(deps, hosts, { backups, active, totals, release });
  const planned = await listFleetSchedules(deps.db);
  const groupCounts = await countSourceGroups(deps.db);
  const sizes = await listFleetSizes(deps.db, { days: trendDays, now: deps.clock.now() });
  const drills = await listHostDrills(deps.db, hosts, deps.clock.now());
  return all.map((overview) => {
    const { id, repositoryId } = overview.host;
    const schedules = planned.get(id);
    const coveringScheduleId = coveringOf(schedules, groupCounts.get(id) ?? 0);
    return {
      ...overview,
      nextRunAt: schedules?.nextFireAt ?? null,
      drill: drills.get(id) ?? noDrill,
      coveringScheduleId,
      size: sizes.get(repositoryId ?? "") ?? null,
    };
  });
}

function coveringOf(of: FleetSchedules | undefined, groupCount: number): string | null {
  const covering = of?.schedules.filter((one) => one.active && one.groupCount === groupCount) ?? [];
  return covering.length === 1 ? (covering[0]?.scheduleId ?? null) : null;
}

/** One host. */
export async function getOverview(deps: OverviewDeps, host: Host): Promise<HostOverview> {
  const { backups, active } = await listLatestJobs(deps.db, host.id);
  const [overview] = assemble(deps, [host], {
    backups,
    active,
    totals: await sumSnapshots(deps.db, host.id),
    release: await deps.shelf.current(),
  });
  if (!overview) throw new Error("one host in, one host out");
  return overview;
}

function assemble(
  deps: OverviewDeps,
  hosts: Host[],
  facts: { backups: Job[]; active: Job[]; totals: Map<string, SnapshotTotals>; release: Release },
): HostOverview[] {
  const now = deps.clock.now();
  const backupsOf = Map.groupBy(facts.backups, (job) => job.hostId);
  const activeOf = Map.groupBy(facts.active, (job) => job.hostId);
  return hosts.map((host) => {
    const online = isOnline(host, now);
    const backups = backupsOf.get(host.id) ?? [];
    const active = activeOf.get(host.id) ?? [];
    const condition = conditionOf(host, now, backups, active);
    const totals = facts.totals.get(host.id) ?? noTotals;
    return { host, online, condition, backups, active, totals, behind: behindOf(host, facts.release) };
  });
}

/** The newest of all groups. Cancelled ones are not among them: they say nothing about how the host stands. */
export function lastBackupOf(overview: HostOverview): Job | null {
  const ended = overview.backups.toSorted((a, b) => (b.finishedAt ?? 0) - (a.finishedAt ?? 0));
  return ended[0] ?? null;
}

/** The job to show as what the host does now: a running one before one that waits. */
export function activeJobOf(overview: HostOverview): Job | null {
  return overview.active.find((job) => job.status === "running") ?? overview.active[0] ?? null;
}

export function toRow(deps: OverviewDeps, overview: FleetHost): HostRow {
  const { host, totals, size } = overview;
  const range = chartRange(trendDays, deps.clock.now());
  const last = lastBackupOf(overview);
  const connected = host.firstConnectedAt !== null;
  return {
    id: host.id,
    name: host.name,
    condition: overview.condition,
    os: connected ? host.os : null,
    arch: connected ? host.arch : null,
    outdated: outdatedWords(host, overview.behind),
    tags: host.tags,
    online: overview.online,
    lastSeenAt: host.lastSeenAt,
    lastBackup: last?.finishedAt ? { status: last.status, finishedAt: last.finishedAt } : null,
    activeJob: activeView(deps, activeJobOf(overview)),
    repositoryBytes: size?.rawBytes ?? null,
    trend: size && sparkPath(size.days, range),
    snapshotCount: connected ? totals.count : null,
    nextRunAt: overview.nextRunAt,
    coveringScheduleId: overview.coveringScheduleId,
  };
}

/** A job that is not finished, as tables and headers show it. */
export function activeView(deps: OverviewDeps, job: Job | null) {
  if (!job || (job.status !== "queued" && job.status !== "dispatched" && job.status !== "running"))
    return null;
  const share = toViewProgress(deps.progress.find(job.id))?.share ?? null;
  return { id: job.id, status: job.status, share, at: job.startedAt ?? job.createdAt };
}

const needsAttention = (overview: HostOverview): boolean =>
  overview.condition === "failed" || overview.condition === "warning" || overview.condition === "offline";

export function filterOverview<T extends HostOverview>(all: T[], filter: HostFilter): T[] {
  const search = filter.search?.trim().toLowerCase() ?? "";
  return all.filter((overview) => {
    const { host } = overview;
    if (search && !host.name.toLowerCase().includes(search) && !host.tags.some((tag) => tag.includes(search)))
      return false;
    if (filter.tag && !host.tags.includes(filter.tag)) return false;
    if (filter.agent && overview.behind.agent === null) return false;
    if (filter.restic && overview.behind.restic === null) return false;
    if (filter.state === "attention") return needsAttention(overview);
    if (filter.state === "running") return overview.condition === "running";
    return filter.state !== "offline" || !overview.online;
  });
}

const sortKeys: Record<Exclude<HostSort, "name">, (overview: FleetHost) => number> = {
  backup: (overview) => lastBackupOf(overview)?.finishedAt ?? 0,
  size: (overview) => overview.size?.rawBytes ?? 0,
  snapshots: (overview) => overview.totals.count,
};

/** By the chosen column, then by name, so that the order never jumps. */
export function sortOverview<T extends FleetHost>(all: T[], filter: HostFilter): T[] {
  const { sort = "name" } = filter;
  const sign = filter.direction === "desc" ? -1 : 1;
  const byName = (a: FleetHost, b: FleetHost) => a.host.name.localeCompare(b.host.name, "en");
  if (sort === "name") return all.toSorted((a, b) => sign * byName(a, b));
  const key = sortKeys[sort];
  return all.toSorted((a, b) => sign * (key(a) - key(b)) || byName(a, b));
}

/** The fleet's figures, of all hosts whatever is filtered. */
export function sumFleet(all: FleetHost[]): FleetFigures {
  const counts = (condition: HostCondition) =>
    all.filter((overview) => overview.condition === condition).length;
  const offline = all.filter((overview) => !overview.online).length;
  const last = all
    .map(lastOf)
    .filter((found) => found !== null)
    .sort((a, b) => b.finishedAt - a.finishedAt)[0];
  const reasons: [HostCondition, string][] = [
    ["failed", "failed"],
    ["offline", "offline"],
    ["warning", "warnings"],
  ];
  const newest = Math.max(0, ...all.map((overview) => overview.totals.newestAt));
  return {
    total: all.length,
    online: all.length - offline,
    attention: all.filter(needsAttention).length,
    running: counts("running"),
    offline,
    attentionSummary: reasons
      .filter(([condition]) => counts(condition) > 0)
      .map(([condition, word]) => `${counts(condition)} ${word}`)
      .join(", "),
    snapshotCount: all.reduce((sum, overview) => sum + overview.totals.count, 0),
    newestSnapshotAt: newest || null,
    protectedBytes: all.reduce((sum, overview) => sum + overview.totals.protectedBytes, 0),
    repositoryCount: new Set(all.map((overview) => overview.host.repositoryId).filter(Boolean)).size,
    lastBackup: last ?? null,
    asleep: counts("asleep"),
    nextRun: firstRun(all),
    drills: sumDrills(all),
    behind: {
      agent: all.filter(({ behind }) => behind.agent !== null).length,
      restic: all.filter(({ behind }) => behind.restic !== null).length,
    },
  };
}

/** Null while nobody plans drills and none ever ended well. */
function sumDrills(all: FleetHost[]): FleetFigures["drills"] {
  const known = all.filter(({ drill }) => drill.planned || drill.proven !== null);
  if (known.length === 0) return null;
  const provenAt = known.flatMap(({ drill }) => drill.proven?.finishedAt ?? []);
  return {
    provenHosts: provenAt.length,
    lastProvenAt: provenAt.length === 0 ? null : Math.max(...provenAt),
    late: known
      .filter(({ drill, totals }) => drill.late && totals.count > 0)
      .map(({ host }) => ({ id: host.id, name: host.name })),
  };
}

function firstRun(all: FleetHost[]): FleetFigures["nextRun"] {
  const planned = all.flatMap(({ host, nextRunAt: at }) =>
    at === null ? [] : [{ hostId: host.id, hostName: host.name, at }],
  );
  return planned.sort((a, b) => a.at - b.at)[0] ?? null;
}

function lastOf(overview: HostOverview) {
  const job = lastBackupOf(overview);
  if (!job?.finishedAt) return null;
  const { host } = overview;
  return { hostId: host.id, hostName: host.name, finishedAt: job.finishedAt, status: job.status };
}
