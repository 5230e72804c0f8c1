/** The dashboard's rows, as their hosts are at the moment somebody asks. */
import type { Host } from "../hosts/hosts.ts";
import { listFleetSizes, type SizeHistory } from "../repositories/repositories.ts";
import { type FleetSchedules, listFleetSchedules } from "../schedules/schedules.ts";
import { countSourceGroups } from "../sources/sources.ts";
import { outdatedOf } from "./host-drift.ts";
import type { HostRow } from "./host-table.views.tsx";
import {
  activeJobOf,
  activeView,
  describeHosts,
  type HostOverview,
  lastBackupOf,
  type OverviewDeps,
} from "./overview.ts";
import { chartRange, sparkPath } from "./size-chart.ts";

/** How far back a sparkline goes. */
const trendDays = 30;

/** The rows of these hosts, in their order, by seven queries however many they are. */
export async function listHostRows(deps: OverviewDeps, hosts: readonly Host[]): Promise<HostRow[]> {
  const ids = hosts.map(({ id }) => id);
  const repositoryIds = [...new Set(hosts.flatMap(({ repositoryId }) => repositoryId ?? []))];
  const overviews = await describeHosts(deps, hosts);
  const planned = await listFleetSchedules(deps.db, ids);
  const groupCounts = await countSourceGroups(deps.db, ids);
  const sizes = await listFleetSizes(deps.db, repositoryIds, { days: trendDays, now: deps.clock.now() });
  return overviews.map((overview) => {
    const { id, repositoryId } = overview.host;
    const schedules = planned.get(id);
    return toRow(deps, overview, {
      nextRunAt: schedules?.nextFireAt ?? null,
      coveringScheduleId: coveringOf(schedules, groupCounts.get(id) ?? 0),
      size: sizes.get(repositoryId ?? "") ?? null,
    });
  });
}

function coveringOf(of: FleetSchedules | undefined, groupCount: number): string | null {
  const covering = of?.schedules.filter((one) => one.active && one.groupCount === groupCount) ?? [];
  return covering.length === 1 ? (covering[0]?.scheduleId ?? null) : null;
}

function toRow(
  deps: OverviewDeps,
  overview: HostOverview,
  beside: Pick<HostRow, "nextRunAt" | "coveringScheduleId"> & { size: SizeHistory | null },
): HostRow {
  const { host, totals } = overview;
  const { size, ...planned } = beside;
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
    trend: size && sparkPath(size.daily, range),
    snapshotCount: connected ? totals.count : null,
    ...planned,
  };
}
