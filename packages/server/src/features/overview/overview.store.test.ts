/** The fleet at a glance on both engines: how each host stands, filters, order, figures, and what it costs. */
import type { JobSpec } from "@restic-manager/protocol";
import {
  countQueries,
  engines,
  FakeClock,
  makeHost,
  openTestDatabase,
  type TestDatabase,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { EventBus } from "../../platform/events.ts";
import { systemActor } from "../../platform/http/identity.ts";
import { createLog } from "../../platform/log.ts";
import { newId } from "../../platform/random.ts";
import {
  getHost,
  listHosts,
  recordHello,
  recordTwin,
  setHostMode,
  setHostRepository,
  touchHosts,
} from "../hosts/hosts.ts";
import { createJobs, type Job, type JobStatus, LiveProgress, moveJob } from "../jobs/jobs.ts";
import { ensureRepository, recordStatistics } from "../repositories/repositories.ts";
import { createSchedule, setSchedulePaused } from "../schedules/schedules.ts";
import { insertSnapshots, showReport } from "../snapshots/snapshots.store.ts";
import { createDefaultGroup } from "../sources/sources.ts";
import { type FleetEntry, filterFleet, sortFleet, sumFleet } from "./fleet.ts";
import { listEntries } from "./fleet-picture.ts";
import { listHostRows } from "./host-rows.ts";
import { getOverview, type OverviewDeps } from "./overview.ts";

const hourMs = 60 * 60_000;

describe.each(engines)("the overview on %s", (engine) => {
  let database: TestDatabase;
  let db: Db;
  let clock: FakeClock;
  let deps: OverviewDeps;
  let bus: EventBus;
  beforeEach(async () => {
    database = await openTestDatabase(engine);
    db = database.db;
    clock = new FakeClock();
    bus = new EventBus(createLog("silent"));
    deps = {
      ...{ db, clock, progress: new LiveProgress({ db, bus }) },
      shelf: { outline: async () => ({ kind: "none" }) },
    };
  });
  afterEach(() => database.close());

  async function addHost(name: string, tags: string[] = []): Promise<string> {
    return (await makeHost(db, { name, tags, at: clock.now() })).id;
  }

  async function connect(hostId: string, resticProblem: { code: string; message: string } | null = null) {
    const facts = { agentVersion: "1", resticVersion: "0.19.1", os: "linux", arch: "x64", clockSkewMs: 0 };
    const machine = {
      machineId: null,
      bootId: null,
      appliedScheduleVersion: null,
      hooksAllowed: null,
      backendKinds: null,
      jobKinds: null,
    };
    await recordHello(db, hostId, { ...facts, ...machine, resticProblem, at: clock.now() });
  }

  async function addJob(hostId: string, to: JobStatus, spec: JobSpec = backupOf("default")): Promise<Job> {
    await clock.advance(1);
    const [queued] = await createJobs({ db, clock, bus }, [{ hostId, spec, actor: systemActor }]);
    const ways: Partial<Record<JobStatus, JobStatus[]>> = {
      queued: [],
      dispatched: ["dispatched"],
      running: ["dispatched", "running"],
      cancelled: ["cancelled"],
      expired: ["expired"],
      lost: ["dispatched", "lost"],
    };
    let job = queued ?? null;
    for (const status of ways[to] ?? ["dispatched", "running", to]) {
      const end = status === to && to !== "running" && to !== "dispatched" ? { finishedAt: clock.now() } : {};
      job = job && (await moveJob(db, job, status, end));
    }
    if (!job) throw new Error("the job could not be made");
    return job;
  }

  const backupOf = (group: string): JobSpec => ({
    kind: "backup",
    host_name: "h",
    source_group: group,
    includes: ["/etc"],
    excludes: [],
  });

  async function addSnapshots(hostId: string, sizes: number[]): Promise<void> {
    const reportId = newId(clock.now());
    const snapshots = sizes.map((sizeBytes, i) => ({
      id: i.toString(16).padStart(8, "0"),
      time: clock.now() - i * hourMs,
      hostname: "h",
      username: null,
      paths: ["/etc"],
      tags: ["default"],
      sizeBytes,
      fileCount: null,
      addedBytes: null,
    }));
    await inTransaction(db, async (tx) => {
      await insertSnapshots(tx, { hostId, reportId, snapshots });
      await showReport(tx, { hostId, reportId, at: clock.now() });
    });
  }

  const conditionOf = async (hostId: string) =>
    (await getOverview(deps, await getHost(db, hostId))).condition;

  it.each<{ name: string; jobs: JobStatus[]; condition: string }>([
    { name: "nothing yet", jobs: [], condition: "new" },
    { name: "a good backup", jobs: ["succeeded"], condition: "ok" },
    { name: "a failed backup", jobs: ["failed"], condition: "failed" },
    { name: "a lost backup", jobs: ["lost"], condition: "failed" },
    { name: "an expired backup", jobs: ["expired"], condition: "failed" },
    { name: "warnings", jobs: ["warning"], condition: "warning" },
    { name: "a failed backup and a good one after it", jobs: ["failed", "succeeded"], condition: "ok" },
    { name: "a good backup and a failed one after it", jobs: ["succeeded", "failed"], condition: "failed" },
    {
      name: "a failed backup and a cancelled one after it",
      jobs: ["failed", "cancelled"],
      condition: "failed",
    },
    { name: "a running job", jobs: ["failed", "running"], condition: "running" },
    { name: "a waiting job", jobs: ["succeeded", "queued"], condition: "waiting" },
    { name: "a job on its way", jobs: ["succeeded", "dispatched"], condition: "waiting" },
    { name: "a failed backup and a waiting job", jobs: ["failed", "queued"], condition: "failed" },
  ])("a host with $name is $condition", async ({ jobs, condition }) => {
    const id = await addHost("h");
    await connect(id);
    for (const status of jobs) await addJob(id, status);
    expect(await conditionOf(id)).toBe(condition);
  });

  it("one failed group is enough, whatever the others did since", async () => {
    const id = await addHost("h");
    await connect(id);
    await addJob(id, "failed", backupOf("a"));
    await addJob(id, "succeeded", backupOf("b"));
    await addJob(id, "succeeded", { kind: "init" });
    expect(await conditionOf(id)).toBe("failed");
  });

  it("a host is new until its first backup, and offline from 90 s after its last word", async () => {
    const id = await addHost("h");
    expect(await conditionOf(id)).toBe("new");
    await connect(id);
    expect(await conditionOf(id)).toBe("new");
    await addJob(id, "succeeded");
    await touchHosts(db, new Map([[id, clock.now()]]), clock.now());
    await clock.advance(89_999);
    expect(await conditionOf(id)).toBe("ok");
    await clock.advance(1);
    expect(await conditionOf(id)).toBe("offline");
    await addJob(id, "failed");
    expect(await conditionOf(id)).toBe("failed");
  });

  it("a host without a usable restic, or with a twin, has failed before any backup did", async () => {
    const id = await addHost("h");
    await connect(id, { code: "restic.missing", message: "restic is not installed." });
    expect(await conditionOf(id)).toBe("failed");
    const other = await addHost("cloned");
    await connect(other);
    const twin = { hostname: "copy", machineId: null, bootId: null, seenAt: clock.now() };
    await recordTwin(db, await getHost(db, other), twin);
    expect(await conditionOf(other)).toBe("failed");
  });

  /** Five hosts that differ in everything the table can be asked for. */
  async function addFleet(): Promise<void> {
    const alpha = await addHost("alpha", ["prod", "db"]);
    const beta = await addHost("beta-2", ["prod"]);
    const gamma = await addHost("gamma", ["test"]);
    const gone = await addHost("delta");
    await addHost("fresh");
    for (const id of [alpha, beta, gamma, gone]) await connect(id);
    await addJob(gone, "succeeded");
    await clock.advance(2 * offlineMs);
    for (const id of [alpha, beta, gamma]) await touchHosts(db, new Map([[id, clock.now()]]), clock.now());
    await addJob(alpha, "failed");
    await addJob(beta, "succeeded");
    await addJob(gamma, "running");
    await addSnapshots(alpha, [100]);
    await addSnapshots(beta, [5000, 1, 1]);
    await addRepository(alpha, [90, 100]);
    await addRepository(beta, [5000]);
  }

  /** With these sizes, a day apart, the last of them now. */
  async function addRepository(hostId: string, sizes: number[]): Promise<void> {
    const { id } = await ensureRepository(db, `rest:https://backup.example.org/${hostId}`, clock.now());
    await setHostRepository(db, hostId, id);
    const none = { job_id: null, repository_id: null, uncompressed_bytes: null, snapshot_count: null };
    for (const [index, rawBytes] of sizes.entries()) {
      const at = clock.now() - (sizes.length - 1 - index) * 24 * hourMs;
      const told = { stats: { ...none, locks: null, raw_bytes: rawBytes }, at, ambiguous: false };
      await inTransaction(db, (tx) => recordStatistics(tx, id, told));
    }
  }
  const offlineMs = 90_000;
  const names = (entries: readonly FleetEntry[]) => entries.map(({ name }) => name);
  const listAllEntries = async (from = db) => listEntries({ ...deps, db: from }, await listHosts(from));
  const listAllRows = async (from = db) => listHostRows({ ...deps, db: from }, await listHosts(from));

  it("is filtered by name, tag and state, in any mixture", async () => {
    await addFleet();
    const all = await listAllEntries();
    const found = (filter: Parameters<typeof filterFleet>[1]) => names(filterFleet(all, filter));
    expect(found({})).toEqual(["alpha", "beta-2", "delta", "fresh", "gamma"]);
    expect(found({ search: " ETA" })).toEqual(["beta-2"]);
    expect(found({ search: "prod" })).toEqual(["alpha", "beta-2"]);
    expect(found({ tag: "db" })).toEqual(["alpha"]);
    expect(found({ state: "attention" })).toEqual(["alpha", "delta"]);
    expect(found({ state: "running" })).toEqual(["gamma"]);
    expect(found({ state: "offline" })).toEqual(["delta", "fresh"]);
    expect(found({ state: "attention", tag: "prod", search: "a" })).toEqual(["alpha"]);
    expect(found({ search: "nobody" })).toEqual([]);
  });

  it("is ordered by every column both ways, equals by name", async () => {
    await addFleet();
    const all = await listAllEntries();
    const ordered = (filter: Parameters<typeof sortFleet>[1]) => names(sortFleet(all, filter));
    expect(ordered({})).toEqual(["alpha", "beta-2", "delta", "fresh", "gamma"]);
    expect(ordered({ direction: "desc" })).toEqual(["gamma", "fresh", "delta", "beta-2", "alpha"]);
    expect(ordered({ sort: "size", direction: "desc" })).toEqual([
      "beta-2",
      "alpha",
      "delta",
      "fresh",
      "gamma",
    ]);
    expect(ordered({ sort: "snapshots" })).toEqual(["delta", "fresh", "gamma", "alpha", "beta-2"]);
    expect(ordered({ sort: "backup", direction: "desc" })).toEqual([
      "beta-2",
      "alpha",
      "delta",
      "fresh",
      "gamma",
    ]);
  });

  it("adds up to the fleet's figures", async () => {
    await addFleet();
    expect(sumFleet(await listAllEntries())).toMatchObject({
      total: 5,
      online: 3,
      offline: 2,
      running: 1,
      attention: 2,
      attentionSummary: "1 failed, 1 offline",
      snapshotCount: 4,
      protectedBytes: 5100,
      lastBackup: { hostName: "beta-2", status: "succeeded" },
    });
  });

  it("shows in a row what runs now with its share, and nothing that is not known", async () => {
    await addFleet();
    const rows = await listAllRows();
    const row = (name: string) => rows.find((candidate) => candidate.name === name);
    expect(row("gamma")).toMatchObject({
      condition: "running",
      activeJob: { status: "running", share: null },
    });
    expect(row("gamma")).toMatchObject({ lastBackup: null, repositoryBytes: null, snapshotCount: 0 });
    expect(row("fresh")).toMatchObject({ os: null, snapshotCount: null, lastSeenAt: null, online: false });
    expect(row("alpha")).toMatchObject({ lastBackup: { status: "failed" }, repositoryBytes: 100 });
    expect(row("alpha")?.trend).toBe("M56 13 58 1");
    expect(row("beta-2")).toMatchObject({ repositoryBytes: 5000, trend: null });
  });

  it("says what is planned, and which one schedule runs all groups of a host", async () => {
    const id = await addHost("h");
    const host = await getHost(db, id);
    const first = await createDefaultGroup(db, { host, initialPaths: ["/etc"], at: clock.now() });
    const edits = { db, clock, events: bus };
    const draft = { cron: "0 3 * * *", timeZone: "UTC", jitterSeconds: 0, enabled: true };
    const add = (sourceGroupIds: string[], cron = draft.cron) =>
      createSchedule(edits, { hostId: id, draft: { ...draft, cron, sourceGroupIds }, actor: systemActor });
    const planned = async () => (await listAllRows())[0];
    expect(await planned()).toMatchObject({ nextRunAt: null, coveringScheduleId: null });
    const nightly = await add([first.id]);
    expect(await planned()).toMatchObject({ nextRunAt: nightly.nextFireAt, coveringScheduleId: nightly.id });
    expect(sumFleet(await listAllEntries()).nextRun).toMatchObject({
      hostName: "h",
      at: nightly.nextFireAt,
    });
    // A second one that covers all: which is meant has to be asked.
    const hourly = await add([first.id], "30 * * * *");
    expect(await planned()).toMatchObject({ nextRunAt: hourly.nextFireAt, coveringScheduleId: null });
    const pause = { hostId: id, scheduleId: hourly.id, paused: true, actor: systemActor };
    await setSchedulePaused(edits, pause);
    expect(await planned()).toMatchObject({ nextRunAt: nightly.nextFireAt, coveringScheduleId: nightly.id });
  });

  it("is calm about an intermittent host that is away, and not about one that failed", async () => {
    const id = await addHost("laptop");
    await connect(id);
    await addJob(id, "succeeded");
    await touchHosts(db, new Map([[id, clock.now()]]), clock.now());
    const mode = { hostId: id, mode: "intermittent", actor: systemActor } as const;
    await setHostMode({ db, clock, events: bus }, mode);
    await clock.advance(hourMs);
    expect(await conditionOf(id)).toBe("asleep");
    expect(sumFleet(await listAllEntries())).toMatchObject({ online: 0, attention: 0, asleep: 1 });
    await addJob(id, "failed");
    expect(await conditionOf(id)).toBe("failed");
    expect(sumFleet(await listAllEntries())).toMatchObject({ attention: 1, asleep: 0 });
  });

  it("costs as many queries for 1,000 hosts as for one", async () => {
    const counted = countQueries(db);
    const one = await addHost("h0");
    await connect(one);
    await addJob(one, "succeeded");
    const countBoth = async () => {
      const lengths = [(await listAllRows(counted.db)).length, (await listAllEntries(counted.db)).length];
      return { lengths, queries: counted.kinds.splice(0).length };
    };
    const forOne = (await countBoth()).queries;
    for (let i = 1; i < 1000; i++) {
      const id = await addHost(`h${i}`);
      if (i % 100 === 0) await addJob(id, "succeeded");
    }
    expect(await countBoth()).toEqual({ lengths: [1000, 1000], queries: forOne });
    // The hosts twice, and seven for each.
    expect(forOne).toBeLessThanOrEqual(16);
  });
});
