/** What people do to updates: start a run over the fleet, pause it, let it go on, cancel it; or update one host. */
import type { UpdateProgram } from "@restic-manager/protocol";
import type { Clock } from "../../platform/clock.ts";
import { type Db, inTransaction, isUniqueViolation } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import type { EventBus } from "../../platform/events.ts";
import type { Actor } from "../../platform/http/identity.ts";
import { newId } from "../../platform/random.ts";
import { newestServed, type ReleaseShelf, requireWhole, servedVersion } from "../artefacts/artefacts.ts";
import { recordAudit } from "../audit/audit.ts";
import { getHost, type Host, isOnline, listHostPage } from "../hosts/hosts.ts";
import { createJobs, type Job, listJobs } from "../jobs/jobs.ts";
import {
  driftOfHost,
  hasVersion,
  obstacleOf,
  releaseNameOf,
  type UpdateRun,
  type UpdateTarget,
  versionOn,
} from "./update-run.ts";
import { updatesChanged } from "./update-watch.ts";
import * as store from "./updates.store.ts";

export interface UpdatesDeps {
  db: Db;
  clock: Clock;
  bus: EventBus;
  shelf: Pick<ReleaseShelf, "current">;
}

export interface UpdateWish {
  program: UpdateProgram;
  /** The hosts, or those with the tag; neither: all. */
  hostIds?: readonly string[] | undefined;
  tag?: string | undefined;
  actor: Actor;
}

/**
 * Starts a run: every host of the wish that is behind gets what is served now, in waves.
 * @throws AppError `updates.running`, `updates.none_behind`, `hosts.not_found`, and what keeps the release from being served
 */
export async function startUpdate(deps: UpdatesDeps, wish: UpdateWish): Promise<UpdateRun> {
  const { program, actor } = wish;
  const release = requireWhole(await deps.shelf.current());
  const version = newestServed(release, releaseNameOf[program]);
  const at = deps.clock.now();
  const run: UpdateRun = {
    ...{ id: newId(at), state: "running", program, version, tag: wish.tag?.trim().toLowerCase() || null },
    ...{ actor, startedAt: at, changedAt: at, endedAt: null, pause: null },
  };
  await inTransaction(deps.db, async (tx) => {
    if (await store.findActive(tx)) throw running();
    const behind = (await listWished(tx, wish, at)).filter(
      (host) => !hasVersion(host, run) && (wish.hostIds || driftOfHost(host, program, release) !== "unknown"),
    );
    if (behind.length === 0) throw noneBehind(run);
    await store.insertRun(tx, run);
    const targets = behind.map((host): UpdateTarget => {
      const problem = obstacleOf(host, run, release);
      const state = problem ? "skipped" : "waiting";
      const fromVersion = versionOn(host, program);
      return { hostId: host.id, state, problem, fromVersion, wave: null, jobId: null, changedAt: at };
    });
    await store.insertTargets(tx, run.id, targets);
    await note(tx, run, { at, actor, action: "start", payload: { hosts: targets.length, tag: run.tag } });
  }).catch((error: unknown) => {
    throw isUniqueViolation(error) ? running() : error;
  });
  deps.bus.emit(updatesChanged, { runId: run.id });
  return run;
}

async function listWished(tx: Db, { hostIds, tag }: UpdateWish, now: number): Promise<Host[]> {
  if (hostIds) return Promise.all([...new Set(hostIds)].map((id) => getHost(tx, id)));
  return listHostPage(tx, { tag }, { nowMs: now });
}

async function note(
  tx: Db,
  run: UpdateRun,
  entry: { at: number; actor: Actor; action: string; payload?: Record<string, unknown> },
): Promise<void> {
  const target = { kind: "update", id: run.id, name: `${run.program} ${run.version}` };
  await recordAudit(tx, { ...entry, action: `update.${entry.action}`, target });
}

/** What is under way on hosts goes on; no other host begins. @throws AppError `updates.not_found`, `updates.not_running` */
export function pauseUpdate(deps: UpdatesDeps, input: { runId: string; actor: Actor }): Promise<void> {
  return decide(deps, input, "pause", (run) => {
    if (run.state !== "running") throw notRunning();
    const message = `Paused by ${input.actor.name}.`;
    const pause = { code: "updates.paused", message, hostId: null, hostName: null };
    return { ...run, state: "paused", pause };
  });
}

