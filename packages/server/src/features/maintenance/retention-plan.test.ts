/** What a retention keeps; that restic agrees is shown in e2e/retention.test.ts. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Retention } from "../sources/sources.ts";
import { isAboveLimit, momentBefore, planRetention } from "./retention-plan.ts";

const now = Date.UTC(2026, 10, 25, 22);
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const nothing: Retention = {
  ...{ keepLast: null, keepHourly: null, keepDaily: null, keepWeekly: null },
  ...{ keepMonthly: null, keepYearly: null, keepWithin: null },
};
const keep = (some: Partial<Retention>): Retention => ({ ...nothing, ...some });

const snapshotsAt = (times: readonly number[]) =>
  times.map((time, index) => ({ id: `s${String(index).padStart(3, "0")}`, time }));
const keptTimes = (times: readonly number[], some: Partial<Retention>): string[] =>
  planRetention(snapshotsAt(times), keep(some), now).keep.map(({ time }) =>
    new Date(time).toISOString().slice(0, 16),
  );
const reasonsOf = (times: readonly number[], some: Partial<Retention>): string[][] =>
  planRetention(snapshotsAt(times), keep(some), now).keep.map(({ reasons }) => reasons);

describe("a retention", () => {
  it("keeps the newest of each day, in UTC", () => {
    const times = [Date.UTC(2026, 10, 24, 0, 5), Date.UTC(2026, 10, 23, 23, 55), Date.UTC(2026, 10, 23, 1)];
    expect(keptTimes([...times, Date.UTC(2026, 10, 22)], { keepDaily: 2 })).toEqual([
      "2026-11-24T00:05",
      "2026-11-23T23:55",
    ]);
  });

  it("counts ISO weeks, which begin on Monday and run over the end of a year", () => {
    const week = ["2026-12-28T10", "2027-01-03T10", "2027-01-04T10"].map((at) => Date.parse(`${at}:00Z`));
    const plan = planRetention(snapshotsAt(week), keep({ keepWeekly: 2 }), Date.UTC(2027, 5));
    expect(plan.keep.map(({ id }) => id)).toEqual(["s002", "s001"]);
  });

  it("keeps the oldest while a rule is not used up, and says so", () => {
    const times = [3, 2, 1].map((hours) => now - dayMs - hours * hourMs);
    expect(reasonsOf(times, { keepDaily: 7 })).toEqual([["daily"], ["oldest daily"]]);
    expect(reasonsOf(times, { keepDaily: 1 })).toEqual([["daily"]]);
  });

  it("says every rule by which one is kept, in restic's words and order", () => {
    const times = [now - hourMs, now - 2 * hourMs];
    expect(reasonsOf(times, { keepLast: 1, keepHourly: 5, keepYearly: 1, keepWithin: "90m" })).toEqual([
      ["within 90m", "last", "hourly", "yearly"],
      ["within 90m", "hourly"],
    ]);
  });

  it("counts keep-within from the newest snapshot that is not in the future, whenever that was", () => {
    const old = Date.UTC(2020, 0, 31, 12);
    const times = [old, old - 20 * hourMs, old - dayMs, old - dayMs - 1];
    expect(reasonsOf(times, { keepWithin: "1d" })).toEqual([["within 1d"], ["within 1d"]]);
    const plan = planRetention(snapshotsAt([now + dayMs, ...times]), keep({ keepWithin: "1d" }), now);
    expect(plan.keep.map(({ id }) => id)).toEqual(["s000", "s001", "s002"]);
    expect(reasonsOf([now + 1, now + 2], { keepWithin: "1d" })).toHaveLength(2);
  });

  it("that is empty keeps everything, for no reason", () => {
    const plan = planRetention(snapshotsAt([now - 1, now - 2]), nothing, now);
    expect(plan.keep.map(({ reasons }) => reasons)).toEqual([[], []]);
    expect(plan.remove).toEqual([]);
  });

  it("of no snapshots keeps and removes none", () => {
    expect(planRetention([], keep({ keepLast: 1 }), now)).toEqual({ keep: [], remove: [] });
  });

  it("chooses by the id between two of the same moment, in whatever order they come", () => {
    const twins = [
      { id: "b", time: now - 1 },
      { id: "a", time: now - 1 },
    ];
    for (const order of [twins, twins.toReversed()])
      expect(planRetention(order, keep({ keepLast: 1 }), now).keep.map(({ id }) => id)).toEqual(["a"]);
  });
});

describe("a length of time", () => {
  it.each([
    ["2028-02-29T12:00", "1y", "2027-03-01T12:00"],
    ["2027-03-31T12:00", "1m", "2027-03-03T12:00"],
    ["2027-01-15T12:00", "1y2m3d4h", "2025-11-12T08:00"],
    ["2027-01-15T12:00", "36h", "2027-01-14T00:00"],
    ["2027-01-15T12:00", "", "2027-01-15T12:00"],
  ])("before %s of %s ends at %s", (moment, span, before) => {
    expect(new Date(momentBefore(Date.parse(`${moment}Z`), span)).toISOString().slice(0, 16)).toBe(before);
  });
});

describe("many removals", () => {
  it.each([
    { removed: 10, total: 10, percent: 50, asks: false },
    { removed: 11, total: 11, percent: 50, asks: true },
    { removed: 11, total: 11, percent: 100, asks: false },
    { removed: 50, total: 100, percent: 50, asks: false },
    { removed: 51, total: 100, percent: 50, asks: true },
    { removed: 11, total: 100, percent: 0, asks: true },
    { removed: 0, total: 0, percent: 0, asks: false },
  ])("of $removed of $total at $percent % need a word: $asks", ({ removed, total, percent, asks }) => {
    expect(isAboveLimit(removed, total, percent)).toBe(asks);
  });
});

const count = fc.option(fc.integer({ min: 1, max: 8 }), { nil: null });
const counts = {
  ...{ keepLast: count, keepHourly: count, keepDaily: count },
  ...{ keepWeekly: count, keepMonthly: count, keepYearly: count },
};
const retentions = fc.record({ ...counts, keepWithin: fc.constantFrom(null, "5h", "3d", "1m", "1y2m") });
/** Close together and years apart. */
const times = fc.array(
  fc.oneof(
    fc.integer({ min: now - 3 * dayMs, max: now - 1 }),
    fc.integer({ min: now - 900 * dayMs, max: now - 1 }),
  ),
  { maxLength: 60 },
);
const idsOf = (list: readonly { id: string }[]): string[] => list.map(({ id }) => id);

