/** The release that is served, the versions in the fleet and update runs, as a page or a client asks for them at once. */
import { compareVersions, type UpdateProgram, versionText } from "@restic-manager/protocol";
import type { Clock } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import {
  type Drift,
  newestOf,
  type Release,
  type ReleaseShelf,
  servedVersion,
} from "../artefacts/artefacts.ts";
import { type Host, isOnline, listHosts } from "../hosts/hosts.ts";
import { findJob } from "../jobs/jobs.ts";
import { notFound } from "./update-edits.ts";
import {
  countsOf,
  driftOfHost,
  nextStarts,
  obstacleOf,
  type Problem,
  releaseNameOf,
  type TargetCounts,
  type TargetState,
  type UpdateRun,
  versionOn,
} from "./update-run.ts";
import * as store from "./updates.store.ts";

export interface UpdateViewDeps {
  db: Db;
  clock: Clock;
  shelf: Pick<ReleaseShelf, "current">;
}

/** One host of a run. */
export interface TargetView {
  id: string;
  name: string;
  state: TargetState;
  wave: number | null;
  isOnline: boolean;
  lastSeenAt: number | null;
  jobId: string | null;
  /** Of the job, while it is under way. */
  jobStatus: string | null;
  fromVersion: string | null;
  problem: Problem | null;
}

/** A run without its hosts. */
export interface RunSummary {
  run: UpdateRun;
  counts: TargetCounts;
}

export interface RunView extends RunSummary {
  /** Which wave is under way or comes next. */
  wave: 1 | 2 | 3;
  /** By name, those that need somebody first. */
  targets: TargetView[];
}

/** One version of a program, and how many hosts have it. */
export interface VersionCount {
  /** Null: not known, or not there. */
  version: string | null;
  count: number;
  drift: Drift;
}

/** How the fleet stands in one program. */
export interface ProgramView {
  program: UpdateProgram;
  /** The newest that is served; null when none is. */
  served: string | null;
  /** The newest first. */
  versions: VersionCount[];
  behind: number;
  /** Of those, how many have to be updated by hand. */
  byHand: number;
  /** Of those that an update would take, how many run Windows, where updates were never tried for real. */
  onWindows: number;
  /** Restic that is missing, or older than can be used. */
  unusable: number;
  /** Systems in the fleet for which the served set has none; empty while no set is served. */
  unserved: UnservedSystem[];
}

/** A system that hosts have and the served set knows nothing of. */
export interface UnservedSystem {
  /** Such as `linux/arm`. */
  system: string;
  count: number;
}

export interface AgentsView {
  release: Release;
  programs: ProgramView[];
  /** The one that is under way, or the last one; null when there never was one. */
  run: RunView | null;
}

/** Everything of Settings → Agents. */
export async function getAgentsView(deps: UpdateViewDeps): Promise<AgentsView> {
  const release = await deps.shelf.current();
  const hosts = await listHosts(deps.db);
  const last = (await store.findActive(deps.db)) ?? (await store.listRuns(deps.db, 1))[0];
  return {
    release,
    programs: (["agent", "restic"] as const).map((program) => viewProgram(program, hosts, release)),
    run: last ? await viewRun(deps, last, hosts) : null,
  };
}

function viewProgram(program: UpdateProgram, hosts: readonly Host[], release: Release): ProgramView {
  const served = newestOf(release, releaseNameOf[program]) ?? null;
  const connected = hosts.filter((host) => host.firstConnectedAt !== null);
  const byVersion = Map.groupBy(connected, (host) => versionOn(host, program));
  const behind = connected.filter((host) => driftOfHost(host, program, release) === "behind");
  const wish = { program, version: served ?? "" };
  const ready = behind.filter((host) => obstacleOf(host, wish, release) === null);
  return {
    program,
    served,
    versions: [...byVersion]
      .map(([version, those]) => ({
        version,
        count: those.length,
        drift: worstDrift(those, program, release),
      }))
      .sort((a, b) => newestFirst(a.version, b.version)),
    behind: behind.length,
    byHand: behind.length - ready.length,
    onWindows: ready.filter(({ os }) => os === "windows").length,
    unusable:
      program === "restic" ? connected.filter(({ resticProblem }) => resticProblem !== null).length : 0,
    unserved: release.kind === "whole" ? unservedSystems(program, connected, release) : [],
  };
}

function unservedSystems(program: UpdateProgram, hosts: readonly Host[], release: Release): UnservedSystem[] {
  const without = hosts.filter((host) => servedVersion(release, releaseNameOf[program], host) === undefined);
  const bySystem = Map.groupBy(without, ({ os, arch }) => `${os}/${arch}`);
  return [...bySystem]
    .map(([system, those]) => ({ system, count: those.length }))
    .sort((a, b) => a.system.localeCompare(b.system, "en"));
}

/** What is no version comes last. */
function newestFirst(a: string | null, b: string | null): number {
  const [isA, isB] = [a, b].map((version) => versionText.safeParse(version).success);
  if (isA !== isB) return isA ? -1 : 1;
  return compareVersions(b ?? "", a ?? "") ?? (a ?? "").localeCompare(b ?? "", "en");
}

/** Hosts of one version differ only where another version is served for their system. */
function worstDrift(hosts: readonly Host[], program: UpdateProgram, release: Release): Drift {
  const drifts = new Set(hosts.map((host) => driftOfHost(host, program, release)));
  return (["behind", "ahead", "current"] as const).find((drift) => drifts.has(drift)) ?? "unknown";
}

/** @throws AppError `updates.not_found` */
export async function getRunView(deps: UpdateViewDeps, runId: string): Promise<RunView> {
  const run = await store.findRun(deps.db, runId);
  if (!run) throw notFound();
  return viewRun(deps, run, await listHosts(deps.db));
}

/** The newest runs first. */
export async function listRunSummaries(db: Db, limit: number): Promise<RunSummary[]> {
  const runs = await store.listRuns(db, limit);
  const counted = await store.countTargets(
    db,
    runs.map(({ id }) => id),
  );
  return runs.map((run) => {
    const own = counted.filter(({ runId }) => runId === run.id);
    return { run, counts: countsOf((state) => own.find((one) => one.state === state)?.count ?? 0) };
  });
}

/** What somebody has to look at comes first. */
const order: readonly TargetState[] = ["failed", "updating", "skipped", "waiting", "done"];

async function viewRun(deps: UpdateViewDeps, run: UpdateRun, hosts: readonly Host[]): Promise<RunView> {
  const now = deps.clock.now();
  const byId = new Map(hosts.map((host) => [host.id, host]));
  const targets: TargetView[] = [];
  const rows = await store.listTargets(deps.db, run.id);
  for (const { hostId, ...target } of rows) {
    const host = byId.get(hostId);
    if (!host) continue;
    const job = target.state === "updating" && target.jobId ? await findJob(deps.db, target.jobId) : null;
    targets.push({
      ...{ id: host.id, name: host.name, isOnline: isOnline(host, now), lastSeenAt: host.lastSeenAt },
      ...{ state: target.state, wave: target.wave, jobId: target.jobId, jobStatus: job?.status ?? null },
      ...{ fromVersion: target.fromVersion, problem: target.problem },
    });
  }
  targets.sort(
    (a, b) => order.indexOf(a.state) - order.indexOf(b.state) || a.name.localeCompare(b.name, "en"),
  );
  const counts = countsOf((state) => targets.filter((target) => target.state === state).length);
  const updating = targets.filter(({ state }) => state === "updating");
  return { run, counts, wave: nextStarts(counts, updating).wave, targets };
}
