/** Two servers on one PostgreSQL: an agent at one of them, a person at the other. */
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import {
  ackOf,
  connectTestAgent,
  finishedOf,
  linesOf,
  logOf,
  progressOf,
  reportOf,
  snapshotOf,
  startedOf,
  startTestServer,
  type TestAgent,
  type TestServer,
  watchJob,
} from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const snapshotId = "ab".repeat(32);
let a: TestServer;
let b: TestServer;
/** At `a`, unless a test moves it. */
let agent: TestAgent;
/** Its first job, which its first connection queues. */
let run: { job_id: string; attempt: number };

beforeEach(async () => {
  a = await startTestServer({ engine: "postgres" });
  b = await startTestServer({ beside: a });
  agent = await connectTestAgent(a);
  await agent.hello();
  run = await agent.nextMessage("command.run");
  agent.send(ackOf(run));
});
afterEach(async () => {
  await b.stop();
  await a.stop();
});

/** The agent dials another replica, whatever becomes of the connection that it has. */
async function moveTo(server: TestServer): Promise<number> {
  agent.server = server;
  const { job_id, attempt } = run;
  return (await agent.connect({ jobs: [{ job_id, attempt, state: "running" }] })).acked_seq;
}

const holder = async (): Promise<string | undefined> => {
  const links = sql<{
    replica_id: string;
  }>`SELECT replica_id FROM agent_links WHERE host_id = ${agent.hostId}`;
  return (await links.execute(a.db)).rows[0]?.replica_id;
};
const jobNow = async (server: TestServer) => (await server.admin.get(`/api/jobs/${run.job_id}`)).body;
const logNow = async (server: TestServer) =>
  (await server.admin.get(`/api/jobs/${run.job_id}/log.txt`)).text
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/^.*line /, "line "));

const isRefused = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(false)).once("error", () => resolve(true));
    socket.once("connect", () => socket.destroy());
  });

async function endFirstJob(): Promise<void> {
  agent.send(startedOf(run, 1));
  agent.send(finishedOf(run, 2));
  agent.send(reportOf(3, [snapshotOf(snapshotId)]));
  await agent.acknowledged(3);
}

/** `server` knows that the agent is connected, wherever: a job that waits does not wait for the agent. */
async function knownAt(server: TestServer): Promise<void> {
  const path = `/api/hosts/${agent.hostId}/jobs`;
  await server.until("the agent is known to be connected", async () => {
    const queued = await server.admin.post(path, { kind: "unlock" });
    const job = (await server.admin.get(`/api/jobs/${String(queued.body.job_id)}`)).body;
    return !JSON.stringify(job).includes("the host's agent to connect");
  });
}

