/** The routes between replicas as a stranger, a thief of traffic, or a wrong replica would use them. */
import { readFile } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import {
  connectTestAgent,
  FakeClock,
  startTestServer,
  type TestAgent,
  type TestAnswer,
  type TestServer,
} from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createLog } from "../../platform/log.ts";
import { newId } from "../../platform/random.ts";
import { createSecretBox, type SecretBox } from "../../platform/secrets.ts";
import { openAnswer, sealAnswer, sealRequest } from "./agent-link.envelope.ts";
import { internalPaths, Neighbours } from "./agent-link.neighbours.ts";

let server: TestServer;
let agent: TestAgent;
let box: SecretBox;
let replicaId: string;

beforeEach(async () => {
  server = await startTestServer({ engine: "postgres" });
  agent = await connectTestAgent(server);
  await agent.hello();
  await agent.nextMessage("command.run");
  box = createSecretBox(Buffer.from(await readFile(join(server.dataDir, "secret.key"), "utf8"), "base64"));
  const replicas = await sql<{ id: string }>`SELECT id FROM replicas`.execute(server.db);
  replicaId = replicas.rows[0]?.id ?? "";
});
afterEach(() => server.stop());

const list = (hostId = agent.hostId) => ({
  kind: "question",
  host_id: hostId,
  question: { type: "fs.list", request_id: newId(server.clock.now()), path: "/srv", after: null, limit: 10 },
});
const sealFor = (id: string, asked: unknown, clock = server.clock, by = box) =>
  sealRequest({ box: by, clock }, id, asked);
const post = (path: string, body: unknown) => server.anonymous().post(path, body);

/** Everything that was sent to the agent before has come. */
async function asked(): Promise<number> {
  agent.sendRaw("{");
  await agent.nextMessage("error");
  return agent.all("fs.list").length + agent.all("dump.start").length;
}

describe("who is no replica", () => {
  it("is refused with one sentence and reaches no agent, whatever it sends", async () => {
    const { body: good } = sealFor(replicaId, list());
    expect((await post(internalPaths.ask, {})).status).toBe(400);
    const stolen = [
      sealFor(replicaId, list(), server.clock, createSecretBox(Buffer.alloc(32, 7))).body,
      sealFor("01KAQ2XK3M5N7P9Q1R3S5T7V9W", list()).body,
      sealFor(replicaId, list(), new FakeClock(server.clock.now() - 31_000)).body,
      sealFor(replicaId, list(), new FakeClock(server.clock.now() + 31_000)).body,
      { sealed: "v1.AAAA.AAAA" },
      { sealed: good.sealed.slice(0, -8) },
    ];
    for (const path of Object.values(internalPaths))
      for (const body of stolen)
        expect(await post(path, body)).toMatchObject({
          status: 401,
          body: { code: "replicas.request_refused" },
        });
    expect(await asked()).toBe(0);
  });

  it("that repeats what a replica sent gets no second answer", async () => {
    const { id, body } = sealFor(replicaId, list());
    const first = post(internalPaths.ask, body);
    const { request_id } = await agent.nextMessage("fs.list");
    agent.send({ type: "fs.entries", request_id, entries: [], more: false, error: null });
    expect(openAnswer(box, id, (await first).body)).toMatchObject({ answer: { entries: [] } });
    expect((await post(internalPaths.ask, body)).status).toBe(401);
    expect((await post(internalPaths.dump, body)).status).toBe(401);
  });

  it("can't make it read a body without end", async () => {
    const { body } = await post(internalPaths.ask, { sealed: "A".repeat(5 * 1024 * 1024) });
    expect(body).toMatchObject({ code: "request.too_large" });
  });
});

describe("a replica", () => {
  it("that asks what no question is, is refused and reaches no agent", async () => {
    const wrong = [
      null,
      { kind: "command", host_id: agent.hostId },
      { ...list(), question: { type: "command.cancel", job_id: "01KAQ2XK3M5N7P9Q1R3S5T7V9W" } },
      { ...list(), host_id: "x".repeat(65) },
    ];
    for (const what of wrong)
      expect((await post(internalPaths.ask, sealFor(replicaId, what).body)).status).toBeGreaterThanOrEqual(
        400,
      );
    expect((await post(internalPaths.dump, sealFor(replicaId, list()).body)).status).toBeGreaterThanOrEqual(
      400,
    );
    expect(await asked()).toBe(0);
  });

  it("has the configuration delivered that is stored now, to an agent that is here and to nobody else", async () => {
    const links = { findUrl: async () => ({ replicaId, url: server.url }) };
    const neighbours = new Neighbours({ box, clock: server.clock, log: createLog("silent"), links });
    const before = agent.all("config.update").length;
    await neighbours.deliver(agent.hostId);
    await server.until("it is there", () => agent.all("config.update").length === before + 1);
    await agent.drop();
    await neighbours.deliver(agent.hostId);
  });

  it("that asks about an agent which another one has is not sent on: it is told that the host is not here", async () => {
    const other = await listen((_request, response) => response.end("{}"));
    const host = await lendTo(other.url);
    await listFolder(host);
    expect(other.requests).toBe(1);
    const { id, body } = sealFor(replicaId, list(host.hostId));
    const answer = await post(internalPaths.ask, body);
    expect(openAnswer(box, id, answer.body)).toMatchObject({ error: { code: "hosts.offline" } });
    expect(other.requests).toBe(1);
    other.server.close();
  });
});

