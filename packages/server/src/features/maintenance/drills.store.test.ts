/** Restore drills on both engines: off until somebody wants them, once for each planned time, of what has a snapshot. */
import type { JobResult } from "@restic-manager/protocol";
import { engines, MaintenanceLab } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemActor } from "../../platform/http/identity.ts";
import type { Host } from "../hosts/hosts.ts";
import { listLatestDrills, type RunRequest } from "../jobs/jobs.ts";
import { createSourceGroup, listSourceGroups, readGroupDraft } from "../sources/sources.ts";
import { isDrillLate } from "./drills.ts";
import { getMaintenance } from "./edit-maintenance.ts";
import { getRepositoryView } from "./repository-view.ts";
import { completeOrder, plannedJobsOf } from "./run-plans.ts";

/** The lab begins on Monday at 04:00; the spread is up to 15 minutes. */
const daily = "0 6 * * *";
const afterFirst = "2026-11-23T06:20:00.000Z";
const afterSecond = "2026-11-24T06:20:00.000Z";
const afterThird = "2026-11-25T06:20:00.000Z";
const mib = 1024 * 1024;

describe.each(engines)("restore drills on %s", (engine) => {
  let lab: MaintenanceLab;
  let host: Host;
  beforeEach(async () => {
    lab = await MaintenanceLab.open(engine);
    host = await lab.addHost("db-01");
    // Only drills are looked at here.
    await lab.edit(host, { forgetCron: null, pruneCron: null, checkCron: null });
  });
  afterEach(() => lab.close());

  const switchOn = () => lab.edit(host, { verifyCron: daily, verifyFiles: 7, verifyBytes: 3 * mib });
  const drills = async () => (await lab.jobs()).filter(({ kind }) => kind === "verify");
  const outcome = async () =>
    (await lab.lastFires()).find(({ operation }) => operation === "verify")?.outcome ?? null;
  const addGroup = async (name: string) => {
    const draft = readGroupDraft({ name, includes: ["/etc"] });
    const sources = { ...lab.deps, events: lab.bus, schedulesUsing: async () => [] };
    await createSourceGroup(sources, { hostId: host.id, draft, actor: systemActor });
  };
  const proven: JobResult = {
    ...{ kind: "verify", snapshot_id: "a".repeat(64), snapshot_time: "2026-11-23T03:00:00.000Z", seed: 1 },
    ...{ files: 7, bytes: 700, source_files: 5, left_out: 0, mismatch_count: 0, mismatches: [] },
  };

  describe("by cadence", () => {
    it("are off until somebody switches them on", async () => {
      await lab.addSnapshots(host, "web");
      await lab.passUntil(afterThird);
      expect(await lab.jobs()).toEqual([]);
      expect(await getMaintenance(lab.db, host.repositoryId ?? "")).toMatchObject({
        ...{ verifyCron: null, verifyFiles: 100, verifyBytes: 256 * mib },
      });
    });

    it("run for each group that has a snapshot, each with a seed of its own, bounded as was set", async () => {
      await addGroup("etc");
      await addGroup("never-backed-up");
      await lab.addSnapshots(host, "web", "etc", "of-no-group");
      await switchOn();
      await lab.passUntil(afterFirst);
      const made = await drills();
      expect(made).toMatchObject(
        ["etc", "web"].map((source_group) => ({
          ...{ hostId: host.id, sourceGroup: source_group, actor: { kind: "system", name: "maintenance" } },
          spec: {
            ...{ kind: "verify", host_name: "db-01", source_group, seed: expect.any(Number) },
            ...{ max_files: 7, max_bytes: 3 * mib },
          },
        })),
      );
      const seeds = made.map(({ spec }) => (spec.kind === "verify" ? spec.seed : null));
      expect(new Set(seeds).size).toBe(2);
      const groups = await listSourceGroups(lab.db, host.id);
      expect(made.map(({ sourceGroupId }) => groups.find(({ id }) => id === sourceGroupId)?.name)).toEqual([
        ...["etc", "web"],
      ]);
      expect(await outcome()).toBe("run");
    });

    it("run once, however many servers look", async () => {
      await lab.addSnapshots(host, "web");
      await switchOn();
      lab.startWatch();
      lab.startWatch();
      await lab.passUntil(afterFirst);
      await Promise.all(lab.watches.map((watch) => watch.look()));
      expect(await drills()).toHaveLength(1);
    });

    it("are each host's own, also where a repository is shared", async () => {
      const second = await lab.addHost("web-01");
      await lab.addSnapshots(host, "web");
      await lab.addSnapshots(second, "web");
      await switchOn();
      await lab.passUntil(afterFirst);
      expect((await drills()).map(({ hostId }) => hostId).sort()).toEqual([host.id, second.id].sort());
    });

    it("are skipped while one has not ended, or the host is away", async () => {
      await lab.addSnapshots(host, "web");
      await switchOn();
      await lab.passUntil(afterFirst);
      await lab.passUntil(afterSecond);
      expect(await outcome()).toBe("busy");
      const [first] = await drills();
      if (first) await lab.end(first, "succeeded", { result: proven });
      lab.alive.delete(host.id);
      await lab.passUntil(afterThird);
      expect(await outcome()).toBe("offline");
      expect(await drills()).toHaveLength(1);
    });

    it("have nothing to do where no group has a snapshot", async () => {
      await switchOn();
      await lab.passUntil(afterFirst);
      expect(await drills()).toEqual([]);
      expect(await outcome()).toBe("nothing");
    });
  });

  describe("by hand", () => {
    const plan = (request: Extract<RunRequest, { kind: "verify" }>) => plannedJobsOf(lab.db, host, request);

    it("are of every group that has a snapshot, or of the one that is named, with the seed that is given", async () => {
      await addGroup("etc");
      await lab.addSnapshots(host, "web", "etc");
      expect(await plan({ kind: "verify" })).toHaveLength(2);
      const groups = await listSourceGroups(lab.db, host.id);
      const etc = groups.find(({ name }) => name === "etc")?.id ?? "";
      expect(await plan({ kind: "verify", source_group_id: etc, seed: 42 })).toMatchObject([
        { sourceGroupId: etc, spec: { source_group: "etc", seed: 42, max_files: 100, max_bytes: 256 * mib } },
      ]);
    });

    it("are refused where nothing was backed up, and for a group that is none", async () => {
      await expect(plan({ kind: "verify" })).rejects.toMatchObject({
        ...{ kind: "conflict", code: "maintenance.nothing_to_verify" },
      });
      await expect(plan({ kind: "verify", source_group_id: "x" })).rejects.toMatchObject({
        code: "sources.not_found",
      });
    });
  });

  it("are sent without what may delete", async () => {
    await lab.addAdmin(host);
    await lab.addSnapshots(host, "web");
    await switchOn();
    await lab.passUntil(afterFirst);
    const [made] = await drills();
    if (!made) throw new Error("no drill");
    expect(await completeOrder(lab.deps, made)).toEqual({ spec: made.spec });
  });

  it("leave the last proof and the last try of each host, and are shown with the repository", async () => {
    const second = await lab.addHost("web-01");
    await lab.addSnapshots(host, "web");
    await lab.addSnapshots(second, "web");
    await switchOn();
    await lab.passUntil(afterFirst);
    for (const job of await drills()) await lab.end(job, "succeeded", { result: proven });
    await lab.passUntil(afterSecond);
    const mine = (await drills()).filter(({ hostId }) => hostId === host.id);
    const error = { code: "verify.mismatch", message: "1 of 7 files.", last_lines: [] };
    const [, later] = mine;
    if (later) await lab.end(later, "failed", { error });
    const of = async (...hostIds: string[]) => {
      const { proven: good, last } = await listLatestDrills(lab.db, hostIds);
      return { proven: good.map(({ id }) => id).sort(), last: last.map(({ id }) => id).sort() };
    };
    expect(await of(host.id)).toEqual({ proven: [mine[0]?.id], last: [later?.id] });
    expect((await of(...(await drills()).map(({ hostId }) => hostId))).proven).toHaveLength(2);
    expect((await of("nobody")).proven).toEqual([]);
    const view = await getRepositoryView(lab.deps, host.id);
    expect(view.cadences.find(({ operation }) => operation === "verify")).toMatchObject({
      ...{ nextAt: expect.any(Number), lastFire: { outcome: "run" } },
      lastRun: { jobId: later?.id, status: "failed", error: { code: "verify.mismatch" } },
    });
  });

  it("are late when two planned ones have passed without a good one, and only when they are on", async () => {
    await lab.addSnapshots(host, "web");
    const isLate = async (provenAt: number | null, createdAt = host.createdAt) => {
      const maintenance = await getMaintenance(lab.db, host.repositoryId ?? "");
      return isDrillLate(maintenance, { provenAt, createdAt }, lab.clock.now());
    };
    await lab.passUntil(afterThird);
    expect(await isLate(null)).toBe(false);
    await switchOn();
    await lab.passUntil("2026-11-26T06:20:00.000Z");
    expect(await isLate(null)).toBe(false);
    await lab.passUntil("2026-11-27T06:20:00.000Z");
    expect(await isLate(null)).toBe(true);
    expect(await isLate(null, Date.parse("2026-11-26T07:00:00.000Z"))).toBe(false);
    expect(await isLate(Date.parse("2026-11-26T06:10:00.000Z"))).toBe(false);
    expect(await isLate(Date.parse("2026-11-26T05:00:00.000Z"))).toBe(true);
  });

  it.each([
    { draft: { verifyFiles: 0 }, path: "verify_files" },
    { draft: { verifyFiles: 10_001 }, path: "verify_files" },
    { draft: { verifyFiles: 1.5 }, path: "verify_files" },
    { draft: { verifyBytes: 0 }, path: "verify_bytes" },
    { draft: { verifyBytes: Number.NaN }, path: "verify_bytes" },
    { draft: { verifyBytes: 2 ** 41 }, path: "verify_bytes" },
    { draft: { verifyCron: "weekly" }, path: "verify_cron" },
  ])("refuse $draft", async ({ draft, path }) => {
    const refused = await lab.edit(host, draft).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "maintenance.invalid", details: [{ path }] });
  });
});
