/**
 * A part of the fleet once more over the real `ScheduleWatch` and a real database: what the model's server was told is
 * told to the real one at the same moments, and what it answers and what its rows say at the end must be the same.
 */
import { scheduledJobId } from "@restic-manager/protocol";
import { migrations } from "../../packages/server/migrations/index.ts";
import {
  agentConnected,
  agentDisconnected,
} from "../../packages/server/src/features/agent-link/agent-link.ts";
import { updateSettings } from "../../packages/server/src/features/hosts/hosts.store.ts";
import {
  createHost,
  getHost,
  recordHello,
  touchHosts,
} from "../../packages/server/src/features/hosts/hosts.ts";
import { announce, findJob, type JobStatus, moveJob } from "../../packages/server/src/features/jobs/jobs.ts";
import { listFires } from "../../packages/server/src/features/schedules/fires.store.ts";
import {
  findSchedule,
  insertSchedule,
  listPending,
} from "../../packages/server/src/features/schedules/schedules.store.ts";
import { recordRan, ScheduleWatch } from "../../packages/server/src/features/schedules/schedules.ts";
import { noOptions, noRetention } from "../../packages/server/src/features/sources/source-group.ts";
import { insertSourceGroup } from "../../packages/server/src/features/sources/sources.store.ts";
import { listSourceGroups, specOfGroup } from "../../packages/server/src/features/sources/sources.ts";
import { toInstant } from "../../packages/server/src/platform/clock.ts";
import { type Db, inTransaction } from "../../packages/server/src/platform/db/db.ts";
import { migrate } from "../../packages/server/src/platform/db/migrate.ts";
import { openSqlite } from "../../packages/server/src/platform/db/sqlite.ts";
import { AppError } from "../../packages/server/src/platform/errors.ts";
import { EventBus } from "../../packages/server/src/platform/events.ts";
import { createLog } from "../../packages/server/src/platform/log.ts";
import type { PlanHost, ServerLife, Span } from "./fleet-plan.ts";
import type { Told } from "./host-year.ts";
import { type Found, outcomesOf } from "./outcomes.ts";
import { ServerLives } from "./server-ticks.ts";

const heartbeatMs = 25_000;

type Tables = {
  schedules: { look_at: number | null };
  pending_runs: { next_try_at: number | null; waits: string };
};

/** Stands still until it is set. Nothing that sleeps wakes before the end: ticks are asked for. */
class StillClock {
  nowMs: number;

  constructor(nowMs: number) {
    this.nowMs = nowMs;
  }

  now = (): number => this.nowMs;

  monotonic = (): number => this.nowMs;

  sleep = (_ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => signal?.addEventListener("abort", () => resolve(), { once: true }));
}

export class Replay {
  readonly differences: string[] = [];
  private readonly db: Db;
  private readonly clock: StillClock;
  private readonly lives: ServerLife[];
  private readonly ticks: ServerLives;
  private readonly servers = new Map<number, { watch: ScheduleWatch; bus: EventBus }>();
  private nextLife = 0;
  /** Who is connected since when. */
  private readonly links = new Map<string, number>();

  private constructor(db: Db, span: Span, lives: ServerLife[]) {
    this.db = db;
    this.clock = new StillClock(span.from);
    this.lives = lives;
    this.ticks = new ServerLives(lives);
  }

  static async open(hosts: PlanHost[], span: Span, lives: ServerLife[]): Promise<Replay> {
    const db = openSqlite(":memory:");
    await migrate({ db, engine: "sqlite", migrations: migrations("sqlite") });
    await inTransaction(db, async (tx) => {
      for (const host of hosts) await insertHost(tx, host, span.from);
    });
    return new Replay(db, span, lives);
  }

  /** @param told by all hosts, in the order of time */
  async play(told: readonly Told[], endMs: number): Promise<void> {
    for (const one of told) {
      await this.tickUntil(one.at);
      this.clock.nowMs = one.at;
      await this.tell(one);
    }
    await this.tickUntil(endMs);
  }

