/** The months to come, against forgetting on every single day. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Retention } from "../sources/sources.ts";
import { planRetention } from "./retention-plan.ts";
import { listRuns } from "./retention-runs.ts";
import { endsOfMonths, simulateRetention } from "./retention-simulation.ts";

const now = Date.UTC(2026, 10, 25, 22);
const dayMs = 86_400_000;
const nothing: Retention = {
  ...{ keepLast: null, keepHourly: null, keepDaily: null, keepWeekly: null },
  ...{ keepMonthly: null, keepYearly: null, keepWithin: null },
};
const keep = (some: Partial<Retention>): Retention => ({ ...nothing, ...some });

const runsOf = (cron: string, months: number): number[] =>
  listRuns([{ cron, timeZone: "UTC" }], now, endsOfMonths(now, months).at(-1) ?? now);

/** As it will happen: each day its runs, then forget. */
function forgetDaily(retention: Retention, existing: number[], runs: number[], months: number): number[] {
  let kept = existing.map((time, index) => ({ id: `e${index}`, time }));
  const coming = runs.map((time, index) => ({ id: `r${index}`, time }));
  return endsOfMonths(now, months).map((end, index) => {
    const from = index === 0 ? now : (endsOfMonths(now, months)[index - 1] ?? now);
    for (let day = Math.floor(from / dayMs) * dayMs; day < end; day += dayMs) {
      const today = coming.filter(({ time }) => time >= day && time < day + dayMs);
      kept = planRetention([...kept, ...today], retention, day + dayMs).keep;
    }
    return kept.length;
  });
}

describe("the simulation of a retention", () => {
  it("counts what is kept at the end of this month and of the eleven after it", () => {
    const runs = runsOf("0 3 * * *", 12);
    const found = simulateRetention(keep({ keepDaily: 7, keepMonthly: 6 }), { existing: [], runs }, now);
    expect(found.map(({ month }) => month)).toEqual([
      ...["2026-11", "2026-12", "2027-01", "2027-02", "2027-03", "2027-04"],
      ...["2027-05", "2027-06", "2027-07", "2027-08", "2027-09", "2027-10"],
    ]);
    // Five days are left of November; then the months before fill up one by one.
    expect(found.map(({ kept }) => kept)).toEqual([5, 9, 10, 11, 12, 12, 12, 12, 12, 12, 12, 12]);
  });

  it("lets what is there already go with time", () => {
    const existing = Array.from({ length: 30 }, (_, index) => now - (index + 1) * dayMs);
    const runs = runsOf("0 3 * * *", 3);
    const found = simulateRetention(keep({ keepDaily: 20 }), { existing, runs }, now, 3);
    expect(found.map(({ kept }) => kept)).toEqual([20, 20, 20]);
  });

  it("never forgets by an empty retention, and keeps nothing where nothing runs", () => {
    const runs = runsOf("0 3 * * *", 2);
    expect(simulateRetention(nothing, { existing: [now - 1], runs }, now, 2)).toEqual([
      { month: "2026-11", kept: 6 },
      { month: "2026-12", kept: 37 },
    ]);
    const none = simulateRetention(keep({ keepLast: 3 }), { existing: [], runs: [] }, now, 2);
    expect(none.map(({ kept }) => kept)).toEqual([0, 0]);
  });

  it("is what forgetting every day leaves", () => {
    const count = fc.option(fc.integer({ min: 1, max: 12 }), { nil: null });
    const retention = fc.record({
      ...{ keepLast: count, keepHourly: count, keepDaily: count, keepWeekly: count, keepMonthly: count },
      ...{ keepYearly: count, keepWithin: fc.constantFrom(null, "3d", "1m", "2m5d12h") },
    });
    const cron = fc.constantFrom("0 */6 * * *", "30 3 * * 1-5", "0 4 * * 0", "0 5 1,15 * *");
    const existing = fc.array(fc.integer({ min: now - 500 * dayMs, max: now - 1 }), { maxLength: 12 });
    const check = (policy: Retention, words: string, before: number[]) => {
      const runs = runsOf(words, 5);
      const found = simulateRetention(policy, { existing: before, runs }, now, 5);
      expect(found.map(({ kept }) => kept)).toEqual(forgetDaily(policy, before, runs, 5));
    };
    fc.assert(fc.property(retention, cron, existing, check), { numRuns: 40 });
  });

  it("of half a million runs a year thins them as it goes", () => {
    const runs = runsOf("* * * * *", 12);
    expect(runs.length).toBeGreaterThan(480_000);
    const policy = keep({ keepLast: 60, keepHourly: 24, keepDaily: 30, keepWeekly: 12, keepMonthly: 12 });
    const found = simulateRetention(policy, { existing: [], runs }, now);
    expect(found.at(-1)?.kept).toBeLessThan(150);
    expect(simulateRetention(keep({ keepWithin: "1d" }), { existing: [], runs }, now).at(-1)?.kept).toBe(
      1440,
    );
  });
});
