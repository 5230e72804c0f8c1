/** The agents' connections through the whole server: handshake, order, acknowledgement, silence, replacement. */
import { once } from "node:events";
import { maxFrameBytes, protocolRange } from "@restic-manager/protocol";
import {
  ackOf,
  connectTestAgent,
  enrolTestAgent,
  finishedOf,
  linesOf,
  logOf,
  startedOf,
  startTestServer,
  TestAgent,
  type TestServer,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";

let server: TestServer;
beforeEach(async () => {
  server = await startTestServer();
});
afterEach(() => server.stop());

describe("a connection", () => {
  it("with an unknown bearer is refused with 401 as JSON before the upgrade", async () => {
    const answer = await server.anonymous().get("/ws/agent", { authorization: "Bearer nobody-knows-this" });
    expect(answer.status).toBe(401);
    expect(answer.body).toMatchObject({ code: "link.bearer_unknown", request_id: expect.any(String) });
    const agent = await enrolTestAgent(server);
    const stranger = new TestAgent(server, { ...agent, bearer: "wrong" });
    await expect(stranger.dial()).rejects.toThrow("401");
  });

  it("of a signed-in admin is refused as well: a session is no bearer", async () => {
    const { cookie } = server.admin;
    const socket = new WebSocket(`${server.url.replace("http", "ws")}/ws/agent`, { headers: { cookie } });
    await expect(once(socket, "open")).rejects.toThrow("401");
  });

  it("without the upgrade is told what to do", async () => {
    const agent = await enrolTestAgent(server);
    const answer = await server.anonymous().get("/ws/agent", { authorization: `Bearer ${agent.bearer}` });
    expect(answer.status).toBe(426);
    // Nor needs it a bearer to hear that: an agent's doctor asks before the host is enrolled.
    const stranger = await server.anonymous().get("/ws/agent");
    expect(stranger).toMatchObject({ status: 426, body: { code: "link.upgrade_required" } });
  });

  it.each([
    {
      who: "an older",
      range: { min: 0, max: 0 },
      code: "link.protocol_too_old",
      advice: "Update the agent.",
    },
    {
      who: "a newer",
      range: { min: protocolRange.max + 1, max: 9 },
      code: "link.protocol_too_new",
      advice: "Update the server.",
    },
  ])("of $who agent is rejected with a sentence and closed", async ({ range, code, advice }) => {
    const agent = await connectTestAgent(server);
    const answer = await agent.tryHello({ protocol: range });
    expect(answer).toMatchObject({ type: "reject", code, message: expect.stringContaining(advice) });
    expect(await agent.closed()).toEqual({ code: 4400, reason: code });
  });

  it.each([
    {
      name: "a heartbeat",
      frame: JSON.stringify({ type: "heartbeat", sent_at: "2026-11-23T04:00:00.000Z" }),
    },
    { name: "not JSON", frame: "hello" },
    { name: "a hello without its fields", frame: JSON.stringify({ type: "hello" }) },
    { name: "binary", frame: Buffer.from("hello") },
  ])("that begins with $name is rejected", async ({ frame }) => {
    const agent = await connectTestAgent(server);
    agent.sendRaw(frame);
    expect(await agent.nextMessage("reject")).toMatchObject({ code: "link.hello_invalid" });
    expect((await agent.closed()).code).toBe(4400);
  });

  it("that never says hello is cut after 10 s", async () => {
    const agent = await connectTestAgent(server);
    await server.clock.advance(9999);
    expect(agent.socket.readyState).toBe(agent.socket.OPEN);
    await server.clock.advance(2);
    expect((await agent.closed()).code).toBe(1006);
  });

  it("ends with 1009 at a frame larger than 1 MiB", async () => {
    const agent = await connectTestAgent(server);
    await agent.hello();
    agent.sendRaw("x".repeat(maxFrameBytes + 1));
    expect((await agent.closed()).code).toBe(1009);
  });

  it("answers what it can't use and lives on", async () => {
    const agent = await connectTestAgent(server);
    await agent.hello();
    agent.sendRaw("{");
    expect(await agent.nextMessage("error")).toMatchObject({ code: "protocol.not_json" });
    agent.sendRaw(JSON.stringify({ type: "job.paused", seq: 7 }));
    const unknown = { code: "protocol.unknown_type", of_type: "job.paused", seq: 7 };
    expect(await agent.nextMessage("error")).toMatchObject(unknown);
    agent.sendRaw(JSON.stringify({ type: "job.started", seq: 8, job_id: "x" }));
    expect(await agent.nextMessage("error")).toMatchObject({ code: "protocol.invalid_message", seq: 8 });
    expect(agent.socket.readyState).toBe(agent.socket.OPEN);
  });

  it("is closed at the 21st frame that can't be used, and nothing after it counts", async () => {
    const agent = await connectTestAgent(server);
    await agent.hello();
    const run = await agent.nextMessage("command.run");
    for (let i = 0; i < 21; i++) agent.sendRaw("{");
    agent.send(startedOf(run, 1));
    expect((await agent.closed()).code).toBe(4400);
    expect(agent.all("error")).toHaveLength(21);
    expect((await server.admin.get(`/api/jobs/${run.job_id}`)).body).toMatchObject({ status: "dispatched" });
  });
});

describe("the greeting", () => {
  it("is the welcome, then the configuration, then commands", async () => {
    const agent = await connectTestAgent(server);
    expect(await agent.hello()).toMatchObject({ host_id: agent.hostId, host_name: agent.name, acked_seq: 0 });
    await agent.nextMessage("command.run");
    const types = agent.received.map((message) => message.type);
    expect(types).toEqual(["welcome", "config.update", "schedule.set", "command.run"]);
    expect(agent.all("config.update")[0]?.repository).toMatchObject({ location: "/srv/repo" });
  });

  it("keeps that order when jobs are queued while it goes on", async () => {
    const agent = await enrolTestAgent(server);
    for (let round = 0; round < 20; round++) {
      await agent.dial();
      const queued = server.admin.post(`/api/hosts/${agent.hostId}/jobs`, { kind: "backup" });
      await Promise.all([agent.hello(), queued]);
      await agent.nextMessage("command.run");
      const types = agent.received.map((message) => message.type);
      expect(types.slice(0, 2)).toEqual(["welcome", "config.update"]);
    }
  });

  it("records what the agent is and makes the host online", async () => {
    const agent = await connectTestAgent(server);
    await agent.hello({ agent_version: "9.8.7", restic_version: "0.18.0", os: "windows" });
    const host = (await server.admin.get(`/api/hosts/${agent.hostId}`)).body;
    expect(host).toMatchObject({
      online: true,
      agent_version: "9.8.7",
      restic_version: "0.18.0",
      os: "windows",
    });
  });

  it("brings edited credentials at once to an agent that is connected", async () => {
    const agent = await connectTestAgent(server);
    await agent.hello();
    const before = await agent.nextMessage("config.update");
    const edit = { repo_url: "/srv/other", repo_password: "another password" };
    expect((await server.admin.put(`/api/hosts/${agent.hostId}/repo-credentials`, edit)).status).toBeLessThan(
      300,
    );
    const after = await agent.nextMessage("config.update");
    expect(after.repository).toMatchObject({ location: "/srv/other", password: "another password" });
    expect(after.version).toBeGreaterThan(before.version);
  });
});

describe("a second connection of one host", () => {
  it("replaces the first, which is told why", async () => {
    const first = await connectTestAgent(server);
    await first.hello();
    const second = first.copy();
    await second.connect();
    expect(await first.nextMessage("goodbye")).toMatchObject({ code: "link.replaced", retry: true });
    expect((await first.closed()).code).toBe(4409);
    second.send({ type: "heartbeat", sent_at: new Date(server.clock.now()).toISOString() });
    await second.nextMessage("command.run");
    expect(second.socket.readyState).toBe(second.socket.OPEN);
  });
});

describe("silence", () => {
  const heartbeat = () =>
    ({ type: "heartbeat", sent_at: new Date(server.clock.now()).toISOString() }) as const;

  it.each([
    ["a ping", (agent: TestAgent) => agent.socket.ping()],
    ["a heartbeat of protocol 1", (agent: TestAgent) => agent.send(heartbeat())],
  ])("of 90 s ends a connection; %s keeps it", async (_name, beat) => {
    const silent = await connectTestAgent(server);
    const alive = await connectTestAgent(server);
    await Promise.all([silent.hello(), alive.hello()]);
    for (let beats = 0; beats < 4; beats++) {
      await server.clock.advance(25_000);
      const before = alive.received.length;
      beat(alive);
      // An answer to a frame sent after it proves that the heartbeat has arrived.
      alive.sendRaw("{");
      await server.until("the heartbeat arrived", () => alive.received.length > before);
    }
    expect((await silent.closed()).code).toBe(4408);
    expect(alive.socket.readyState).toBe(alive.socket.OPEN);
    const { body } = await server.admin.get(`/api/hosts/${silent.hostId}`);
    expect(body).toMatchObject({ online: false });
    expect((await server.admin.get(`/api/hosts/${alive.hostId}`)).body).toMatchObject({ online: true });
  });
});

describe("a host that is removed", () => {
  it("is told so, and its bearer is worth nothing", async () => {
    const agent = await connectTestAgent(server);
    await agent.hello();
    await server.admin.delete(`/api/hosts/${agent.hostId}`, { confirm_name: agent.name });
    expect(await agent.nextMessage("goodbye")).toMatchObject({ code: "link.host_removed", retry: false });
    await agent.closed();
    await expect(agent.dial()).rejects.toThrow("401");
  });
});

describe("a whole job", () => {
  it("goes from command to result", async () => {
    const agent = await connectTestAgent(server);
    await agent.hello();
    const run = await agent.nextMessage("command.run");
    agent.send(ackOf(run));
    agent.send(startedOf(run, 1));
    agent.send(logOf(run, 2, linesOf(1, 3)));
    agent.send(finishedOf(run, 3, { log_lines: 3 }));
    await agent.acknowledged(3);
    const job = (await server.admin.get(`/api/jobs/${run.job_id}`)).body;
    expect(job).toMatchObject({ status: "succeeded", log_lines: 3, kind: "init" });
  });
});