describe("a person at the other replica", () => {
  it("starts a job, watches it live and sees its end", async () => {
    await endFirstJob();
    const queued = await b.admin.post(`/api/hosts/${agent.hostId}/jobs`, { kind: "init" });
    run = await agent.nextMessage("command.run");
    expect(run.job_id).toBe(queued.body.job_id);
    const browser = await watchJob(b, run.job_id);
    agent.send(ackOf(run));
    agent.send(startedOf(run, 4));
    agent.send(progressOf(run, { percent_done: 0.25 }));
    agent.send(logOf(run, 5, linesOf(1, 3)));
    await b.until("the first lines", () => browser.lineNumbers.length === 3);
    await b.until("the progress", () => browser.received.some(({ type }) => type === "progress"));
    agent.send(logOf(run, 6, linesOf(4, 5)));
    await b.until("the next lines", () => browser.lineNumbers.length === 5);
    agent.send(finishedOf(run, 7, { log_lines: 5 }));
    await b.until("the end", () => browser.ended);
    expect(browser.lineNumbers).toEqual([1, 2, 3, 4, 5]);
    expect(await jobNow(b)).toMatchObject({ status: "succeeded", log_lines: 5 });
  });

  it("cancels what runs", async () => {
    agent.send(startedOf(run, 1));
    await agent.acknowledged(1);
    expect((await b.admin.post(`/api/jobs/${run.job_id}/cancel`)).status).toBe(200);
    expect((await agent.nextMessage("command.cancel")).job_id).toBe(run.job_id);
  });

  it("is told what a job waits for, the agent not among it", async () => {
    await knownAt(b);
  });

  it("looks into folders and snapshots, and gets the agent's own refusals", async () => {
    await endFirstJob();
    const folders = b.admin.get(`/api/hosts/${agent.hostId}/files?path=/srv`);
    const question = await agent.nextMessage("fs.list");
    expect(question.path).toBe("/srv");
    const { request_id } = question;
    agent.send({
      ...{ type: "fs.entries", request_id, more: false, error: null },
      entries: [{ name: "größe", kind: "folder", size_bytes: null }],
    });
    expect((await folders).body).toMatchObject({ entries: [{ name: "größe" }] });
    const tree = b.admin.get(`/api/hosts/${agent.hostId}/snapshots/${snapshotId}/tree?path=/`);
    const asked = await agent.nextMessage("tree.list");
    agent.send({ type: "error", code: "protocol.unknown_type", message: "?", of_type: "tree.list" });
    expect(asked.snapshot_id).toBe(snapshotId);
    expect((await tree).body).toMatchObject({ code: "agent.too_old" });
  });

  it("who gives up on a question has it cancelled at the agent", async () => {
    await endFirstJob();
    const gone = new AbortController();
    const path = `/api/hosts/${agent.hostId}/snapshots/${snapshotId}/tree?path=/`;
    const asked = b.admin.fetch(path, { signal: gone.signal }).catch(() => null);
    const { request_id } = await agent.nextMessage("tree.list");
    gone.abort();
    await asked;
    expect((await agent.nextMessage("tree.cancel")).request_id).toBe(request_id);
  });

  it("edits, and the agent is told at once", async () => {
    await agent.nextMessage("config.update");
    const before = agent.all("schedule.set").length;
    const edited = await b.admin.put(`/api/hosts/${agent.hostId}/bandwidth`, {
      ...{ upload_kib: 512, download_kib: null },
    });
    expect(edited.status).toBe(200);
    await a.until("the schedules are sent again", () => agent.all("schedule.set").length > before);
    await agent.nextMessage("config.update");
  });

  it("edits while that replica stops, and the agent is told all the same", async () => {
    await agent.nextMessage("config.update");
    const before = agent.all("schedule.set").length;
    const { port } = new URL(b.url);
    const edit = request({
      ...{ method: "PUT", host: "127.0.0.1", port, path: `/api/hosts/${agent.hostId}/bandwidth` },
      headers: { cookie: b.admin.cookie, "content-type": "application/json", expect: "100-continue" },
    });
    const answered = once(edit, "response");
    edit.flushHeaders();
    // The replica has the head of the request, and waits for the rest.
    await once(edit, "continue");
    const stopped = b.halt();
    await a.until("it takes no new connection", () => isRefused(Number(port)));
    edit.end(JSON.stringify({ upload_kib: 512, download_kib: null }));
    const [response] = (await answered) as [IncomingMessage];
    expect(response.resume().statusCode).toBe(200);
    await stopped;
    await a.until("the schedules are sent again", () => agent.all("schedule.set").length > before);
  });

  it("edits the credentials and starts a job right after it, which comes after the edit", async () => {
    await endFirstJob();
    const path = `/api/hosts/${agent.hostId}/repo-credentials`;
    expect((await b.admin.put(path, { repo_password: "another" })).status).toBe(200);
    await b.admin.post(`/api/hosts/${agent.hostId}/jobs`, { kind: "init" });
    const command = await agent.nextMessage("command.run");
    const edited = agent.all("config.update").find(({ repository }) => repository?.password === "another");
    if (!edited) throw new Error("the edit did not come");
    expect(agent.received.indexOf(edited)).toBeLessThan(agent.received.indexOf(command));
  });

  it("deletes the host, and its agent is sent away for good", async () => {
    const deleted = await b.admin.delete(`/api/hosts/${agent.hostId}`, { confirm_name: agent.name });
    expect(deleted.status).toBe(204);
    expect(await agent.nextMessage("goodbye")).toMatchObject({ code: "link.host_removed", retry: false });
  });
});