describe("any retention of any snapshots", () => {
  it("keeps or removes each of them once", () => {
    const check = (at: number[], retention: Retention) => {
      const plan = planRetention(snapshotsAt(at), retention, now);
      expect([...idsOf(plan.keep), ...idsOf(plan.remove)].sort()).toEqual(idsOf(snapshotsAt(at)));
    };
    fc.assert(fc.property(times, retentions, check));
  });

  it("removes nothing more when it is applied again", () => {
    const check = (at: number[], retention: Retention) => {
      const once = planRetention(snapshotsAt(at), retention, now);
      expect(planRetention(once.keep, retention, now)).toEqual({ keep: expect.anything(), remove: [] });
    };
    fc.assert(fc.property(times, retentions, check));
  });

  it("keeps at least the same with larger numbers", () => {
    const check = (at: number[], retention: Retention, more: number) => {
      const enlarged = { ...retention };
      for (const key of Object.keys(counts) as (keyof typeof counts)[])
        enlarged[key] = retention[key] === null ? null : retention[key] + more;
      const kept = new Set(idsOf(planRetention(snapshotsAt(at), enlarged, now).keep));
      const before = idsOf(planRetention(snapshotsAt(at), retention, now).keep);
      expect(before.filter((id) => !kept.has(id))).toEqual([]);
    };
    fc.assert(fc.property(times, retentions, fc.integer({ min: 0, max: 4 }), check));
  });

  it("keeps the newest one", () => {
    const check = (at: number[], retention: Retention) => {
      const plan = planRetention(snapshotsAt(at), retention, now);
      expect(at.length === 0 || plan.keep.some(({ time }) => time === Math.max(...at))).toBe(true);
    };
    fc.assert(fc.property(times, retentions, check));
  });
});
