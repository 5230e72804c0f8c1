/** Jobs through the whole server: order, redelivery, refusal, reconciliation, run now. */
import {
  ackOf,
  connectTestAgent,
  enrolTestAgent,
  finishedOf,
  linesOf,
  logOf,
  progressOf,
  startedOf,
  startTestServer,
  type TestAgent,
  type TestServer,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EventBus } from "../../platform/events.ts";
import { systemActor } from "../../platform/http/identity.ts";
import { createLog } from "../../platform/log.ts";
import { createJobs, getJob, type Job } from "./jobs.ts";

let server: TestServer;
let agent: TestAgent;
/** The init of the first connection: the first of the lane. */
let first: { job_id: string; attempt: number };

beforeEach(async () => {
  server = await startTestServer();
  agent = await connectTestAgent(server);
  await agent.hello();
  first = await agent.nextMessage("command.run");
});
afterEach(() => server.stop());

const job = (id = first.job_id): Promise<Job> => getJob(server.db, id);
const statusOf = async (id = first.job_id) => (await job(id)).status;
const becomes = (status: string, id = first.job_id) =>
  server.until(`the job is ${status}`, async () => (await statusOf(id)) === status);
const runBackup = () => server.admin.post(`/api/hosts/${agent.hostId}/jobs`, { kind: "backup" });

/** A double, sent after everything else; its answer proves that the server has worked through what came before. */
async function settle(): Promise<void> {
  const before = agent.all("event.ack").length;
  agent.send(logOf({ job_id: "01KAQ2XK3M5N7P9Q1R3S5T7V9W", attempt: 1 }, 0, linesOf(1, 1)));
  await server.until("the server read everything", () => agent.all("event.ack").length > before);
}

async function begin(run = first): Promise<void> {
  agent.send(ackOf(run));
  agent.send(startedOf(run, 1));
  await agent.acknowledged(1);
}

/** Every end of a job is a change that somebody may ask about, also one that no agent reported. */
async function endsInAudit(id = first.job_id): Promise<unknown[]> {
  const { entries } = (await server.admin.get(`/api/audit?action=job.finish&target=${id}`)).body;
  return (entries as { payload: unknown }[]).map(({ payload }) => payload);
}

/** As if something else than a person had ordered it, written while the server looks elsewhere. */
async function queue(kind: "user" | "schedule" | "system"): Promise<string> {
  const deps = { db: server.db, clock: server.clock, bus: new EventBus(createLog("silent")) };
  const actor = kind === "system" ? systemActor : { kind, id: null, name: kind };
  const [made] = await createJobs(deps, [{ hostId: agent.hostId, spec: { kind: "init" }, actor }]);
  return made?.id ?? "";
}

describe("the lane of a host", () => {
  it("holds one job at a time; people go before schedules before the system, then the oldest", async () => {
    await begin();
    const order: string[] = [];
    const ids = new Map<string, string>();
    for (const kind of ["system", "schedule", "user"] as const)
      for (const nth of [1, 2]) {
        await server.clock.advance(1);
        ids.set(await queue(kind), `${kind} ${nth}`);
      }
    await server.clock.advance(5000);
    agent.send(finishedOf(first, 2));
    for (let seq = 3; order.length < 6; seq++) {
      const run = await agent.nextMessage("command.run");
      expect(agent.all("command.run")).toHaveLength(order.length + 2);
      order.push(ids.get(run.job_id) ?? "unknown");
      agent.send(finishedOf(run, seq));
    }
    expect(order).toEqual(["user 1", "user 2", "schedule 1", "schedule 2", "system 1", "system 2"]);
  });

  it("of one host does not wait for another's", async () => {
    await begin();
    const other = await connectTestAgent(server);
    await other.hello();
    expect((await other.nextMessage("command.run")).attempt).toBe(1);
  });

  it("gets its init once, however often the agent connects", async () => {
    agent.send(finishedOf(first, 1));
    await agent.acknowledged(1);
    await agent.drop();
    await agent.connect();
    const { total } = (await server.admin.get(`/api/hosts/${agent.hostId}/jobs`)).body;
    expect(total).toBe(1);
  });
});

