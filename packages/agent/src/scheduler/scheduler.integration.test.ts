/** Schedules with real restic against a server on loopback that is away, silent, or loses what it said. */
import { cp, readdir } from "node:fs/promises";
import { join } from "node:path";
import {
  type BackupSpec,
  type ScheduleFire,
  type ServerMessage,
  scheduledJobId,
} from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type AgentLab, createAgentLab, startInProgram } from "../../fixtures/agent/lab.ts";
import { SkippingClock } from "../../fixtures/agent/skipping-clock.ts";
import { createLab, createRepository, fillSource, type Lab, until } from "../../fixtures/restic/lab.ts";

import { SETTLE_MS } from "./wake.ts";

const SCHEDULE = "01KAQ2V0C5D7F9H2J4K6M8N0PR";
const GROUP = "01KAQ2V0C5D7F9H2J4K6M8N0PS";
const THREE = Date.UTC(2026, 10, 23, 3);
const DAY = 24 * 3_600_000;
const MINUTE = 60_000;
const PLANNED_AT = "2026-11-23T03:00:00.000Z";
const jobIdAt = (plannedAt: number) =>
  scheduledJobId({ scheduleId: SCHEDULE, plannedAt, sourceGroupId: GROUP, tries: 0 });

let template: Lab;
beforeAll(async () => {
  template = await createLab();
  await createRepository(template);
});
afterAll(() => template.remove());

let lab: AgentLab;
let clock: SkippingClock;
let spec: BackupSpec;
beforeEach(async () => {
  lab = await createAgentLab();
  clock = new SkippingClock(THREE - MINUTE);
  await cp(template.repository.url, lab.repository.url, { recursive: true });
  await fillSource(lab, 1);
  spec = {
    ...{ kind: "backup", host_name: "test-host", source_group: "nightly" },
    ...{ includes: [lab.source], excludes: [] },
  };
  lab.server.schedules = {
    ...{ type: "schedule.set", version: 3, part: 1, parts: 1 },
    groups: [{ source_group_id: GROUP, spec }],
    schedules: [
      {
        ...{ schedule_id: SCHEDULE, cron: "0 3 * * *", time_zone: "UTC", jitter_seconds: 0 },
        ...{ source_group_ids: [GROUP], first_planned_at: PLANNED_AT },
      },
    ],
  };
});
afterEach(() => lab.remove());

/** An agent that has the set. */
async function start() {
  const acks = lab.server.all("schedule.ack").length;
  const agent = await startInProgram(lab, lab.config, clock);
  await lab.server.until(
    () => lab.server.all("schedule.ack").length > acks,
    "the acknowledgement of the set",
  );
  return agent;
}

/** Lets time pass, a second at each look, until the agent's log says so `count` times. */
const untilSaid = (words: string, count = 1) =>
  until(words, () => {
    const said = lab.logLines.filter((line) => line.includes(words)).length >= count;
    if (!said) clock.skip(1_000);
    return said;
  });

const fires = () => lab.server.all("schedule.fire");
const untilAsked = (count: number) => lab.server.until(() => fires().length >= count, `${count} fire(s)`);
const ended = () => lab.server.committed.filter(({ type }) => type === "job.finished");
const untilEnded = () => lab.server.until(() => ended().length > 0, "the end of the job");
const typesOf = (jobId: string) => {
  const types = lab.server.committed.filter(({ job_id }) => job_id === jobId).map(({ type }) => type);
  return types.filter((type, index) => type !== types[index - 1]);
};
const untilForgotten = () =>
  until("the journal is empty", async () => (await readdir(join(lab.config.data_dir, "jobs"))).length === 0);

const taken = ({ schedule_id, planned_at }: ScheduleFire): ServerMessage => ({
  ...{ type: "schedule.fired", schedule_id, planned_at, outcome: "taken" },
});
const command = (jobId: string): Extract<ServerMessage, { type: "command.run" }> => ({
  ...{ type: "command.run", job_id: jobId, attempt: 1, spec },
});
/** A server that takes what it is asked about, and sends the job. */
const take = (fire: ScheduleFire): ServerMessage[] => [
  taken(fire),
  command(jobIdAt(Date.parse(fire.planned_at))),
];

/** One job with one snapshot, and nothing else happened. */
async function expectOneRun(plannedAt = THREE): Promise<void> {
  await untilForgotten();
  expect(ended()).toMatchObject([{ job_id: jobIdAt(plannedAt), status: "succeeded", attempt: 1 }]);
  expect(ended()).toHaveLength(1);
  const started = lab.server.committed.filter(({ type }) => type === "job.started");
  expect(started).toHaveLength(1);
}

