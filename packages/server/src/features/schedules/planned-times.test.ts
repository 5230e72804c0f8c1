import { readCron } from "@restic-manager/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { timesOf } from "./planned-times.ts";

const dayMs = 24 * 60 * 60_000;
/** Europe goes over to summer time on the 29th. */
const from = Date.UTC(2026, 2, 27);

describe("the times of a schedule", () => {
  it("are those of its expression, in whatever order they are asked for", () => {
    const ask = fc.record({
      cron: fc.constantFrom("30 2 * * *", "0 */6 * * *", "15 * * * 1-5"),
      timeZone: fc.constantFrom("Europe/Berlin", "UTC"),
      direction: fc.constantFrom("next" as const, "last" as const),
      // Also at the very minute of a planned time, and a millisecond beside it.
      at: fc.oneof(
        fc.integer({ min: from, max: from + 5 * dayMs }),
        fc
          .record({ hour: fc.integer({ min: 0, max: 120 }), beside: fc.integer({ min: -1, max: 1 }) })
          .map(({ hour, beside }) => from + hour * 30 * 60_000 + beside),
      ),
    });
    fc.assert(
      fc.property(fc.array(ask, { minLength: 1, maxLength: 30 }), (asks) => {
        for (const { cron, timeZone, direction, at } of asks) {
          const read = readCron(cron, timeZone);
          if ("problem" in read) throw new Error(read.problem.message);
          expect(timesOf({ cron, timeZone })[direction](at)).toBe(read.times[direction](at));
        }
      }),
      { numRuns: 60 },
    );
  });

  it("of a zone that this system lost are an error that says so, each time", () => {
    for (let i = 0; i < 2; i++)
      expect(() => timesOf({ cron: "0 3 * * *", timeZone: "Mars/Base" })).toThrow("Mars/Base");
  });
});
