/** Schedules on both engines: what is taken, what is refused and why, and what every change brings about. */
import { engines, ScheduleLab } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemActor } from "../../platform/http/identity.ts";
import { listAudit } from "../audit/audit.ts";
import { getHost, type Host, scheduleSetChanged } from "../hosts/hosts.ts";
import {
  deleteSchedule,
  editSchedule,
  getSchedule,
  type Schedule,
  type ScheduleDraft,
  setSchedulePaused,
} from "./schedule.ts";
import { listSchedules, listSchedulesUsing } from "./schedules.store.ts";

const actor = systemActor;

describe.each(engines)("schedules on %s", (engine) => {
  let lab: ScheduleLab;
  let host: Host;
  let groupId: string;
  let told: string[];
  beforeEach(async () => {
    lab = await ScheduleLab.open(engine);
    ({ host, groupId } = await lab.addHost("db-01"));
    told = [];
    lab.bus.on(scheduleSetChanged, ({ hostId }) => void told.push(hostId));
  });
  afterEach(() => lab.close());

  const draftOf = (schedule: Schedule, more: Partial<ScheduleDraft> = {}): ScheduleDraft => ({
    cron: schedule.cron,
    timeZone: schedule.timeZone,
    jitterSeconds: schedule.jitterSeconds,
    enabled: schedule.pausedAt === null,
    sourceGroupIds: schedule.sourceGroupIds,
    ...more,
  });
  const edit = (schedule: Schedule, more: Partial<ScheduleDraft>, version = schedule.version) =>
    editSchedule(lab.deps, {
      ...{ hostId: schedule.hostId, scheduleId: schedule.id, version, actor },
      draft: draftOf(schedule, more),
    });
  const versionOf = async () => (await getHost(lab.db, host.id)).scheduleVersion;

  it("know their next time, bump the host's version, tell it, and leave a trace", async () => {
    const before = await versionOf();
    const made = await lab.addSchedule(host.id, [groupId, groupId], {
      cron: " 30  2 * * * ",
      timeZone: "Europe/Berlin",
    });
    expect(made).toMatchObject({ cron: "30 2 * * *", sourceGroupIds: [groupId], version: 1, pausedAt: null });
    expect(made.nextFireAt).toBe(Date.parse("2026-11-24T01:30:00Z"));
    expect(await listSchedules(lab.db, host.id)).toEqual([made]);
    expect(await versionOf()).toBe(before + 1);
    expect(told).toEqual([host.id]);
    const [entry] = (await listAudit({ db: lab.db }, { action: "schedule.create", limit: 1 })).entries;
    expect(entry?.payload).toMatchObject({
      schedule_id: made.id,
      cron: "30 2 * * *",
      source_group_ids: [groupId],
    });
  });

  it.each<{ draft: Partial<ScheduleDraft>; path: string; words: string }>([
    { draft: { cron: "0 0 3 * * *" }, path: "cron", words: "five fields" },
    { draft: { cron: "5/15 * * * *" }, path: "cron", words: "*/15" },
    { draft: { cron: "0 0 31 2 *" }, path: "cron", words: "never happens" },
    { draft: { timeZone: "Mars/Olympus" }, path: "time_zone", words: "Europe/Berlin" },
    { draft: { sourceGroupIds: [] }, path: "source_group_ids", words: "at least one" },
    { draft: { sourceGroupIds: ["01KB0000000000000000000999"] }, path: "source_group_ids", words: "db-01" },
    { draft: { jitterSeconds: 50_000 }, path: "jitter_seconds", words: "minutes" },
  ])("refuse $path of $draft", async ({ draft, path, words }) => {
    await expect(lab.addSchedule(host.id, [groupId], draft)).rejects.toMatchObject({
      code: "schedules.invalid",
      details: [{ path, message: expect.stringContaining(words) }],
    });
    expect(told).toEqual([]);
  });

  it("take no group of another host", async () => {
    const other = await lab.addHost();
    await expect(lab.addSchedule(host.id, [other.groupId])).rejects.toMatchObject({
      code: "schedules.invalid",
    });
  });

  it("that are edited count their times from now; what changes nothing does nothing", async () => {
    const made = await lab.addSchedule(host.id, [groupId]);
    await lab.leap(60_000);
    const version = await versionOf();
    expect(await edit(made, {})).toEqual(made);
    expect(await versionOf()).toBe(version);
    const after = await edit(made, { cron: "*/10 * * * *" });
    expect(after).toMatchObject({ version: 2, nextFireAt: Date.parse("2026-11-23T04:10:00Z") });
    expect(await versionOf()).toBe(version + 1);
  });

  it("keep their next time when only the groups or the spread change", async () => {
    const made = await lab.addSchedule(host.id, [groupId]);
    await lab.leap(3_600_000 / 2);
    expect((await edit(made, { jitterSeconds: 60 })).nextFireAt).toBe(made.nextFireAt);
  });

  it("edited by two: the second is told what the first made of it, and nothing is lost", async () => {
    const made = await lab.addSchedule(host.id, [groupId]);
    await edit(made, { cron: "0 6 * * *" });
    await expect(edit(made, { cron: "0 7 * * *", jitterSeconds: 60 })).rejects.toMatchObject({
      kind: "conflict",
      code: "schedules.edit_conflict",
      details: { current: { cron: "0 6 * * *", version: 2 }, changed: ["cron", "jitter_seconds"] },
    });
    expect(await lab.schedule(made)).toMatchObject({ cron: "0 6 * * *", jitterSeconds: 0 });
  });

  it("that are paused have no next time, and go on from now", async () => {
    const made = await lab.addSchedule(host.id, [groupId]);
    const pause = (paused: boolean) =>
      setSchedulePaused(lab.deps, { hostId: host.id, scheduleId: made.id, paused, actor });
    expect(await pause(true)).toMatchObject({ nextFireAt: null, pausedAt: lab.clock.now() });
    const version = await versionOf();
    await pause(true);
    expect(await versionOf()).toBe(version);
    await lab.leap(3 * 24 * 3_600_000);
    expect((await pause(false)).nextFireAt).toBe(Date.parse("2026-11-26T05:00:00Z"));
  });

  it("that are deleted are gone, and their groups are free", async () => {
    const made = await lab.addSchedule(host.id, [groupId]);
    expect(await listSchedulesUsing(lab.db, groupId)).toHaveLength(1);
    await deleteSchedule(lab.deps, { hostId: host.id, scheduleId: made.id, actor });
    expect(await listSchedules(lab.db, host.id)).toEqual([]);
    expect(await listSchedulesUsing(lab.db, groupId)).toEqual([]);
    await expect(lab.schedule(made)).rejects.toMatchObject({ code: "schedules.not_found" });
    await expect(edit(made, { cron: "0 9 * * *" })).rejects.toMatchObject({ code: "schedules.not_found" });
    expect(told).toHaveLength(2);
  });

  it("of another host are not found", async () => {
    const made = await lab.addSchedule(host.id, [groupId]);
    const other = await lab.addHost();
    await expect(getSchedule(lab.db, other.host.id, made.id)).rejects.toMatchObject({ kind: "not_found" });
  });

  it("are a hundred at most", async () => {
    for (let n = 0; n < 100; n++) await lab.addSchedule(host.id, [groupId], { cron: `${n % 60} 5 * * *` });
    await expect(lab.addSchedule(host.id, [groupId])).rejects.toMatchObject({ code: "schedules.too_many" });
  });
});
