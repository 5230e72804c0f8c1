/**
 * What happens by itself happens once, however many replicas there are. An agent that never fires leaves its schedule to
 * the servers, which look a minute after the time; then the one that leads is killed, and the other goes on.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../../tools/demo/children.ts";
import { pause } from "../chaos/faults.ts";
import { type Replica, ReplicaLab } from "../lab/replicas.ts";
import { ScriptedAgent } from "../lab/scripted-agent.ts";

/** Long enough for every replica to look again. */
const anotherLookMs = 10_000;
/** A minute until the time, a minute of grace, and the lease of one that died. */
const firedWithinMs = 160_000;

interface ScheduledJob {
  planned_at: string;
  status: string;
  actor: { kind: string };
}

let replicas: ReplicaLab;
let agent: ScriptedAgent;

beforeAll(async () => {
  replicas = await ReplicaLab.create();
  for (const name of ["a", "b", "c"]) await replicas.add({ name });
  const { lab } = replicas;
  agent = new ScriptedAgent(lab);
  await agent.enrol("never-fires");
  await agent.connect();
  await agent.begin("init");
  await agent.finish(0);
  const groups = `/api/hosts/${agent.hostId}/source-groups`;
  const { source_groups } = await lab.api.get<{ source_groups: { id: string }[] }>(groups);
  await lab.api.post(`/api/hosts/${agent.hostId}/schedules`, {
    ...{ cron: "* * * * *", time_zone: "UTC" },
    source_group_ids: source_groups.map(({ id }) => id),
  });
});
afterAll(async () => {
  agent?.disconnect();
  await replicas?.close();
});

async function scheduledJobs(): Promise<ScheduledJob[]> {
  const path = `/api/hosts/${agent.hostId}/jobs?kind=backup`;
  const { jobs } = await replicas.lab.api.get<{ jobs: ScheduledJob[] }>(path);
  return jobs.filter(({ actor }) => actor.kind === "schedule");
}

/** Runs the next job that a replica fired. */
async function untilFired(): Promise<void> {
  const before = (await scheduledJobs()).length;
  await until("the replicas' fire", firedWithinMs, async () => (await scheduledJobs()).length > before);
  await agent.begin("backup");
  await agent.finish(0);
}

/** Each time has one job. */
async function expectEachOnce(): Promise<void> {
  await pause(anotherLookMs);
  const times = (await scheduledJobs()).map((job) => job.planned_at);
  expect([...new Set(times)]).toEqual(times);
}

async function leader(): Promise<Replica | undefined> {
  const query = "select url from leases join replicas on replicas.id = leases.holder";
  const [row] = await replicas.postgres.query<{ url: string }>(query);
  return replicas.replicas.find(({ url }) => url === row?.url);
}

test("a schedule that nobody fired is fired by the replicas, once", async () => {
  await untilFired();
  await expectEachOnce();
});

test("the replica that leads is killed: the others go on, once", async () => {
  const first = await leader();
  await first?.kill();
  await agent.connect();
  await untilFired();
  await expectEachOnce();
  const second = await leader();
  expect(second?.name).toBeDefined();
  expect(second?.name).not.toBe(first?.name);
});
