/** Everything one host's page shows, with the data of the open tab only. */
import { getHost, type Host, twinOf } from "../hosts/hosts.ts";
import { countJobs, listJobs, type RunDeps, rowOf } from "../jobs/jobs.ts";
import { getRepositoryView } from "../maintenance/maintenance.ts";
import { listHistory, type RepositoriesDeps, redactedCredentials } from "../repositories/repositories.ts";
import { rotationPhaseOf } from "../rotation/rotation.ts";
import { listSchedules, scheduleStates } from "../schedules/schedules.ts";
import { countByTag, countSnapshots, listSnapshots } from "../snapshots/snapshots.ts";
import { hookValues, listSourceGroups, openHooks } from "../sources/sources.ts";
import type { HostPageProps, HostTab, LastRestore } from "./host.views.tsx";
import { getHostDrill } from "./host-drill.ts";
import { type HostPlan, nextRunOf, scheduleRows, sourceRows, syncOf } from "./host-plan.ts";
import {
  activeJobOf,
  activeView,
  getOverview,
  type HostOverview,
  lastBackupOf,
  type OverviewDeps,
} from "./overview.ts";
import type { ChartSpan } from "./size-chart.views.tsx";

export const hostTabs = ["snapshots", "sources", "schedules", "repository", "jobs", "settings"] as const;

export interface HostPageQuery {
  tab: (typeof hostTabs)[number];
  /** From 1. */
  page: number;
  /** How far back the repository's history is shown. */
  span?: ChartSpan;
  /** Whether the reader may change hooks, and so may read them. */
  mayOperate: boolean;
}

export type HostPageDeps = OverviewDeps & RunDeps & { repositories: RepositoriesDeps };

const pageSize = 50;

/** @throws AppError `hosts.not_found` */
export async function getHostPage(
  deps: HostPageDeps,
  hostId: string,
  query: HostPageQuery,
): Promise<HostPageProps> {
  const host = await getHost(deps.db, hostId);
  const overview = await getOverview(deps, host);
  const groups = await listSourceGroups(deps.db, host.id);
  const plan = { groups, schedules: await listSchedules(deps.db, host.id) };
  const active = activeJobOf(overview);
  const view = activeView(deps, active);
  return {
    host: headerOf(overview, plan, deps.clock.now()),
    vitals: vitalsOf(overview, plan),
    lastRestore: await lastRestoreOf(deps, host.id),
    activeJob: active && view ? { ...view, kind: active.kind, subject: active.sourceGroup } : null,
    drill: overview.totals.count > 0 ? await getHostDrill(deps.db, host, deps.clock.now()) : null,
    sourceGroups: groups.map(({ id, name }) => ({ id, name })),
    tab: await tabOf(deps, overview, plan, query),
  };
}

function headerOf(
  { host, online, condition, behind }: HostOverview,
  plan: HostPlan,
  now: number,
): HostPageProps["host"] {
  return {
    id: host.id,
    name: host.name,
    condition,
    os: host.os,
    arch: host.arch,
    tags: host.tags,
    mode: host.mode,
    online,
    sync: syncOf(host, plan, { online, now }),
    lastSeenAt: host.lastSeenAt,
    agentVersion: host.agentVersion,
    resticVersion: host.resticVersion,
    behind,
    clockSkewMs: host.clockSkewMs,
    problems: problemsOf(host, now),
    createdAt: host.createdAt,
  };
}

/** Beyond this, times in lists mislead and retention could remove the wrong snapshots. */
const skewToMentionMs = 60_000;

function problemsOf(host: Host, now: number): HostPageProps["host"]["problems"] {
  const problems: HostPageProps["host"]["problems"][number][] = [];
  const twin = twinOf(host, now);
  if (twin) {
    const machine = [twin.machineId, twin.bootId].map((id) => id?.slice(0, 8) ?? "unknown").join(" / ");
    const text = `“${twin.hostname}” (machine and boot ${machine}) keeps trying and is refused, so nothing on it is backed up. On the copy, enrol the agent as a host of its own.`;
    problems.push({ tone: "fail", title: "Another machine uses this host's credentials.", text });
  }
  if (host.resticProblem)
    problems.push({ tone: "fail", title: "restic can't run here.", text: host.resticProblem.message });
  if (Math.abs(host.clockSkewMs ?? 0) > skewToMentionMs) {
    const text = "Set the host's clock: snapshots carry its time, and retention goes by it.";
    problems.push({ tone: "warn", title: "This host's clock is wrong.", text });
  }
  return problems;
}