describe("a download at the other replica", () => {
  const url = () => `/api/hosts/${agent.hostId}/snapshots/${snapshotId}/download?path=/etc/hosts`;
  beforeEach(() => endFirstJob());

  it("is the agent's bytes, and no more of them than the browser takes", async () => {
    const answer = b.admin.fetch(url());
    const { request_id } = await agent.nextMessage("dump.start");
    const chunk = Buffer.alloc(48 * 1024, "x");
    let n = 0;
    const credit = () => agent.all("dump.credit").reduce((sum, { chunks }) => sum + chunks, 0);
    let over = false;
    const feed = async () => {
      for (;;) {
        await a.until("credit", () => credit() > n || over);
        if (over) return;
        agent.send({ type: "dump.chunk", request_id, n, data: chunk.toString("base64") });
        n += 1;
      }
    };
    const fed = feed();
    const { body } = await answer;
    const reader = body?.getReader();
    await reader?.read();
    // Nobody reads on: what is on its way stays bounded by what sockets and streams hold.
    let before = -1;
    await a.until("the agent is asked for no more", async () => {
      const still = n === before;
      before = n;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return still && n === before;
    });
    expect(n * chunk.length).toBeLessThan(32 * 1024 * 1024);
    await reader?.cancel();
    expect((await agent.nextMessage("dump.cancel")).request_id).toBe(request_id);
    over = true;
    await fed;
  });

  it("is whole, or breaks off", async () => {
    const whole = b.admin.fetch(url());
    const first = await agent.nextMessage("dump.start");
    agent.send({ type: "dump.chunk", request_id: first.request_id, n: 0, data: "aGVsbG8=" });
    agent.send({ type: "dump.end", request_id: first.request_id, error: null });
    expect(await (await whole).text()).toBe("hello");
    const broken = b.admin.fetch(url());
    const { request_id } = await agent.nextMessage("dump.start");
    agent.send({ type: "dump.chunk", request_id, n: 0, data: "aGVsbG8=" });
    const response = await broken;
    agent.send({ type: "dump.end", request_id, error: { code: "dump.failed", message: "It broke." } });
    await expect(response.text()).rejects.toThrow();
  });

  it("that has nothing says why, in the agent's words", async () => {
    const answer = b.admin.fetch(url());
    const { request_id } = await agent.nextMessage("dump.start");
    agent.send({ type: "dump.end", request_id, error: { code: "dump.not_found", message: "No such file." } });
    const response = await answer;
    expect([response.status, await response.json()]).toMatchObject([404, { code: "dump.not_found" }]);
  });

  it("ends with the agent's connection", async () => {
    const answer = b.admin.fetch(url());
    const { request_id } = await agent.nextMessage("dump.start");
    agent.send({ type: "dump.chunk", request_id, n: 0, data: "aGVsbG8=" });
    const response = await answer;
    await agent.drop();
    await expect(response.text()).rejects.toThrow();
  });
});

describe("an agent that goes from one replica to the other", () => {
  it("is told that it was replaced where it was, and gets its commands where it is", async () => {
    const atA = agent.socket;
    const closed = new Promise<number>((resolve) => atA.once("close", resolve));
    await moveTo(b);
    expect(await closed).toBe(4409);
    expect(await holder()).toBe(await replicaOf(b));
    agent.send(startedOf(run, 1));
    await agent.acknowledged(1);
    await a.admin.post(`/api/jobs/${run.job_id}/cancel`);
    expect((await agent.nextMessage("command.cancel")).job_id).toBe(run.job_id);
  });

  it("with a batch on its way at the first loses and doubles no event", async () => {
    agent.send(startedOf(run, 1));
    await agent.acknowledged(1);
    // The first replica is in the middle of storing these when the agent is welcomed by the second.
    const held = await holdStreams();
    agent.send(logOf(run, 2, linesOf(1, 10)));
    await waitForLock();
    const acked = await moveTo(b);
    expect(acked).toBe(1);
    agent.send(logOf(run, 2, linesOf(1, 10)));
    agent.send(logOf(run, 3, linesOf(11, 20)));
    await held.release();
    const { code } = await agent.closed();
    expect(code).toBe(4411);
    const again = await moveTo(b);
    expect(again).toBe(2);
    agent.send(logOf(run, 3, linesOf(11, 20)));
    agent.send(finishedOf(run, 4, { log_lines: 20 }));
    await agent.acknowledged(4);
    expect(await logNow(a)).toEqual(linesOf(1, 20).map(({ text }) => text));
    expect(await jobNow(a)).toMatchObject({ status: "succeeded" });
  });

  it("because the first stops goes on with its job at the second", async () => {
    agent.send(startedOf(run, 1));
    agent.send(logOf(run, 2, linesOf(1, 3)));
    await agent.acknowledged(2);
    await a.halt();
    expect(await moveTo(b)).toBe(2);
    agent.send(logOf(run, 3, linesOf(4, 6)));
    agent.send(finishedOf(run, 4, { log_lines: 6 }));
    await agent.acknowledged(4);
    expect(await jobNow(b)).toMatchObject({ status: "succeeded" });
    expect(await logNow(b)).toEqual(linesOf(1, 6).map(({ text }) => text));
  });

  it("after the first was lost without a word is served, and is nowhere until then", async () => {
    agent.send(startedOf(run, 1));
    await agent.acknowledged(1);
    await knownAt(b);
    await loseWithoutWord();
    const asked = async () => (await b.admin.get(`/api/hosts/${agent.hostId}/files?path=/srv`)).body.code;
    await b.until("the first is known to be gone", async () => (await asked()) === "hosts.offline", 1000);
    expect(await moveTo(b)).toBe(1);
    agent.send(finishedOf(run, 2));
    await agent.acknowledged(2);
    expect(await jobNow(b)).toMatchObject({ status: "succeeded" });
  });
});

