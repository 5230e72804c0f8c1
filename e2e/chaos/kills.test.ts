/**
 * Programs are killed at random moments while jobs run: the server, the agents, both. Everything is a program of its
 * own here, as on real machines, and whatever was killed is started again on the same files: the server after 0.1 s
 * on the same port. restic itself is never killed, so every job has to succeed, with exactly what restic did.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { killAtOnce, Lab } from "../lab/lab.ts";
import { createChance, pause, report, sized, testTimeout } from "./faults.ts";
import { ChaosHost } from "./host.ts";
import { expectTruth } from "./truth.ts";

const hostCount = sized(3, 10);
const jobsEach = sized(2, 5);
/** The least number of deaths in one test; in the long form they go on as long as jobs run. */
const leastKills = sized(3, 10);
const restartAfterMs = 100;

let lab: Lab;
let hosts: ChaosHost[];
let sessionCookie: string;

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startServer();
  await lab.signUp();
  sessionCookie = lab.api.cookie;
  hosts = [];
  for (let index = 1; index <= hostCount; index++) {
    const host = await ChaosHost.enrolled(lab, { name: `killed-${index}`, spoken: 60, restSeconds: 0.1 });
    host.startProgram();
    hosts.push(host);
  }
  for (const host of hosts) await host.untilInitialised();
}, testTimeout);
afterAll(() => lab?.close());

async function restartServer(): Promise<void> {
  await killAtOnce(lab.server);
  await pause(restartAfterMs);
  await lab.startServer();
}

async function restartAgent(host: ChaosHost): Promise<void> {
  await host.killAgent();
  host.startProgram();
}

const openJobs = async (): Promise<number> => {
  let open = 0;
  for (const host of hosts) open += await host.openJobs();
  return open;
};

/** Queues all jobs, then strikes at random moments until the jobs are done. */
async function strike(what: string, longestPauseMs: number, blow: (chance: () => number) => Promise<void>) {
  const chance = createChance(what);
  for (const host of hosts) for (let job = 0; job < jobsEach; job++) await host.startBackup();
  const startedAt = performance.now();
  let kills = 0;
  while (kills < leastKills || (await openJobs()) > 0) {
    await pause(chance() * longestPauseMs);
    await blow(chance);
    kills++;
    if (kills >= leastKills && sized(1, 0) === 1) break;
  }
  const seconds = (): string => ((performance.now() - startedAt) / 1000).toFixed(1);
  const jobs = await expectTruth(lab, hosts, { limitMs: testTimeout / 2 });
  report(`${what}: ${kills} kills during ${hostCount * jobsEach} jobs, ${seconds()} s; ${jobs} jobs checked`);
  expect(lab.api.cookie).toBe(sessionCookie);
}

const anyHost = (chance: () => number): ChaosHost => {
  const host = hosts[Math.floor(chance() * hosts.length)];
  if (!host) throw new Error("there is no host");
  return host;
};

describe("killed at random moments while jobs run", () => {
  test("the server", { timeout: testTimeout }, async () => {
    await strike("server killed", sized(700, 3000), restartServer);
  });

  test("the agents, one after the other", { timeout: testTimeout }, async () => {
    await strike("agent killed", sized(500, 1000), (chance) => restartAgent(anyHost(chance)));
  });

  test("both at once", { timeout: testTimeout }, async () => {
    await strike("both killed", sized(700, 3000), async (chance) => {
      await Promise.all([restartServer(), restartAgent(anyHost(chance))]);
    });
  });
});

describe("a cancel that was accepted is kept, though right after it", () => {
  test.each([
    ["the server is killed", () => restartServer()],
    ["the agent is killed", (host: ChaosHost) => restartAgent(host)],
    ["both are", (host: ChaosHost) => Promise.all([restartServer(), restartAgent(host)])],
  ])("%s", { timeout: testTimeout }, async (_what, blow) => {
    const host = anyHost(() => 0);
    await host.hold();
    const jobId = await host.startBackup();
    await host.untilHeld();
    expect(await lab.api.post(`/api/jobs/${jobId}/cancel`)).toMatchObject({ outcome: "requested" });
    await blow(host);
    expect(await host.finished(jobId)).toMatchObject({ status: "cancelled" });
    await host.release();
    await expectTruth(lab, [host]);
  });
});
