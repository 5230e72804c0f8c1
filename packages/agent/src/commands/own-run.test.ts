/**
 * Runs of schedules that the agent began by itself, from the journal to the events. There is no restic here: each job
 * fails at once and says so, which is all that their order needs.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DurableEvent, scheduledJobId } from "@restic-manager/protocol";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { idleUpdates } from "../../fixtures/update/release.ts";
import { Journal } from "../journal/journal.ts";
import { Outbox } from "../link/outbox.ts";
import { systemClock } from "../platform/clock.ts";
import { createId } from "../platform/ids.ts";
import { systemRandom } from "../platform/random.ts";
import type { BinaryOutcome } from "../restic/binary.ts";
import { Jobs, type JobsDeps } from "./jobs.ts";
import type { OwnRun } from "./own-run.ts";

const SCHEDULE = "01KAQ2V0C5D7F9H2J4K6M8N0PR";
const GROUP = "01KAQ2V0C5D7F9H2J4K6M8N0PS";
const OTHER_GROUP = "01KAQ2V0C5D7F9H2J4K6M8N0PW";
const THREE = Date.UTC(2026, 10, 23, 3);
const log = pino({ level: "silent" });
const repository = { location: "/r", password: "p", rest_username: null, rest_password: null };

function ownRun(sourceGroupId = GROUP, script: string | null = null): OwnRun {
  const key = { scheduleId: SCHEDULE, plannedAt: THREE, sourceGroupId };
  return {
    ...{ ...key, jobId: scheduledJobId({ ...key, tries: 0 }) },
    spec: {
      ...{ kind: "backup", host_name: "h", source_group: "g", includes: ["/etc"], excludes: [] },
      pre_hook: script === null ? null : { script, timeout_seconds: 60 },
    },
  };
}

type Agent = { jobs: Jobs; outbox: Outbox; journal: Journal; stop: () => Promise<void> };

let dir: string;
let agents: Agent[];
let findRestic: () => Promise<BinaryOutcome>;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "agent-own-run-"));
  agents = [];
  findRestic = async () => ({ kind: "missing", code: "restic.missing", message: "There is no restic." });
});
afterEach(async () => {
  for (const agent of agents) await agent.stop();
  await rm(dir, { recursive: true, force: true });
});

/** An agent on this disk; the one before, if any, is gone. `start` is the agent's own and takes up what is there. */
async function createAgent(): Promise<Agent> {
  await agents.at(-1)?.stop();
  const newId = () => createId(THREE, systemRandom());
  const outbox = await Outbox.open({ dir: join(dir, "outbox"), newId, log });
  const journal = await Journal.open(join(dir, "jobs"), log);
  const deps: JobsDeps = {
    ...{
      clock: systemClock(),
      random: systemRandom(),
      log,
      journal,
      outbox,
      workDir: dir,
      cacheDir: dir,
      accessDir: dir,
      drillsDir: join(dir, "drills"),
    },
    ...{
      hooksAllowed: false,
      redact: (text: string) => text,
      inherited: {},
      platform: process.platform,
      runnerCommand: { file: "none", args: [] },
      updates: idleUpdates(dir),
    },
    ...{ findRepository: () => repository, findRestic: () => findRestic() },
    ...{ reportProgress: () => undefined, forgetProgress: () => undefined },
    ...{ onBusy: () => undefined, onIdle: () => undefined },
  };
  const jobs = new Jobs(deps);
  let stopped = false;
  const stop = async () => {
    if (stopped) return;
    stopped = true;
    await jobs.stop();
    await outbox.close();
  };
  const agent = { jobs, outbox, journal, stop };
  agents.push(agent);
  return agent;
}

/** Every event of the outbox, as a server would get them from the first on. */
async function readEvents({ outbox }: Agent): Promise<DurableEvent[]> {
  await outbox.rewind(0);
  const events: DurableEvent[] = [];
  for (let event = await outbox.next(); event !== undefined; event = await outbox.next()) events.push(event);
  return events;
}

const typesOf = (events: readonly DurableEvent[], jobId: string) =>
  events.filter(({ job_id }) => job_id === jobId).map(({ type }) => type);
const WHOLE = ["schedule.ran", "job.started", "log.stream", "job.finished"];

async function untilEnded({ jobs }: Agent, ...runs: OwnRun[]): Promise<void> {
  const clock = systemClock();
  const deadline = clock.monotonicMs() + 10_000;
  while (runs.some(({ jobId }) => jobs.isUnfinished(jobId))) {
    if (clock.monotonicMs() > deadline) throw new Error("the jobs never ended");
    await clock.sleep(5);
  }
}