describe("a copy of a machine", () => {
  it("that dials the other replica is refused while the original lives", async () => {
    await knownAt(b);
    const copy = agent.copy();
    copy.server = b;
    await copy.dial();
    expect(await copy.tryHello({ boot_id: "boot of the copy" })).toMatchObject({
      ...{ type: "reject", code: "link.twin" },
    });
    expect(await holder()).toBe(await replicaOf(a));
    expect((await b.admin.get("/api/audit?action=host.twin_refused")).body.entries).toHaveLength(1);
  });
});

describe("what a replica missed", () => {
  it("it reads from the rows: a wish to cancel, an edit", async () => {
    agent.send(startedOf(run, 1));
    await agent.acknowledged(1);
    const before = agent.all("schedule.set").length;
    await sql`UPDATE hosts SET schedule_version = schedule_version + 1`.execute(a.db);
    // As if somebody at the other replica had done it, and its events had got lost.
    await sql`UPDATE jobs SET cancel_requested_at = 1 WHERE id = ${run.job_id}`.execute(a.db);
    await loseFrame();
    expect((await agent.nextMessage("command.cancel")).job_id).toBe(run.job_id);
    await a.until("the configuration comes", () => agent.all("schedule.set").length === before + 1);
    // What an agent has it is not sent again.
    await loseFrame();
    await sql`UPDATE hosts SET schedule_version = schedule_version + 1`.execute(a.db);
    await loseFrame();
    await a.until("the next comes", () => agent.all("schedule.set").length > before + 1);
    expect(new Set(agent.all("schedule.set").map(({ version }) => version)).size).toBe(before + 2);
  });
});

describe("the replica that leads", () => {
  it("is one of two, and takes back what nobody acknowledged only when its host is nowhere", async () => {
    const other = await connectTestAgent(b);
    await other.hello();
    const unacknowledged = await other.nextMessage("command.run");
    const since = a.clock.now();
    // Its own replica sends it again, and the leader does not take it away.
    await a.until("it is sent again", () => other.all("command.run").length > 1, 500);
    await a.until("the lease would be over", () => a.clock.now() - since > 75_000, 1000);
    const row = sql`SELECT status, attempt FROM jobs WHERE id = ${unacknowledged.job_id}`;
    expect((await row.execute(a.db)).rows).toEqual([{ status: "dispatched", attempt: 1 }]);
  });
});

/** The id of a replica, by where it answers. */
async function replicaOf(server: TestServer): Promise<string | undefined> {
  const rows = sql<{ id: string }>`SELECT id FROM replicas WHERE url = ${server.url}`;
  return (await rows.execute(a.db)).rows[0]?.id;
}

/** Holds every stream's row, so that nobody can store an event. */
async function holdStreams(): Promise<{ release(): Promise<void> }> {
  const gate = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const done = a.db.transaction().execute(async (tx) => {
    await sql`SELECT 1 FROM agent_streams FOR UPDATE`.execute(tx);
    held.resolve();
    await gate.promise;
  });
  await held.promise;
  return {
    release: async () => {
      gate.resolve();
      await done;
    },
  };
}

const waitForLock = () =>
  a.until("somebody waits for a row", async () => {
    const waiting = sql<{ n: number }>`SELECT count(*) AS n FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    return Number((await waiting.execute(a.db)).rows[0]?.n) > 0;
  });

/** What the second sees of a first that is killed: a row that grows old, and the rows of its agents. */
async function loseWithoutWord(): Promise<void> {
  const id = await replicaOf(a);
  const link = sql`SELECT * FROM agent_links WHERE host_id = ${agent.hostId}`;
  await a.halt();
  const at = a.clock.now();
  await sql`INSERT INTO replicas (id, url, version, started_at, seen_at) VALUES (${id}, 'http://127.0.0.1:9', '0', 0, 0)`.execute(
    a.db,
  );
  await sql`INSERT INTO agent_links (host_id, replica_id, connected_at) VALUES (${agent.hostId}, ${id}, ${at})`.execute(
    a.db,
  );
  expect((await link.execute(a.db)).rows).toHaveLength(1);
}

let frames = 0;

/** Both replicas learn that a frame of a third did not arrive. */
async function loseFrame(): Promise<void> {
  frames += 2;
  const frame = JSON.stringify({ from: "third", n: frames, events: [] });
  await sql`SELECT pg_notify('restic_manager_' || current_schema()::regnamespace::oid, ${frame})`.execute(
    a.db,
  );
}
