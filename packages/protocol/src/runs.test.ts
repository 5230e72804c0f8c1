/** The identity of a scheduled run: the same on both sides, different for every key. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { commandCancel, jitterMs, type RunKey, scheduledJobId } from "./index.ts";

const key: RunKey = {
  scheduleId: "01KAQ2V0C5D7F9H2J4K6M8N0PR",
  plannedAt: Date.UTC(2026, 10, 24, 2),
  sourceGroupId: "01KAQ2V0C5D7F9H2J4K6M8N0PS",
  tries: 0,
};

describe("the id of a scheduled job", () => {
  // For ever: an agent of today and a server of next year must agree.
  test("is this one", () => expect(scheduledJobId(key)).toBe("01M85MG280ZR8SYNJ1B2P0X9AY"));

  test("is an id as the protocol has it, and sorts by the planned time", () => {
    expect(commandCancel.safeParse({ type: "command.cancel", job_id: scheduledJobId(key) }).success).toBe(
      true,
    );
    expect(scheduledJobId({ ...key, plannedAt: key.plannedAt + 60_000 }) > scheduledJobId(key)).toBe(true);
  });

  test("differs with every part of the key", () => {
    const others: RunKey[] = [
      { ...key, scheduleId: key.sourceGroupId },
      { ...key, plannedAt: key.plannedAt + 60_000 },
      { ...key, sourceGroupId: key.scheduleId },
      { ...key, tries: 1 },
    ];
    expect(new Set([key, ...others].map(scheduledJobId)).size).toBe(5);
  });
});

describe("the spread of a schedule", () => {
  test("stays within its bound, is the same each time, and is nothing without a bound", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 43_200 }),
        fc.integer({ min: 0, max: 1e12 }),
        (seconds, plannedAt) => {
          const spread = jitterMs(key.scheduleId, plannedAt, seconds);
          expect(spread).toBeGreaterThanOrEqual(0);
          expect(spread).toBeLessThanOrEqual(seconds * 1000);
          expect(jitterMs(key.scheduleId, plannedAt, seconds)).toBe(spread);
          if (seconds === 0) expect(spread).toBe(0);
        },
      ),
    );
  });

  test("puts a thousand schedules of one minute evenly over the bound", () => {
    const quarters = [0, 0, 0, 0];
    for (let n = 0; n < 1000; n++) {
      const quarter = Math.floor(jitterMs(`schedule ${n}`, key.plannedAt, 900) / 225_000);
      quarters[quarter] = (quarters[quarter] ?? 0) + 1;
    }
    expect(Math.min(...quarters)).toBeGreaterThan(200);
  });
});