describe("a run of a schedule by the agent", () => {
  test("is told with its key and without hooks, before its job starts", async () => {
    const agent = await createAgent();
    await agent.jobs.start();
    const run = ownRun(GROUP, "echo hunter2");
    await agent.jobs.hold(run);
    expect(agent.jobs.isUnfinished(run.jobId)).toBe(true);
    expect(await readEvents(agent)).toEqual([]);
    agent.jobs.startHeld();
    await untilEnded(agent, run);
    const events = await readEvents(agent);
    expect(typesOf(events, run.jobId)).toEqual(WHOLE);
    expect(events[0]).toMatchObject({
      ...{ job_id: run.jobId, attempt: 1, schedule_id: SCHEDULE, source_group_id: GROUP },
      planned_at: "2026-11-23T03:00:00.000Z",
    });
    expect(JSON.stringify(events)).not.toContain("hunter2");
    expect(events[0]).not.toHaveProperty("spec.pre_hook");
    expect(events.at(-1)).toMatchObject({ status: "failed", error: { code: "hook.not_allowed" } });
  });

  test("is acknowledged when the server's command comes after all, and not run again", async () => {
    const agent = await createAgent();
    await agent.jobs.start();
    const run = ownRun();
    await agent.jobs.hold(run);
    await agent.jobs.hold(run);
    const command = { type: "command.run" as const, job_id: run.jobId, attempt: 1, spec: run.spec };
    expect(await agent.jobs.accept(command)).toMatchObject({ accepted: true });
    agent.jobs.startHeld();
    await untilEnded(agent, run);
    expect(await agent.jobs.accept(command)).toMatchObject({ accepted: true });
    expect(typesOf(await readEvents(agent), run.jobId)).toEqual(WHOLE);
  });
});

describe("several runs", () => {
  const first = ownRun();
  const second = ownRun(OTHER_GROUP);

  test("run one after the other, and a command meanwhile finds the agent busy", async () => {
    const gate = Promise.withResolvers<BinaryOutcome>();
    findRestic = () => gate.promise;
    const agent = await createAgent();
    await agent.jobs.start();
    for (const run of [first, second]) await agent.jobs.hold(run);
    agent.jobs.startHeld();
    const command = { job_id: "01KAQ2W4T9B3E6R8M1N5P7S0VX", attempt: 1, spec: { kind: "init" as const } };
    expect(await agent.jobs.accept({ type: "command.run", ...command })).toMatchObject({
      code: "agent.busy",
    });
    gate.resolve({ kind: "missing", code: "restic.missing", message: "There is no restic." });
    await untilEnded(agent, first, second);
    const order = (await readEvents(agent)).filter(({ type }) => type.startsWith("job."));
    const [one, other] = [first.jobId, second.jobId].sort();
    expect(order.map(({ type, job_id }) => [type, job_id])).toEqual([
      ...[
        ["job.started", one],
        ["job.finished", one],
      ],
      ...[
        ["job.started", other],
        ["job.finished", other],
      ],
    ]);
  });

  test("that wait can be cancelled without waiting longer", async () => {
    const gate = Promise.withResolvers<BinaryOutcome>();
    const missing = { kind: "missing" as const, code: "restic.missing" as const, message: "None." };
    let searches = 0;
    findRestic = () => (searches++ === 0 ? gate.promise : Promise.resolve(missing));
    const agent = await createAgent();
    await agent.jobs.start();
    for (const run of [first, second]) await agent.jobs.hold(run);
    agent.jobs.startHeld();
    const waiting = first.jobId < second.jobId ? second : first;
    await agent.jobs.cancel(waiting.jobId);
    await untilEnded(agent, waiting);
    expect(agent.jobs.isUnfinished(waiting === first ? second.jobId : first.jobId)).toBe(true);
    gate.resolve(missing);
    await untilEnded(agent, first, second);
  });
});

describe("an agent that is killed", () => {
  const run = ownRun();

  test("after the journal starts the run with the next one", async () => {
    const before = await createAgent();
    await before.jobs.start();
    await before.jobs.hold(run);
    const agent = await createAgent();
    expect(agent.jobs.listOwn()).toMatchObject([{ schedule_id: SCHEDULE, source_group_id: GROUP }]);
    await agent.jobs.start();
    await untilEnded(agent, run);
    expect(typesOf(await readEvents(agent), run.jobId)).toEqual(WHOLE);
  });

  test.each([1, 2, 3])("after event %i of the run tells none of them twice", async (told) => {
    const before = await createAgent();
    await before.jobs.start();
    await before.jobs.hold(run);
    // What a killed agent leaves: the events up to this one, each with the position that it committed.
    const { outbox } = before;
    const append = outbox.append.bind(outbox);
    let appended = 0;
    outbox.append = (...args) => (appended++ < told ? append(...args) : new Promise(() => undefined));
    before.jobs.startHeld();
    const clock = systemClock();
    while (appended <= told) await clock.sleep(5);
    agents = [];
    const agent = await createAgent();
    await agent.jobs.start();
    await untilEnded(agent, run);
    expect(typesOf(await readEvents(agent), run.jobId)).toEqual(WHOLE);
    await before.outbox.close();
  });
});
