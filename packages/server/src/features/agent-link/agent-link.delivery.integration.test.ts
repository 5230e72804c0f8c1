/** Events of a job over a link that fails: nothing is lost, nothing counts twice, nothing is acknowledged too early. */
import type { DurableEvent } from "@restic-manager/protocol";
import {
  connectTestAgent,
  finishedOf,
  linesOf,
  logOf,
  reportOf,
  snapshotOf,
  startedOf,
  startTestServer,
  type TestAgent,
  type TestServer,
} from "@restic-manager/testkit";
import fc from "fast-check";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

let server: TestServer;
let agent: TestAgent;
let run: { job_id: string; attempt: number };

beforeEach(async () => {
  server = await startTestServer();
  agent = await connectTestAgent(server);
  await agent.hello();
  run = await agent.nextMessage("command.run");
});
afterEach(() => server.stop());

/** Everything that an agent keeps until it is acknowledged, for one job of 20 lines. */
const wholeJob = (of = run): DurableEvent[] => [
  startedOf(of, 1),
  logOf(of, 2, linesOf(1, 10)),
  logOf(of, 3, linesOf(11, 20)),
  reportOf(4, [snapshotOf("aaaaaaaa")], { part: 1, parts: 2, report_id: "01KAQ2XK3M5N7P9Q1R3S5T7V9W" }),
  reportOf(5, [snapshotOf("bbbbbbbb")], { part: 2, parts: 2, report_id: "01KAQ2XK3M5N7P9Q1R3S5T7V9W" }),
  finishedOf(of, 6, { log_lines: 20 }),
];

/** What an agent says in its hello about a job that it runs. */
const known = ({ job_id, attempt } = run) => ({ jobs: [{ job_id, attempt, state: "running" as const }] });

const jobNow = async (of = run) => (await server.admin.get(`/api/jobs/${of.job_id}`)).body;

async function expectWholeJobOnce(of = run, from = agent): Promise<void> {
  expect(await jobNow(of)).toMatchObject({ status: "succeeded", log_lines: 20 });
  const log = (await server.admin.get(`/api/jobs/${of.job_id}/log.txt`)).text;
  const lines = log.trimEnd().split("\n");
  expect(lines.map((line) => line.replace(/^.*line /, "line "))).toEqual(
    linesOf(1, 20).map((line) => line.text),
  );
  const { total } = (await server.admin.get(`/api/hosts/${from.hostId}/snapshots`)).body;
  expect(total).toBe(2);
  const { entries } = (await server.admin.get("/api/audit?action=job.finish")).body;
  const own = (entries as unknown[]).filter((entry) => JSON.stringify(entry).includes(of.job_id));
  expect(own).toHaveLength(1);
}

/** Sends what the server has not committed yet, as an outbox does after a welcome. */
async function resend(acked: number, upTo = 6): Promise<void> {
  for (const event of wholeJob()) if (event.seq > acked && event.seq <= upTo) agent.send(event);
}

describe("a connection that is cut", () => {
  it("after every single message loses and doubles nothing", async () => {
    let acked = 0;
    for (let seq = 1; seq <= 6; seq++) {
      await resend(acked, seq);
      // Flushed, but whether the server has taken it when the socket is gone is left to chance.
      await new Promise((resolve) => agent.socket.ping(undefined, undefined, resolve));
      await agent.drop();
      acked = (await agent.connect(known())).acked_seq;
    }
    await resend(acked);
    if (acked < 6) await agent.acknowledged(6);
    await expectWholeJobOnce();
  });

  it("before every acknowledgement could be read loses and doubles nothing", async () => {
    for (let seq = 1; seq <= 6; seq++) {
      // The agent never saw an acknowledgement, so it begins at the first event each time.
      await resend(0, seq);
      await agent.acknowledged(seq);
      await agent.drop();
      await agent.connect(known());
    }
    await resend(0);
    await agent.acknowledged(6);
    await expectWholeJobOnce();
  });

  it("by a restart of the server after every message goes on where it was committed", async () => {
    for (let seq = 1; seq <= 6; seq++) {
      await resend(seq - 1, seq);
      await agent.acknowledged(seq);
      await server.restart();
      expect((await agent.connect(known())).acked_seq).toBe(seq);
    }
    await expectWholeJobOnce();
  });
});

