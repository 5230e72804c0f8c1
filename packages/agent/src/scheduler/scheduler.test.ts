/** Who runs a schedule, the server or the agent, over answers that come, come late or never, and over restarts. */
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ScheduleFire, type ScheduleSet, scheduledJobId } from "@restic-manager/protocol";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AgentFakeClock } from "../../../testkit/src/agent-clock.ts";
import type { OwnRun } from "../commands/own-run.ts";
import { systemClock } from "../platform/clock.ts";
import { Secrets } from "../platform/secrets.ts";
import { ANSWER_WITHIN_MS, LOOK_MS, type OwnJobs, Scheduler } from "./scheduler.ts";
import { StoredSchedules } from "./stored-schedules.ts";

const HOST = "01KAQ2TZY8X6W4V2T0S9R7Q5PN";
const SCHEDULE = "01KAQ2V0C5D7F9H2J4K6M8N0PR";
const GROUP = "01KAQ2V0C5D7F9H2J4K6M8N0PS";
const OTHER_GROUP = "01KAQ2V0C5D7F9H2J4K6M8N0PW";
const THREE = Date.UTC(2026, 10, 23, 3);
const DAY = 24 * 3_600_000;
/** How long before the first planned time a test begins. */
const BEFORE = 60_000;

/** A journal without a disk: it outlives the agents of a test, as the disk does. */
class FakeJobs implements OwnJobs {
  readonly held: OwnRun[] = [];
  readonly unfinished = new Set<string>();
  /** How many were started, at each start. */
  readonly starts: number[] = [];
  full = false;

  knows(jobId: string): boolean {
    return this.isUnfinished(jobId) || this.held.some((run) => run.jobId === jobId);
  }

  isUnfinished(jobId: string): boolean {
    return this.unfinished.has(jobId);
  }

  listOwn() {
    return this.held.map(({ scheduleId, plannedAt }) => ({
      ...{ schedule_id: scheduleId, planned_at: new Date(plannedAt).toISOString() },
    }));
  }

  async hold(run: OwnRun): Promise<void> {
    if (this.full) throw new Error("ENOSPC");
    this.held.push(run);
    this.unfinished.add(run.jobId);
  }

  startHeld(): void {
    this.starts.push(this.held.length);
  }
}

let dir: string;
let clock: AgentFakeClock;
let jobs: FakeJobs;
let schedulers: Scheduler[];
let schedules: StoredSchedules;
let asked: ScheduleFire[];
let online: boolean;
let logLines: string[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "agent-scheduler-"));
  clock = new AgentFakeClock(THREE - BEFORE);
  jobs = new FakeJobs();
  schedulers = [];
  asked = [];
  online = true;
  logLines = [];
});
afterEach(async () => {
  for (const scheduler of schedulers) await scheduler.stop();
  await rm(dir, { recursive: true, force: true });
});

const statePath = () => join(dir, "schedules.json");
const readState = async () => JSON.parse(await readFile(statePath(), "utf8")) as Record<string, unknown>;
const jobOf = (plannedAt: number, sourceGroupId = GROUP) =>
  scheduledJobId({ scheduleId: SCHEDULE, plannedAt, sourceGroupId, tries: 0 });
const log = () => pino({}, { write: (line: string) => logLines.push(line) });

function setOf(version: number, cron: string | null, groups = [GROUP]): ScheduleSet {
  const spec = {
    ...{ kind: "backup" as const, host_name: "h", source_group: "g", includes: ["/etc"], excludes: [] },
  };
  const entry = {
    ...{ schedule_id: SCHEDULE, time_zone: "UTC", jitter_seconds: 0, source_group_ids: groups },
    first_planned_at: new Date(THREE).toISOString(),
  };
  return {
    ...{ type: "schedule.set", version, part: 1, parts: 1 },
    groups: groups.map((source_group_id) => ({ source_group_id, spec })),
    schedules: cron === null ? [] : [{ ...entry, cron }],
  };
}

/** An agent on this disk. The one before, if any, is gone. */
async function start(set?: ScheduleSet): Promise<Scheduler> {
  await schedulers.at(-1)?.stop();
  const secrets = await Secrets.open(join(dir, "secrets.enc"), Buffer.alloc(32, 1));
  schedules = new StoredSchedules(secrets, HOST, log());
  if (set !== undefined) await schedules.take(set, true);
  const send = (message: ScheduleFire) => {
    if (online) asked.push(message);
    return online;
  };
  const scheduler = await Scheduler.open({
    clock,
    log: log(),
    schedules,
    jobs,
    statePath: statePath(),
    send,
  });
  schedulers.push(scheduler);
  await scheduler.resume();
  scheduler.start();
  await idle();
  return scheduler;
}

/** Until the loop has done what is due and waits. */
async function idle(): Promise<void> {
  const real = systemClock();
  const deadline = real.monotonicMs() + 10_000;
  do {
    if (real.monotonicMs() > deadline) throw new Error("the loop never came to rest");
    await real.sleep(2);
  } while (clock.sleeping === 0);
}

