/**
 * A month of three hosts on one repository that only adds: daily backups and forgets, a prune and a check a week, a
 * prune that is killed at its work, a backup that is killed and leaves its lock, and the operator who puts it right. At
 * the end the repository is read by plain restic: all of it is sound, and it holds what the retention promises and
 * nothing else. Every day of June 2026 is lived through; the hours in which nothing is due are left out.
 */
import { randomBytes } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compareTrees } from "../lab/bytes.ts";
import { createFleet, expectStatus, type Fleet, type FleetHost, type FleetJob } from "./fleet.ts";
import { type Policy, promised } from "./promise.ts";

const hourMs = 60 * 60_000;
const dayMs = 24 * hourMs;
const days = 30;
const firstDay = Date.UTC(2026, 5, 1);
const crashDay = 14;
const staleDay = 23;
const sundays = [7, 14, 21, 28];
/** Of each host: what all have, and what the first has in addition. */
const files: Policy = { keepDaily: 7, keepWeekly: 4 };
const databases: Policy = { keepLast: 2 };

let fleet: Fleet;
let hosts: [FleetHost, FleetHost, FleetHost];
/** Ends that were not good, each as `kind code`, and what restic said. */
const failed: string[] = [];
const told: string[] = [];

beforeAll(async () => {
  fleet = await createFleet(firstDay);
  hosts = [await fleet.addHost("web"), await fleet.addHost("mail"), await fleet.addHost("shop")];
  for (const host of hosts) await plan(host, "files", "0 1 * * *", { keep_daily: 7, keep_weekly: 4 });
  await plan(hosts[0], "databases", "0 1 * * 0", { keep_last: 2 });
  const weekly = { forget_cron: "0 3 * * *", prune_cron: "0 4 * * 0", check_cron: "0 5 * * 0" };
  const maintenance = { ...weekly, check_slices: 4, version: 0 };
  expectStatus(200, await (await fleet.api()).put(`/api/hosts/${hosts[0].id}/repo-maintenance`, maintenance));
});

afterAll(() => fleet?.close());

async function plan(host: FleetHost, name: string, cron: string, retention: object): Promise<void> {
  const api = await fleet.api();
  const group = expectStatus(
    201,
    await api.post(`/api/hosts/${host.id}/source-groups`, { name, includes: [host.sources], retention }),
  );
  const schedule = { cron, time_zone: "UTC", source_group_ids: [group.body.id] };
  expectStatus(201, await api.post(`/api/hosts/${host.id}/schedules`, schedule));
}

const at = (day: number, hour: number): number => firstDay + (day - 1) * dayMs + hour * hourMs;
const isSunday = (day: number): boolean => sundays.includes(day);

/** Some files change every day, some stay, some go. */
async function live(host: FleetHost, day: number): Promise<void> {
  const write = (name: string, bytes: number) => writeFile(join(host.sources, name), randomBytes(bytes));
  await write("changes-daily", 20_000);
  await write(`of-day-${day}`, 5000);
  if (day % 5 === 1) await write("changes-rarely", 20_000);
  await rm(join(host.sources, `of-day-${day - 3}`), { force: true });
}

/** When maintenance begins next, its spread over the fleet included. */
async function nextOf(operation: string): Promise<number> {
  const { cadences } = await fleet.get<{ cadences: { operation: string; next_at: string }[] }>(
    `/api/hosts/${hosts[0].id}/repository`,
  );
  return Date.parse(cadences.find((cadence) => cadence.operation === operation)?.next_at ?? "");
}

/** Waits for its turn and remembers whoever did not succeed. */
async function maintain(operation: string, count: number): Promise<FleetJob[]> {
  return note(await fleet.pass(await nextOf(operation), operation, count));
}

function note(jobs: FleetJob[]): FleetJob[] {
  for (const { kind, status, error } of jobs) {
    if (status === "succeeded") continue;
    failed.push(`${kind} ${error?.code ?? status}`);
    told.push(`${kind}: ${error?.message} ${error?.last_lines.join("\n")}`);
  }
  return jobs;
}

/** What went wrong since this was asked last, as `kind code`; a mismatch shows restic's own words too. */
function expectFailed(...wanted: string[]): void {
  expect(failed.splice(0), told.splice(0).join("\n")).toEqual(wanted);
}