describe("whatever happens to the link", () => {
  const steps = ["send one", "send all", "send again", "cut", "restart", "replace"] as const;

  it("a job arrives once and whole", async () => {
    const script = fc.array(fc.constantFrom(...steps), { maxLength: 10 });
    const arrivesOnce = fc.asyncProperty(script, async (taken) => {
      const peer = await connectTestAgent(server);
      await peer.hello();
      const command = await peer.nextMessage("command.run");
      const events = wholeJob(command);
      let acked = 0;
      let sent = 0;
      const send = (upTo: number) => {
        for (const event of events) if (event.seq > acked && event.seq <= upTo) peer.send(event);
        sent = Math.max(sent, upTo);
      };
      for (const step of taken) {
        if (step === "send one") send(Math.min(sent + 1, 6));
        if (step === "send all") send(6);
        if (step === "send again") send(sent);
        if (step === "cut") await peer.drop();
        if (step === "restart") await server.restart();
        if (!step.startsWith("send")) acked = (await peer.connect(known(command))).acked_seq;
      }
      send(6);
      if (acked < 6) await peer.acknowledged(6);
      await expectWholeJobOnce(command, peer);
    });
    await fc.assert(arrivesOnce, { numRuns: 20 });
  });
});

describe("events", () => {
  it("that come twice, late or in one batch with their doubles are dropped by their number", async () => {
    const events = wholeJob();
    for (const event of events) for (let times = 0; times < 3; times++) agent.send(event);
    for (const event of events.toReversed()) agent.send(event);
    await agent.acknowledged(6);
    agent.sendRaw("{");
    await agent.nextMessage("error");
    expect(agent.all("event.ack").at(-1)?.seq).toBe(6);
    await expectWholeJobOnce();
  });

  it("that come before their turn are not acknowledged: the connection ends and they are sent again", async () => {
    const [first, second, third] = wholeJob();
    for (const event of [first, third, second]) if (event) agent.send(event);
    expect(await agent.closed()).toEqual({ code: 4410, reason: "events out of order" });
    const { acked_seq } = await agent.connect(known());
    expect(acked_seq).toBeLessThan(2);
    await resend(acked_seq);
    await agent.acknowledged(6);
    await expectWholeJobOnce();
  });

  it("that are unusable leave no gap: the next one is in its turn", async () => {
    agent.sendRaw(JSON.stringify({ type: "job.paused", seq: 1 }));
    agent.send(startedOf(run, 2));
    await agent.acknowledged(2);
    expect(await jobNow()).toMatchObject({ status: "running" });
  });

  it("of another stream begin at 1 again: a fresh disk has other events", async () => {
    agent.send(startedOf(run, 1));
    await agent.acknowledged(1);
    await agent.drop();
    agent.streamId = agent.copy().streamId.replace(/.$/, (last) => (last === "0" ? "1" : "0"));
    expect((await agent.connect(known())).acked_seq).toBe(0);
    agent.send(finishedOf(run, 1));
    await agent.acknowledged(1);
    expect(await jobNow()).toMatchObject({ status: "succeeded" });
  });

  it("about another host's job are refused for good and change nothing", async () => {
    const thief = await connectTestAgent(server);
    await thief.hello();
    thief.send(startedOf(run, 1));
    thief.send(logOf(run, 2, linesOf(1, 1)));
    thief.send(finishedOf(run, 3, { status: "failed" }));
    await thief.acknowledged(3);
    const refusals = thief.all("error").map(({ code, seq }) => ({ code, seq }));
    expect(refusals).toEqual([1, 2, 3].map((seq) => ({ code: "jobs.unknown", seq })));
    expect(await jobNow()).toMatchObject({ status: "dispatched", exit_code: null });
    expect((await server.admin.get(`/api/jobs/${run.job_id}/log.txt`)).text).toBe("");
  });

  it("beside a refused one are stored all the same", async () => {
    agent.send(startedOf({ ...run, attempt: 7 }, 1));
    agent.send(startedOf(run, 2));
    await agent.acknowledged(2);
    expect(agent.all("error")).toMatchObject([{ code: "jobs.attempt_superseded", seq: 1 }]);
    expect(await jobNow()).toMatchObject({ status: "running" });
  });
});

describe("a database that fails in the middle of a batch", () => {
  it("closes with 1011, keeps nothing of the batch and acknowledges nothing; the next try stores it all", async () => {
    const refuse = sql`CREATE TRIGGER no_log BEFORE INSERT ON job_log_chunks BEGIN SELECT RAISE(ABORT, 'disk full'); END`;
    await refuse.execute(server.db);
    agent.socket.pause();
    for (const event of wholeJob()) agent.send(event);
    agent.socket.resume();
    expect(await agent.closed()).toEqual({ code: 1011, reason: "events could not be stored" });
    const acked = agent.all("event.ack").at(-1)?.seq ?? 0;
    expect(acked).toBeLessThan(2);
    expect((await jobNow()).status).toBe(acked === 1 ? "running" : "dispatched");
    await sql`DROP TRIGGER no_log`.execute(server.db);
    expect((await agent.connect(known())).acked_seq).toBe(acked);
    await resend(acked);
    await agent.acknowledged(6);
    await expectWholeJobOnce();
  });
});