/** Time passes, in steps so small that the loop can follow. */
async function pass(ms: number, stepMs = 5_000): Promise<void> {
  for (let left = ms; left > 0; left -= stepMs) {
    await clock.advance(Math.min(left, stepMs));
    await idle();
  }
}

const answer = (plannedAt: number, outcome: "taken" | "refused") => ({
  ...{ type: "schedule.fired" as const, schedule_id: SCHEDULE, outcome },
  planned_at: new Date(plannedAt).toISOString(),
});
const plannedAsked = () => asked.map(({ planned_at }) => Date.parse(planned_at));

describe("with a server that answers", () => {
  test.each(["taken", "refused"] as const)(
    "a fire that is %s is asked once and not run here",
    async (outcome) => {
      const scheduler = await start(setOf(1, "0 3 * * *"));
      await pass(BEFORE);
      expect(asked).toEqual([
        { type: "schedule.fire", schedule_id: SCHEDULE, planned_at: "2026-11-23T03:00:00.000Z" },
      ]);
      await scheduler.fired(answer(THREE, outcome));
      await pass(2 * 60_000);
      expect(asked).toHaveLength(1);
      expect(jobs.held).toEqual([]);
      expect(await readState()).toMatchObject({ dealt_until: { [SCHEDULE]: THREE }, asked: [] });
    },
  );

  test("a question without an answer is asked every ten seconds, then the agent runs by itself", async () => {
    await start(setOf(1, "0 3 * * *"));
    await pass(BEFORE + ANSWER_WITHIN_MS - 5_000);
    expect(plannedAsked()).toEqual([THREE, THREE, THREE]);
    expect(jobs.held).toEqual([]);
    await pass(5_000);
    expect(jobs.held.map(({ jobId }) => jobId)).toEqual([jobOf(THREE)]);
    expect(jobs.starts).toEqual([1]);
    await pass(60_000);
    expect(jobs.held).toHaveLength(1);
  });

  test("an answer that comes too late changes nothing", async () => {
    const scheduler = await start(setOf(1, "0 3 * * *"));
    await pass(BEFORE + ANSWER_WITHIN_MS);
    await scheduler.fired(answer(THREE, "taken"));
    await pass(60_000);
    expect(jobs.held).toHaveLength(1);
  });

  test("a question is asked again at once on a new connection", async () => {
    const scheduler = await start(setOf(1, "0 3 * * *"));
    await pass(BEFORE + 1_000);
    scheduler.connected();
    await idle();
    await pass(1);
    expect(plannedAsked()).toEqual([THREE, THREE]);
    await scheduler.fired(answer(THREE, "taken"));
    await pass(60_000);
    expect(jobs.held).toEqual([]);
  });
});

test("a run that was refused under a clock far ahead fires when its time has come", async () => {
  const scheduler = await start(setOf(1, "0 3 * * *"));
  const planned = THREE + 2 * DAY;
  clock.jump(2 * DAY);
  await pass(BEFORE);
  await scheduler.fired(answer(planned, "refused"));
  clock.jump(-2 * DAY);
  await pass(LOOK_MS);
  clock.jump(2 * DAY - 2 * BEFORE);
  asked = [];
  await pass(2 * BEFORE);
  expect(plannedAsked()).toContain(planned);
});

describe("without a server", () => {
  beforeEach(() => {
    online = false;
  });

  test("every group of the schedule runs here, under the ids that the server would give", async () => {
    await start(setOf(1, "0 3 * * *", [GROUP, OTHER_GROUP]));
    await pass(BEFORE + ANSWER_WITHIN_MS);
    expect(jobs.held.map(({ jobId }) => jobId)).toEqual([jobOf(THREE), jobOf(THREE, OTHER_GROUP)]);
    expect(jobs.starts).toEqual([2]);
  });

  test("a group whose run before has not ended is left out", async () => {
    await start(setOf(1, "*/5 * * * *", [GROUP, OTHER_GROUP]));
    await pass(BEFORE + ANSWER_WITHIN_MS);
    jobs.unfinished.delete(jobOf(THREE, OTHER_GROUP));
    await pass(5 * 60_000);
    const next = THREE + 5 * 60_000;
    expect(jobs.held.map(({ jobId }) => jobId)).toEqual([
      ...[jobOf(THREE), jobOf(THREE, OTHER_GROUP)],
      jobOf(next, OTHER_GROUP),
    ]);
    expect(logLines.join("")).toContain("a run is left out");
  });

  test("a job that the server's command brought after all is not made again", async () => {
    await start(setOf(1, "0 3 * * *", [GROUP, OTHER_GROUP]));
    await pass(BEFORE);
    jobs.unfinished.add(jobOf(THREE));
    await pass(ANSWER_WITHIN_MS);
    expect(jobs.held.map(({ jobId }) => jobId)).toEqual([jobOf(THREE, OTHER_GROUP)]);
  });

  test("a full disk is tried again until the run is written down", async () => {
    await start(setOf(1, "0 3 * * *"));
    jobs.full = true;
    await pass(BEFORE + ANSWER_WITHIN_MS + 30_000);
    expect(jobs.starts).toEqual([]);
    jobs.full = false;
    await pass(10_000);
    expect(jobs.held.map(({ jobId }) => jobId)).toEqual([jobOf(THREE)]);
  });

  test("a schedule that is gone meanwhile runs no more", async () => {
    const scheduler = await start(setOf(1, "0 3 * * *"));
    await pass(BEFORE);
    await schedules.take(setOf(2, null), false);
    await scheduler.changed();
    await pass(60_000);
    expect(jobs.held).toEqual([]);
    expect(await readState()).toMatchObject({ dealt_until: {}, asked: [] });
  });
});

