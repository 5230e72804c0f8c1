/**
 * One look at the run that is under way: what has ended since, and who is next. Invariants: it runs in one transaction that
 * holds the run's row, so several servers begin an update once; nothing that runs is stopped; a failure pauses the run in
 * the same transaction that records it; a host that is away is passed over and never failed for it. There is a look at every
 * end of a job, so it reads the hosts that it may be about, and of the fleet at most the ids.
 */
import type { Db } from "../../platform/db/db.ts";
import { type Actor, systemActor } from "../../platform/http/identity.ts";
import { newId } from "../../platform/random.ts";
import type { Release } from "../artefacts/artefacts.ts";
import { recordAudit } from "../audit/audit.ts";
import { type Host, knowsJobKind, listHostIds, listHostsByIds, listVersions } from "../hosts/hosts.ts";
import { findJob, insertNewJob, isFinal, type Job, withdrawQueued } from "../jobs/jobs.ts";
import {
  countsOf,
  isReached,
  nextStarts,
  obstacleOf,
  outcomeOf,
  type Pause,
  type Problem,
  silentAfterMs,
  type TargetCounts,
  type UpdateRun,
  type UpdateTarget,
  versionOn,
} from "./update-run.ts";
import * as store from "./updates.store.ts";

const updatesActor: Actor = { kind: "system", id: null, name: "update" };

export interface AdvanceDeps {
  now: number;
  /** Since when agents can reach this server. */
  listensSince: number;
  release: Release;
  isConnected(hostId: string): boolean;
}

/** What the look did; to be told after the commit. */
export interface Advanced {
  /** Made, or withdrawn before they were sent. */
  jobs: Job[];
  changed: boolean;
}

/** A look while it is made. */
interface Look extends AdvanceDeps {
  tx: Db;
  run: UpdateRun;
  /** As they are now. */
  counts: TargetCounts;
  /** Those that are being updated, by host, as they are now. */
  updating: Map<string, UpdateTarget>;
  advanced: Advanced;
  /** The first host of this look that went wrong. */
  failure: { host: Host; problem: Problem } | null;
}

export async function advance(tx: Db, deps: AdvanceDeps): Promise<Advanced> {
  const advanced: Advanced = { jobs: [], changed: false };
  const run = await store.lockActive(tx);
  if (!run) return advanced;
  const counted = await store.countTargets(tx, [run.id]);
  const counts = countsOf((state) => counted.find((one) => one.state === state)?.count ?? 0);
  const updating = new Map((await store.listUpdating(tx, run.id)).map((target) => [target.hostId, target]));
  const look: Look = { ...deps, tx, run, counts, updating, advanced, failure: null };
  await forEach(look, [...updating.values()], settleJob);
  await takeByHand(look);
  if (look.failure && look.run.state === "running") await pauseFor(look, look.failure);
  if (look.run.state === "running") await startNext(look);
  await endIfOver(look);
  return advanced;
}

async function become(look: Look, change: Partial<UpdateRun>): Promise<void> {
  look.run = { ...look.run, ...change, changedAt: look.now };
  await store.updateRun(look.tx, look.run);
  look.advanced.changed = true;
}

async function save(look: Look, target: UpdateTarget, change: Partial<UpdateTarget>): Promise<void> {
  const after = { ...target, ...change, changedAt: look.now };
  await store.updateTarget(look.tx, look.run.id, after);
  look.counts[target.state] -= 1;
  look.counts[after.state] += 1;
  if (after.state === "updating") look.updating.set(after.hostId, after);
  else look.updating.delete(after.hostId);
  look.advanced.changed = true;
}

/** A target whose host was removed goes with it. */
async function forEach(
  look: Look,
  targets: readonly UpdateTarget[],
  work: (look: Look, target: UpdateTarget, host: Host) => Promise<void>,
): Promise<void> {
  const found = await listHostsByIds(
    look.tx,
    targets.map(({ hostId }) => hostId),
  );
  const hosts = new Map(found.map((host) => [host.id, host]));
  for (const target of targets) {
    const host = hosts.get(target.hostId);
    if (host) await work(look, target, host);
  }
}

async function note(look: Look, action: string, payload: Record<string, unknown>): Promise<void> {
  const { tx, run, now } = look;
  const target = { kind: "update", id: run.id, name: `${run.program} ${run.version}` };
  await recordAudit(tx, { at: now, actor: systemActor, action: `update.${action}`, target, payload });
}

/** Takes in what happened on hosts without a job of this run. */
async function takeByHand(look: Look): Promise<void> {
  const { tx, run } = look;
  const versions = await listVersions(tx, run.program === "agent" ? "agent_version" : "restic_version");
  const reached = versions.filter((version) => isReached(version, run));
  // Somebody did it by hand, or the job was given up too early.
  for (const target of await store.listOpenAt(tx, run, reached))
    await save(look, target, { state: "done", problem: null });
  // An older version by hand may have been enough to let us do the rest.
  await forEach(look, await store.listSkipped(tx, run.id, "agent.too_old"), async (_, target, host) => {
    if (knowsJobKind(host, "update")) await save(look, target, { state: "waiting", problem: null });
  });
}