describe("a server that is away at the time", () => {
  test("gets the run under its key when it is back, told before the job", async () => {
    await start();
    await lab.server.stop();
    await untilSaid("a schedule fires");
    await untilSaid("this agent runs by itself");
    await until("the run ends", () => lab.logLines.join("").includes("job ended"));
    await lab.server.start();
    clock.skip(10_000);
    await untilEnded();
    await expectOneRun();
    expect(typesOf(jobIdAt(THREE)).slice(0, 2)).toEqual(["schedule.ran", "job.started"]);
    expect(typesOf(jobIdAt(THREE)).at(-1)).toBe("job.finished");
    expect(lab.server.committed[0]).toMatchObject({
      ...{ type: "schedule.ran", schedule_id: SCHEDULE, source_group_id: GROUP, planned_at: PLANNED_AT },
      spec: { source_group: "nightly", includes: [lab.source] },
    });
    expect(fires()).toEqual([]);
  });

  test("and whose agent is restarted meanwhile still gets one run", async () => {
    const first = await start();
    await lab.server.stop();
    await untilSaid("a schedule fires");
    await first.stop();
    await startInProgram(lab, lab.config, clock);
    await untilSaid("this agent runs by itself");
    await until("the run ends", () => lab.logLines.join("").includes("job ended"));
    await lab.server.start();
    clock.skip(10_000);
    await untilEnded();
    await expectOneRun();
    expect(lab.server.hellos.at(-1)).toMatchObject({ schedule_version: 3 });
  });
});

describe("a server that answers", () => {
  test("gives the job itself, and the agent runs nothing of its own", async () => {
    lab.server.answerFire = take;
    await start();
    clock.skip(MINUTE);
    await untilEnded();
    clock.skip(MINUTE);
    await expectOneRun();
    expect(fires()).toMatchObject([{ schedule_id: SCHEDULE, planned_at: PLANNED_AT }]);
    expect(typesOf(jobIdAt(THREE))[0]).toBe("job.started");
  });

  test("and refuses gets no run", async () => {
    lab.server.answerFire = (fire) => [
      { ...taken(fire), outcome: "refused", code: "schedules.paused" } as ServerMessage,
    ];
    await start();
    clock.skip(MINUTE);
    await untilAsked(1);
    await until("the answer", () => lab.logLines.join("").includes("a run was refused"));
    clock.skip(MINUTE);
    clock.skip(MINUTE);
    expect(fires()).toHaveLength(1);
    expect(lab.server.committed).toEqual([]);
  });

  test("over a connection that breaks after the question is asked again on the next", async () => {
    lab.server.onFrame = (message) =>
      message.type === "schedule.fire" && fires().length === 0 ? "drop" : "accept";
    lab.server.answerFire = take;
    await start();
    clock.skip(MINUTE);
    await untilAsked(1);
    await until("the link breaks", () =>
      lab.logLines.join("").includes("the connection to the server ended"),
    );
    clock.skip(2_000);
    await untilEnded();
    await expectOneRun();
    expect(new Set(fires().map(({ planned_at }) => planned_at))).toEqual(new Set([PLANNED_AT]));
    expect(typesOf(jobIdAt(THREE))[0]).toBe("job.started");
  });

  test("an agent that is restarted at the second of firing asks with the same key", async () => {
    const first = await start();
    clock.skip(MINUTE);
    await untilAsked(1);
    await first.stop();
    lab.server.answerFire = take;
    await start();
    await untilEnded();
    await expectOneRun();
    expect(fires().map(({ planned_at }) => planned_at)).toEqual([PLANNED_AT, PLANNED_AT]);
  });
});

describe("a server that is silent", () => {
  test("and sends its command after all meets the same job", async () => {
    await start();
    clock.skip(MINUTE);
    await untilAsked(1);
    await untilSaid("this agent runs by itself");
    await lab.server.until(() => lab.server.committed.length > 0, "the run");
    lab.server.send(command(jobIdAt(THREE)));
    await lab.server.until(() => lab.server.all("command.ack").length > 0, "the acknowledgement");
    expect(lab.server.all("command.ack")).toMatchObject([{ job_id: jobIdAt(THREE), accepted: true }]);
    await untilEnded();
    await expectOneRun();
    expect(typesOf(jobIdAt(THREE)).slice(0, 2)).toEqual(["schedule.ran", "job.started"]);
  });
});

describe("a machine that slept for days", () => {
  test("catches up once, with the newest of what it missed", async () => {
    lab.server.answerFire = take;
    await start();
    clock.suspend(5 * DAY + 60 * MINUTE);
    const wokeMs = clock.monotonicMs();
    await untilSaid("a schedule fires");
    expect(clock.monotonicMs() - wokeMs).toBeGreaterThan(SETTLE_MS);
    await untilEnded();
    clock.skip(MINUTE);
    await expectOneRun(THREE + 5 * DAY);
    expect(fires()).toHaveLength(1);
  });
});
