/**
 * Update runs through their rows, on both engines. Agents are a set of those that are connected; what they answer is said by
 * the test. The files are a real signed release in a folder.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jobKinds } from "@restic-manager/protocol";
import {
  engines,
  FakeClock,
  openTestDatabase,
  releaseContent,
  type TestDatabase,
  writeRelease,
} from "@restic-manager/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { inTransaction } from "../../platform/db/db.ts";
import { EventBus } from "../../platform/events.ts";
import { createLog } from "../../platform/log.ts";
import { newId } from "../../platform/random.ts";
import { agentConnected, agentDisconnected } from "../agent-link/agent-link.ts";
import { type Release, ReleaseShelf } from "../artefacts/artefacts.ts";
import { listAudit } from "../audit/audit.ts";
import { createHost, deleteHost, getHost, type Host, recordHello, touchHosts } from "../hosts/hosts.ts";
import { announce, getJob, isFinal, type Job, listJobs, moveJob } from "../jobs/jobs.ts";
import {
  cancelUpdate,
  pauseUpdate,
  resumeUpdate,
  startUpdate,
  type UpdateWish,
  updateHost,
} from "./update-edits.ts";
import { completeUpdateOrder, onUpdateFinished } from "./update-orders.ts";
import { getAgentsView, getRunView } from "./update-view.ts";
import { UpdateWatch } from "./update-watch.ts";

const actor = { kind: "user" as const, id: "U1", name: "anna" };
const minuteMs = 60_000;
let root: string;
/** What is served, by the agent's version. */
const releases = new Map<string, Release>();

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "rm-updates-"));
  for (const version of ["0.2.0", "0.3.0"]) {
    await writeRelease(join(root, version), releaseContent(version));
    const folders = { dataFolder: join(root, version), builtInFolder: join(root, "none") };
    const shelf = new ReleaseShelf({ clock: new FakeClock(), log: createLog("silent"), ...folders });
    releases.set(version, await shelf.current());
  }
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe.each(engines)("an update of the fleet on %s", (engine) => {
  let database: TestDatabase;
  let clock: FakeClock;
  let bus: EventBus;
  let watch: UpdateWatch;
  let served: string;
  let connected: Set<string>;

  beforeEach(async () => {
    database = await openTestDatabase(engine);
    clock = new FakeClock();
    bus = new EventBus(createLog("silent"));
    served = "0.2.0";
    connected = new Set();
    watch = startWatch();
  });
  afterEach(async () => {
    await watch.stop();
    await database.close();
  });

  const shelf = { current: async () => releases.get(served) as Release };
  const deps = () => ({ db: database.db, clock, bus, shelf });

  function startWatch(on = bus): UpdateWatch {
    const made = new UpdateWatch({
      ...{ ...deps(), bus: on, log: createLog("silent") },
      isConnected: (id) => connected.has(id),
    });
    made.start();
    return made;
  }

  /** What its agent says when it connects. */
  async function hello(
    hostId: string,
    more: { agentVersion?: string; kinds?: string[] | null; arch?: string } = {},
  ) {
    const { agentVersion = "0.1.0", kinds = [...jobKinds], arch = "x64" } = more;
    await recordHello(database.db, hostId, {
      ...{ agentVersion, resticVersion: "0.18.0", resticProblem: null, os: "linux", arch, clockSkewMs: 0 },
      ...{
        machineId: null,
        bootId: null,
        appliedScheduleVersion: null,
        hooksAllowed: null,
        backendKinds: null,
      },
      ...{ jobKinds: kinds, at: clock.now() },
    });
    // As the hub does it: the host has its first connection behind it.
    connected.add(hostId);
    bus.emit(agentConnected, { hostId, jobs: [] });
    await watch.idle();
  }

  async function addHost(
    name: string,
    more: Parameters<typeof hello>[1] & { tags?: string[] } = {},
  ): Promise<Host> {
    const at = clock.now();
    const identity = { id: newId(at), name, os: "linux", arch: more.arch ?? "x64", tags: more.tags ?? [] };
    const versions = { agentVersion: null, resticVersion: null, repositoryId: null };
    const { id } = await createHost(database.db, { ...identity, ...versions, bearer: name, at });
    await hello(id, more);
    return getHost(database.db, id);
  }

  async function addHosts(count: number): Promise<Host[]> {
    const hosts: Host[] = [];
    for (let n = 1; n <= count; n++) hosts.push(await addHost(`h${String(n).padStart(3, "0")}`));
    return hosts;
  }

  async function leave(hostId: string): Promise<void> {
    connected.delete(hostId);
    bus.emit(agentDisconnected, { hostId });
    await watch.idle();
  }

  async function start(wish: Partial<UpdateWish> = {}): Promise<string> {
    const { id } = await startUpdate(deps(), { program: "agent", actor, ...wish });
    await watch.idle();
    return id;
  }

  const view = (runId: string) => getRunView({ db: database.db, clock, shelf }, runId);
  const states = async (runId: string) =>
    Object.fromEntries((await view(runId)).targets.map(({ name, state }) => [name, state]));

  async function allJobs(): Promise<Job[]> {
    const jobs = await listJobs(database.db, { kind: "update" }, { limit: 5000, offset: 0 });
    return jobs.sort((a, b) => (a.id < b.id ? -1 : 1));
  }
  const live = async () => (await allJobs()).filter(({ status }) => !isFinal(status));

  async function begin(job: Job): Promise<Job> {
    const at = clock.now();
    const sent = await moveJob(database.db, job, "dispatched", { attempt: 1, dispatchedAt: at });
    const begun = sent && (await moveJob(database.db, sent, "running", { startedAt: at }));
    if (!begun) throw new Error("the job did not begin");
    return begun;
  }

  async function end(job: Job, status: Job["status"], error: Job["error"] = null): Promise<void> {
    const now = await getJob(database.db, job.id);
    const begun = now.status === "queued" ? await begin(now) : now;
    const ended = await moveJob(database.db, begun, status, { finishedAt: clock.now(), error });
    if (ended) announce(bus, ended);
    await watch.idle();
  }

  /** The new version says hello, then the job's end comes. */
  async function succeed(job: Job): Promise<void> {
    if (job.spec.kind !== "update") throw new Error("not an update");
    await begin(job);
    await hello(job.hostId, { agentVersion: job.spec.version });
    await end(job, "succeeded");
  }

  const rolledBack = { code: "update.rolled_back", message: "It could not say hello.", last_lines: [] };

  async function tick(): Promise<void> {
    await clock.advance(20_000);
    await watch.idle();
  }

  /** All at one moment, so their order is no order in time. */
  const actions = async () =>
    (await listAudit({ db: database.db }, { limit: 200 })).entries
      .map(({ action }) => action)
      .filter((action) => action.startsWith("update."))
      .toSorted();

  it("takes one host first, then a tenth, then the rest, and ends", async () => {
    await addHosts(25);
    const id = await start();
    const sizes: number[] = [];
    for (let jobs = await live(); jobs.length > 0; jobs = await live()) {
      sizes.push(jobs.length);
      for (const job of jobs) await succeed(job);
    }
    expect(sizes).toEqual([1, 3, 20, 1]);
    const { run, counts, targets } = await view(id);
    expect(run).toMatchObject({ state: "done", version: "0.2.0", pause: null });
    expect(run.endedAt).not.toBeNull();
    expect(counts).toEqual({ waiting: 0, updating: 0, done: 25, failed: 0, skipped: 0 });
    expect([1, 2, 3].map((wave) => targets.filter((target) => target.wave === wave).length)).toEqual([
      1, 3, 21,
    ]);
    expect(targets.every(({ fromVersion }) => fromVersion === "0.1.0")).toBe(true);
    expect(await actions()).toEqual(["update.done", "update.start"]);
  });

  it("begins no host of the next wave before the last one of this wave ended well", async () => {
    await addHosts(25);
    await start();
    await succeed((await live())[0] as Job);
    const second = await live();
    await succeed(second[0] as Job);
    await succeed(second[1] as Job);
    expect(await live()).toHaveLength(1);
    await succeed(second[2] as Job);
    expect(await live()).toHaveLength(20);
  });

  it("stands still after a failure, says where and why, and goes on after it when somebody says so", async () => {
    await addHosts(25);
    const id = await start();
    await succeed((await live())[0] as Job);
    const [bad, ...others] = await live();
    for (const job of others) await begin(job);
    await end(bad as Job, "failed", rolledBack);
    const paused = await view(id);
    const { name } = await getHost(database.db, bad?.hostId ?? "");
    expect(paused.run).toMatchObject({
      state: "paused",
      pause: {
        hostId: bad?.hostId,
        hostName: name,
        code: "update.rolled_back",
        message: rolledBack.message,
      },
    });
    expect(paused.targets[0]).toMatchObject({
      name,
      state: "failed",
      problem: { code: "update.rolled_back" },
    });
    for (const job of others) {
      await hello(job.hostId, { agentVersion: "0.2.0" });
      await end(job, "succeeded");
    }
    await tick();
    expect(await live()).toEqual([]);
    await resumeUpdate(deps(), { runId: id, actor });
    await watch.idle();
    // The wave wants one more that ends well, and the one that failed is left alone.
    const next = await live();
    expect(next.map(({ hostId }) => hostId)).not.toContain(bad?.hostId);
    expect(next).toHaveLength(1);
    for (let jobs = next; jobs.length > 0; jobs = await live()) for (const job of jobs) await succeed(job);
    expect((await view(id)).run.state).toBe("done");
    expect((await view(id)).counts).toMatchObject({ done: 24, failed: 1 });
    expect(await actions()).toEqual(["update.done", "update.pause", "update.resume", "update.start"]);
  });

  it.each([["lost"], ["cancelled"], ["expired"]] as const)(
    "stands still when a job is %s half-way",
    async (status) => {
      await addHosts(3);
      const id = await start();
      await end(await begin((await live())[0] as Job), status);
      expect((await view(id)).run.state).toBe("paused");
    },
  );

  it("passes over a host that is away, and takes it when it is back", async () => {
    const [first, second, third] = await addHosts(3);
    await leave(first?.id ?? "");
    const id = await start();
    expect((await live()).map(({ hostId }) => hostId)).toEqual([second?.id]);
    await succeed((await live())[0] as Job);
    expect((await live()).map(({ hostId }) => hostId)).toEqual([third?.id]);
    await succeed((await live())[0] as Job);
    await tick();
    expect((await view(id)).run.state).toBe("running");
    expect(await states(id)).toEqual({ h001: "waiting", h002: "done", h003: "done" });
    await hello(first?.id ?? "");
    await succeed((await live())[0] as Job);
    expect((await view(id)).run.state).toBe("done");
  });

  it("takes a job back that waits for a host that went away, and gives the turn to another", async () => {
    const [first] = await addHosts(2);
    const id = await start();
    await leave(first?.id ?? "");
    expect(await states(id)).toEqual({ h001: "waiting", h002: "updating" });
    expect((await allJobs()).map(({ status }) => status).toSorted()).toEqual(["cancelled", "queued"]);
    await succeed((await live())[0] as Job);
    await hello(first?.id ?? "");
    expect((await live()).map(({ hostId }) => hostId)).toEqual([first?.id]);
  });

  it("counts a host that was updated by hand, also after it failed", async () => {
    const [first, second] = await addHosts(2);
    const id = await start();
    await end((await live())[0] as Job, "failed", rolledBack);
    await hello(first?.id ?? "", { agentVersion: "0.2.0" });
    await hello(second?.id ?? "", { agentVersion: "0.3.0" });
    expect(await states(id)).toEqual({ h001: "done", h002: "done" });
    expect((await view(id)).run.state).toBe("paused");
    await resumeUpdate(deps(), { runId: id, actor });
    await watch.idle();
    expect((await view(id)).run.state).toBe("done");
  });

  it("leaves a host to a person whose agent is too old, until it can be taken; one whose system has no files is not behind", async () => {
    const old = await addHost("old", { kinds: null });
    await addHost("mips", { arch: "mips" });
    await addHost("plain");
    const id = await start();
    expect(await states(id)).toEqual({ old: "skipped", plain: "updating" });
    expect((await view(id)).targets.find(({ name }) => name === "old")?.problem?.code).toBe("agent.too_old");
    await hello(old.id, { agentVersion: "0.1.5" });
    await succeed((await live())[0] as Job);
    expect(await states(id)).toEqual({ old: "updating", plain: "done" });
    await succeed((await live())[0] as Job);
    expect((await view(id)).run.state).toBe("done");
  });

  it("stands still while a person wants it to: what runs goes on, what waits is taken back", async () => {
    await addHosts(25);
    const id = await start();
    await succeed((await live())[0] as Job);
    const [runs] = await live();
    await begin(runs as Job);
    await pauseUpdate(deps(), { runId: id, actor });
    await watch.idle();
    expect((await live()).map((job) => job.id)).toEqual([runs?.id]);
    await hello(runs?.hostId ?? "", { agentVersion: "0.2.0" });
    await end(runs as Job, "succeeded");
    expect((await view(id)).counts).toMatchObject({ done: 2, updating: 0, waiting: 23 });
    await expect(pauseUpdate(deps(), { runId: id, actor })).rejects.toMatchObject({
      code: "updates.not_running",
    });
    await resumeUpdate(deps(), { runId: id, actor });
    await expect(resumeUpdate(deps(), { runId: id, actor })).rejects.toMatchObject({
      code: "updates.not_paused",
    });
    await watch.idle();
    expect(await live()).toHaveLength(2);
  });

  it("that is cancelled ends with its last job, and makes room for another", async () => {
    await addHosts(2);
    const id = await start();
    const [runs] = await live();
    await begin(runs as Job);
    await cancelUpdate(deps(), { runId: id, actor });
    await watch.idle();
    expect((await view(id)).run).toMatchObject({ state: "cancelled", endedAt: null });
    await expect(start()).rejects.toMatchObject({ code: "updates.running" });
    await expect(cancelUpdate(deps(), { runId: id, actor })).rejects.toMatchObject({
      code: "updates.not_running",
    });
    await end(runs as Job, "failed", rolledBack);
    expect((await view(id)).run.endedAt).not.toBeNull();
    await start();
    expect(await live()).toHaveLength(1);
    expect(await actions()).toEqual(["update.cancel", "update.start", "update.start"]);
  });

  it("stands still when a host does not come back from its update, and counts it when it does so late", async () => {
    const [first] = await addHosts(2);
    const id = await start();
    await begin((await live())[0] as Job);
    await leave(first?.id ?? "");
    await clock.advance(9 * minuteMs);
    await watch.idle();
    expect((await view(id)).run.state).toBe("running");
    await clock.advance(2 * minuteMs);
    await watch.idle();
    expect((await view(id)).run.pause).toMatchObject({ code: "updates.host_silent", hostName: "h001" });
    await hello(first?.id ?? "", { agentVersion: "0.2.0" });
    expect(await states(id)).toEqual({ h001: "done", h002: "waiting" });
  });

  it("does not blame a host for a time when the server was away", async () => {
    const [first] = await addHosts(2);
    const id = await start();
    await begin((await live())[0] as Job);
    await watch.stop();
    connected.clear();
    await clock.advance(60 * minuteMs);
    watch = startWatch();
    await watch.idle();
    expect((await view(id)).run.state).toBe("running");
    await hello(first?.id ?? "", { agentVersion: "0.2.0" });
    await touchHosts(database.db, new Map([[first?.id ?? "", clock.now()]]));
    await tick();
    expect((await view(id)).run.state).toBe("running");
  });

  it("survives a restart of the server before every single step", async () => {
    await addHosts(12);
    const id = await start();
    const restart = async () => {
      await watch.stop();
      const back = [...connected];
      connected.clear();
      bus = new EventBus(createLog("silent"));
      watch = startWatch();
      await watch.idle();
      for (const hostId of back) {
        connected.add(hostId);
        bus.emit(agentConnected, { hostId, jobs: [] });
      }
      await watch.idle();
    };
    let steps = 0;
    for (let jobs = await live(); jobs.length > 0; jobs = await live()) {
      await restart();
      const job = (await live())[0] as Job;
      const begun = await begin(job);
      await restart();
      await hello(job.hostId, { agentVersion: "0.2.0" });
      await restart();
      // Its end comes while nobody listens.
      await watch.stop();
      await moveJob(database.db, begun, "succeeded", { finishedAt: clock.now() });
      watch = startWatch();
      await restart();
      steps += 1;
    }
    expect(steps).toBe(12);
    expect((await view(id)).run.state).toBe("done");
    const ended = (await allJobs()).filter(({ status }) => status === "succeeded");
    expect(new Set(ended.map(({ hostId }) => hostId)).size).toBe(12);
    expect(ended).toHaveLength(12);
  });

  it("begins a host once, however many servers look at the same moment", async () => {
    await addHosts(25);
    const others = [startWatch(), startWatch()];
    const id = await start();
    await Promise.all(others.map((other) => other.idle()));
    expect(await live()).toHaveLength(1);
    await succeed((await live())[0] as Job);
    await Promise.all(others.map((other) => other.idle()));
    expect(await live()).toHaveLength(3);
    for (const other of others) await other.stop();
    expect((await view(id)).counts).toMatchObject({ done: 1, updating: 3 });
  });

  it("goes on without a host that was removed", async () => {
    const [first] = await addHosts(2);
    const id = await start();
    const removal = { db: database.db, clock, events: bus, losses: async () => ({}) };
    await deleteHost(removal, { hostId: first?.id ?? "", typedName: "h001", actor });
    await watch.idle();
    expect(await states(id)).toEqual({ h002: "updating" });
  });

  it("is of those with a tag, or of those that are named, and of none that is not behind", async () => {
    const web = await addHost("web", { tags: ["web"] });
    const db = await addHost("db");
    await addHost("new", { agentVersion: "0.2.0", tags: ["web"] });
    await addHost("own", { agentVersion: "built here" });
    const tagged = await start({ tag: " WEB " });
    expect(await states(tagged)).toEqual({ web: "updating" });
    await cancelUpdate(deps(), { runId: tagged, actor });
    await watch.idle();
    const named = await start({ hostIds: [db.id, db.id] });
    expect(await states(named)).toEqual({ db: "updating" });
    await cancelUpdate(deps(), { runId: named, actor });
    await watch.idle();
    await hello(web.id, { agentVersion: "0.2.0" });
    await expect(start({ tag: "web" })).rejects.toMatchObject({ code: "updates.none_behind" });
    await expect(start({ hostIds: ["nobody"] })).rejects.toMatchObject({ code: "hosts.not_found" });
    await expect(start({ tag: "none" })).rejects.toMatchObject({ code: "updates.none_behind" });
  });

  it("of restic is known by the job's result, before the agent connects again", async () => {
    const [host] = await addHosts(1);
    const id = await start({ program: "restic" });
    const [job] = await live();
    expect(job?.spec).toEqual({ kind: "update", program: "restic", version: "0.19.1" });
    const result = { kind: "update" as const, program: "restic" as const, from: "0.18.0", to: "0.19.1" };
    const event = {
      ...{
        type: "job.finished" as const,
        seq: 1,
        job_id: job?.id ?? "",
        attempt: 1,
        at: "2026-11-23T04:13:00.000Z",
      },
      ...{ status: "succeeded" as const, error: null, exit_code: null, summary: null, result, log_lines: 0 },
    };
    await inTransaction(database.db, (tx) => onUpdateFinished(tx, host as Host, event));
    await end(job as Job, "succeeded");
    expect((await getHost(database.db, host?.id ?? "")).resticVersion).toBe("0.19.1");
    expect((await view(id)).run.state).toBe("done");
    await expect(start({ program: "restic" })).rejects.toMatchObject({ code: "updates.none_behind" });
  });

  it("sends the signed list as it is now, and refuses a version that is not served any more", async () => {
    const [host] = await addHosts(1);
    const job = await updateHost(deps(), { hostId: host?.id ?? "", program: "agent", actor });
    const release = releases.get("0.2.0");
    if (release?.kind !== "whole") throw new Error("no release");
    const { spec } = await completeUpdateOrder(deps(), job);
    expect(spec).toEqual({ kind: "update", program: "agent", version: "0.2.0", ...release.signed });
    served = "0.3.0";
    await expect(completeUpdateOrder(deps(), job)).rejects.toMatchObject({ code: "updates.release_changed" });
  });

  it("of one host is refused where it can't be done, with what to do", async () => {
    const [host] = await addHosts(1);
    const update = (hostId: string) => updateHost(deps(), { hostId, program: "agent", actor });
    const old = await addHost("old", { kinds: ["backup"] });
    await expect(update(old.id)).rejects.toMatchObject({ code: "agent.too_old" });
    const mips = await addHost("mips", { arch: "mips" });
    await expect(update(mips.id)).rejects.toMatchObject({ code: "update.no_artefact" });
    const current = await addHost("current", { agentVersion: "0.2.0" });
    await expect(update(current.id)).rejects.toMatchObject({ code: "updates.up_to_date" });
    await update(host?.id ?? "");
    await expect(update(host?.id ?? "")).rejects.toMatchObject({ code: "updates.host_busy" });
    await clock.advance(10 * minuteMs);
    const away = await addHost("away");
    await clock.advance(10 * minuteMs);
    await expect(update(away.id)).rejects.toMatchObject({ code: "hosts.offline" });
    await expect(update("nobody")).rejects.toMatchObject({ code: "hosts.not_found" });
  });

  it("is seen with the versions of the fleet", async () => {
    await addHosts(2);
    await addHost("new", { agentVersion: "0.2.0" });
    await addHost("own", { agentVersion: "built here" });
    await addHost("old", { agentVersion: "0.0.9", kinds: null });
    const { programs, run } = await getAgentsView({ db: database.db, clock, shelf });
    expect(run).toBeNull();
    expect(programs[0]).toMatchObject({ program: "agent", served: "0.2.0", behind: 3, byHand: 1 });
    expect(programs[0]?.versions).toEqual([
      { version: "0.2.0", count: 1, drift: "current" },
      { version: "0.1.0", count: 2, drift: "behind" },
      { version: "0.0.9", count: 1, drift: "behind" },
      { version: "built here", count: 1, drift: "unknown" },
    ]);
    expect(programs[1]).toMatchObject({ program: "restic", served: "0.19.1", behind: 5 });
  });
});
