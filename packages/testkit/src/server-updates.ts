/**
 * Update runs without sockets: hosts in a real database, a real signed release in a folder, the watch on a clock that the
 * test moves. Agents are a set of those that are connected; what they answer is said by the test.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jobKinds } from "@restic-manager/protocol";
import { agentConnected, agentDisconnected } from "../../server/src/features/agent-link/agent-link.ts";
import { ReleaseShelf } from "../../server/src/features/artefacts/artefacts.ts";
import { listAudit } from "../../server/src/features/audit/audit.ts";
import { getHost, type Host, recordHello } from "../../server/src/features/hosts/hosts.ts";
import {
  announce,
  getJob,
  isFinal,
  type Job,
  listJobs,
  moveJob,
} from "../../server/src/features/jobs/jobs.ts";
import { startUpdate, type UpdateWish } from "../../server/src/features/updates/update-edits.ts";
import { getRunView, type RunView } from "../../server/src/features/updates/update-view.ts";
import { UpdateWatch } from "../../server/src/features/updates/updates.ts";
import type { Engine } from "../../server/src/platform/db/db.ts";
import { EventBus } from "../../server/src/platform/events.ts";
import { createLog } from "../../server/src/platform/log.ts";
import { FakeClock } from "./clock.ts";
import { openTestDatabase, type TestDatabase } from "./databases.ts";
import { makeHost } from "./hosts.ts";
import { releaseContent, writeRelease } from "./release-folder.ts";

/** What a host's agent says of itself. */
export interface UpdatesHello {
  /** Default 0.1.0. */
  agentVersion?: string;
  /** The kinds of job that it knows; all by default, null when it does not tell. */
  kinds?: string[] | null;
  /** As hello names it; linux by default. */
  os?: string;
  arch?: string;
}

export class UpdatesLab {
  readonly clock = new FakeClock();
  /** Renewed with each restart of the server. */
  bus = new EventBus(createLog("silent"));
  readonly actor = { kind: "user" as const, id: "U1", name: "anna" };
  /** Whose agents are connected. */
  readonly connected = new Set<string>();
  watch: UpdateWatch;
  private readonly database: TestDatabase;
  private readonly folder: string;
  private readonly shelf: ReleaseShelf;

  private constructor(database: TestDatabase, folder: string) {
    this.database = database;
    this.folder = folder;
    const { clock } = this;
    const folders = { dataFolder: folder, builtInFolder: join(folder, "none") };
    this.shelf = new ReleaseShelf({ clock, log: createLog("silent"), ...folders });
    this.watch = this.startWatch();
  }

  /** With agent 0.2.0 and restic 0.19.1 to be had. */
  static async open(engine: Engine): Promise<UpdatesLab> {
    const lab = new UpdatesLab(await openTestDatabase(engine), await mkdtemp(join(tmpdir(), "rm-updates-")));
    await writeRelease(lab.folder, releaseContent("0.2.0"));
    return lab;
  }