async function backUpAll(day: number): Promise<void> {
  for (const host of hosts) await live(host, day);
  await fleet.setSnapshotTime(at(day, 1));
  note(await fleet.pass(at(day, 1), "backup", isSunday(day) ? 4 : 3));
}

async function liveThrough(from: number, to: number): Promise<void> {
  for (let day = from; day <= to; day++) {
    await backUpAll(day);
    await maintain("forget", 3);
    if (!isSunday(day)) continue;
    await maintain("prune", 1);
    await maintain("check", 1);
  }
}

interface RepositoryJson {
  locks: { exclusive: boolean; alive: boolean | null }[] | null;
  coverage: { slices_read: number | null; slices_of: number | null };
}

const repository = (): Promise<RepositoryJson> => fleet.get(`/api/hosts/${hosts[0].id}/repository`);

describe("a fleet on one repository", { timeout: 600_000 }, () => {
  test("is backed up, thinned out, pruned and checked for two weeks", async () => {
    await liveThrough(1, crashDay - 1);
    expectFailed();
  });

  test("has a prune killed at its work: the job says so, the lock stays, and the check after it is no damage", async () => {
    await backUpAll(crashDay);
    await maintain("forget", 3);
    await fleet.setSlow(hosts[0], true);
    const packs = await fleet.listFiles("data");
    const isRepacking = async () => (await fleet.listFiles("data")).some((name) => !packs.includes(name));
    const [pruned] = await Promise.all([maintain("prune", 1), fleet.killRestic(hosts[0], isRepacking)]);
    await fleet.setSlow(hosts[0], false);
    expect(pruned).toMatchObject([{ status: "failed", error: { code: "restic.killed" } }]);
    expect(await fleet.listFiles("locks")).toHaveLength(1);
    expect(await maintain("check", 1)).toMatchObject([
      { status: "failed", error: { code: "restic.repository_locked" }, result: null },
    ]);
    expectFailed("prune restic.killed", "check restic.repository_locked");
  });

  test("is unlocked by its operator, who sees a dead holder, and prunes again", async () => {
    expect((await repository()).locks).toMatchObject([{ exclusive: true, alive: false }]);
    expect(await fleet.runNow(hosts[0], { kind: "unlock" })).toMatchObject({
      status: "succeeded",
      result: { removed: 1, remaining: 0 },
    });
    expect((await repository()).locks).toEqual([]);
    expect(await fleet.runNow(hosts[0], { kind: "prune" })).toMatchObject({ status: "succeeded" });
    expect(await fleet.runNow(hosts[0], { kind: "check" })).toMatchObject({ status: "succeeded" });
  });

  test("goes on until a backup is killed: it is tried again, and no host can forget for its lock", async () => {
    await liveThrough(crashDay + 1, staleDay - 1);
    expectFailed();
    await fleet.setSlow(hosts[1], true);
    const packs = await fleet.listFiles("data");
    const isUploading = async () => (await fleet.listFiles("data")).some((name) => !packs.includes(name));
    await Promise.all([backUpAll(staleDay), fleet.killRestic(hosts[1], isUploading)]);
    await fleet.setSlow(hosts[1], false);
    expectFailed("backup restic.killed");
    const [again] = await fleet.pass(fleet.clock.now(), "backup", 1);
    expect(again).toMatchObject({ status: "succeeded", host_id: hosts[1].id });
    const [error, status] = [{ code: "restic.repository_locked" }, "failed"];
    // The first host has a second group, of which nothing is to go.
    const ends = [{ error, status: "warning" }, ...[hosts[1], hosts[2]].map(() => ({ error, status }))];
    expect(await maintain("forget", 3)).toMatchObject(ends);
    expectFailed(...Array.from(hosts, () => "forget restic.repository_locked"));
  });

  test("forgets again once that lock is removed, and lives on to the end of the month", async () => {
    expect(await fleet.runNow(hosts[1], { kind: "unlock" })).toMatchObject({ result: { removed: 1 } });
    for (const host of hosts) note([await fleet.runNow(host, { kind: "forget" })]);
    await liveThrough(staleDay + 1, days);
    expectFailed();
  });
});