describe("a command", () => {
  it("is sent again after 15 s without an acknowledgement, and not after one", async () => {
    await server.clock.advance(15_000);
    expect(agent.all("command.run")).toHaveLength(1);
    await server.clock.advance(5001);
    expect(await agent.nextMessage("command.run")).toEqual(first);
    agent.send(ackOf(first));
    await settle();
    await server.clock.advance(40_000);
    await settle();
    expect(agent.all("command.run")).toHaveLength(2);
  });

  it("of a busy agent waits for its turn and is sent as the next attempt", async () => {
    agent.send(ackOf(first, { accepted: false, code: "agent.busy" }));
    await becomes("queued");
    await server.clock.advance(5000);
    expect(await agent.nextMessage("command.run")).toMatchObject({ job_id: first.job_id, attempt: 2 });
  });

  it("that is refused fails with the agent's code and words", async () => {
    const why = { code: "restic.missing", message: "restic is not installed." };
    agent.send(ackOf(first, { accepted: false, ...why }));
    await becomes("failed");
    expect(await job()).toMatchObject({ error: { ...why, last_lines: [] }, finishedAt: server.clock.now() });
    expect(await endsInAudit()).toEqual([{ status: "failed", code: "restic.missing" }]);
  });

  it("acknowledged for another attempt, another host or too late changes nothing", async () => {
    agent.send(ackOf({ ...first, attempt: 5 }, { accepted: false }));
    const other = await connectTestAgent(server);
    await other.hello();
    other.send(ackOf(first, { accepted: false }));
    other.sendRaw("{");
    await other.nextMessage("error");
    await begin();
    agent.send(ackOf(first, { accepted: false }));
    await settle();
    expect(await statusOf()).toBe("running");
  });
});

describe("after a reconnect", () => {
  it("a job that the agent holds is adopted and not sent again", async () => {
    await agent.drop();
    await agent.connect({ jobs: [{ job_id: first.job_id, attempt: 1, state: "running" }] });
    await settle();
    expect(await job()).toMatchObject({ status: "dispatched", acknowledgedAt: server.clock.now() });
    expect(agent.all("command.run")).toEqual([]);
  });

  it("a dispatched job that the agent does not know is sent again", async () => {
    await agent.drop();
    await agent.connect();
    expect(await agent.nextMessage("command.run")).toEqual(first);
  });

  it("a running job that the agent does not know is lost, in words that say what to do, and the lane goes on", async () => {
    await begin();
    await runBackup();
    await agent.drop();
    await agent.connect();
    const next = await agent.nextMessage("command.run");
    expect(next.job_id).not.toBe(first.job_id);
    const message = expect.stringContaining("Run the job again");
    expect(await job()).toMatchObject({ status: "lost", error: { code: "jobs.lost", message } });
    expect(await endsInAudit()).toEqual([{ status: "lost", code: "jobs.lost" }]);
  });

  it("a job lives on through a restart of the server", async () => {
    await begin();
    await server.restart();
    await agent.connect({ jobs: [{ job_id: first.job_id, attempt: 1, state: "running" }] });
    agent.send(logOf(first, 2, linesOf(1, 2)));
    agent.send(finishedOf(first, 3, { log_lines: 2 }));
    await agent.acknowledged(3);
    expect(await job()).toMatchObject({ status: "succeeded", logLines: 2 });
  });
});