/** Goes on with the next host; one that failed is left as it is. @throws AppError `updates.not_found`, `updates.not_paused` */
export function resumeUpdate(deps: UpdatesDeps, input: { runId: string; actor: Actor }): Promise<void> {
  return decide(deps, input, "resume", (run) => {
    if (run.state === "paused") return { ...run, state: "running", pause: null };
    throw new AppError("conflict", "updates.not_paused", "This update is not paused.");
  });
}

/** No other host begins; what is under way comes to its end. @throws AppError `updates.not_found`, `updates.not_running` */
export function cancelUpdate(deps: UpdatesDeps, input: { runId: string; actor: Actor }): Promise<void> {
  return decide(deps, input, "cancel", (run) => {
    if (run.state !== "running" && run.state !== "paused") throw notRunning();
    return { ...run, state: "cancelled" };
  });
}

async function decide(
  deps: UpdatesDeps,
  { runId, actor }: { runId: string; actor: Actor },
  action: string,
  change: (run: UpdateRun) => UpdateRun,
): Promise<void> {
  const at = deps.clock.now();
  await inTransaction(deps.db, async (tx) => {
    const active = await store.lockActive(tx);
    const run = active?.id === runId ? active : await store.findRun(tx, runId);
    if (!run) throw notFound();
    const after = { ...change(run), changedAt: at };
    await store.updateRun(tx, after);
    await note(tx, after, { at, actor, action });
  });
  deps.bus.emit(updatesChanged, { runId });
}

/**
 * Updates one host at once.
 * @throws AppError `hosts.not_found`, `hosts.offline`, `agent.too_old`, `update.no_artefact`, `updates.up_to_date`,
 *   `updates.host_busy`, and what keeps the release from being served
 */
export async function updateHost(
  deps: UpdatesDeps,
  input: { hostId: string; program: UpdateProgram; actor: Actor },
): Promise<Job> {
  const { program, actor } = input;
  const release = requireWhole(await deps.shelf.current());
  const host = await getHost(deps.db, input.hostId);
  const version =
    servedVersion(release, releaseNameOf[program], host) ?? newestServed(release, releaseNameOf[program]);
  const wish = { program, version };
  const obstacle = obstacleOf(host, wish, release);
  if (obstacle) throw new AppError("conflict", obstacle.code, obstacle.message);
  if (hasVersion(host, wish)) {
    const message = `${host.name} runs ${program} ${versionOn(host, program) ?? ""} already.`;
    throw new AppError("conflict", "updates.up_to_date", message);
  }
  if (!isOnline(host, deps.clock.now())) {
    const message = `${host.name} is offline. Start its agent, or start an update of the fleet, which waits for it.`;
    throw new AppError("conflict", "hosts.offline", message);
  }
  const statuses = ["queued", "dispatched", "running"] as const;
  const filter = { hostId: host.id, kind: "update", statuses };
  const [live] = await listJobs(deps.db, filter, { limit: 1, offset: 0 });
  if (live) {
    const message = `An update of ${host.name} is under way already.`;
    throw new AppError("conflict", "updates.host_busy", message);
  }
  const [job] = await createJobs(deps, [{ hostId: host.id, spec: { kind: "update", ...wish }, actor }]);
  if (!job) throw new Error("one job in, one job out");
  return job;
}

const running = (): AppError =>
  new AppError(
    "conflict",
    "updates.running",
    "An update of the fleet is under way already. Wait for its end, or cancel it first.",
  );

const notRunning = (): AppError =>
  new AppError("conflict", "updates.not_running", "This update is over or paused already.");

export const notFound = (): AppError =>
  new AppError("not_found", "updates.not_found", "There is no such update.");

const noneBehind = ({ program, version }: UpdateRun): AppError =>
  new AppError(
    "conflict",
    "updates.none_behind",
    `None of these hosts is behind ${program} ${version}: there is nothing to do.`,
  );