describe("an agent that is restarted", () => {
  test("at the second of firing goes on with the same key and fires nothing else", async () => {
    await start(setOf(1, "0 3 * * *"));
    await pass(BEFORE);
    const scheduler = await start();
    await pass(1_000);
    expect(plannedAsked()).toEqual([THREE, THREE]);
    await scheduler.fired(answer(THREE, "taken"));
    await start();
    await pass(2 * 60_000);
    expect(asked).toHaveLength(2);
    expect(jobs.held).toEqual([]);
  });

  test("with the answer lost runs it once, however often it is restarted", async () => {
    online = false;
    await start(setOf(1, "0 3 * * *"));
    await pass(BEFORE + 20_000);
    await start();
    await pass(20_000);
    expect(jobs.held).toEqual([]);
    await start();
    await pass(ANSWER_WITHIN_MS);
    await start();
    await pass(2 * 60_000);
    expect(jobs.held.map(({ jobId }) => jobId)).toEqual([jobOf(THREE)]);
  });

  test("between its journal and its state completes the run before any job starts", async () => {
    online = false;
    await start(setOf(1, "0 3 * * *", [GROUP, OTHER_GROUP]));
    await pass(BEFORE + 5_000);
    await copyFile(statePath(), join(dir, "before"));
    await pass(ANSWER_WITHIN_MS);
    await schedulers.at(-1)?.stop();
    await copyFile(join(dir, "before"), statePath());
    const lost = jobs.held.pop();
    jobs.unfinished.delete(lost?.jobId ?? "");
    await start();
    expect(jobs.held.map(({ jobId }) => jobId)).toEqual([jobOf(THREE), jobOf(THREE, OTHER_GROUP)]);
    expect(await readState()).toMatchObject({ asked: [] });
    await pass(2 * 60_000);
    expect(jobs.held).toHaveLength(2);
  });

  test("begins anew with a damaged state, and says so", async () => {
    await writeFile(statePath(), "{");
    await start(setOf(1, "0 3 * * *"));
    expect(logLines.join("")).toContain("begun anew");
    await pass(BEFORE);
    expect(plannedAsked()).toEqual([THREE]);
  });
});

describe("a machine that was away", () => {
  const hours = setOf(1, "0 * * * *");

  test("catches up once after a long sleep, a minute after it woke", async () => {
    const scheduler = await start(hours);
    await pass(BEFORE);
    await scheduler.fired(answer(THREE, "taken"));
    asked = [];
    clock.jump(3 * DAY + 20 * 60_000);
    await pass(55_000);
    expect(asked).toEqual([]);
    await pass(40_000);
    expect(new Set(plannedAsked())).toEqual(new Set([THREE + 3 * DAY]));
    await scheduler.fired(answer(THREE + 3 * DAY, "taken"));
    asked = [];
    await pass(5 * 60_000);
    expect(asked).toEqual([]);
  });

  test("catches up once after a long stop, a minute after its start", async () => {
    await start(hours);
    await schedulers.at(-1)?.stop();
    await clock.advance(2 * DAY + 20 * 60_000);
    await start();
    await pass(55_000);
    expect(asked).toEqual([]);
    await pass(5_000);
    expect(plannedAsked()).toEqual([THREE + 2 * DAY]);
  });

  test("fires nothing twice when its clock is set back, and goes on when it was far ahead", async () => {
    const scheduler = await start(hours);
    await pass(BEFORE);
    await scheduler.fired(answer(THREE, "taken"));
    clock.jump(-30 * 60_000);
    await pass(31 * 60_000, 30_000);
    expect(plannedAsked()).toEqual([THREE]);
    clock.jump(300 * DAY);
    await pass(2 * 60_000);
    expect(asked.length).toBeGreaterThan(1);
    await scheduler.fired(answer(plannedAsked().at(-1) ?? 0, "taken"));
    asked = [];
    clock.jump(-300 * DAY);
    await pass(60 * 60_000, 30_000);
    expect(new Set(plannedAsked())).toEqual(new Set([THREE + 3_600_000]));
    expect(logLines.join("")).toContain("far ahead");
  });
});
