/** Which events of a batch become one. */
import type { DurableEvent, LogLine } from "@restic-manager/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { joinLogs } from "./agent-link.batch.ts";

const line = (n: number, text = "unchanged /etc/hosts"): LogLine => ({
  ...{ n, at: "2026-11-23T04:12:10.100Z", level: "info", stream: "stdout", text },
});
const log = (seq: number, numbers: number[], { job = "J1", attempt = 1, text = "a" } = {}): DurableEvent => ({
  ...{ type: "log.stream", seq, job_id: job, attempt, lines: numbers.map((n) => line(n, text)) },
});
const started: DurableEvent = {
  ...{ type: "job.started", seq: 2, job_id: "J1", attempt: 1, at: "2026-11-23T04:12:10.100Z" },
};

describe("log events of a batch", () => {
  it("are one with the last number when their lines follow each other", () => {
    const events = [log(1, [1, 2]), log(2, [3]), log(3, [4, 5])];
    expect(joinLogs(events)).toEqual([log(3, [1, 2, 3, 4, 5])]);
    expect(events).toEqual([log(1, [1, 2]), log(2, [3]), log(3, [4, 5])]);
  });

  it.each([
    ["are of two jobs", [log(1, [1]), log(2, [2], { job: "J2" })]],
    ["are of two attempts", [log(1, [1]), log(2, [2], { attempt: 2 })]],
    ["leave a line out", [log(1, [1]), log(2, [3])]],
    ["come twice", [log(1, [1]), log(2, [1])]],
    ["have another event between them", [log(1, [1]), started, log(3, [2])]],
    ["are long", [log(1, [1], { text: "a".repeat(9000) }), log(2, [2], { text: "a".repeat(9000) })]],
  ])("stay apart when they %s", (_, events) => {
    expect(joinLogs(events)).toEqual(events);
  });

  it("keep every line in its order, and the last number, whatever they are", () => {
    const event = fc.record({
      ...{ first: fc.nat(6), count: fc.integer({ min: 1, max: 3 }), job: fc.constantFrom("J1", "J2") },
    });
    fc.assert(
      fc.property(fc.array(event), (drawn) => {
        const events = drawn.map(({ first, count, job }, index) =>
          log(
            index + 1,
            Array.from({ length: count }, (_, i) => first + i),
            { job },
          ),
        );
        const linesOf = (some: DurableEvent[]) =>
          some.flatMap((one) => (one.type === "log.stream" ? one.lines.map(({ n }) => [one.job_id, n]) : []));
        const joined = joinLogs(events);
        expect(linesOf(joined)).toEqual(linesOf(events));
        expect(joined.at(-1)?.seq).toBe(events.at(-1)?.seq);
      }),
    );
  });
});
