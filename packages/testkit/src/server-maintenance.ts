/**
 * Maintenance without sockets: hosts that share a repository in a real database, the watch on a clock that the test
 * moves, and agents that are no more than their heartbeat.
 */
import type { JobFinished } from "@restic-manager/protocol";
import {
  getHost,
  type Host,
  recordHello,
  setHostRepository,
  touchHosts,
} from "../../server/src/features/hosts/hosts.ts";
import { getJob, type Job, type JobStatus, listJobs, moveJob } from "../../server/src/features/jobs/jobs.ts";
import { type Fire, listLastFires } from "../../server/src/features/maintenance/maintenance.store.ts";
import {
  editMaintenance,
  getMaintenance,
  type MaintenanceDraft,
  MaintenanceWatch,
} from "../../server/src/features/maintenance/maintenance.ts";
import {
  editAdminCredentials,
  ensureRepository,
  listRepositoryPage,
  type RepositoriesDeps,
  saveEverydayAccess,
} from "../../server/src/features/repositories/repositories.ts";
import { onSnapshotsReport } from "../../server/src/features/snapshots/snapshots.ts";
import { createSourceGroup, readGroupDraft } from "../../server/src/features/sources/sources.ts";
import { type Engine, inTransaction } from "../../server/src/platform/db/db.ts";
import { EventBus } from "../../server/src/platform/events.ts";
import { systemActor } from "../../server/src/platform/http/identity.ts";
import { createLog } from "../../server/src/platform/log.ts";
import { createSecretBox } from "../../server/src/platform/secrets.ts";
import { FakeClock } from "./clock.ts";
import { openTestDatabase, type TestDatabase } from "./databases.ts";
import { makeHost } from "./hosts.ts";
import { reportOf, snapshotOf } from "./server-messages.ts";

const minuteMs = 60_000;

export interface MaintenanceHostOptions {
  location?: string;
  /** Its one group keeps for ever when null. */
  keepDaily?: number | null;
  clockSkewMs?: number;
}

export class MaintenanceLab {
  readonly clock: FakeClock;
  readonly bus = new EventBus(createLog("silent"));
  readonly box = createSecretBox(Buffer.alloc(32, 7));
  readonly database: TestDatabase;
  /** Every line that the watches logged. */
  readonly lines: Record<string, unknown>[] = [];
  readonly log = createLog("info", { write: (line) => this.lines.push(JSON.parse(line)) });
  /** Whose agents are alive: each step keeps their heartbeats coming. */
  readonly alive = new Set<string>();
  watches: MaintenanceWatch[] = [];

  private constructor(database: TestDatabase, clock: FakeClock) {
    this.database = database;
    this.clock = clock;
  }

  /** @param startMs where the clock begins; Monday 2026-11-23T04:00:00Z by default */
  static async open(engine: Engine, startMs?: number): Promise<MaintenanceLab> {
    const lab = new MaintenanceLab(await openTestDatabase(engine), new FakeClock(startMs));
    lab.startWatch();
    return lab;
  }

  get db() {
    return this.database.db;
  }

  get deps() {
    return { db: this.db, box: this.box, clock: this.clock, bus: this.bus, log: this.log };
  }

  get repositories(): RepositoriesDeps {
    const nameOf: RepositoriesDeps["hosts"]["nameOf"] = async (db, id) => (await getHost(db, id)).name;
    return { ...this.deps, events: this.bus, hosts: { nameOf, setRepository: setHostRepository } };
  }

