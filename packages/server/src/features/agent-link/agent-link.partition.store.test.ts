/** A replica that is cut off from PostgreSQL while its agents are connected to it, and planned times over two replicas. */
import {
  ackOf,
  connectTestAgent,
  finishedOf,
  linesOf,
  logOf,
  startedOf,
  startTestServer,
  type TestAgent,
  type TestServer,
} from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, expect, it } from "vitest";

/** Cut off by the test. */
let a: TestServer;
let b: TestServer;
let agent: TestAgent;
let run: { job_id: string; attempt: number };

beforeEach(async () => {
  a = await startTestServer({ engine: "postgres", proxied: true });
  b = await startTestServer({ beside: a });
  agent = await connectTestAgent(a);
  await agent.hello();
  run = await agent.nextMessage("command.run");
  agent.send(ackOf(run));
  agent.send(startedOf(run, 1));
  await agent.acknowledged(1);
});
afterEach(async () => {
  await b.stop();
  await a.stop();
});

async function moveTo(server: TestServer): Promise<number> {
  agent.server = server;
  return (await agent.connect({ jobs: [{ ...run, state: "running" }] })).acked_seq;
}

it("sends its agents away; at the other one nothing is lost or doubled, also when it is back", async () => {
  a.proxy.freeze();
  agent.send(logOf(run, 2, linesOf(1, 10)));
  const left = () => agent.all("goodbye").length > 0;
  await a.until("the agent is sent away", left, 500);
  expect(agent.all("goodbye")).toMatchObject([{ code: "link.database_away", retry: true }]);
  expect((await agent.closed()).code).toBe(1013);
  const refused = await a.anonymous().get("/ws/agent", { authorization: `Bearer ${agent.bearer}` });
  expect(refused).toMatchObject({ status: 503, body: { code: "link.not_served" } });
  expect((await a.anonymous().get("/readyz")).status).toBe(503);
  expect(await moveTo(b)).toBe(1);
  agent.send(logOf(run, 2, linesOf(1, 10)));
  await agent.acknowledged(2);
  a.proxy.thaw();
  await a.until("it is healthy again", async () => (await a.anonymous().get("/readyz")).status === 200, 500);
  expect(await moveTo(a)).toBe(2);
  agent.send(logOf(run, 3, linesOf(11, 20)));
  agent.send(finishedOf(run, 4, { log_lines: 20 }));
  await agent.acknowledged(4);
  const job = await b.admin.get(`/api/jobs/${run.job_id}`);
  expect(job.body).toMatchObject({ status: "succeeded", log_lines: 20 });
  const log = (await b.admin.get(`/api/jobs/${run.job_id}/log.txt`)).text.trimEnd().split("\n");
  expect(log.map((line) => line.replace(/^.*line /, "line "))).toEqual(
    linesOf(1, 20).map(({ text }) => text),
  );
});

it("does not have a planned time fired twice, whichever of the two looks", async () => {
  const groups = (await b.admin.get(`/api/hosts/${agent.hostId}/source-groups`)).body.source_groups;
  const [group] = groups as { id: string }[];
  const schedule = { cron: "0 5 * * *", time_zone: "UTC", source_group_ids: [group?.id] };
  const made = await b.admin.post(`/api/hosts/${agent.hostId}/schedules`, schedule);
  expect(made.status, made.text).toBe(201);
  const beat = async () => {
    agent.send({ type: "heartbeat", sent_at: new Date(a.clock.now()).toISOString() });
    const rows = sql<{ n: number }>`SELECT count(*) AS n FROM schedule_fires`;
    return Number((await rows.execute(a.db)).rows[0]?.n) > 0;
  };
  await a.clock.advance(Date.UTC(2026, 10, 23, 5) - a.clock.now());
  if (agent.socket.readyState !== agent.socket.OPEN) await moveTo(a);
  await a.until("somebody looked", beat, 1000);
  // Time for the other one.
  for (let ticks = 0; ticks < 20; ticks++) {
    await beat();
    await a.clock.advance(1000);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const jobs = sql`SELECT status FROM jobs WHERE kind = 'backup'`;
  expect((await jobs.execute(a.db)).rows).toEqual([{ status: "queued" }]);
});