describe("a replica that was asked and", () => {
  const answers: [string, RequestListener][] = [
    ["answers nonsense", (_request, response) => response.end("not JSON")],
    [
      "answers without the key",
      (_request, response) => response.end(JSON.stringify({ sealed: "v1.AAAA.AAAA" })),
    ],
    [
      "answers another request",
      (_request, response) => response.end(JSON.stringify(sealAnswer(box, "x", {}))),
    ],
    ["fails", (_request, response) => response.writeHead(500).end()],
    ["breaks off", (_request, response) => response.destroy()],
    ["sends without end", (_request, response) => void endless(response)],
    ["sends elsewhere", (_request, response) => response.writeHead(307, { location: server.url }).end()],
  ];
  it.each(answers)("%s is one that can't be reached", async (_what, listener) => {
    const other = await listen(listener);
    const host = await lendTo(other.url);
    const answer = await listFolder(host);
    expect(answer).toMatchObject({ status: 503, body: { code: "hosts.elsewhere" } });
    expect(answer.text).toContain("RM_REPLICA_URL");
    expect(other.requests).toBe(1);
    other.server.closeAllConnections();
    other.server.close();
  });

  it("gives bytes without the key is not believed", async () => {
    const other = await listen((_request, response) =>
      response
        .setHeader("x-sealed", "v1.AAAA.AAAA")
        .setHeader("content-type", "application/octet-stream")
        .end("forged"),
    );
    const links = { findUrl: async () => ({ replicaId: "other", url: other.url }) };
    const neighbours = new Neighbours({ box, clock: server.clock, log: createLog("silent"), links });
    const question = { snapshot_id: "ab".repeat(32), paths: ["/etc/hosts"], format: "raw" as const };
    const opened = neighbours.openDump(agent.hostId, question, new AbortController().signal);
    await expect(opened).rejects.toMatchObject({ code: "hosts.elsewhere" });
    other.server.closeAllConnections();
    other.server.close();
  });

  it("has another key or clock is said to have one", async () => {
    const refused = JSON.stringify({ code: "replicas.request_refused", message: "No." });
    const other = await listen((_request, response) => response.writeHead(401).end(refused));
    const answer = await listFolder(await lendTo(other.url));
    expect(answer).toMatchObject({ status: 503, body: { code: "hosts.elsewhere_refused" } });
    expect(answer.text).toContain("clocks");
    other.server.closeAllConnections();
    other.server.close();
  });

  it("is not there is one that can't be reached", async () => {
    const host = await lendTo("http://127.0.0.1:9");
    expect((await listFolder(host)).body).toMatchObject({ code: "hosts.elsewhere" });
  });
});

/** Bytes for as long as somebody takes them. */
async function endless(response: Parameters<RequestListener>[1]): Promise<void> {
  while (!response.destroyed) {
    if (!response.write(Buffer.alloc(64 * 1024, "x")))
      await new Promise((resolve) => response.once("drain", resolve).once("close", resolve));
  }
}

async function listen(listener: RequestListener): Promise<{ server: Server; url: string; requests: number }> {
  const made = createServer((request, response) => {
    listening.requests += 1;
    request.resume();
    listener(request, response);
  });
  const listening = { server: made, url: "", requests: 0 };
  await new Promise<void>((resolve) => made.listen(0, "127.0.0.1", resolve));
  listening.url = `http://127.0.0.1:${(made.address() as AddressInfo).port}`;
  return listening;
}

/** A host that is connected to another live replica, by the rows, which answers at `url`. */
async function lendTo(url: string): Promise<TestAgent> {
  const other = "01KAQ2XK3M5N7P9Q1R3S5T7V9B";
  const host = await connectTestAgent(server);
  const soon = sql`(extract(epoch FROM clock_timestamp()) * 1000)::bigint + 600000`;
  await sql`INSERT INTO replicas (id, url, version, started_at, seen_at) VALUES (${other}, ${url}, '0', 0, ${soon})`.execute(
    server.db,
  );
  await sql`INSERT INTO agent_links (host_id, replica_id, connected_at) VALUES (${host.hostId}, ${other}, 0)`.execute(
    server.db,
  );
  // A frame of a replica that is not known yet makes the server look who there is.
  const frame = JSON.stringify({ from: other, n: 1, events: [] });
  await sql`SELECT pg_notify('restic_manager_' || current_schema()::regnamespace::oid, ${frame})`.execute(
    server.db,
  );
  return host;
}

/** What a person gets who asks for a folder of that host, once the other replica is known. */
async function listFolder(host: TestAgent): Promise<TestAnswer> {
  let answer: TestAnswer | null = null;
  await server.until("the other replica is known", async () => {
    answer = await server.admin.get(`/api/hosts/${host.hostId}/files?path=/srv`);
    return answer.body.code !== "hosts.offline";
  });
  if (!answer) throw new Error("nobody answered");
  return answer;
}
