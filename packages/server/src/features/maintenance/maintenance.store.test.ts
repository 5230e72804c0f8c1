/** Editing maintenance, what runs for a wish, and what is shown of a repository, on both engines. */
import { engines, MaintenanceLab } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inTransaction } from "../../platform/db/db.ts";
import { systemActor } from "../../platform/http/identity.ts";
import { listAudit } from "../audit/audit.ts";
import { getHost, type Host } from "../hosts/hosts.ts";
import { createJobs, type Job, type RunRequest } from "../jobs/jobs.ts";
import { editCredentials, recordStatistics } from "../repositories/repositories.ts";
import { defaultMaintenance } from "./cadences.ts";
import { editMaintenance, getMaintenance, type MaintenanceDraft } from "./edit-maintenance.ts";
import { putCheckedSlice } from "./maintenance.store.ts";
import { onRepoStats } from "./reports.ts";
import { getRepositoryView } from "./repository-view.ts";
import { completeOrder, plannedJobsOf } from "./run-plans.ts";

describe.each(engines)("the maintenance of a repository on %s", (engine) => {
  let lab: MaintenanceLab;
  let host: Host;
  let repositoryId: string;
  beforeEach(async () => {
    lab = await MaintenanceLab.open(engine);
    host = await lab.addHost("db-01");
    repositoryId = host.repositoryId ?? "";
  });
  afterEach(() => lab.close());

  const edit = (draft: Partial<MaintenanceDraft>, version = 0) =>
    editMaintenance(lab.deps, {
      ...{ hostId: host.id, version, actor: systemActor },
      draft: { ...defaultMaintenance(repositoryId), ...draft },
    });

  describe("edited", () => {
    it("is kept for all hosts of the repository and audited by fields; the same again is no edit", async () => {
      const edited = await edit({
        forgetCron: " 0  1 * * * ",
        checkPercent: 12.5,
        timeZone: "Europe/Berlin",
      });
      expect(edited).toMatchObject({ forgetCron: "0 1 * * *", checkPercent: 12.5, version: 1 });
      expect(await getMaintenance(lab.db, repositoryId)).toEqual(edited);
      expect(await edit(edited, 1)).toEqual(edited);
      const { entries } = await listAudit({ db: lab.db }, { action: "repository.maintenance_edit" });
      expect(entries).toMatchObject([
        { payload: { fields: ["time_zone", "forget_cron", "check_percent"], forget_cron: "0 1 * * *" } },
      ]);
    });

    it("by two people tells the second what it is now", async () => {
      await edit({ pruneCron: null });
      await expect(edit({ pruneCron: "0 5 * * *" })).rejects.toMatchObject({
        kind: "conflict",
        code: "maintenance.edit_conflict",
        details: { current: { pruneCron: null, version: 1 }, changed: ["prune_cron"] },
      });
      const both = await Promise.allSettled([
        edit({ maxRemovedPercent: 1 }, 1),
        edit({ maxRemovedPercent: 2 }, 1),
      ]);
      expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    });

    it.each<{ what: string; draft: Partial<MaintenanceDraft>; paths: string[] }>([
      { what: "a cadence that is none", draft: { forgetCron: "daily" }, paths: ["forget_cron"] },
      { what: "a cadence that never comes", draft: { pruneCron: "0 0 31 2 *" }, paths: ["prune_cron"] },
      {
        what: "an unknown zone, also with everything off",
        draft: { forgetCron: null, pruneCron: null, checkCron: null, timeZone: "Mars/X" },
        paths: ["time_zone"],
      },
      { what: "0 percent", draft: { checkPercent: 0 }, paths: ["check_percent"] },
      { what: "101 percent", draft: { checkPercent: 101 }, paths: ["check_percent"] },
      { what: "percent and slices", draft: { checkSlices: 7 }, paths: ["check_slices"] },
      { what: "half a slice", draft: { checkPercent: null, checkSlices: 0.5 }, paths: ["check_slices"] },
      { what: "a share over all", draft: { maxRemovedPercent: 101 }, paths: ["max_removed_percent"] },
      { what: "an owner that is elsewhere", draft: { ownerHostId: "x" }, paths: ["owner_host_id"] },
    ])("is refused for $what", async ({ draft, paths }) => {
      const refused = await edit(draft).catch((error: unknown) => error);
      expect(refused).toMatchObject({
        code: "maintenance.invalid",
        details: paths.map((path) => ({ path, message: expect.stringMatching(/\.$/) })),
      });
    });
  });

  describe("asked for now", () => {
    const plan = (request: RunRequest) => plannedJobsOf(lab.db, host, request);

    it("forgets with the group's policies and the share that may go", async () => {
      await edit({ maxRemovedPercent: 20 });
      const policy = { source_group: "web", policy: { keep_daily: 7 } };
      expect(await plan({ kind: "forget", confirmed: true })).toEqual([
        {
          sourceGroupId: null,
          spec: {
            ...{ kind: "forget", host_name: "db-01", groups: [policy] },
            ...{ max_removed_percent: 20, confirmed: true },
          },
        },
      ]);
    });

    it.each([11, -11])("forgets nothing on a host whose clock is %s minutes off", async (minutes) => {
      await lab.connect(host.id, minutes * 60_000);
      host = await getHost(lab.db, host.id);
      await expect(plan({ kind: "forget" })).rejects.toMatchObject({ code: "maintenance.clock_skew" });
    });

    it("says that there is nothing to forget, or that prune lacks admin credentials", async () => {
      const keeper = await lab.addHost("keeper", { keepDaily: null });
      const refusal = plannedJobsOf(lab.db, keeper, { kind: "forget" });
      await expect(refusal).rejects.toMatchObject({
        kind: "conflict",
        code: "maintenance.nothing_to_forget",
      });
      await expect(plan({ kind: "prune" })).rejects.toMatchObject({
        kind: "conflict",
        code: "maintenance.no_admin_credential",
      });
    });

    it("removes every lock only for the typed name of the host", async () => {
      expect(await plan({ kind: "unlock" })).toMatchObject([{ spec: { kind: "unlock", remove_all: false } }]);
      const all = { kind: "unlock", remove_all: true } as const;
      await expect(plan(all)).rejects.toMatchObject({ code: "hosts.name_mismatch" });
      await expect(plan({ ...all, confirm_name: "DB-01" })).rejects.toMatchObject({ kind: "invalid" });
      expect(await plan({ ...all, confirm_name: "db-01" })).toMatchObject([{ spec: { remove_all: true } }]);
    });

    it("is refused, as everything is, while another repository answers", async () => {
      await lab.addAdmin(host);
      await tell("1".repeat(64));
      await tell("2".repeat(64));
      for (const request of [{ kind: "backup" }, { kind: "prune" }, { kind: "unlock" }] as const)
        await expect(plan(request)).rejects.toMatchObject({ code: "repositories.swapped" });
    });
  });

  describe("sent to an agent", () => {
    const queued = async (spec: Job["spec"]): Promise<Job> => {
      const [job] = await createJobs(lab.deps, [{ hostId: host.id, spec, actor: systemActor }]);
      if (!job) throw new Error("no job was made");
      return job;
    };

    it.each<{ spec: Job["spec"]; withAccess: boolean }>([
      { spec: { kind: "prune" }, withAccess: true },
      { spec: { kind: "check" }, withAccess: true },
      { spec: { kind: "repair", what: "index" }, withAccess: true },
      { spec: { kind: "unlock", remove_all: false }, withAccess: false },
      { spec: { kind: "init" }, withAccess: false },
    ])("has what may delete for $spec.kind: $withAccess", async ({ spec, withAccess }) => {
      await lab.addAdmin(host);
      const order = await completeOrder(lab.deps, await queued(spec));
      expect(order.access?.rest_password ?? null).toBe(withAccess ? "admin-secret" : null);
    });

    it("does without it where the everyday credentials will do, but not for prune", async () => {
      expect(await completeOrder(lab.deps, await queued({ kind: "check" }))).toEqual({
        spec: { kind: "check" },
      });
      await expect(completeOrder(lab.deps, await queued({ kind: "prune" }))).rejects.toMatchObject({
        code: "maintenance.no_admin_credential",
      });
    });

    it("is not sent when the host has moved to another repository meanwhile", async () => {
      await lab.addAdmin(host);
      const job = await queued({ kind: "prune" });
      const move = { hostId: host.id, actor: systemActor, location: "rest:https://backup.example.org/other" };
      await editCredentials(lab.repositories, move);
      await expect(completeOrder(lab.deps, job)).rejects.toMatchObject({
        code: "maintenance.repository_changed",
      });
    });
  });

  const tell = (repository_id: string, at = lab.clock.now()) => {
    const stats = {
      job_id: null,
      raw_bytes: null,
      uncompressed_bytes: null,
      snapshot_count: null,
      locks: null,
    };
    const told = { stats: { ...stats, repository_id }, at, ambiguous: false };
    return inTransaction(lab.db, (tx) => recordStatistics(tx, repositoryId, told));
  };

  it("takes no figures that were read before the host's credentials changed", async () => {
    await lab.clock.advance(60_000);
    await editCredentials(lab.repositories, { hostId: host.id, actor: systemActor, password: "another" });
    const figures = { raw_bytes: 7, uncompressed_bytes: null, snapshot_count: null, locks: null };
    const report = (at: number) =>
      inTransaction(lab.db, (tx) =>
        onRepoStats(lab.deps, tx, host, {
          ...{ type: "repo.stats", seq: 1, job_id: null, repository_id: null, ...figures },
          at: new Date(at).toISOString(),
        }),
      );
    await report(lab.clock.now() - 1);
    expect((await getRepositoryView(lab.deps, host.id)).repository.rawBytes).toBeNull();
    await report(lab.clock.now());
    expect((await getRepositoryView(lab.deps, host.id)).repository.rawBytes).toBe(7);
  });

  describe("shown", () => {
    it("names the hosts that share it, its owner, what comes next and what was read", async () => {
      await lab.clock.advance(1);
      const second = await lab.addHost("web-01");
      await lab.addAdmin(second);
      await edit({ ownerHostId: second.id, checkPercent: null, checkSlices: 2, pruneCron: null });
      await putCheckedSlice(lab.db, repositoryId, { slice: 1, of: 2, checkedAt: 5 });
      const view = await getRepositoryView(lab.deps, host.id);
      expect(view.sharers).toMatchObject([
        { name: "db-01", isOwner: false, isAdminSet: false, isOnline: true },
        { name: "web-01", isOwner: true, isAdminSet: true },
      ]);
      expect(view.coverage).toMatchObject({ since: null, slicesRead: 1, nextSlice: 2, slicesOf: 2 });
      expect(view.cadences.map(({ operation, nextAt }) => [operation, nextAt !== null])).toEqual([
        ["forget", true],
        ["prune", false],
        ["check", true],
        ["verify", false],
      ]);
      expect(JSON.stringify(view)).not.toMatch(/secret(?!sSet)/);
      await putCheckedSlice(lab.db, repositoryId, { slice: 2, of: 2, checkedAt: 9 });
      await putCheckedSlice(lab.db, repositoryId, { slice: 2, of: 2, checkedAt: 8 });
      expect((await getRepositoryView(lab.deps, host.id)).coverage).toMatchObject({
        since: 5,
        slicesRead: 2,
      });
    });

    it("says of a lock whose it is and whether its job lives", async () => {
      const [job] = await createJobs(lab.deps, [
        { hostId: host.id, spec: { kind: "check" }, actor: systemActor },
      ]);
      if (!job) throw new Error("no job was made");
      await lab.end(job, "running");
      await lab.clock.advance(5000);
      const created_at = new Date(lab.clock.now()).toISOString();
      const lock = (hostname: string) => ({
        ...{ id: hostname, hostname, username: "root", pid: 7, exclusive: true, created_at, alive: null },
      });
      const stats = { job_id: null, repository_id: null, raw_bytes: null, uncompressed_bytes: null };
      const told = { ...stats, snapshot_count: null, locks: [lock("DB-01.example.org"), lock("db-011")] };
      await inTransaction(lab.db, (tx) =>
        recordStatistics(tx, repositoryId, { stats: told, at: lab.clock.now(), ambiguous: false }),
      );
      const locks = async () => (await getRepositoryView(lab.deps, host.id)).locks;
      expect(await locks()).toMatchObject([
        { ours: true, host: { name: "db-01" }, job: { id: job.id, kind: "check" }, jobAlive: true },
        { ours: false, host: null, job: null, jobAlive: null },
      ]);
      await lab.end(job, "failed");
      expect((await locks())?.[0]).toMatchObject({ ours: true, jobAlive: false });
    });
  });
});
