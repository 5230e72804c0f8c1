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
import { type Host, type HostBuild, isOnline, listBuilds, listFirstHosts } from "../hosts/hosts.ts";
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
  type UpdateTarget,
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
  /** By name, those that need somebody first: all of them, or as many as were asked for. */
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

/** Hosts of a run on a page: who wants all of them asks the API. */
export const shownTargets = 60;

/** Everything of Settings → Agents. */
export async function getAgentsView(deps: UpdateViewDeps): Promise<AgentsView> {
  const release = await deps.shelf.current();
  const builds = await listBuilds(deps.db);
  const last = (await store.findActive(deps.db)) ?? (await store.listRuns(deps.db, 1))[0];
  return {
    release,
    programs: (["agent", "restic"] as const).map((program) => viewProgram(program, builds, release)),
    run: last ? await viewRun(deps, last, shownTargets) : null,
  };
}

/** So many hosts run the same. */
type Builds = readonly { build: HostBuild; count: number }[];

const total = (builds: Builds): number => builds.reduce((sum, { count }) => sum + count, 0);

function viewProgram(program: UpdateProgram, builds: Builds, release: Release): ProgramView {
  const served = newestOf(release, releaseNameOf[program]) ?? null;
  const byVersion = Map.groupBy(builds, ({ build }) => versionOn(build, program));
  const behind = builds.filter(({ build }) => driftOfHost(build, program, release) === "behind");
  const wish = { program, version: served ?? "" };
  // Whatever they are called.
  const ready = behind.filter(({ build }) => obstacleOf({ name: "", ...build }, wish, release) === null);
  const unusable = program === "restic" ? builds.filter(({ build }) => build.resticProblem !== null) : [];
  return {
    program,
    served,
    versions: [...byVersion]
      .map(([version, those]) => ({
        version,
        count: total(those),
        drift: worstDrift(those, program, release),
      }))
      .sort((a, b) => newestFirst(a.version, b.version)),
    behind: total(behind),
    byHand: total(behind) - total(ready),
    onWindows: total(ready.filter(({ build }) => build.os === "windows")),
    unusable: total(unusable),
    unserved: release.kind === "whole" ? unservedSystems(program, builds, release) : [],
  };
}

function unservedSystems(program: UpdateProgram, builds: Builds, release: Release): UnservedSystem[] {
  const without = builds.filter(
    ({ build }) => servedVersion(release, releaseNameOf[program], build) === undefined,
  );
  const bySystem = Map.groupBy(without, ({ build }) => `${build.os}/${build.arch}`);
  return [...bySystem]
    .map(([system, those]) => ({ system, count: total(those) }))
    .sort((a, b) => a.system.localeCompare(b.system, "en"));
}

/** What is no version comes last. */
function newestFirst(a: string | null, b: string | null): number {
  const [isA, isB] = [a, b].map((version) => versionText.safeParse(version).success);
  if (isA !== isB) return isA ? -1 : 1;
  return compareVersions(b ?? "", a ?? "") ?? (a ?? "").localeCompare(b ?? "", "en");
}

/** Hosts of one version differ only where another version is served for their system. */
function worstDrift(builds: Builds, program: UpdateProgram, release: Release): Drift {
  const drifts = new Set(builds.map(({ build }) => driftOfHost(build, program, release)));
  return (["behind", "ahead", "current"] as const).find((drift) => drifts.has(drift)) ?? "unknown";
}

/** @throws AppError `updates.not_found` */
export async function getRunView(deps: UpdateViewDeps, runId: string): Promise<RunView> {
  const run = await store.findRun(deps.db, runId);
  if (!run) throw notFound();
  return viewRun(deps, run);
}

/** The newest runs first. */
export async function listRunSummaries(db: Db, limit: number): Promise<RunSummary[]> {
  return summarize(db, await store.listRuns(db, limit));
}

async function summarize(db: Db, runs: readonly UpdateRun[]): Promise<RunSummary[]> {
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

/** @param most hosts of the view; all without it */
async function viewRun(deps: UpdateViewDeps, run: UpdateRun, most?: number): Promise<RunView> {
  const { db } = deps;
  const [summary] = await summarize(db, [run]);
  if (!summary) throw new Error("one run in, one run out");
  const { wave } = nextStarts(summary.counts, await store.listUpdating(db, run.id));
  const hosts: Host[] = [];
  for (const state of order) {
    const room = most === undefined ? undefined : most - hosts.length;
    if (room === 0) break;
    hosts.push(...(await listFirstHosts(db, store.idsOfTargets(db, run.id, state), room)));
  }
  const hostIds = hosts.map(({ id }) => id);
  const targets =
    most === undefined ? store.listTargets(db, run.id) : store.listTargetsOf(db, run.id, hostIds);
  return { ...summary, wave, targets: await viewTargets(deps, hosts, await targets) };
}

/** In the hosts' order. */
async function viewTargets(
  deps: UpdateViewDeps,
  hosts: readonly Host[],
  rows: readonly UpdateTarget[],
): Promise<TargetView[]> {
  const now = deps.clock.now();
  const targets = new Map(rows.map((target) => [target.hostId, target]));
  const views: TargetView[] = [];
  for (const host of hosts) {
    const target = targets.get(host.id);
    if (!target) continue;
    const job = target.state === "updating" && target.jobId ? await findJob(deps.db, target.jobId) : null;
    views.push({
      ...{ id: host.id, name: host.name, isOnline: isOnline(host, now), lastSeenAt: host.lastSeenAt },
      ...{ state: target.state, wave: target.wave, jobId: target.jobId, jobStatus: job?.status ?? null },
      ...{ fromVersion: target.fromVersion, problem: target.problem },
    });
  }
  return views;
}
