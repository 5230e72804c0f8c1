/** Where a retention promises more than its schedules give. */
import { describe, expect, it } from "vitest";
import type { Retention, SourceGroup } from "../sources/sources.ts";
import { listRetentionConflicts, shortestGapMs } from "./retention-conflicts.ts";
import type { Schedule } from "./schedule.ts";

const now = Date.UTC(2026, 10, 23, 4);
const nothing: Retention = {
  ...{ keepLast: null, keepHourly: null, keepDaily: null, keepWeekly: null },
  ...{ keepMonthly: null, keepYearly: null, keepWithin: null },
};

const groupOf = (retention: Partial<Retention>): SourceGroup => ({
  ...{ id: "G1", hostId: "H1", name: "databases", includes: ["/srv"], excludes: [] },
  options: {
    ...{ excludeIfPresent: [], excludeLargerThanBytes: null, oneFileSystem: false },
    ...{ excludeCaches: false, minSizeBytes: null },
  },
  retention: { ...nothing, ...retention },
  ...{ retryMax: 3, retryBackoffSeconds: 60, version: 1, createdAt: now, updatedAt: null },
});

const scheduleOf = (cron: string, more: Partial<Schedule> = {}): Schedule => ({
  ...{ id: cron, hostId: "H1", cron, timeZone: "Europe/Berlin", jitterSeconds: 0, pausedAt: null },
  ...{ deletedAt: null, nextFireAt: now, sourceGroupIds: ["G1"], version: 1, createdAt: now, updatedAt: now },
  ...more,
});

const keeps = (retention: Partial<Retention>, ...crons: string[]) =>
  listRetentionConflicts(
    [groupOf(retention)],
    crons.map((cron) => scheduleOf(cron)),
    now,
  ).map(({ keep }) => keep);

describe("a retention", () => {
  it.each<{ retention: Partial<Retention>; crons: string[]; found: string[] }>([
    { retention: { keepHourly: 24 }, crons: ["0 3 * * *"], found: ["hourly"] },
    { retention: { keepHourly: 24 }, crons: ["0 3 * * *", "0 * * * *"], found: [] },
    { retention: { keepHourly: 24 }, crons: ["*/15 * * * *"], found: [] },
    { retention: { keepHourly: 24 }, crons: ["0 */2 * * *"], found: ["hourly"] },
    { retention: { keepDaily: 7 }, crons: ["0 3 * * *"], found: [] },
    { retention: { keepDaily: 7, keepWeekly: 4 }, crons: ["0 3 * * 0"], found: ["daily"] },
    {
      retention: { keepDaily: 7, keepWeekly: 4, keepMonthly: 6 },
      crons: ["0 3 1 * *"],
      found: ["daily", "weekly"],
    },
    { retention: { keepMonthly: 6 }, crons: ["0 3 1 * *"], found: [] },
    { retention: { keepYearly: 3 }, crons: ["0 3 1 1 *"], found: [] },
    { retention: { keepLast: 5, keepWithin: "1y" }, crons: ["0 3 1 1 *"], found: [] },
    { retention: { keepHourly: 24 }, crons: [], found: [] },
  ])("of $retention with $crons conflicts in $found", ({ retention, crons, found }) => {
    expect(keeps(retention, ...crons)).toEqual(found);
  });

  it("is held against paused schedules too, and against those of its group only", () => {
    const group = groupOf({ keepHourly: 24 });
    const paused = scheduleOf("0 * * * *", { pausedAt: now, nextFireAt: null });
    const other = scheduleOf("0 * * * *", { sourceGroupIds: ["G2"] });
    expect(listRetentionConflicts([group], [paused, scheduleOf("0 3 * * *")], now)).toEqual([]);
    expect(listRetentionConflicts([group], [other, scheduleOf("0 3 * * *")], now)).toMatchObject([
      { groupId: "G1", sentence: expect.stringContaining("no schedule that uses it runs every hour") },
    ]);
  });

  it("is not said to conflict because a day in autumn is longer", () => {
    const october = Date.UTC(2026, 9, 20);
    expect(listRetentionConflicts([groupOf({ keepDaily: 7 })], [scheduleOf("0 3 * * *")], october)).toEqual(
      [],
    );
  });
});

describe("the shortest gap of a cron", () => {
  it("is what two runs are apart at least", () => {
    expect(shortestGapMs({ cron: "0,5 3 * * *", timeZone: "UTC" }, now)).toBe(5 * 60_000);
    expect(shortestGapMs({ cron: "0 3 * * 1-5", timeZone: "UTC" }, now)).toBe(24 * 3_600_000);
  });
});