interface Snapshot {
  id: string;
  hostname: string;
  tags: string[];
  time: string;
}

describe("at the end of the month", { timeout: 300_000 }, () => {
  test("every byte of the repository is sound, and nobody holds a lock", async () => {
    await fleet.restic("check", "--read-data");
    expect(await fleet.listFiles("locks")).toEqual([]);
  });

  test("it holds what the retention promises of every host and group, and nothing else", async () => {
    const list = JSON.parse(await fleet.restic("snapshots", "--json")) as Snapshot[];
    const held = (host: FleetHost, tag: string) =>
      list
        .filter(({ hostname, tags }) => hostname === host.name && tags.join() === tag)
        .map(({ time }) => Date.parse(time))
        .sort((a, b) => b - a);
    const daily = Array.from({ length: days }, (_, index) => at(index + 1, 1));
    const ofFiles = promised(daily, files);
    const ofDatabases = promised(
      sundays.map((day) => at(day, 1)),
      databases,
    );
    expect([ofFiles.length, ofDatabases.length]).toEqual([9, 2]);
    for (const host of hosts) expect(held(host, "files")).toEqual(ofFiles);
    expect(held(hosts[0], "databases")).toEqual(ofDatabases);
    expect(list).toHaveLength(3 * ofFiles.length + ofDatabases.length);
    const known = await Promise.all(
      hosts.map(({ id }) => fleet.get<{ snapshots: { id: string }[] }>(`/api/hosts/${id}/snapshots`)),
    );
    const ids = known.flatMap(({ snapshots }) => snapshots.map(({ id }) => id));
    expect(ids.sort()).toEqual(list.map(({ id }) => id).sort());
  });

  test("every job has ended, and every planned time has one outcome and one backup", async () => {
    expect(await fleet.countUnfinished()).toBe(0);
    const fires = await fleet.rows
      .selectFrom("schedule_fires")
      .select(["outcome", "planned_at", "covers_from"])
      .execute();
    expect(fires).toHaveLength(3 * days + sundays.length);
    expect(fires.filter((fire) => fire.outcome !== "run" || fire.covers_from !== fire.planned_at)).toEqual(
      [],
    );
    const backups = (await fleet.jobs("&kind=backup")).filter(({ status }) => status === "succeeded");
    const keys = backups.map((job) => `${job.host_id} ${job.source_group} ${job.planned_at}`);
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys).toHaveLength(fires.length);
    const maintained = await fleet.rows
      .selectFrom("maintenance_fires")
      .select(["operation", "outcome"])
      .execute();
    const ran = Object.groupBy(maintained, ({ operation, outcome }) => `${operation} ${outcome}`);
    expect(Object.fromEntries(Object.entries(ran).map(([what, of]) => [what, of?.length]))).toEqual({
      "forget run": days,
      "prune run": sundays.length,
      "check run": sundays.length,
    });
  });

  test("every end that was not good is one that somebody caused, and space came back", async () => {
    const jobs = await fleet.jobs();
    const bad = jobs.filter(({ status }) => status !== "succeeded");
    expect(bad.map(({ kind, error }) => `${kind} ${error?.code}`).reverse()).toEqual([
      ...["prune restic.killed", "check restic.repository_locked", "backup restic.killed"],
      ...Array.from(hosts, () => "forget restic.repository_locked"),
    ]);
    const freed = jobs.filter(({ kind, status }) => kind === "prune" && status === "succeeded");
    // In the first week nothing was forgotten yet.
    expect(freed.map(({ result }) => Number(result?.freed_bytes) > 0).reverse()).toEqual([
      ...[false, true, true, true],
    ]);
    expect((await repository()).coverage).toMatchObject({ slices_read: 3, slices_of: 4 });
  });

  test("the newest snapshot of each host gives back its files to the last byte", async () => {
    for (const host of hosts) {
      const target = join(fleet.folder, `restored-${host.name}`);
      await fleet.restic("restore", "latest", "--host", host.name, "--tag", "files", "--target", target);
      const { files: count, differences } = await compareTrees(host.sources, join(target, host.sources));
      expect(differences).toEqual([]);
      expect(count).toBe(5);
    }
  });
});
