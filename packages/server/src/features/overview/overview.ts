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
import { type SnapshotTotals, sumSnapshots } from "../snapshots/snapshots.ts";
import { type Behind, behindOf } from "./host-drift.ts";
import type { HostCondition } from "./host-table.views.tsx";

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

/** These hosts in their order, by three queries however many they are. */
export async function describeHosts(deps: OverviewDeps, hosts: readonly Host[]): Promise<HostOverview[]> {
  const ids = hosts.map(({ id }) => id);
  const { backups, active } = await listLatestJobs(deps.db, ids);
  const [totals, release] = [await sumSnapshots(deps.db, ids), await deps.shelf.outline()];
  return assemble(deps, hosts, { backups, active, totals, release });
}

/** One host. */
export async function getOverview(deps: OverviewDeps, host: Host): Promise<HostOverview> {
  const [overview] = await describeHosts(deps, [host]);
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

/** A job that is not finished, as tables and headers show it. */
export function activeView(deps: OverviewDeps, job: JobOutline | null) {
  if (!job || (job.status !== "queued" && job.status !== "dispatched" && job.status !== "running"))
    return null;
  const share = toViewProgress(deps.progress.find(job.id))?.share ?? null;
  return { id: job.id, status: job.status, share, at: job.startedAt ?? job.createdAt };
}