function vitalsOf(overview: HostOverview, plan: HostPlan): HostPageProps["vitals"] {
  const { totals } = overview;
  const last = lastBackupOf(overview);
  return {
    lastBackup: last?.finishedAt
      ? { status: last.status, finishedAt: last.finishedAt, jobId: last.id }
      : null,
    protectedBytes: totals.count > 0 ? totals.protectedBytes : null,
    snapshotCount: totals.count,
    newestSnapshotAt: totals.newestAt || null,
    nextRun: nextRunOf(plan.schedules),
  };
}

/** Dry runs in between are looked through, this many of them. */
const restoresLookedAt = 20;

async function lastRestoreOf(deps: HostPageDeps, hostId: string): Promise<LastRestore | null> {
  const newest = await listJobs(deps.db, { hostId, kind: "restore" }, { limit: restoresLookedAt, offset: 0 });
  for (const { id, status, spec, result, finishedAt, createdAt } of newest) {
    if (spec.kind !== "restore" || spec.dry_run) continue;
    return {
      ...{ jobId: id, status, at: finishedAt ?? createdAt, snapshotId: spec.snapshot_id },
      from: spec.from?.host_name ?? null,
      inPlace: spec.target.kind === "in_place",
      restored: result?.kind === "restore" ? result.restored : null,
    };
  }
  return null;
}

async function tabOf(
  deps: HostPageDeps,
  overview: HostOverview,
  plan: HostPlan,
  query: HostPageQuery,
): Promise<HostTab> {
  const { host } = overview;
  const at = { limit: pageSize, offset: (query.page - 1) * pageSize };
  switch (query.tab) {
    case "snapshots":
      return snapshotsTab(deps, host, query.page, at);
    case "jobs":
      return jobsTab(deps, host, query.page, at);
    case "sources":
      return { name: "sources", groups: sourceRows(plan, overview.backups, deps.clock.now()) };
    case "schedules": {
      const states = await scheduleStates(deps.db, host.id);
      return { name: "schedules", schedules: scheduleRows(plan, states) };
    }
    case "repository":
      return repositoryTab(deps, host, query.span ?? 30);
    case "settings":
      return settingsTab(deps, host, query.mayOperate);
  }
}

async function snapshotsTab(
  deps: HostPageDeps,
  host: Host,
  page: number,
  at: { limit: number; offset: number },
): Promise<HostTab> {
  const snapshots = (await listSnapshots(deps.db, host.id, at)).map(({ time, ...same }) => ({
    ...same,
    at: time,
  }));
  return {
    name: "snapshots",
    snapshots,
    page: { page, pageSize, total: await countSnapshots(deps.db, host.id) },
  };
}

async function jobsTab(
  deps: HostPageDeps,
  host: Host,
  page: number,
  at: { limit: number; offset: number },
): Promise<HostTab> {
  const jobs = (await listJobs(deps.db, { hostId: host.id }, at)).map((job) => rowOf(deps, job, host));
  return {
    name: "jobs",
    jobs,
    page: { page, pageSize, total: await countJobs(deps.db, { hostId: host.id }) },
  };
}

async function repositoryTab(deps: HostPageDeps, host: Host, span: ChartSpan): Promise<HostTab> {
  const { db, clock, repositories } = deps;
  const { repositoryId } = host;
  const shown = await redactedCredentials(db, repositories.box, host.id);
  const range = { days: span, now: clock.now() };
  return {
    name: "repository",
    span,
    tags: await countByTag(db, host.id),
    view:
      repositoryId === null ? null : await getRepositoryView({ db, clock, box: repositories.box }, host.id),
    rotation: repositoryId === null ? null : await rotationPhaseOf(db, repositoryId),
    history: repositoryId === null ? [] : await listHistory(db, repositoryId, range),
    access: shown,
    agentTooOld: host.firstConnectedAt !== null && host.backendKinds === null,
  };
}

async function settingsTab(deps: HostPageDeps, host: Host, mayOperate: boolean): Promise<HostTab> {
  const { mode, uploadKib, downloadKib, hooksAllowed } = host;
  return {
    name: "settings",
    loss: await countLosses(deps, host.id),
    mode,
    caps: { upload: String(uploadKib ?? ""), download: String(downloadKib ?? "") },
    windows: host.os === "windows",
    hooksAllowed,
    hooks: hookValues(mayOperate ? await openHooks(deps.db, deps.repositories.box, host.id) : null),
  };
}

/** What goes with a host: our records, never its snapshots' data. */
export async function countLosses(deps: Pick<HostPageDeps, "db">, hostId: string) {
  return {
    jobCount: await countJobs(deps.db, { hostId }),
    snapshotCount: await countSnapshots(deps.db, hostId),
    sourceGroupCount: (await listSourceGroups(deps.db, hostId)).length,
  };
}
