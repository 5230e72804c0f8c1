/**
 * The fleet at a glance and one host with everything around it: read-only, put together at the moment somebody
 * asks from the slices that own the facts. Nothing here is stored.
 */

import type { Clock } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import type { ReleaseOutline, ReleaseShelf } from "../artefacts/artefacts.ts";
import { type Host, isOnline, twinOf } from "../hosts/hosts.ts";
import {
  type JobOutline,
  type JobStatus,
  type LiveProgress,
  listLatestJobs,
  toViewProgress,
} from "../jobs/jobs.ts";
import { listFleetSizes, type SizeHistory } from "../repositories/repositories.ts";
import { type FleetSchedules, listFleetSchedules } from "../schedules/schedules.ts";
import { type SnapshotTotals, sumSnapshots } from "../snapshots/snapshots.ts";
import { countSourceGroups } from "../sources/sources.ts";
import { type Behind, behindOf, outdatedOf } from "./host-drift.ts";
import { type HostDrill, listHostDrills } from "./host-drill.ts";
import type { HostCondition, HostRow } from "./host-table.views.tsx";
import { chartRange, sparkPath } from "./size-chart.ts";

export interface OverviewDeps {
  db: Db;
  clock: Clock;
  progress: LiveProgress;
  shelf: Pick<ReleaseShelf, "outline">;
}

/** One host with what the table says about it. */
export interface HostOverview {
  host: Host;
  online: boolean;
  condition: HostCondition;
  /** The newest finished backup of each source group. */
  backups: JobOutline[];
  /** Live and queued jobs, oldest first. */
  active: JobOutline[];
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
function conditionOf(host: Host, now: number, backups: JobOutline[], active: JobOutline[]): HostCondition {
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

/**
 * These hosts with everything that a row says, in their order. Nine queries, however many hosts they are.
 * @param days of the repository's history
 */
export async function describeHosts(
  deps: OverviewDeps,
  hosts: readonly Host[],
  days = trendDays,
): Promise<FleetHost[]> {
  const ids = hosts.map(({ id }) => id);
  const repositoryIds = [...new Set(hosts.flatMap(({ repositoryId }) => repositoryId ?? []))];
  const { backups, active } = await listLatestJobs(deps.db, ids);
  const [totals, release] = [await sumSnapshots(deps.db, ids), await deps.shelf.outline()];
  const all = assemble(deps, hosts, { backups, active, totals, release });
  const planned = await listFleetSchedules(deps.db, ids);
  const groupCounts = await countSourceGroups(deps.db, ids);
  const sizes = await listFleetSizes(deps.db, repositoryIds, { days, now: deps.clock.now() });
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
  const { backups, active } = await listLatestJobs(deps.db, [host.id]);
  const [overview] = assemble(deps, [host], {
    backups,
    active,
    totals: await sumSnapshots(deps.db, [host.id]),
    release: await deps.shelf.outline(),
  });
  if (!overview) throw new Error("one host in, one host out");
  return overview;
}

function assemble(
  deps: OverviewDeps,
  hosts: readonly Host[],
  facts: {
    backups: JobOutline[];
    active: JobOutline[];
    totals: Map<string, SnapshotTotals>;
    release: ReleaseOutline;
  },
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
export function lastBackupOf(overview: HostOverview): JobOutline | null {
  const ended = overview.backups.toSorted((a, b) => (b.finishedAt ?? 0) - (a.finishedAt ?? 0));
  return ended[0] ?? null;
}

/** The job to show as what the host does now: a running one before one that waits. */
export function activeJobOf(overview: HostOverview): JobOutline | null {
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
    outdated: outdatedOf(host, overview.behind),
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
export function activeView(deps: OverviewDeps, job: JobOutline | null) {
  if (!job || (job.status !== "queued" && job.status !== "dispatched" && job.status !== "running"))
    return null;
  const share = toViewProgress(deps.progress.find(job.id))?.share ?? null;
  return { id: job.id, status: job.status, share, at: job.startedAt ?? job.createdAt };
}