  async outcomes(host: PlanHost, endMs: number): Promise<Found[]> {
    const found: Found[] = [];
    for (const plan of host.schedules) {
      const fires = await listFires(this.db, plan.id, 100_000);
      const pending = await listPending(this.db, { scheduleId: plan.id });
      const nextFireAt = (await findSchedule(this.db, plan.id))?.nextFireAt ?? 0;
      found.push(outcomesOf(plan, { nextFireAt, fires, pending }, endMs));
    }
    return found;
  }

  async close(): Promise<void> {
    for (const { watch } of this.servers.values()) await watch.stop();
    await this.db.destroy();
  }

  private async tickUntil(until: number): Promise<void> {
    for (;;) {
      const due = await this.due();
      const tick = this.ticks.firstTick({ ...due, now: this.clock.nowMs, until });
      await this.liveUntil(tick?.at ?? until);
      if (tick === null) return;
      this.clock.nowMs = tick.at;
      await this.beat();
      const server = this.servers.get(tick.life.replica);
      await server?.watch.look();
      if (tick.drains) await server?.watch.drain();
      await server?.watch.idle();
    }
  }

  /** When there is something to look at or to drain, by the rows. */
  private async due(): Promise<{ lookAt: number; drainAt: number }> {
    const rows = this.db.withTables<Tables>();
    const look = await rows
      .selectFrom("schedules")
      .select((e) => e.fn.min("look_at").as("at"))
      .executeTakeFirst();
    const drain = await rows
      .selectFrom("pending_runs")
      .select((e) => e.fn.min("next_try_at").as("at"))
      .where("waits", "!=", "running")
      .executeTakeFirst();
    const never = Number.POSITIVE_INFINITY;
    return { lookAt: look?.at ?? never, drainAt: drain?.at ?? never };
  }

  /** Servers that end and begin up to and with that moment. */
  private async liveUntil(until: number): Promise<void> {
    for (; (this.lives[this.nextLife]?.from ?? Number.POSITIVE_INFINITY) <= until; this.nextLife++) {
      const life = this.lives[this.nextLife];
      if (!life) return;
      await this.servers.get(life.replica)?.watch.stop();
      const now = this.clock.nowMs;
      this.clock.nowMs = life.from;
      const log = createLog("error");
      const bus = new EventBus(log);
      const watch = new ScheduleWatch({ db: this.db, clock: this.clock, bus, log, isLeader: () => true });
      watch.start();
      this.clock.nowMs = Math.max(now, life.from);
      this.servers.set(life.replica, { watch, bus });
    }
  }

  private async beat(hostId?: string): Promise<void> {
    const { nowMs } = this.clock;
    const links =
      hostId === undefined ? [...this.links] : [[hostId, this.links.get(hostId) ?? nowMs] as const];
    await touchHosts(
      this.db,
      new Map(
        links.map(([id, since]) => [id, since + Math.floor((nowMs - since) / heartbeatMs) * heartbeatMs]),
      ),
      nowMs,
    );
  }

  private async tell(told: Told): Promise<void> {
    const server = this.servers.get(told.replica);
    if (!server) throw new Error(`no server ${told.replica} runs at ${toInstant(told.at)}`);
    const { hostId, at } = told;
    if (told.kind === "connect") {
      await recordHello(this.db, hostId, hello(at));
      this.links.set(hostId, at);
      server.bus.emit(agentConnected, { hostId, replicaId: String(told.replica) });
    } else if (told.kind === "disconnect") {
      await this.beat(hostId);
      this.links.delete(hostId);
      server.bus.emit(agentDisconnected, { hostId, replicaId: String(told.replica) });
    } else if (told.kind === "fire") await this.fire(told, server.watch);
    else if (told.kind === "ran") await this.ran(told, server.bus);
    else await this.end(told.jobId, told.status, server.bus);
    await server.watch.idle();
  }

