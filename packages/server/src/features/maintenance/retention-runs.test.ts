/** Planned times over months, against cron itself. */
import { readCron } from "@restic-manager/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { listRuns } from "./retention-runs.ts";

const dayMs = 86_400_000;

/** As cron lists them one by one. */
function asked(cron: string, timeZone: string, from: number, to: number): number[] {
  const read = readCron(cron, timeZone);
  if ("problem" in read) throw new Error(read.problem.message);
  const runs: number[] = [];
  for (let time = read.times.next(from); time !== null && time <= to; time = read.times.next(time))
    runs.push(time);
  return runs;
}

const spring = Date.UTC(2027, 2, 10, 7, 13);
const autumn = Date.UTC(2026, 9, 20, 7, 13);

describe("the planned times", () => {
  it.each([
    ["0 3 * * *", "UTC"],
    ["30 2 * * *", "Europe/Berlin"],
    ["30 1 * * *", "America/New_York"],
    ["15,45 */6 * * 1-5", "Europe/Berlin"],
    ["0 * * * *", "Australia/Lord_Howe"],
    ["20 0-4/2 1,15 * *", "Asia/Kolkata"],
    ["0 0 * * *", "America/Havana"],
    ["0 12 13 * 5", "Pacific/Kiritimati"],
    ["0 5 29 2 *", "UTC"],
    ["5 4 * mar-apr sun", "America/St_Johns"],
  ])("of %s in %s are those of cron, also where summer time begins and ends", (cron, timeZone) => {
    for (const from of [spring, autumn]) {
      const to = from + 40 * dayMs;
      expect(listRuns([{ cron, timeZone }], from, to)).toEqual(asked(cron, timeZone, from, to));
    }
  });

  it("of a schedule of every minute differ from cron's by an hour at most", () => {
    const cron = "* * * * *";
    const timeZone = "Europe/Berlin";
    const end = Date.UTC(2027, 2, 29);
    const from = end - 3 * dayMs;
    const found = listRuns([{ cron, timeZone }], from, end);
    expect(Math.abs(found.length - 3 * 1440)).toBeLessThanOrEqual(60);
    expect(found).toEqual(found.toSorted((a, b) => a - b));
  });

  it("are those of cron for any fields", () => {
    const field = (least: number, most: number) =>
      fc.oneof(
        fc.constant("*"),
        fc.integer({ min: 2, max: 5 }).map((step) => `*/${step}`),
        fc
          .array(fc.integer({ min: least, max: most }), { minLength: 1, maxLength: 3 })
          .map((all) => all.join(",")),
        fc
          .tuple(fc.integer({ min: least, max: most }), fc.integer({ min: least, max: most }))
          .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
      );
    const hourly = fc.integer({ min: 0, max: 59 }).map(String);
    const cron = fc.tuple(hourly, field(0, 23), field(1, 28), field(1, 12), field(0, 6));
    const check = ([...fields]: string[], timeZone: string, start: number) => {
      const words = fields.join(" ");
      const to = start + 6 * dayMs;
      expect(listRuns([{ cron: words, timeZone }], start, to)).toEqual(asked(words, timeZone, start, to));
    };
    const zone = fc.constantFrom("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu");
    const start = fc.constantFrom(Date.UTC(2026, 9, 22), Date.UTC(2026, 9, 29), Date.UTC(2027, 2, 26));
    fc.assert(fc.property(cron, zone, start, check), { numRuns: 60 });
  });

  it("of several schedules are merged, and a minute that two of them name is there twice", () => {
    const daily = { cron: "0 3 * * *", timeZone: "UTC" };
    const weekly = { cron: "0 3 * * 1", timeZone: "UTC" };
    const from = Date.UTC(2026, 10, 22);
    const monday = Date.UTC(2026, 10, 23, 3);
    expect(listRuns([daily, weekly], from, from + 2 * dayMs)).toEqual([monday - dayMs, monday, monday]);
  });
});