  /** Another server over the same database. */
  startWatch(): MaintenanceWatch {
    const watch = new MaintenanceWatch({ ...this.deps, isLeader: () => true });
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

  /** A connected host with everyday credentials and one source group, `web`. */
  async addHost(name: string, options: MaintenanceHostOptions = {}): Promise<Host> {
    const at = this.clock.now();
    const { location = "rest:https://backup.example.org/shared", keepDaily = 7 } = options;
    const repository = await ensureRepository(this.db, location, at);
    const host = await makeHost(this.db, { name, repositoryId: repository.id, at });
    const access = { location, password: "everyday-secret", rest_username: null, rest_password: null };
    await saveEverydayAccess(this.db, this.box, { hostId: host.id, access, at });
    const draft = readGroupDraft({ name: "web", includes: ["/srv"], retention: { keep_daily: keepDaily } });
    const sources = { ...this.deps, events: this.bus, schedulesUsing: async () => [] };
    await createSourceGroup(sources, { hostId: host.id, draft, actor: systemActor });
    await this.connect(host.id, options.clockSkewMs);
    return getHost(this.db, host.id);
  }

  async connect(hostId: string, clockSkewMs = 0): Promise<void> {
    const facts = { agentVersion: "1", resticVersion: "0.19.1", os: "linux", arch: "x64", clockSkewMs };
    const machine = { machineId: null, bootId: null, resticProblem: null };
    const set = { appliedScheduleVersion: 0, hooksAllowed: true, backendKinds: null, jobKinds: null };
    await recordHello(this.db, hostId, { ...facts, ...machine, ...set, at: this.clock.now() });
    this.alive.add(hostId);
  }

  /** The host's agent reports one snapshot for each of these groups. */
  async addSnapshots(host: Host, ...groups: string[]): Promise<void> {
    const taken = groups.map((group, n) =>
      snapshotOf(
        `${n}${host.id}`
          .toLowerCase()
          .replace(/[^0-9a-f]/g, "0")
          .padEnd(64, "0"),
        {
          ...{ hostname: host.name, tags: [group] },
        },
      ),
    );
    await inTransaction(this.db, (tx) => onSnapshotsReport(this.deps, tx, host, reportOf(1, taken)));
  }

  async addAdmin(host: Host): Promise<void> {
    await editAdminCredentials(this.repositories, {
      ...{ hostId: host.id, actor: systemActor, restUsername: "admin", restPassword: "admin-secret" },
    });
  }

  async edit(host: Host, draft: Partial<MaintenanceDraft>): Promise<void> {
    const before = await getMaintenance(this.db, host.repositoryId ?? "");
    const input = { hostId: host.id, version: before.version, actor: systemActor };
    await editMaintenance(this.deps, { ...input, draft: { ...before, ...draft } });
  }

  /** Lets time pass with heartbeats, minute by minute from ten minutes before the end; the rest in one leap. */
  async passUntil(instant: string): Promise<void> {
    const target = Date.parse(instant);
    const leap = target - this.clock.now() - 10 * minuteMs;
    if (leap > 0) await this.step(leap, (ms) => this.clock.suspend(ms));
    while (this.clock.now() < target) await this.step(Math.min(minuteMs, target - this.clock.now()));
    await this.settled();
  }

  /** What is due meanwhile is seen at its end. */
  private async step(ms: number, pass = (ms: number) => this.clock.advance(ms)): Promise<void> {
    const then = this.clock.now() + ms;
    await touchHosts(this.db, new Map([...this.alive].map((id) => [id, then])), then);
    await pass(ms);
    await this.settled();
  }

  async settled(): Promise<void> {
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
    await Promise.all(this.watches.map((watch) => watch.idle()));
  }

  /** In the order of their ids, which is the order in which lanes take them. */
  async jobs(): Promise<Job[]> {
    const jobs = await listJobs(this.db, {}, { limit: 1000, offset: 0 });
    return jobs.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  async lastFires(): Promise<Fire[]> {
    const repositories = await listRepositoryPage(this.db, { after: "", limit: 1000 });
    return listLastFires(
      this.db,
      repositories.map(({ id }) => id),
    );
  }

  /** Runs a queued job to that end. */
  async end(
    job: Job,
    status: JobStatus,
    told: Partial<Pick<JobFinished, "error" | "result">> = {},
  ): Promise<void> {
    const at = this.clock.now();
    const patch = { finishedAt: at, error: told.error ?? null, result: told.result ?? null };
    let now: Job | null = await getJob(this.db, job.id);
    if (now?.status === "queued")
      now = await moveJob(this.db, now, "dispatched", { attempt: 1, dispatchedAt: at });
    if (now?.status === "dispatched") now = await moveJob(this.db, now, "running", { startedAt: at });
    if (now && status !== "running") await moveJob(this.db, now, status, patch);
  }
}