  private async fire(told: Told & { kind: "fire" }, watch: ScheduleWatch): Promise<void> {
    const { scheduleId: schedule_id, plannedAt } = told.fire;
    const host = await getHost(this.db, told.hostId);
    const planned_at = toInstant(plannedAt);
    const answer = await watch.answerFire(host, { type: "schedule.fire", schedule_id, planned_at });
    const outcome = answer.type === "schedule.fired" ? answer.outcome : answer.type;
    if (outcome !== told.answer)
      this.differ(told.at, `${schedule_id} ${planned_at} was ${outcome}, not ${told.answer}`);
  }

  private async ran(told: Told & { kind: "ran" }, bus: EventBus): Promise<void> {
    const { fire, groupId: sourceGroupId, at } = told;
    const host = await getHost(this.db, told.hostId);
    const group = (await listSourceGroups(this.db, host.id)).find(({ id }) => id === sourceGroupId);
    if (!group) throw new Error(`there is no group ${sourceGroupId}`);
    const event = {
      ...{ type: "schedule.ran" as const, seq: 1, attempt: 1, schedule_id: fire.scheduleId },
      ...{ planned_at: toInstant(fire.plannedAt), source_group_id: sourceGroupId, at: toInstant(at) },
      job_id: scheduledJobId({ ...fire, sourceGroupId, tries: 0 }),
      spec: specOfGroup(host, group),
    };
    try {
      const job = await inTransaction(this.db, (tx) => recordRan(tx, host, event, at));
      announce(bus, job);
      if (!told.taken) this.differ(at, `${event.job_id} was taken in, and refused in the model`);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      if (told.taken) this.differ(at, `${event.job_id} was refused: ${error.code}`);
    }
  }

  /** As the agent's events move it. */
  private async end(jobId: string, status: JobStatus, bus: EventBus): Promise<void> {
    const job = await findJob(this.db, jobId);
    if (!job) return this.differ(this.clock.nowMs, `there is no job ${jobId}`);
    const way: JobStatus[] = job.status === "expired" ? [status] : ["dispatched", "running", status];
    let now: typeof job | null = job;
    for (const to of way.slice(job.status === "dispatched" ? 1 : 0)) {
      const patch = to === status ? { finishedAt: this.clock.nowMs } : { attempt: 1 };
      if (now) now = await moveJob(this.db, now, to, patch);
    }
    if (now) announce(bus, now);
  }

  private differ(at: number, what: string): void {
    this.differences.push(`${toInstant(at)}: ${what}`);
  }
}

const hello = (at: number) => ({
  ...{ agentVersion: "1", resticVersion: "0.19.1", os: "linux", arch: "x64", clockSkewMs: 0 },
  ...{
    machineId: null,
    bootId: null,
    resticProblem: null,
    appliedScheduleVersion: 0,
    hooksAllowed: true,
    backendKinds: null,
    jobKinds: null,
    at,
  },
});

async function insertHost(tx: Db, plan: PlanHost, at: number): Promise<void> {
  const name = `host-${plan.index}`;
  const identity = { id: plan.id, name, os: "linux", arch: "x64", tags: [], repositoryId: null, at };
  const host = await createHost(tx, { ...identity, bearer: name, agentVersion: null, resticVersion: null });
  await updateSettings(tx, { ...host, mode: plan.mode });
  for (const [i, id] of plan.groupIds.entries()) {
    await insertSourceGroup(tx, {
      ...{ id, hostId: plan.id, name: `group-${i}`, includes: ["/etc"], excludes: [], options: noOptions },
      ...{
        retention: noRetention,
        retryMax: 3,
        retryBackoffSeconds: 60,
        version: 1,
        createdAt: at,
        updatedAt: null,
      },
    });
  }
  for (const { id, hostId, cron, timeZone, jitterSeconds, groupIds, firstPlannedAt } of plan.schedules) {
    await insertSchedule(tx, {
      ...{
        id,
        hostId,
        cron,
        timeZone,
        jitterSeconds,
        pausedAt: null,
        deletedAt: null,
        nextFireAt: firstPlannedAt,
      },
      ...{ sourceGroupIds: groupIds, version: 1, createdAt: at, updatedAt: at },
    });
  }
}
