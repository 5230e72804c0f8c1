/** The set of schedules on its way to an agent: whole, in order, and in parts that each fit a frame. */
import {
  encodeMessage,
  maxFrameBytes,
  parseServerFrame,
  type ScheduledGroup,
  type ScheduleEntry,
} from "@restic-manager/protocol";
import { describe, expect, it } from "vitest";
import { cutIntoParts } from "./schedule-set.ts";

const id = (n: number): string => `01KB0000000000000000000${String(n).padStart(3, "0")}`;

const groupOf = (n: number, excludes: string[] = []): ScheduledGroup => ({
  source_group_id: id(n),
  spec: { kind: "backup", host_name: "db-01", source_group: `group ${n}`, includes: ["/etc"], excludes },
});

const entryOf = (n: number): ScheduleEntry => ({
  ...{ schedule_id: id(n), cron: "0 3 * * *", time_zone: "Europe/Berlin", jitter_seconds: 0 },
  source_group_ids: Array.from({ length: 100 }, (_, group) => id(group)),
  first_planned_at: "2026-11-24T02:00:00.000Z",
});

describe("a set of schedules", () => {
  it("that is empty is one empty part, so that the agent drops what it had", () => {
    expect(cutIntoParts(7, [], [])).toEqual([
      { type: "schedule.set", version: 7, part: 1, parts: 1, groups: [], schedules: [] },
    ]);
  });

  it("of any size is complete, in order, and each part fits a frame", () => {
    // As large as a group may be: 10,000 patterns, and quotes that JSON writes as two characters.
    const patterns = Array.from({ length: 10_000 }, (_, n) => `**/"quoted"-${n}/${"x".repeat(30)}`);
    const groups = Array.from({ length: 5 }, (_, n) => groupOf(n, patterns));
    const schedules = Array.from({ length: 450 }, (_, n) => entryOf(n));
    const parts = cutIntoParts(7, groups, schedules);
    expect(parts.flatMap((part) => part.groups)).toEqual(groups);
    expect(parts.flatMap((part) => part.schedules)).toEqual(schedules);
    for (const [index, part] of parts.entries()) {
      expect(part).toMatchObject({ part: index + 1, parts: parts.length, version: 7 });
      const frame = encodeMessage(part);
      expect(Buffer.byteLength(frame)).toBeLessThan(maxFrameBytes);
      expect(parseServerFrame(frame).ok).toBe(true);
    }
  });
});
