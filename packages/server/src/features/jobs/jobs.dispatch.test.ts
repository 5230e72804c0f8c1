/** The dispatcher alone, with a link that answers in the worst moment: what is true is never judged by what was. */

import type { ServerMessage } from "@restic-manager/protocol";
import { FakeClock, makeHost, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { AppError } from "../../platform/errors.ts";
import { EventBus } from "../../platform/events.ts";
import { systemActor } from "../../platform/http/identity.ts";
import { createLog } from "../../platform/log.ts";
import { eventsMissed } from "../../platform/replicas/replicas.ts";
import { agentGreeted } from "../agent-link/agent-link.ts";
import { recordHello } from "../hosts/hosts.ts";
import { createJobs, getJob, type Job, jobCancelRequested, jobChanged, moveJob } from "./job.ts";
import { JobDispatcher, type JobOrder } from "./jobs.dispatch.ts";

let database: TestDatabase;
let dispatcher: JobDispatcher;
let bus: EventBus;
let clock: FakeClock;
let sent: ServerMessage[];
/** What it has to complain of. */
let logged: string[];
let hostId: string;
/** What the agent does at once with a command. */
let onRun: (jobId: string) => void;
/** What puts the secret parts to a job. */
let completeOrder: (job: Job) => Promise<JobOrder>;
/** Runs whenever the dispatcher asks whether the host is here. */
let onAsked: () => void;
/** Where the host's agent is: at this server, at another replica, or nowhere. */
let at: "here" | "elsewhere" | "nowhere";
/** Whether no other replica has greeted the agent since. */
let held: boolean;
/** Whether a replica has the agent by the rows, whatever the picture says. */
let greeted: boolean;
/** Settles when its configuration is sent. */
let configured: Promise<void>;
let leads: boolean;

beforeEach(async () => {
  database = await openTestDatabase("sqlite");
  logged = [];
  const log = createLog("error", { write: (line) => void logged.push(line) });
  clock = new FakeClock();
  bus = new EventBus(log);
  sent = [];
  onRun = () => undefined;
  onAsked = () => undefined;
  [at, held, leads, greeted] = ["here", true, true, false];
  configured = Promise.resolve();
  const hub = {
    isConnected: () => at !== "nowhere",
    isHere: () => {
      onAsked();
      return at === "here";
    },
    isHeld: async () => greeted,
    holds: async () => held,
    configured: () => configured,
    send: (_hostId: string, message: ServerMessage) => {
      sent.push(message);
      if (message.type === "command.run") onRun(message.job_id);
      return true;
    },
  };
  completeOrder = async ({ spec }) => ({ spec });
  const complete = (job: Job) => completeOrder(job);
  dispatcher = new JobDispatcher({
    db: database.db,
    clock,
    bus,
    log,
    hub,
    completeOrder: complete,
    isLeader: () => leads,
  });
  dispatcher.start();
  hostId = (await makeHost(database.db, { at: clock.now() })).id;
});
afterEach(async () => {
  await dispatcher.stop();
  await database.close();
});

async function addJob(): Promise<Job> {
  const silent = new EventBus(createLog("silent"));
  const [job] = await createJobs({ db: database.db, clock, bus: silent }, [
    { hostId, spec: { kind: "init" }, actor: systemActor },
  ]);
  return getJob(database.db, job?.id ?? "");
}

async function start(jobId: string): Promise<void> {
  const job = await getJob(database.db, jobId);
  await moveJob(database.db, job, "running", { startedAt: clock.now(), acknowledgedAt: clock.now() });
}

it("does not take a job for lost that was sent and began right after the hello that does not know it", async () => {
  const job = await addJob();
  let started: Promise<void> | undefined;
  onRun = (jobId) => {
    started ??= start(jobId);
  };
  // Asked for on the old connection, done on the new one.
  bus.emit(jobChanged, { jobId: job.id, hostId, status: "queued" });
  bus.emit(agentGreeted, { hostId, jobs: [] });
  await dispatcher.settled();
  await started;
  await dispatcher.settled();
  expect((await getJob(database.db, job.id)).status).toBe("running");
  expect(sent).toHaveLength(1);
});

it("adopts a job that the agent took up and told of in a new hello before the old one's dispatch was done", async () => {
  bus.emit(agentGreeted, { hostId, jobs: [] });
  await dispatcher.settled();
  const job = await addJob();
  onRun = () => bus.emit(agentGreeted, { hostId, jobs: [{ job_id: job.id, attempt: 1, state: "running" }] });
  bus.emit(jobChanged, { jobId: job.id, hostId, status: "queued" });
  await dispatcher.settled();
  expect((await getJob(database.db, job.id)).acknowledgedAt).not.toBeNull();
  expect(sent.map(({ type }) => type)).toEqual(["command.run"]);
});

it("does not send a job again that has ended while the tick worked through its list", async () => {
  const job = await addJob();
  bus.emit(agentGreeted, { hostId, jobs: [] });
  await dispatcher.settled();
  expect(sent).toHaveLength(1);
  // The tick has read its list of jobs that nobody acknowledged; right then this one ends.
  let ended: Promise<unknown> | undefined;
  onAsked = () => {
    ended ??= sql`UPDATE jobs SET status = 'succeeded' WHERE id = ${job.id}`.execute(database.db);
  };
  await clock.advance(20_000);
  await vi.waitUntil(() => ended !== undefined);
  await ended;
  await dispatcher.settled();
  expect(sent).toHaveLength(1);
});

it("sends no job before the configuration that is on its way", async () => {
  const job = await addJob();
  const sentFirst = Promise.withResolvers<void>();
  configured = sentFirst.promise;
  bus.emit(agentGreeted, { hostId, jobs: [] });
  await vi.waitUntil(async () => (await getJob(database.db, job.id)).status === "dispatched");
  expect(sent).toEqual([]);
  sentFirst.resolve();
  await dispatcher.settled();
  expect(sent.map(({ type }) => type)).toEqual(["command.run"]);
});

it("takes no job for lost by the word of an agent that another replica has greeted since", async () => {
  const job = await addJob();
  await moveJob(database.db, job, "dispatched", { attempt: 1, dispatchedAt: clock.now() });
  await start(job.id);
  held = false;
  bus.emit(agentGreeted, { hostId, jobs: [] });
  await dispatcher.settled();
  expect((await getJob(database.db, job.id)).status).toBe("running");
  held = true;
  bus.emit(agentGreeted, { hostId, jobs: [] });
  await dispatcher.settled();
  expect((await getJob(database.db, job.id)).status).toBe("lost");
});

it("sends many jobs that are due at once, and lets everybody else have turns in between", async () => {
  const silent = new EventBus(createLog("silent"));
  for (let n = 0; n < 30; n++) {
    const host = await makeHost(database.db, { name: `host-${n}`, at: clock.now() });
    const job = { hostId: host.id, spec: { kind: "init" as const }, actor: systemActor };
    await createJobs({ db: database.db, clock, bus: silent }, [job]);
  }
  let turn = 0;
  const others = () => {
    turn++;
    if (sent.length < 30) setImmediate(others);
  };
  setImmediate(others);
  const sentIn = new Map<number, number>();
  onRun = () => sentIn.set(turn, (sentIn.get(turn) ?? 0) + 1);
  await clock.advance(5_000);
  await vi.waitUntil(() => sent.length === 30);
  expect(Math.max(...sentIn.values())).toBeLessThanOrEqual(8);
});

it("takes back what nobody acknowledged as the leader alone, and not from another replica", async () => {
  const job = await addJob();
  bus.emit(agentGreeted, { hostId, jobs: [] });
  await dispatcher.settled();
  const after = async () => {
    const [sentBefore, asked] = [sent.length, Promise.withResolvers<void>()];
    onAsked = asked.resolve;
    await clock.advance(70_000);
    await asked.promise;
    await dispatcher.settled();
    return { sent: sent.length - sentBefore, status: (await getJob(database.db, job.id)).status };
  };
  [at, leads] = ["nowhere", false];
  expect(await after()).toEqual({ sent: 0, status: "dispatched" });
  [at, leads] = ["elsewhere", true];
  expect(await after()).toEqual({ sent: 0, status: "dispatched" });
  at = "nowhere";
  await after();
  await vi.waitUntil(async () => (await getJob(database.db, job.id)).status === "queued");
});

it("takes nothing back from an agent that another replica greets in that moment, and that may run it", async () => {
  const job = await addJob();
  bus.emit(agentGreeted, { hostId, jobs: [] });
  await dispatcher.settled();
  // The word of it has not come, so by the picture it is nowhere.
  [at, greeted] = ["nowhere", true];
  await clock.advance(70_000);
  await dispatcher.stop();
  expect((await getJob(database.db, job.id)).status).toBe("dispatched");
});

it("stops what somebody wished to cancel at another replica whose word was lost", async () => {
  const job = await addJob();
  bus.emit(agentGreeted, { hostId, jobs: [] });
  await dispatcher.settled();
  await sql`UPDATE jobs SET cancel_requested_at = 1 WHERE id = ${job.id}`.execute(database.db);
  bus.emit(eventsMissed, {});
  await vi.waitUntil(() => sent.length === 2);
  expect(sent.at(-1)).toEqual({ type: "command.cancel", job_id: job.id });
});

it("stops it with the next tick when the database did not answer that look", async () => {
  const job = await addJob();
  bus.emit(agentGreeted, { hostId, jobs: [] });
  await dispatcher.settled();
  await sql`UPDATE jobs SET cancel_requested_at = 1 WHERE id = ${job.id}`.execute(database.db);
  await sql`ALTER TABLE jobs RENAME TO away`.execute(database.db);
  bus.emit(eventsMissed, {});
  await vi.waitUntil(() => logged.length > 0);
  await sql`ALTER TABLE away RENAME TO jobs`.execute(database.db);
  expect(sent).toHaveLength(1);
  await clock.advance(5_000);
  await vi.waitUntil(() => sent.length === 2);
  expect(sent.at(-1)).toEqual({ type: "command.cancel", job_id: job.id });
});

it("cancels nothing by the word of an event alone: anybody who may connect to PostgreSQL can say it", async () => {
  const job = await addJob();
  bus.emit(agentGreeted, { hostId, jobs: [] });
  await dispatcher.settled();
  bus.deliver(jobCancelRequested.name, { jobId: job.id, hostId });
  await dispatcher.settled();
  expect(sent.map(({ type }) => type)).toEqual(["command.run"]);
});

it("ends a job whose secrets can't be opened, says why, and goes on with the next", async () => {
  const broken = await addJob();
  await clock.advance(1);
  const next = await addJob();
  completeOrder = async ({ id, spec }) => {
    if (id !== broken.id) return { spec };
    throw new AppError("internal", "secrets.unreadable", "Put the right key file back.");
  };
  const told: string[] = [];
  bus.on(jobChanged, ({ jobId, status }) => {
    if (jobId === broken.id) told.push(status);
  });
  bus.emit(agentGreeted, { hostId, jobs: [] });
  await dispatcher.settled();
  const ended = await getJob(database.db, broken.id);
  expect(ended).toMatchObject({ status: "failed", error: { code: "secrets.unreadable" } });
  expect(ended.finishedAt).toBe(clock.now());
  expect(told).toEqual(["failed"]);
  expect(sent).toMatchObject([{ type: "command.run", job_id: next.id }]);
});

it("tries a job again whose spec could not be read because the database was away", async () => {
  const job = await addJob();
  let away = true;
  completeOrder = async ({ spec }) => {
    if (away) throw new Error("the database is away");
    return { spec };
  };
  bus.emit(agentGreeted, { hostId, jobs: [] });
  await dispatcher.settled();
  expect((await getJob(database.db, job.id)).status).toBe("dispatched");
  away = false;
  await clock.advance(20_000);
  await vi.waitUntil(() => sent.length > 0);
  await dispatcher.settled();
  expect(sent).toMatchObject([{ type: "command.run", job_id: job.id }]);
});

it("ends a job of a kind that the agent does not know at once, and says what to do", async () => {
  const say = (jobKinds: string[] | null) =>
    recordHello(database.db, hostId, {
      ...{ agentVersion: "0.1.0", resticVersion: null, resticProblem: null, os: "linux", arch: "x64" },
      ...{ machineId: null, bootId: null, clockSkewMs: 0, appliedScheduleVersion: null, hooksAllowed: null },
      ...{ backendKinds: null, jobKinds, at: clock.now() },
    });
  await say(["backup"]);
  const unknown = await addJob();
  bus.emit(agentGreeted, { hostId, jobs: [] });
  await dispatcher.settled();
  const ended = await getJob(database.db, unknown.id);
  expect(ended).toMatchObject({ status: "failed", error: { code: "agent.too_old" } });
  expect(ended.error?.message).toContain("Update the agent");
  expect(sent).toEqual([]);
  // One that does not tell its kinds knows the first ones, and no update.
  await say(null);
  const known = await addJob();
  bus.emit(jobChanged, { jobId: known.id, hostId, status: "queued" });
  await dispatcher.settled();
  expect(sent).toMatchObject([{ type: "command.run", job_id: known.id }]);
});
