/** Cron as both sides compute it: what is taken, what is refused and why, and the hours that summer time makes odd. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CronTimes, isTimeZone, readCron } from "./index.ts";

const at = (instant: string): number => Date.parse(instant);
const spell = (times: readonly number[]): string[] =>
  times.map((ms) => new Date(ms).toISOString().slice(0, 16));

function timesOf(cron: string, zone = "UTC"): CronTimes {
  const read = readCron(cron, zone);
  if ("problem" in read) throw new Error(read.problem.message);
  return read.times;
}

const problemOf = (cron: string, zone = "UTC") => {
  const read = readCron(cron, zone);
  return "problem" in read ? read.problem : null;
};

describe("an expression", () => {
  test.each([
    "0 3 * * *",
    "*/15 * * * *",
    "0 3 * * MON-FRI",
    "0 0 1,15 * *",
    " 5  4 * jan 0 ",
    "0-30/10 8-18 * * 1-5",
  ])("%j can be used", (cron) => expect(problemOf(cron)).toBeNull());

  test.each([
    ["", "cron.fields"],
    ["0 3 * *", "cron.fields"],
    ["0 0 3 * * *", "cron.fields"],
    ["@daily", "cron.fields"],
    ["5/15 * * * *", "cron.syntax"],
    ["60 * * * *", "cron.syntax"],
    ["* 24 * * *", "cron.syntax"],
    ["0 3 * * MON#1", "cron.syntax"],
    ["0 3 L * *", "cron.syntax"],
    ["0 3 ? * *", "cron.syntax"],
    ["*/0 * * * *", "cron.syntax"],
    ["30-10 * * * *", "cron.syntax"],
    ["a b c d e", "cron.syntax"],
    ["0 0 31 2 *", "cron.never"],
    ["0 0 30 2 *", "cron.never"],
    [`${"1,".repeat(200)}1 * * * *`, "cron.fields"],
  ])("%j is refused with %s", (cron, code) => {
    expect(problemOf(cron)).toMatchObject({ field: "cron", code, message: expect.stringMatching(/\.$/) });
  });

  test("of the 29th of February happens, every four years", () => {
    expect(spell(timesOf("0 0 29 2 *").nextSome(at("2026-11-25T00:00:00Z"), 2))).toEqual([
      "2028-02-29T00:00",
      "2032-02-29T00:00",
    ]);
  });

  test("with both days given means either, as cron has it", () => {
    expect(spell(timesOf("0 3 13 * 5").nextSome(at("2026-01-09T03:00:00Z"), 2))).toEqual([
      "2026-01-13T03:00",
      "2026-01-16T03:00",
    ]);
  });

  test.each(["Mars/Olympus", "", "Europe/Berlin ", "../etc", "x".repeat(100)])(
    "in the zone %j is refused",
    (zone) => {
      expect(problemOf("0 3 * * *", zone)).toMatchObject({ field: "time_zone", code: "cron.zone" });
      expect(isTimeZone(zone)).toBe(false);
    },
  );

  test("whatever is typed never throws", () => {
    const field = fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.constantFrom("*", "*/5", "1-5", "1,2", "MON", "99", "-1"),
    );
    fc.assert(
      fc.property(
        fc.array(field, { maxLength: 7 }),
        fc.constantFrom("UTC", "Europe/Berlin", "x"),
        (fields, zone) => {
          readCron(fields.join(" "), zone);
        },
      ),
      { numRuns: 500 },
    );
  }, 30_000);
});

describe("planned times", () => {
  test("come after the given moment, and the last one is at it or before it", () => {
    const times = timesOf("0 3 * * *");
    expect(spell([times.next(at("2026-11-25T03:00:00Z")) ?? 0])).toEqual(["2026-11-26T03:00"]);
    expect(spell([times.next(at("2026-11-25T02:59:59.999Z")) ?? 0])).toEqual(["2026-11-25T03:00"]);
    expect(spell([times.last(at("2026-11-25T03:00:00Z")) ?? 0])).toEqual(["2026-11-25T03:00"]);
    expect(spell([times.last(at("2026-11-25T02:59:59.999Z")) ?? 0])).toEqual(["2026-11-24T03:00"]);
  });

  test("are whole minutes, and next and last agree with each other", () => {
    const crons = fc.constantFrom("*/7 * * * *", "30 2 * * *", "0 * * * *", "15 3 1 * *", "0 0 * * 0");
    const zones = fc.constantFrom(
      "UTC",
      "Europe/Berlin",
      "America/New_York",
      "Australia/Lord_Howe",
      "Asia/Kathmandu",
    );
    fc.assert(
      fc.property(
        crons,
        zones,
        fc.integer({ min: at("2026-01-01"), max: at("2028-01-01") }),
        (cron, zone, now) => {
          const times = timesOf(cron, zone);
          const next = times.next(now) ?? 0;
          expect(next % 60_000).toBe(0);
          expect(next).toBeGreaterThan(now);
          expect(times.last(next)).toBe(next);
          expect(times.last(next - 1) ?? 0).toBeLessThanOrEqual(now);
        },
      ),
      { numRuns: 300 },
    );
  }, 30_000);
});

describe("summer time", () => {
  test.each([
    ["Europe/Berlin", "2026-03-28T12:00Z", ["2026-03-29T01:00", "2026-03-30T00:30"]],
    ["America/New_York", "2026-03-07T12:00Z", ["2026-03-08T07:00", "2026-03-09T06:30"]],
  ])("in %s: a time that the clock skips is the first moment after the gap", (zone, from, expected) => {
    expect(spell(timesOf("30 2 * * *", zone).nextSome(at(from), 2))).toEqual(expected);
  });

  test.each([
    ["Europe/Berlin", "30 2 * * *", "2026-10-24T12:00Z", ["2026-10-25T00:30", "2026-10-26T01:30"]],
    ["America/New_York", "30 1 * * *", "2026-10-31T12:00Z", ["2026-11-01T05:30", "2026-11-02T06:30"]],
  ])("in %s: a time that the clock repeats counts once", (zone, cron, from, expected) => {
    expect(spell(timesOf(cron, zone).nextSome(at(from), 2))).toEqual(expected);
  });

  test.each([
    ["Europe/Berlin", "2026-03-28T23:30Z"],
    ["Europe/Berlin", "2026-10-24T22:30Z"],
    ["America/New_York", "2026-03-08T05:30Z"],
    ["America/New_York", "2026-11-01T03:30Z"],
  ])("in %s what runs every hour keeps running every hour (%s)", (zone, from) => {
    const times = timesOf("0 * * * *", zone).nextSome(at(from), 6);
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(new Set(gaps)).toEqual(new Set([3_600_000]));
  });
});
