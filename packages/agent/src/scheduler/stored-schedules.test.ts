/** The host's set of schedules: whole or not at all, newest first, sealed, and bound to its enrolment. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ScheduleEntry, ScheduleSet } from "@restic-manager/protocol";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Secrets } from "../platform/secrets.ts";
import { StoredSchedules } from "./stored-schedules.ts";

const HOST = "01KAQ2TZY8X6W4V2T0S9R7Q5PN";
const GROUP = "01KAQ2V0C5D7F9H2J4K6M8N0PS";
const OTHER_GROUP = "01KAQ2V0C5D7F9H2J4K6M8N0PW";
const SCHEDULE = "01KAQ2V0C5D7F9H2J4K6M8N0PR";
const BROKEN = "01KAQ2V0C5D7F9H2J4K6M8N0PT";

let dir: string;
let logLines: string[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "agent-schedules-"));
  logLines = [];
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const secretsPath = () => join(dir, "secrets.enc");
const openSecrets = () => Secrets.open(secretsPath(), Buffer.alloc(32, 1));

async function open(hostId = HOST): Promise<StoredSchedules> {
  const log = pino({}, { write: (line: string) => logLines.push(line) });
  return new StoredSchedules(await openSecrets(), hostId, log);
}

const group = (id: string, name: string): ScheduleSet["groups"][number] => ({
  source_group_id: id,
  spec: {
    ...{ kind: "backup", host_name: "h", source_group: name, includes: ["/etc"], excludes: [] },
    pre_hook: { script: "echo hunter2", timeout_seconds: 60 },
  },
});
const entry = (change: Partial<ScheduleEntry> = {}): ScheduleEntry => ({
  ...{ schedule_id: SCHEDULE, cron: "0 3 * * *", time_zone: "Europe/Berlin", jitter_seconds: 0 },
  ...{ source_group_ids: [GROUP], first_planned_at: "2026-11-24T02:00:00.000Z" },
  ...change,
});
const set = (version: number, change: Partial<ScheduleSet> = {}): ScheduleSet => ({
  ...{ type: "schedule.set", version, part: 1, parts: 1 },
  ...{ groups: [group(GROUP, "default")], schedules: [entry()] },
  ...change,
});
const ack = (version: number) => ({ type: "schedule.ack", version });

describe("a set in parts", () => {
  const first = set(4, { parts: 3, schedules: [] });
  const second = set(4, { part: 2, parts: 3, groups: [group(OTHER_GROUP, "photos")], schedules: [] });
  const third = set(4, {
    ...{ part: 3, parts: 3, groups: [] },
    schedules: [entry({ source_group_ids: [OTHER_GROUP, GROUP] })],
  });

  test("counts when the last part is in", async () => {
    const schedules = await open();
    expect(await schedules.take(first, true)).toBeUndefined();
    expect(await schedules.take(second, true)).toBeUndefined();
    expect(schedules.version).toBe(0);
    expect(await schedules.take(third, true)).toEqual(ack(4));
    expect(schedules.findGroups(SCHEDULE)?.map(({ spec }) => spec.source_group)).toEqual([
      "photos",
      "default",
    ]);
  });

  test("is begun anew by a first part, and parts of another version are dropped", async () => {
    const schedules = await open();
    await schedules.take(first, true);
    await schedules.take(set(5, { parts: 2 }), true);
    expect(await schedules.take(second, true)).toBeUndefined();
    expect(await schedules.take(third, true)).toBeUndefined();
    expect(await schedules.take(set(5, { part: 2, parts: 2, groups: [], schedules: [] }), true)).toEqual(
      ack(5),
    );
    expect(schedules.listPlanned()).toHaveLength(1);
  });

  test("with a part missing never counts", async () => {
    const schedules = await open();
    await schedules.take(first, true);
    expect(await schedules.take(third, true)).toBeUndefined();
    expect(await schedules.take(second, true)).toBeUndefined();
    expect(schedules.version).toBe(0);
  });
});

describe("versions", () => {
  test("a newer one counts and survives a restart; an older one is answered with what is in force", async () => {
    const schedules = await open();
    await schedules.take(set(4), true);
    expect(await schedules.take(set(5, { schedules: [] }), false)).toEqual(ack(5));
    expect(await schedules.take(set(4), false)).toEqual(ack(5));
    const next = await open();
    expect(next.version).toBe(5);
    expect(next.listPlanned()).toEqual([]);
  });

  test("the first of a connection counts whatever its number", async () => {
    const schedules = await open();
    await schedules.take(set(9), true);
    expect(await schedules.take(set(2, { schedules: [] }), true)).toEqual(ack(2));
    expect((await open()).version).toBe(2);
  });

  test("what is the same already is not written again", async () => {
    const schedules = await open();
    await schedules.take(set(4), true);
    const before = await readFile(secretsPath(), "utf8");
    expect(await schedules.take(set(4), true)).toEqual(ack(4));
    expect(await readFile(secretsPath(), "utf8")).toBe(before);
  });
});

describe("what is kept", () => {
  test("is sealed, hooks included, and not logged", async () => {
    await (await open()).take(set(4), true);
    expect((await readFile(secretsPath(), "utf8")) + logLines.join("")).not.toContain("hunter2");
    expect((await open()).findGroups(SCHEDULE)?.[0]?.spec.pre_hook?.script).toBe("echo hunter2");
  });

  test("of another enrolment does not count", async () => {
    await (await open()).take(set(4), true);
    const other = await open("01KAQ2TZY8X6W4V2T0S9R7Q5PM");
    expect(other.version).toBe(0);
    expect(other.listPlanned()).toEqual([]);
  });

  test("of a newer agent is none until the server tells it again", async () => {
    await (await openSecrets()).put("schedules", JSON.stringify({ host_id: HOST, set: { version: "five" } }));
    const schedules = await open();
    expect(schedules.version).toBe(0);
    expect(logLines.join("")).toContain("can't be read");
    expect(await schedules.take(set(4), true)).toEqual(ack(4));
  });
});

test("a cron or a zone that this agent can't read is named in the log, and the others are kept", async () => {
  const schedules = await open();
  const broken = entry({ schedule_id: BROKEN, time_zone: "Mars/Olympus" });
  expect(await schedules.take(set(4, { schedules: [broken, entry()] }), true)).toEqual(ack(4));
  expect(schedules.listPlanned().map(({ scheduleId }) => scheduleId)).toEqual([SCHEDULE]);
  expect(logLines.join("")).toContain(BROKEN);
});
