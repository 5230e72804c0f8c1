/**
 * Schedules without sockets: a host with a source group and a schedule in a real database, the watch on a clock that
 * the test moves, and an agent that is no more than its heartbeat and what the test says it did.
 */
import { agentConnected } from "../../server/src/features/agent-link/agent-link.ts";
import { getHost, type Host, recordHello, touchHosts } from "../../server/src/features/hosts/hosts.ts";
import {
  announce,
  getJob,
  type Job,
  type JobStatus,
  listJobs,
  moveJob,
} from "../../server/src/features/jobs/jobs.ts";
import {
  createSchedule,
  getSchedule,
  type Schedule,
  type ScheduleDraft,
  ScheduleWatch,
  settleMs,
} from "../../server/src/features/schedules/schedules.ts";
import { createDefaultGroup } from "../../server/src/features/sources/sources.ts";
import type { Engine } from "../../server/src/platform/db/db.ts";
import { EventBus } from "../../server/src/platform/events.ts";
import { systemActor } from "../../server/src/platform/http/identity.ts";
import { createLog } from "../../server/src/platform/log.ts";
import { FakeClock } from "./clock.ts";
import { openTestDatabase, type TestDatabase } from "./databases.ts";
import { makeHost } from "./hosts.ts";

const minuteMs = 60_000;
/** The watch looks so often. */
const stepMs = 5000;

export class ScheduleLab {
  readonly clock: FakeClock;
  readonly bus = new EventBus(createLog("silent"));
  readonly database: TestDatabase;
  /** Whose agents are alive: each advance keeps their heartbeats coming. */
  readonly alive = new Set<string>();
  watches: ScheduleWatch[] = [];
  private count = 0;

  private constructor(database: TestDatabase, clock: FakeClock) {
    this.database = database;
    this.clock = clock;
  }

  /** @param startMs where the clock begins; 2026-11-23T04:00:00Z by default */
  static async open(engine: Engine, startMs?: number): Promise<ScheduleLab> {
    const lab = new ScheduleLab(await openTestDatabase(engine), new FakeClock(startMs));
    lab.startWatch();
    return lab;
  }

  get db() {
    return this.database.db;
  }

  get deps() {
    return { db: this.db, clock: this.clock, events: this.bus };
  }

  /** The first of the servers' watches. */
  get watch(): ScheduleWatch {
    const [watch] = this.watches;
    if (!watch) throw new Error("no watch runs");
    return watch;
  }

  /** Another server over the same database. */
  startWatch(): ScheduleWatch {
    const log = createLog("silent");
    const watch = new ScheduleWatch({
      db: this.db,
      clock: this.clock,
      bus: this.bus,
      log,
      isLeader: () => true,
    });
    watch.start();
    this.watches.push(watch);
    return watch;
  }

  async stopWatches(): Promise<void> {
    for (const watch of this.watches.splice(0)) await watch.stop();
  }

  async close(): Promise<void> {
    await this.stopWatches();
    await this.database.close();
  }

  /** A connected host with one source group, `default`. */
  async addHost(name = `host-${++this.count}`): Promise<{ host: Host; groupId: string }> {
    const at = this.clock.now();
    const host = await makeHost(this.db, { name, at });
    const group = await createDefaultGroup(this.db, { host, initialPaths: ["/etc"], at });
    await this.connect(host.id);
    return { host: await getHost(this.db, host.id), groupId: group.id };
  }

  async connect(hostId: string): Promise<void> {
    const facts = { agentVersion: "1", resticVersion: "0.19.1", os: "linux", arch: "x64", clockSkewMs: 0 };
    const machine = { machineId: null, bootId: null, resticProblem: null };
    const set = { appliedScheduleVersion: 0, hooksAllowed: true, backendKinds: null, jobKinds: null };
    await recordHello(this.db, hostId, { ...facts, ...machine, ...set, at: this.clock.now() });
    this.alive.add(hostId);
    this.bus.emit(agentConnected, { hostId, replicaId: "alone" });
  }

  /** No heartbeat comes any more. */
  disconnect(hostId: string): void {
    this.alive.delete(hostId);
  }

  addSchedule(hostId: string, groupIds: string[], draft: Partial<ScheduleDraft> = {}): Promise<Schedule> {
    const daily = { cron: "0 5 * * *", timeZone: "UTC", jitterSeconds: 0, enabled: true };
    const input = { hostId, draft: { ...daily, sourceGroupIds: groupIds, ...draft }, actor: systemActor };
    return createSchedule(this.deps, input);
  }

  schedule(schedule: Schedule): Promise<Schedule> {
    return getSchedule(this.db, schedule.hostId, schedule.id);
  }

  /** Lets time pass with heartbeats and every tick of the watches. For minutes, not for days. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      await this.clock.advance(Math.min(left, stepMs));
      await this.beat();
    }
  }

  /** Much time at once, as when everything was suspended: what was due meanwhile is seen at its end. */
  async leap(ms: number): Promise<void> {
    await this.clock.suspend(ms);
    await this.beat();
  }

  private async beat(): Promise<void> {
    await touchHosts(this.db, new Map([...this.alive].map((id) => [id, this.clock.now()])), this.clock.now());
    await this.settled();
  }

  /** Leaps to a minute before the given instant and passes the rest. */
  async passUntil(instant: string): Promise<void> {
    const left = Date.parse(instant) - this.clock.now();
    const last = Math.min(left, minuteMs);
    if (left > last) await this.leap(left - last);
    await this.pass(last);
  }

  /** Long enough that the server knows what a host did meanwhile, and tried what waits. */
  settle(): Promise<void> {
    return this.pass(settleMs + minuteMs);
  }

  /** Lets what was woken run to its end. */
  async settled(): Promise<void> {
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    await Promise.all(this.watches.map((watch) => watch.idle()));
  }

  /** The host's agent fires, as it does at its time. */
  fire(host: Host, schedule: Schedule, plannedAt: string, watch = this.watch) {
    return watch.answerFire(host, { type: "schedule.fire", schedule_id: schedule.id, planned_at: plannedAt });
  }

  async jobs(hostId?: string): Promise<Job[]> {
    const filter = hostId === undefined ? {} : { hostId };
    return (await listJobs(this.db, filter, { limit: 1000, offset: 0 })).toReversed();
  }

  /** Runs a queued job to that end, as its agent would tell it. */
  async end(job: Job, status: JobStatus): Promise<void> {
    let now: Job | null = await getJob(this.db, job.id);
    for (const to of ["dispatched", "running", status] as const) {
      if (now && now.status !== to && !(now.status === "running" && to === "dispatched"))
        now = await moveJob(
          this.db,
          now,
          to,
          to === status ? { finishedAt: this.clock.now() } : { attempt: 1 },
        );
    }
    if (now) announce(this.bus, now);
    await this.settled();
  }
}
