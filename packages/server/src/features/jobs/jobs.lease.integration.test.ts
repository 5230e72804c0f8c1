/** Dispatches that nobody acknowledges, and jobs whose host does not come back. */
import {
  ackOf,
  connectTestAgent,
  finishedOf,
  startedOf,
  startTestServer,
  type TestAgent,
  type TestServer,
} from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { getJob } from "./jobs.ts";

const hourMs = 60 * 60_000;
let server: TestServer;
let agent: TestAgent;
let jobId: string;

beforeEach(async () => {
  server = await startTestServer();
  agent = await connectTestAgent(server);
  await agent.hello();
  // The first connection queued an init; it is the job that these tests follow.
  jobId = (await agent.nextMessage("command.run")).job_id;
});
afterEach(() => server.stop());

const statusIs = (status: string) => async () => (await getJob(server.db, jobId)).status === status;
/** The fake clock goes on in steps of a dispatcher's tick. */
const pass = (what: string, wanted: () => Promise<boolean>) => server.until(what, wanted, 5000);

describe("a dispatch that was not acknowledged", () => {
  it("is taken back when its host is away, and sent again when it returns", async () => {
    await agent.drop();
    await pass("the job is queued again", statusIs("queued"));
    await agent.connect();
    expect(await agent.nextMessage("command.run")).toMatchObject({ job_id: jobId, attempt: 2 });
  });

  it("is adopted again when the agent had it after all", async () => {
    await agent.drop();
    await pass("the job is queued again", statusIs("queued"));
    await agent.connect({ jobs: [{ job_id: jobId, attempt: 1, state: "running" }] });
    await server.until("the job is dispatched again", statusIs("dispatched"));
    agent.send(startedOf({ job_id: jobId, attempt: 1 }, 1));
    agent.send(finishedOf({ job_id: jobId, attempt: 1 }, 2));
    await agent.acknowledged(2);
    expect(await getJob(server.db, jobId)).toMatchObject({ status: "succeeded", attempt: 1 });
    expect(agent.all("command.run")).toEqual([]);
  });

  it("counts as running when the agent's word comes before the reconciliation", async () => {
    await agent.drop();
    await pass("the job is queued again", statusIs("queued"));
    await agent.connect({ jobs: [{ job_id: jobId, attempt: 1, state: "finished" }] });
    agent.send(finishedOf({ job_id: jobId, attempt: 1 }, 1, { status: "warning" }));
    await agent.acknowledged(1);
    expect((await getJob(server.db, jobId)).status).toBe("warning");
  });
});

describe("a job whose host does not come back", () => {
  /** Everything that is written about the host and its job happened so much earlier. */
  async function age(ms: number): Promise<void> {
    // The last heartbeat is written within five seconds after the server has noticed.
    await server.until("no agent is connected", async () => {
      const { body } = await server.admin.get("/api/installation");
      return (body as { replicas: { agents: number }[] }).replicas.every(({ agents }) => agents === 0);
    });
    await server.clock.advance(6000);
    await sql`UPDATE jobs SET created_at = created_at - ${ms}`.execute(server.db);
    await sql`UPDATE hosts SET last_seen_at = last_seen_at - ${ms}`.execute(server.db);
    await server.clock.advance(10_000);
  }

  it("expires after a day when it was never begun, in words that say what to do", async () => {
    await agent.drop();
    await age(23 * hourMs);
    expect((await getJob(server.db, jobId)).status).not.toBe("expired");
    await age(2 * hourMs);
    await pass("the job expires", statusIs("expired"));
    const { error } = await getJob(server.db, jobId);
    expect(error).toMatchObject({
      code: "jobs.expired",
      message: expect.stringContaining("Start its agent"),
    });
  });

  it("expires only after a week when it was running, and a late end is still the truth", async () => {
    const run = { job_id: jobId, attempt: 1 };
    agent.send(ackOf(run));
    agent.send(startedOf(run, 1));
    await agent.acknowledged(1);
    await agent.drop();
    await age(6 * 24 * hourMs);
    await server.clock.advance(10_000);
    expect((await getJob(server.db, jobId)).status).toBe("running");
    await age(2 * 24 * hourMs);
    await pass("the job expires", statusIs("expired"));
    await agent.connect({ jobs: [{ ...run, state: "finished" }] });
    agent.send(finishedOf(run, 2));
    await agent.acknowledged(2);
    expect(await getJob(server.db, jobId)).toMatchObject({ status: "succeeded", error: null });
  });
});
