/** Planned times of maintenance: due once, spread, and none from before it was as it is. */
import { jitterMs } from "@restic-manager/protocol";
import { describe, expect, it } from "vitest";
import { defaultMaintenance, newestDue, nextStart, type Operation } from "./cadences.ts";

const id = "01J00000000000000000000000";
const maintenance = defaultMaintenance(id);
const at = (instant: string): number => Date.parse(`2026-11-${instant}Z`);
const planned = at("24T03:00:00");
const begin = planned + jitterMs(id, planned, 900);
const since = (lastFire: number | null = null, from = 0) => ({ lastFire, at: from });
const due = (now: number, from = since(), operation: Operation = "forget") =>
  newestDue(maintenance, operation, from, now);

describe("a planned time", () => {
  it("is due when its spread has passed, and not before", () => {
    expect(due(begin - 1, since(at("23T03:00:00")))).toBeNull();
    expect(due(begin, since(at("23T03:00:00")))).toBe(planned);
  });

  it("is not due again, and stands for those that were missed before it", () => {
    expect(due(begin, since(planned))).toBeNull();
    expect(due(at("26T12:00:00"), since(planned))).toBe(at("26T03:00:00"));
  });

  it("that began before the repository was there, or was edited, is none of its", () => {
    expect(due(at("24T12:00:00"), since(null, begin))).toBeNull();
    expect(due(at("24T12:00:00"), since(null, begin - 1))).toBe(planned);
  });

  it("is spread over at most fifteen minutes, differently for each repository", () => {
    const begins = ["A", "B", "C", "D"].map((end) => {
      const other = defaultMaintenance(id.slice(0, -1) + end);
      return nextStart(other, "forget", since(), at("23T12:00:00")) ?? 0;
    });
    for (const found of begins) expect(found - planned).toSatisfy((ms: number) => ms >= 0 && ms < 900_000);
    expect(new Set(begins).size).toBe(4);
  });
});

describe("the next beginning", () => {
  it("is that of a time whose spread has not passed, else of the next one", () => {
    expect(nextStart(maintenance, "forget", since(), begin - 1)).toBe(begin);
    const next = at("25T03:00:00");
    expect(nextStart(maintenance, "forget", since(planned), begin + 1)).toBe(next + jitterMs(id, next, 900));
  });

  it("is none when the operation is off", () => {
    expect(nextStart({ ...maintenance, pruneCron: null }, "prune", since(), begin)).toBeNull();
  });
});