  async close(): Promise<void> {
    await this.watch.stop();
    await this.database.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  get db() {
    return this.database.db;
  }

  get deps() {
    return { db: this.db, clock: this.clock, bus: this.bus, shelf: this.shelf };
  }

  /** Another release in place of the one that was served. */
  async serve(version: string): Promise<void> {
    await rm(this.folder, { recursive: true });
    await writeRelease(this.folder, releaseContent(version));
    await this.clock.advance(6000);
  }

  /** Another server over the same database. */
  startWatch(): UpdateWatch {
    const watch = new UpdateWatch({
      isLeader: () => true,
      ...this.deps,
      log: createLog("silent"),
      isConnected: (id) => this.connected.has(id),
    });
    watch.start();
    return watch;
  }

  /** The server goes and comes back; its agents find it a moment later. */
  async restart(): Promise<void> {
    await this.watch.stop();
    const back = [...this.connected];
    this.connected.clear();
    this.bus = new EventBus(createLog("silent"));
    this.watch = this.startWatch();
    await this.watch.idle();
    for (const hostId of back) this.connected.add(hostId);
    for (const hostId of back) this.bus.emit(agentConnected, { hostId, replicaId: "alone" });
    await this.watch.idle();
  }

  async hello(hostId: string, more: UpdatesHello = {}): Promise<void> {
    const { agentVersion = "0.1.0", kinds = [...jobKinds], os = "linux", arch = "x64" } = more;
    await recordHello(this.db, hostId, {
      ...{ agentVersion, resticVersion: "0.18.0", resticProblem: null, os, arch, clockSkewMs: 0 },
      ...{
        machineId: null,
        bootId: null,
        appliedScheduleVersion: null,
        hooksAllowed: null,
        backendKinds: null,
      },
      ...{ jobKinds: kinds, at: this.clock.now() },
    });
    this.connected.add(hostId);
    this.bus.emit(agentConnected, { hostId, replicaId: "alone" });
    await this.watch.idle();
  }

  async addHost(name: string, more: UpdatesHello & { tags?: string[] } = {}): Promise<Host> {
    const at = this.clock.now();
    const { tags = [], os = "linux", arch = "x64" } = more;
    const { id } = await makeHost(this.db, { name, os, arch, tags, at });
    await this.hello(id, more);
    return getHost(this.db, id);
  }

  /** Called h001 and so on. */
  async addHosts(count: number): Promise<Host[]> {
    const hosts: Host[] = [];
    for (let n = 1; n <= count; n++) hosts.push(await this.addHost(`h${String(n).padStart(3, "0")}`));
    return hosts;
  }

  async leave(hostId: string): Promise<void> {
    this.connected.delete(hostId);
    this.bus.emit(agentDisconnected, { hostId, replicaId: "alone" });
    await this.watch.idle();
  }

  /** @returns the run's id */
  async start(wish: Partial<UpdateWish> = {}): Promise<string> {
    const { id } = await startUpdate(this.deps, { program: "agent", actor: this.actor, ...wish });
    await this.watch.idle();
    return id;
  }

  view(runId: string): Promise<RunView> {
    return getRunView(this.deps, runId);
  }

  /** By the host's name. */
  async states(runId: string): Promise<Record<string, string>> {
    const { targets } = await this.view(runId);
    return Object.fromEntries(targets.map(({ name, state }) => [name, state]));
  }

  /** Every update job, the oldest first. */
  async allJobs(): Promise<Job[]> {
    const jobs = await listJobs(this.db, { kind: "update" }, { limit: 5000, offset: 0 });
    return jobs.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  async live(): Promise<Job[]> {
    return (await this.allJobs()).filter(({ status }) => !isFinal(status));
  }

  /** The first of those that are under way. */
  async next(): Promise<Job> {
    const [job] = await this.live();
    if (!job) throw new Error("no update is under way");
    return job;
  }

  async begin(job: Job): Promise<Job> {
    const at = this.clock.now();
    const sent = await moveJob(this.db, job, "dispatched", { attempt: 1, dispatchedAt: at });
    const begun = sent && (await moveJob(this.db, sent, "running", { startedAt: at }));
    if (!begun) throw new Error("the job did not begin");
    return begun;
  }

  async end(job: Job, status: Job["status"], error: Job["error"] = null): Promise<void> {
    const now = await getJob(this.db, job.id);
    const begun = now.status === "queued" ? await this.begin(now) : now;
    const ended = await moveJob(this.db, begun, status, { finishedAt: this.clock.now(), error });
    if (ended) announce(this.bus, ended);
    await this.watch.idle();
  }

  /** The new version says hello, then the job's end comes. */
  async succeed(job: Job): Promise<void> {
    if (job.spec.kind !== "update") throw new Error("not an update");
    await this.begin(job);
    await this.hello(job.hostId, { agentVersion: job.spec.version });
    await this.end(job, "succeeded");
  }

  async tick(): Promise<void> {
    await this.clock.advance(20_000);
    await this.watch.idle();
  }

  /** What the audit trail says of updates, by name: all is at one moment, so there is no order in time. */
  async actions(): Promise<string[]> {
    const { entries } = await listAudit(this.deps, { limit: 200 });
    return entries
      .map(({ action }) => action)
      .filter((action) => action.startsWith("update."))
      .toSorted();
  }
}