describe("events", () => {
  it("of a superseded attempt are refused", async () => {
    agent.send(ackOf(first, { accepted: false, code: "agent.busy" }));
    await becomes("queued");
    await server.clock.advance(5000);
    await agent.nextMessage("command.run");
    agent.send(finishedOf(first, 1, { status: "failed" }));
    expect(await agent.nextMessage("error")).toMatchObject({ code: "jobs.attempt_superseded", seq: 1 });
    expect(await job()).toMatchObject({ status: "dispatched", attempt: 2 });
  });

  it("that come after the end change nothing but may complete the log", async () => {
    agent.send(finishedOf(first, 1, { status: "warning", exit_code: 3 }));
    agent.send(startedOf(first, 2));
    agent.send(finishedOf(first, 3));
    agent.send(logOf(first, 4, linesOf(1, 2)));
    await agent.acknowledged(4);
    expect(await job()).toMatchObject({ status: "warning", exitCode: 3 });
    const log = (await server.admin.get(`/api/jobs/${first.job_id}/log.ndjson`)).text;
    expect(log.trimEnd().split("\n")).toHaveLength(2);
  });

  it("of a job that never started still tell its end", async () => {
    const error = { code: "restic.wrong_password", message: "Wrong password.", last_lines: ["Fatal: wrong"] };
    agent.send(finishedOf(first, 1, { status: "failed", exit_code: 12, error }));
    await agent.acknowledged(1);
    expect(await job()).toMatchObject({ status: "failed", exitCode: 12, error });
  });
});

describe("run now", () => {
  it("makes one job for each source group and tells where it is", async () => {
    const answer = await runBackup();
    expect(answer.status).toBe(202);
    const made = await job(String(answer.body.job_id));
    expect(made).toMatchObject({
      kind: "backup",
      sourceGroup: "default",
      actor: { kind: "user", name: "admin" },
    });
    expect(made.spec).toMatchObject({ host_name: agent.name, includes: ["/etc"] });
  });

  it("on a host that is offline is refused with 409 and the host's name", async () => {
    const away = await enrolTestAgent(server, { name: "away-01" });
    const answer = await server.admin.post(`/api/hosts/${away.hostId}/jobs`, { kind: "backup" });
    expect(answer.status).toBe(409);
    const message = expect.stringContaining("away-01");
    expect(answer.body).toMatchObject({ code: "hosts.offline", message });
  });

  it.each([
    {
      name: "of an unknown source group",
      body: { kind: "backup", source_group_id: "x" },
      status: 404,
      code: "sources.not_found",
    },
    { name: "of an unknown kind", body: { kind: "format" }, status: 400, code: "request.invalid" },
  ])("$name is refused", async ({ body, status, code }) => {
    const answer = await server.admin.post(`/api/hosts/${agent.hostId}/jobs`, body);
    expect(answer.status).toBe(status);
    expect(answer.body.code).toBe(code);
  });

  it("on an unknown host is not found", async () => {
    const answer = await server.admin.post("/api/hosts/nobody/jobs", { kind: "init" });
    expect(answer.body).toMatchObject({ code: "hosts.not_found" });
  });
});

describe("progress", () => {
  it("is shown live, kept with the end and never becomes log", async () => {
    await begin();
    agent.send(progressOf(first, { percent_done: 0.25 }));
    await settle();
    const { body } = await server.admin.get(`/api/jobs/${first.job_id}`);
    expect(body.progress).toMatchObject({ percent_done: 0.25 });
    expect((await job()).progress).toBeNull();
    agent.send(finishedOf(first, 2, { status: "failed" }));
    await agent.acknowledged(2);
    expect((await job()).progress).toMatchObject({ percent_done: 0.25 });
    expect((await server.admin.get(`/api/jobs/${first.job_id}/log.txt`)).text).toBe("");
  });

  it("of another host's job, another attempt or a job that is over is dropped", async () => {
    await begin();
    const thief = await connectTestAgent(server);
    await thief.hello();
    thief.send(progressOf(first, { percent_done: 0.9 }));
    thief.sendRaw("{");
    await thief.nextMessage("error");
    agent.send(progressOf({ ...first, attempt: 2 }, { percent_done: 0.8 }));
    await settle();
    expect((await server.admin.get(`/api/jobs/${first.job_id}`)).body.progress).toBeNull();
    agent.send(finishedOf(first, 2));
    agent.send(progressOf(first, { percent_done: 0.7 }));
    await agent.acknowledged(2);
    agent.sendRaw("{");
    await agent.nextMessage("error");
    expect((await server.admin.get(`/api/jobs/${first.job_id}`)).body.progress).toBeNull();
  });
});
