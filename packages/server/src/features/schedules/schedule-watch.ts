/**
 * What looks after schedules beside the requests: that every planned time gets its outcome, whether its host fired or
 * not, and that what waits or failed is tried again. Invariants: rows are the truth, so a restart or a second server
 * changes nothing; work goes in small transactions, so that ten thousand schedules due in one minute block nobody.
 */
import { setImmediate as othersRun } from "node:timers/promises";
import type { ScheduleFire, ServerMessage } from "@restic-manager/protocol";
import type { Logger } from "pino";
import { type Clock, fromInstant } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import { GroupCommit } from "../../platform/db/group-commit.ts";
import type { EventBus } from "../../platform/events.ts";
import { agentConnected } from "../agent-link/agent-link.ts";
import { findHost, getHost, type Host, type HostIdentity, hostRemoved, isOnline } from "../hosts/hosts.ts";
import { announce, findJob, isFinal, type Job, jobChanged, listFinalOf } from "../jobs/jobs.ts";
import { purgeFires } from "./fires.store.ts";
import { claimFire, refusalOf } from "./fires.ts";
import { noteMissed, settleEnd, tryAgain, tryOffline } from "./pending-runs.ts";
import { newestDue, timesOf } from "./planned-times.ts";
import * as store from "./schedules.store.ts";

const tickMs = 5000;
/** Every so many ticks, which is 30 s: what waits is tried. */
const drainEvery = 6;
/** Every so many ticks, which is an hour: what nobody asks for any more goes. */
const purgeEvery = 720;
/** A host that comes back first tells what it did meanwhile; only then is it known what it missed. */
export const settleMs = 60_000;
/** Schedules read at once. */
const slice = 50;
/** On SQLite a transaction of claims runs in one piece; nobody shall wait 50 ms for it, its commit and its answers. */
const transactionMs = 10;
const dayMs = 24 * 60 * 60_000;
const keepDeletedMs = 31 * dayMs;
/** Outcomes are kept for a year and a bit: this time last year can be compared. */
const keepFiresMs = 400 * dayMs;
const purgeSlice = 500;

export interface WatchDeps {
  db: Db;
  clock: Clock;
  bus: EventBus;
  log: Logger;
  /** Whether this server does what only one of all replicas shall do. */
  isLeader(): boolean;
}

export class ScheduleWatch {
  private readonly deps: WatchDeps;
  private readonly commits: GroupCommit;
  private readonly stopping = new AbortController();
  private readonly unsubscribe: (() => void)[] = [];
  /** When each host connected last, to whichever replica. */
  private readonly connectedAt = new Map<string, number>();
  private startedAt = 0;
  private ticking: Promise<void> | null = null;
  /** The tick that is at work, or was last. */
  private round: Promise<void> = Promise.resolve();
  private readonly settling = new Set<Promise<void>>();

  constructor(deps: WatchDeps) {
    this.deps = deps;
    this.commits = new GroupCommit(deps.db, deps.clock, transactionMs);
  }

  start(): void {
    const { bus, clock } = this.deps;
    this.startedAt = clock.now();
    this.unsubscribe.push(
      bus.on(agentConnected, ({ hostId }, origin) => {
        this.connectedAt.set(hostId, clock.now());
        if (origin === "here")
          this.supervise(store.hastenPending(this.deps.db, hostId, clock.now() + settleMs));
      }),
      // Not when it disconnects: from one replica it may go to another.
      bus.on(hostRemoved, ({ hostId }) => void this.connectedAt.delete(hostId)),
      bus.on(jobChanged, ({ jobId, status }, origin) => {
        // Whoever stored the end settles it. If that server is gone before, the drain finds it.
        if (isFinal(status) && origin === "here") this.supervise(this.settle(jobId));
      }),
    );
    this.ticking = this.keepTicking();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    for (const off of this.unsubscribe.splice(0)) off();
    await this.ticking;
    await this.idle();
  }

  /** Resolves when everything is done that the time and events asked for until now. */
  async idle(): Promise<void> {
    await this.round;
    while (this.settling.size > 0) await Promise.all(this.settling);
  }

  /** A planned time has come on a host. Idempotent: what is taken already is taken. */
  async answerFire(by: HostIdentity, fire: ScheduleFire): Promise<ServerMessage> {
    const { schedule_id, planned_at } = fire;
    const plannedAt = fromInstant(planned_at);
    const at = this.deps.clock.now();
    const { jobs, code } = await this.commits.run(async (tx) => {
      const schedule = await store.lockSchedule(tx, schedule_id);
      const refusal = refusalOf(by, schedule, plannedAt, at);
      if (refusal !== null || !schedule) return { jobs: [], code: refusal };
      // As it is now: its repository may have been edited since it connected.
      const host = await getHost(tx, by.id);
      return { ...(await claimFire(tx, host, schedule, { plannedAt, at })), code: null };
    });
    this.announceAll(jobs);
    const answer = { type: "schedule.fired" as const, schedule_id, planned_at };
    return code === null ? { ...answer, outcome: "taken" } : { ...answer, outcome: "refused", code };
  }