async function settleJob(look: Look, target: UpdateTarget, host: Host): Promise<void> {
  const job = target.jobId === null ? null : await findJob(look.tx, target.jobId);
  if (!job) return save(look, target, { state: "waiting", jobId: null });
  if (isFinal(job.status)) {
    const outcome = outcomeOf(job);
    if (outcome === "done") return save(look, target, { state: "done" });
    if (outcome === "waiting") return save(look, target, { state: "waiting", jobId: null, wave: null });
    return fail(look, target, host, outcome);
  }
  if (job.status === "queued") {
    const goesOn = look.run.state === "running" && look.isConnected(host.id);
    return goesOn ? undefined : withdraw(look, target, job);
  }
  const silentMs = look.now - Math.max(host.lastSeenAt ?? 0, job.dispatchedAt ?? 0, look.listensSince);
  if (silentMs < silentAfterMs || look.isConnected(host.id)) return;
  const message = `${host.name} has not come back since its update began. Look at its service and its log; the program from before lies beside the new one.`;
  await fail(look, target, host, { code: "updates.host_silent", message });
}

/** Its host is away, or the run stands still: the job would start without anybody expecting it. */
async function withdraw(look: Look, target: UpdateTarget, job: Job): Promise<void> {
  const withdrawn = await withdrawQueued(look.tx, job, { actor: updatesActor, at: look.now });
  // It was sent this moment after all: then it is waited for.
  if (!withdrawn) return;
  look.advanced.jobs.push(withdrawn);
  await save(look, target, { state: "waiting", jobId: null, wave: null });
}

async function fail(look: Look, target: UpdateTarget, host: Host, problem: Problem): Promise<void> {
  // An agent that can do nothing with the order is a case for a person, not a sign that the version is bad.
  const isSkipped = problem.code === "agent.too_old" || problem.code === "update.no_artefact";
  await save(look, target, { state: isSkipped ? "skipped" : "failed", problem });
  if (!isSkipped) look.failure ??= { host, problem };
}

async function pauseFor(look: Look, { host, problem }: { host: Host; problem: Problem }): Promise<void> {
  const pause: Pause = { hostId: host.id, hostName: host.name, ...problem };
  await become(look, { state: "paused", pause });
  await note(look, "pause", { host: host.name, code: problem.code });
  for (const target of [...look.updating.values()]) {
    const job = target.jobId === null ? null : await findJob(look.tx, target.jobId);
    if (job?.status === "queued") await withdraw(look, target, job);
  }
}

/** By the names of the hosts. */
async function startNext(look: Look): Promise<void> {
  const { tx, run } = look;
  const { wave, room } = nextStarts(look.counts, [...look.updating.values()]);
  if (room === 0) return;
  const waiting = new Set(await store.listWaitingIds(tx, run.id));
  const ready = (await listHostIds(tx)).filter((id) => waiting.has(id) && look.isConnected(id));
  const full = look.updating.size + room;
  // Those that turn out to be for a person make room for others.
  for (let from = 0; from < ready.length && look.updating.size < full; ) {
    const next = ready.slice(from, from + full - look.updating.size);
    from += next.length;
    const targets = new Map((await store.listTargetsOf(tx, run.id, next)).map((one) => [one.hostId, one]));
    const inOrder = next.flatMap((id) => targets.get(id) ?? []);
    await forEach(look, inOrder, async (_, target, host) => startOn(look, target, host, wave));
  }
}

async function startOn(look: Look, target: UpdateTarget, host: Host, wave: number): Promise<void> {
  const problem = obstacleOf(host, look.run, look.release);
  if (problem) return save(look, target, { state: "skipped", problem });
  const jobId = await insertUpdateJob(look, host);
  const fromVersion = versionOn(host, look.run.program);
  await save(look, target, { state: "updating", wave, jobId, fromVersion });
}

async function insertUpdateJob(look: Look, host: Host): Promise<string> {
  const { tx, now, run } = look;
  const spec = { kind: "update", program: run.program, version: run.version } as const;
  const job = await insertNewJob(
    tx,
    host,
    { hostId: host.id, spec, jobId: newId(now), actor: updatesActor },
    now,
  );
  look.advanced.jobs.push(job);
  return job.id;
}

async function endIfOver(look: Look): Promise<void> {
  const { updating, waiting, done, failed, skipped } = look.counts;
  if (updating > 0) return;
  if (look.run.state === "cancelled") return become(look, { endedAt: look.now });
  if (look.run.state !== "running" || waiting > 0) return;
  await become(look, { state: "done", endedAt: look.now });
  await note(look, "done", { updated: done, failed, by_hand: skipped });
}
