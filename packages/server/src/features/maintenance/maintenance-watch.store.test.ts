/** What becomes of planned maintenance, on both engines: once, in order, by the right host, and never blindly. */
import { countQueries, engines, MaintenanceLab, makeHost } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inTransaction } from "../../platform/db/db.ts";
import { systemActor } from "../../platform/http/identity.ts";
import { deleteHost, type Host } from "../hosts/hosts.ts";
import { ensureRepository, recordStatistics, removeAdminCredentials } from "../repositories/repositories.ts";
import { fireDue } from "./due.ts";
import { getMaintenance } from "./edit-maintenance.ts";
import { insertFire, purgeFires, putCheckedSlice } from "./maintenance.store.ts";
import { MaintenanceWatch } from "./maintenance-watch.ts";

/** The lab's first day begins at 04:00 on a Monday; the spread is up to 15 minutes. */
const afterForget = "2026-11-24T03:20:00.000Z";
const nextForget = "2026-11-25T03:20:00.000Z";
const afterPrune = "2026-11-29T04:20:00.000Z";
const afterCheck = "2026-12-01T05:20:00.000Z";

describe.each(engines)("maintenance on %s", (engine) => {
  let lab: MaintenanceLab;
  let first: Host;
  beforeEach(async () => {
    lab = await MaintenanceLab.open(engine);
    first = await lab.addHost("db-01");
  });
  afterEach(() => lab.close());

  const hostNames = new Map<string, string>();
  const add = async (...args: Parameters<MaintenanceLab["addHost"]>): Promise<Host> => {
    await lab.clock.advance(1);
    const host = await lab.addHost(...args);
    hostNames.set(host.id, host.name);
    return host;
  };
  const jobs = async () =>
    (await lab.jobs()).map(({ kind, hostId }) => `${kind} ${hostNames.get(hostId) ?? "db-01"}`);
  const outcomes = async () =>
    Object.fromEntries((await lab.lastFires()).map(({ operation, outcome }) => [operation, outcome]));
  const skipped = () =>
    lab.lines
      .filter(({ msg }) => msg === "planned maintenance was skipped")
      .map(({ operation, host, outcome }) => ({ operation, host, outcome }));
  const setForeign = async () => {
    const stats = {
      job_id: null,
      raw_bytes: null,
      uncompressed_bytes: null,
      snapshot_count: null,
      locks: null,
    };
    for (const repository_id of ["1".repeat(64), "2".repeat(64)]) {
      const told = { stats: { ...stats, repository_id }, at: lab.clock.now(), ambiguous: false };
      await inTransaction(lab.db, (tx) => recordStatistics(tx, first.repositoryId ?? "", told));
    }
  };

  describe("by default", () => {
    it("forgets daily, with each group's policy and the share that may go", async () => {
      await lab.passUntil("2026-11-24T02:59:00.000Z");
      expect(await jobs()).toEqual([]);
      await lab.passUntil(afterForget);
      expect(await jobs()).toEqual(["forget db-01"]);
      expect((await lab.jobs())[0]).toMatchObject({
        actor: { kind: "system", name: "maintenance" },
        status: "queued",
        spec: {
          ...{ kind: "forget", host_name: "db-01", max_removed_percent: 50, confirmed: false },
          groups: [{ source_group: "web", policy: { keep_daily: 7 } }],
        },
      });
      expect(await outcomes()).toEqual({ forget: "run" });
    });

    it("prunes on Sundays and checks five percent on the first of a month", async () => {
      await lab.addAdmin(first);
      await lab.passUntil(afterPrune);
      for (const job of await lab.jobs()) await lab.end(job, "succeeded");
      await lab.passUntil(afterCheck);
      const made = await lab.jobs();
      expect(made.map(({ kind }) => kind)).toEqual(["forget", "prune", "forget", "check"]);
      expect(made.at(-1)?.spec).toEqual({ kind: "check", read_data: { percent: 5 } });
    });

    it("asks nothing of a host whose groups keep for ever", async () => {
      await lab.edit(first, { pruneCron: null, checkCron: null });
      await deleteHost(
        { ...lab.deps, events: lab.bus, losses: async () => ({}) },
        { hostId: first.id, typedName: "db-01", actor: systemActor },
      );
      await add("keeps-all", { keepDaily: null });
      await lab.passUntil(afterForget);
      expect(await jobs()).toEqual([]);
      expect(await outcomes()).toEqual({ forget: "nothing" });
    });
  });

  it("happens once, however many servers look", async () => {
    lab.startWatch();
    lab.startWatch();
    await lab.passUntil(afterForget);
    await Promise.all(lab.watches.map((watch) => watch.look()));
    expect(await jobs()).toEqual(["forget db-01"]);
  });

  it("of hundreds of repositories comes to each, and settled ones cost a few queries for each slice", async () => {
    for (let n = 0; n < 450; n++) {
      const at = lab.clock.now();
      const { id } = await ensureRepository(lab.db, `rest:https://backup.example.org/${n}`, at);
      await makeHost(lab.db, { name: `away-${n}`, repositoryId: id, at });
    }
    await lab.passUntil(afterForget);
    const forgotten = (await lab.lastFires()).filter(({ operation }) => operation === "forget");
    expect(new Set(forgotten.map(({ repositoryId }) => repositoryId)).size).toBe(451);
    const { db, kinds } = countQueries(lab.db);
    await new MaintenanceWatch({ ...lab.deps, db, isLeader: () => true }).look();
    expect(kinds.length).toBeLessThan(15);
  });

  it("are forgotten in the end, and none that still counts", async () => {
    const { repositoryId } = first;
    const outcome = "nothing" as const;
    for (const plannedAt of [1, 2, 3])
      await insertFire(lab.db, {
        ...{ repositoryId: repositoryId ?? "", operation: "forget", plannedAt, firedAt: 3, outcome },
      });
    await purgeFires(lab.db, ["another"], 3);
    const count = async () =>
      Number(
        (await sql<{ n: number }>`SELECT count(*) AS n FROM maintenance_fires`.execute(lab.db)).rows[0]?.n,
      );
    expect(await count()).toBe(3);
    await purgeFires(lab.db, [repositoryId ?? ""], 3);
    expect(await count()).toBe(1);
    expect((await lab.lastFires())[0]).toMatchObject({ plannedAt: 3 });
  });

  it("keeps the outcome that a planned time has, also when its job has long ended", async () => {
    const due = [{ operation: "forget" as const, plannedAt: Date.parse("2026-11-24T03:00:00.000Z") }];
    const maintenance = await getMaintenance(lab.db, first.repositoryId ?? "");
    const fire = () =>
      inTransaction(lab.db, (tx) =>
        fireDue(tx, { maintenance, sharers: [first], due, now: lab.clock.now() }),
      );
    const [made] = (await fire()).jobs;
    await lab.end(made ?? never(), "succeeded");
    expect(await fire()).toEqual({ jobs: [], skips: [] });
  });

  it("that was missed while the server was down is caught up once", async () => {
    await lab.passUntil(afterForget);
    await lab.end((await lab.jobs())[0] ?? never(), "succeeded");
    await lab.stopWatches();
    await lab.passUntil("2026-11-28T12:00:00.000Z");
    lab.alive.delete(first.id);
    lab.startWatch();
    await lab.passUntil("2026-11-28T12:04:00.000Z");
    // It took the host so long to find the server again.
    lab.alive.add(first.id);
    await lab.passUntil("2026-11-28T12:06:00.000Z");
    expect(await jobs()).toEqual(["forget db-01", "forget db-01"]);
    expect(await outcomes()).toEqual({ forget: "run" });
  });

  it("of one moment runs as forget, prune, check", async () => {
    await lab.addAdmin(first);
    await add("web-01");
    const cron = "0 6 * * *";
    await lab.edit(first, { forgetCron: cron, pruneCron: cron, checkCron: cron });
    await lab.passUntil("2026-11-23T06:20:00.000Z");
    expect(await jobs()).toEqual(["forget db-01", "forget web-01", "prune db-01", "check db-01"]);
  });

  it.each(["queued", "running"] as const)(
    "waits for none that is still %s, and is skipped",
    async (status) => {
      await lab.passUntil(afterForget);
      if (status === "running") await lab.end((await lab.jobs())[0] ?? never(), "running");
      await lab.passUntil(nextForget);
      expect(await jobs()).toEqual(["forget db-01"]);
      expect(await outcomes()).toEqual({ forget: "busy" });
      expect(skipped()).toEqual([{ operation: "forget", host: "db-01", outcome: "busy" }]);
    },
  );

  it("skips a host that is away with a line, and goes on with the others", async () => {
    const second = await add("web-01");
    lab.alive.delete(first.id);
    await lab.passUntil(afterForget);
    expect(await jobs()).toEqual(["forget web-01"]);
    expect(skipped()).toEqual([{ operation: "forget", host: "db-01", outcome: "offline" }]);
    lab.alive.delete(second.id);
    await lab.end((await lab.jobs())[0] ?? never(), "succeeded");
    await lab.passUntil(nextForget);
    expect(await outcomes()).toEqual({ forget: "offline" });
    await lab.connect(first.id);
    await lab.passUntil("2026-11-25T12:00:00.000Z");
    expect(await jobs()).toEqual(["forget web-01"]);
    await lab.passUntil("2026-11-26T03:20:00.000Z");
    expect(await jobs()).toEqual(["forget web-01", "forget db-01"]);
  });

  it("forgets nothing on a host whose clock is wrong", async () => {
    await lab.connect(first.id, -11 * 60_000);
    await lab.passUntil(afterForget);
    expect(await jobs()).toEqual([]);
    expect(await outcomes()).toEqual({ forget: "clock_skew" });
  });

  describe("of a shared repository", () => {
    beforeEach(async () => {
      await lab.edit(first, { forgetCron: null, checkCron: null, pruneCron: "0 6 * * *" });
    });

    it("is the business of the host that was added first, or of the chosen one", async () => {
      const second = await add("web-01");
      await lab.addAdmin(first);
      await lab.addAdmin(second);
      await lab.passUntil("2026-11-23T06:20:00.000Z");
      await lab.edit(second, { ownerHostId: second.id });
      for (const job of await lab.jobs()) await lab.end(job, "succeeded");
      await lab.passUntil("2026-11-24T06:20:00.000Z");
      expect(await jobs()).toEqual(["prune db-01", "prune web-01"]);
    });

    it("goes to the next host when its owner is deleted", async () => {
      const second = await add("web-01");
      await lab.addAdmin(second);
      await lab.edit(first, { ownerHostId: first.id });
      await deleteHost(
        { ...lab.deps, events: lab.bus, losses: async () => ({}) },
        { hostId: first.id, typedName: "db-01", actor: systemActor },
      );
      await lab.passUntil("2026-11-23T06:20:00.000Z");
      expect(await jobs()).toEqual(["prune web-01"]);
    });

    it("prunes nothing without admin credentials", async () => {
      await lab.passUntil("2026-11-23T06:20:00.000Z");
      expect(await outcomes()).toEqual({ prune: "no_admin_credential" });
      await lab.addAdmin(first);
      await removeAdminCredentials(lab.repositories, { hostId: first.id, actor: systemActor });
      await lab.passUntil("2026-11-24T06:20:00.000Z");
      expect(await jobs()).toEqual([]);
    });

    it("does not try again with admin credentials that may not delete either, until they are changed", async () => {
      await lab.addAdmin(first);
      await lab.passUntil("2026-11-23T06:20:00.000Z");
      const error = { code: "prune.refused", message: "This credential may not delete.", last_lines: [] };
      await lab.end((await lab.jobs())[0] ?? never(), "failed", { error });
      await lab.passUntil("2026-11-24T06:20:00.000Z");
      expect(await jobs()).toEqual(["prune db-01"]);
      expect(await outcomes()).toEqual({ prune: "refused" });
      await removeAdminCredentials(lab.repositories, { hostId: first.id, actor: systemActor });
      await lab.addAdmin(first);
      await lab.passUntil("2026-11-25T06:20:00.000Z");
      expect(await jobs()).toEqual(["prune db-01", "prune db-01"]);
    });
  });

  it("touches nothing while another repository answers under the address", async () => {
    await setForeign();
    await lab.passUntil(afterForget);
    expect(await jobs()).toEqual([]);
    expect(await outcomes()).toEqual({ forget: "swapped" });
  });

  it("checks slice after slice, the one that was read longest ago first", async () => {
    await lab.edit(first, {
      ...{ forgetCron: null, pruneCron: null, checkCron: "0 6 * * *", checkPercent: null, checkSlices: 3 },
    });
    const read: unknown[] = [];
    for (const day of ["23", "24", "25", "26"]) {
      await lab.passUntil(`2026-11-${day}T06:20:00.000Z`);
      const job = (await lab.jobs()).at(-1) ?? never();
      const slice = job.spec.kind === "check" && job.spec.read_data;
      if (!slice || !("slice" in slice)) throw new Error("the check reads no slice");
      read.push(slice.slice);
      await putCheckedSlice(lab.db, first.repositoryId ?? "", { ...slice, checkedAt: lab.clock.now() });
      await lab.end(job, "succeeded");
    }
    expect(read).toEqual([1, 2, 3, 1]);
  });

  it("that is edited counts from then on, and can be off", async () => {
    await lab.edit(first, {
      forgetCron: "0 1 * * *",
      pruneCron: null,
      checkCron: null,
      timeZone: "Asia/Tokyo",
    });
    await lab.passUntil("2026-11-23T15:59:00.000Z");
    expect(await jobs()).toEqual([]);
    await lab.passUntil("2026-11-23T16:20:00.000Z");
    expect(await jobs()).toEqual(["forget db-01"]);
  });
});

function never(): never {
  throw new Error("no job was made");
}