  /** Looks at every schedule whose outcome is overdue. @returns how many were looked at */
  async look(): Promise<number> {
    const { db, clock } = this.deps;
    let looked = 0;
    while (!this.stopping.signal.aborted) {
      const due = await store.listToLookAt(db, clock.now(), slice);
      if (due.length === 0) return looked;
      looked += due.length;
      const made = await Promise.all(due.map(({ id }) => this.commits.run((tx) => this.lookAt(tx, id))));
      this.announceAll(made.flat());
      await othersRun();
    }
    return looked;
  }

  /** Tries what waits for its host or for its next try, and looks for ends that were missed. */
  async drain(): Promise<void> {
    await this.each("offline", (tx, run) => this.withHost(tx, run, tryOffline));
    await this.each("failed", (tx, run) => this.withHost(tx, run, tryAgain));
    await this.each("running", async (tx, run) => {
      const [ended] = await listFinalOf(tx, run.jobId === null ? [] : [run.jobId]);
      const host = ended && (await findHost(tx, run.hostId));
      if (host) await settleEnd(tx, host, { run, job: ended, now: this.deps.clock.now() });
      else await store.postponePending(tx, run, this.deps.clock.now() + settleMs);
      return [];
    });
  }

  private async lookAt(tx: Db, scheduleId: string): Promise<Job[]> {
    const now = this.deps.clock.now();
    const schedule = await store.lockSchedule(tx, scheduleId);
    const host = schedule && (await findHost(tx, schedule.hostId));
    if (!host || schedule.nextFireAt === null) return [];
    const plannedAt = newestDue(schedule, now);
    if (plannedAt === null) {
      // What was planned is no time of this cron, such as after a change of the zone's rules.
      await store.advanceSchedule(tx, schedule, timesOf(schedule).next(now));
      return [];
    }
    const settledAt = this.settledAt(host);
    if (settledAt > now) await store.lookLater(tx, scheduleId, settledAt);
    else if (!isOnline(host, now)) await noteMissed(tx, schedule, plannedAt, now);
    else return (await claimFire(tx, host, schedule, { plannedAt, at: now })).jobs;
    return [];
  }

  /** From when on it is known what the host did by itself: after it, or this server, came back. */
  private settledAt(host: Host): number {
    return Math.max(this.startedAt, this.connectedAt.get(host.id) ?? 0) + settleMs;
  }

  private async withHost(
    tx: Db,
    run: store.PendingRun,
    work: (
      tx: Db,
      host: Host,
      schedule: NonNullable<Awaited<ReturnType<typeof store.findSchedule>>>,
      input: { run: store.PendingRun; now: number },
    ) => Promise<Job[]>,
  ): Promise<Job[]> {
    const now = this.deps.clock.now();
    const schedule = await store.lockSchedule(tx, run.scheduleId);
    const host = schedule && (await findHost(tx, run.hostId));
    const settledAt = host ? this.settledAt(host) : now + settleMs;
    if (!host || settledAt > now) {
      await store.postponePending(tx, run, settledAt);
      return [];
    }
    return work(tx, host, schedule, { run, now });
  }

  private async each(
    waits: store.PendingWait,
    work: (tx: Db, run: store.PendingRun) => Promise<Job[]>,
  ): Promise<void> {
    const now = this.deps.clock.now();
    while (!this.stopping.signal.aborted) {
      const due = await store.listDuePending(this.deps.db, waits, now, slice);
      if (due.length === 0) return;
      const made = await Promise.all(due.map((run) => this.commits.run((tx) => work(tx, run))));
      this.announceAll(made.flat());
      await othersRun();
    }
  }

  private async settle(jobId: string): Promise<void> {
    const { db, clock } = this.deps;
    const [run] = await store.listPending(db, { jobId });
    if (!run) return;
    await this.commits.run(async (tx) => {
      const job = await findJob(tx, jobId);
      const host = await findHost(tx, run.hostId);
      if (job && host) await settleEnd(tx, host, { run, job, now: clock.now() });
    });
  }

  private announceAll(jobs: Job[]): void {
    for (const job of jobs) announce(this.deps.bus, job);
  }

  /** Work that nobody waits for. What fails now is found again by the next drain. */
  private supervise(work: Promise<void>): void {
    const watched = work
      .catch((error: unknown) => this.deps.log.error({ err: error }, "a scheduled run could not be settled"))
      .then(() => void this.settling.delete(watched));
    this.settling.add(watched);
  }

  private async keepTicking(): Promise<void> {
    for (let tick = 1; ; tick++) {
      await this.deps.clock.sleep(tickMs, this.stopping.signal);
      if (this.stopping.signal.aborted) return;
      this.round = this.tick(tick).catch((error: unknown) =>
        this.deps.log.error({ err: error }, "looking after the schedules failed"),
      );
      await this.round;
    }
  }

  private async tick(tick: number): Promise<void> {
    if (!this.deps.isLeader()) return;
    await this.look();
    if (tick % drainEvery === 0) await this.drain();
    if (tick % purgeEvery === 0) await this.purge();
  }

  private async purge(): Promise<void> {
    const { db, clock } = this.deps;
    await store.purgeDeleted(db, clock.now() - keepDeletedMs);
    while (!this.stopping.signal.aborted) {
      if ((await purgeFires(db, clock.now() - keepFiresMs, purgeSlice)) < purgeSlice) return;
      await othersRun();
    }
  }
}
