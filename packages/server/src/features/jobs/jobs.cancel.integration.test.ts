/** Cancelling a job in every status: the agent has the last word, and a lost connection is never a cancel. */
import {
  ackOf,
  connectTestAgent,
  finishedOf,
  startedOf,
  startTestServer,
  type TestAgent,
  type TestServer,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { getJob } from "./jobs.ts";

let server: TestServer;
let agent: TestAgent;
/** The init of the first connection. */
let first: { job_id: string; attempt: number };

beforeEach(async () => {
  server = await startTestServer();
  agent = await connectTestAgent(server);
  await agent.hello();
  first = await agent.nextMessage("command.run");
});
afterEach(() => server.stop());

const statusOf = async (id = first.job_id) => (await getJob(server.db, id)).status;
const becomes = (status: string) =>
  server.until(`the job is ${status}`, async () => (await statusOf()) === status);
const cancel = async (id = first.job_id) => (await server.admin.post(`/api/jobs/${id}/cancel`)).body.outcome;

async function begin(): Promise<void> {
  agent.send(ackOf(first));
  agent.send(startedOf(first, 1));
  await agent.acknowledged(1);
}

describe("cancelling", () => {
  it("a queued job ends it at once", async () => {
    await begin();
    const id = String(
      (await server.admin.post(`/api/hosts/${agent.hostId}/jobs`, { kind: "backup" })).body.job_id,
    );
    expect(await cancel(id)).toBe("cancelled");
    expect(await statusOf(id)).toBe("cancelled");
    expect(await cancel(id)).toBe("already_finished");
    agent.send(finishedOf(first, 2));
    await agent.acknowledged(2);
    await server.clock.advance(10_000);
    expect(agent.all("command.run")).toHaveLength(1);
  });

  it.each(["dispatched", "running"])("a %s job asks its agent, which has the last word", async (status) => {
    if (status === "running") await begin();
    expect(await cancel()).toBe("requested");
    expect(await agent.nextMessage("command.cancel")).toMatchObject({ job_id: first.job_id });
    expect(await statusOf()).toBe(status);
    const seq = status === "running" ? 2 : 1;
    agent.send(finishedOf(first, seq, { status: "cancelled", exit_code: 130 }));
    await agent.acknowledged(seq);
    expect(await statusOf()).toBe("cancelled");
  });

  it("a job whose agent is away reaches it when it is back, and disconnecting is no cancel", async () => {
    await begin();
    await agent.drop();
    expect(await cancel()).toBe("requested");
    expect(await cancel()).toBe("requested");
    expect(await statusOf()).toBe("running");
    await agent.connect({ jobs: [{ job_id: first.job_id, attempt: 1, state: "running" }] });
    expect(await agent.nextMessage("command.cancel")).toMatchObject({ job_id: first.job_id });
  });

  it("a job that the agent never got sends the command with the cancel behind it", async () => {
    await agent.drop();
    await cancel();
    await agent.connect();
    await agent.nextMessage("command.cancel");
    const types = agent.received.map((message) => message.type);
    expect(types.slice(-2)).toEqual(["command.run", "command.cancel"]);
  });

  it("a job that a busy agent refuses ends it: nobody runs it", async () => {
    await cancel();
    agent.send(ackOf(first, { accepted: false, code: "agent.busy" }));
    await becomes("cancelled");
  });

  it("a taken-back job that its agent runs after all stops it there", async () => {
    await agent.drop();
    await server.until("the dispatch is taken back", async () => (await statusOf()) === "queued", 5000);
    expect(await cancel()).toBe("cancelled");
    await agent.connect({ jobs: [{ job_id: first.job_id, attempt: 1, state: "running" }] });
    expect(await agent.nextMessage("command.cancel")).toMatchObject({ job_id: first.job_id });
  });

  it("a finished job leaves it as it is, and an unknown one is not found", async () => {
    agent.send(finishedOf(first, 1));
    await agent.acknowledged(1);
    expect(await cancel()).toBe("already_finished");
    expect(await statusOf()).toBe("succeeded");
    expect((await server.admin.post("/api/jobs/01KAQ2XK3M5N7P9Q1R3S5T7V9W/cancel")).status).toBe(404);
  });
});
