/**
 * One look at the run that is under way: what has ended since, and who is next. Invariants: it runs in one transaction that
 * holds the run's row, so several servers begin an update once; nothing that runs is stopped; a failure pauses the run in
 * the same transaction that records it; a host that is away is passed over and never failed for it.
 */
import type { Db } from "../../platform/db/db.ts";
import { type Actor, systemActor } from "../../platform/http/identity.ts";
import { newId } from "../../platform/random.ts";
import type { Release } from "../artefacts/artefacts.ts";
import { recordAudit } from "../audit/audit.ts";
import { type Host, knowsJobKind, listHosts } from "../hosts/hosts.ts";
import { findJob, insertNewJob, isFinal, type Job, withdrawQueued } from "../jobs/jobs.ts";
import {
  hasVersion,
  nextStarts,
  obstacleOf,
  outcomeOf,
  type Pause,
  type Problem,
  silentAfterMs,
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
  hosts: ReadonlyMap<string, Host>;
  /** By host, as they are now. */
  targets: Map<string, UpdateTarget>;
  advanced: Advanced;
  /** The first host of this look that went wrong. */
  failure: { host: Host; problem: Problem } | null;
}

export async function advance(tx: Db, deps: AdvanceDeps): Promise<Advanced> {
  const advanced: Advanced = { jobs: [], changed: false };
  const run = await store.lockActive(tx);
  if (!run) return advanced;
  const hosts = new Map((await listHosts(tx)).map((host) => [host.id, host]));
  const targets = new Map((await store.listTargets(tx, run.id)).map((target) => [target.hostId, target]));
  const look: Look = { ...deps, tx, run, hosts, targets, advanced, failure: null };
  for (const target of [...targets.values()]) await settle(look, target);
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
  look.targets.set(after.hostId, after);
  look.advanced.changed = true;
}

async function note(look: Look, action: string, payload: Record<string, unknown>): Promise<void> {
  const { tx, run, now } = look;
  const target = { kind: "update", id: run.id, name: `${run.program} ${run.version}` };
  await recordAudit(tx, { at: now, actor: systemActor, action: `update.${action}`, target, payload });
}

/** Takes in what happened on one host. */
async function settle(look: Look, target: UpdateTarget): Promise<void> {
  const host = look.hosts.get(target.hostId);
  if (!host || target.state === "done") return;
  if (target.state === "updating") return settleJob(look, target, host);
  // Somebody did it by hand, or the job was given up too early.
  if (hasVersion(host, look.run)) return save(look, target, { state: "done", problem: null });
  // An older version by hand may have been enough to let us do the rest.
  if (target.problem?.code === "agent.too_old" && target.state === "skipped" && knowsJobKind(host, "update"))
    await save(look, target, { state: "waiting", problem: null });
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
  for (const target of [...look.targets.values()]) {
    const job =
      target.state === "updating" && target.jobId !== null ? await findJob(look.tx, target.jobId) : null;
    if (job?.status === "queued") await withdraw(look, target, job);
  }
}

async function startNext(look: Look): Promise<void> {
  const { wave, room } = nextStarts([...look.targets.values()]);
  let left = room;
  for (const host of look.hosts.values()) {
    const target = look.targets.get(host.id);
    if (left === 0) return;
    if (target?.state !== "waiting" || !look.isConnected(host.id)) continue;
    const problem = obstacleOf(host, look.run, look.release);
    if (problem) await save(look, target, { state: "skipped", problem });
    else {
      const jobId = await insertUpdateJob(look, host);
      await save(look, target, {
        state: "updating",
        wave,
        jobId,
        fromVersion: versionOn(host, look.run.program),
      });
      left -= 1;
    }
  }
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
  const states = [...look.targets.values()].map(({ state }) => state);
  if (states.includes("updating")) return;
  if (look.run.state === "cancelled") return become(look, { endedAt: look.now });
  if (look.run.state !== "running" || states.includes("waiting")) return;
  const count = (wanted: UpdateTarget["state"]) => states.filter((state) => state === wanted).length;
  await become(look, { state: "done", endedAt: look.now });
  await note(look, "done", { updated: count("done"), failed: count("failed"), by_hand: count("skipped") });
}
