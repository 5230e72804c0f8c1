/** Downloads through the whole server, with an agent that does what a test wants: bytes, credit, ends, refusals. */
import { get as httpGet, type IncomingMessage } from "node:http";
import { maxDumpCredit } from "@restic-manager/protocol";
import {
  ackOf,
  connectTestAgent,
  finishedOf,
  reportOf,
  snapshotOf,
  startedOf,
  startTestServer,
  type TestAgent,
  type TestServer,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listAudit } from "../audit/audit.ts";

const snapshotId = "ab".repeat(32);
const chunkBytes = 48 * 1024;
let server: TestServer;
let agent: TestAgent;
let url: string;

async function start(options: { downloads?: boolean } = {}): Promise<void> {
  server = await startTestServer(options);
  agent = await connectTestAgent(server);
  await agent.hello();
  const first = await agent.nextMessage("command.run");
  agent.send(ackOf(first));
  agent.send(startedOf(first, 1));
  agent.send(finishedOf(first, 2));
  agent.send(reportOf(3, [snapshotOf(snapshotId)]));
  await agent.acknowledged(3);
  url = `/api/hosts/${agent.hostId}/snapshots/${snapshotId}/download`;
}
beforeEach(() => start());
afterEach(() => server.stop());

const raw = (path = "/etc/hosts") => server.admin.fetch(`${url}?path=${encodeURIComponent(path)}`);
const json = async (answer: Response) => ({
  status: answer.status,
  code: ((await answer.json()) as { code: string }).code,
});

/** The agent's side of one download. */
async function served() {
  const { request_id, ...question } = await agent.nextMessage("dump.start");
  let n = 0;
  return {
    ...{ request_id, question },
    send: (bytes: Buffer) => {
      agent.send({ type: "dump.chunk", request_id, n, data: bytes.toString("base64") });
      n += 1;
    },
    end: (error: { code: string; message: string } | null = null) =>
      agent.send({ type: "dump.end", request_id, error }),
    credit: () =>
      agent
        .all("dump.credit")
        .filter((credit) => credit.request_id === request_id)
        .reduce((sum, { chunks }) => sum + chunks, 0),
    sent: () => n,
    cancelled: () => agent.all("dump.cancel").some((cancel) => cancel.request_id === request_id),
  };
}

/** Everything that was sent before has been answered. */
async function roundTrip(): Promise<void> {
  const asked = server.admin.get(`/api/hosts/${agent.hostId}/files`);
  const { request_id } = await agent.nextMessage("fs.list");
  agent.send({ type: "fs.entries", request_id, entries: [], more: false, error: null });
  await asked;
}

describe("a download", () => {
  it("is the agent's bytes under the file's name, and in the audit trail", async () => {
    const answer = raw("/srv/größe.txt");
    const dump = await served();
    expect(dump.question).toEqual({
      ...{ type: "dump.start", snapshot_id: snapshotId, paths: ["/srv/größe.txt"], format: "raw" },
    });
    await server.until("credit", () => dump.credit() === maxDumpCredit);
    dump.send(Buffer.from("hello "));
    dump.send(Buffer.from("world"));
    dump.end();
    const response = await answer;
    expect(await response.text()).toBe("hello world");
    expect(response.headers.get("content-disposition")).toContain("filename*=UTF-8''gr%C3%B6%C3%9Fe.txt");
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    expect(response.headers.get("cache-control")).toBe("no-store");
    const { entries } = await listAudit({ db: server.db }, { action: "snapshot.download" });
    expect(entries).toMatchObject([
      {
        actor: { name: "admin" },
        target: { id: agent.hostId },
        payload: { snapshot_id: snapshotId, paths: ["/srv/größe.txt"], path_count: 1 },
      },
    ]);
    expect(dump.cancelled()).toBe(false);
  });

  it("of an empty file is empty", async () => {
    const answer = raw();
    (await served()).end();
    const response = await answer;
    expect([response.status, await response.text()]).toEqual([200, ""]);
  });

  it("of several is one archive named by host and snapshot", async () => {
    const answer = server.admin.fetch(`${url}?path=/a&path=base64:L2Ev/w==&format=tar`);
    const dump = await served();
    expect(dump.question).toMatchObject({ paths: ["/a", "base64:L2Ev/w=="], format: "tar" });
    dump.end();
    const { headers } = await answer;
    expect(headers.get("content-disposition")).toContain(`"${agent.name}-abababab.tar"`);
    expect(headers.get("content-type")).toBe("application/x-tar");
  });

  it("of one folder as a zip is named by it", async () => {
    const answer = server.admin.fetch(`${url}?path=/srv/docs&format=zip`);
    const dump = await served();
    expect(dump.question).toMatchObject({ paths: ["/srv/docs"], format: "zip" });
    dump.end();
    const { headers } = await answer;
    expect(headers.get("content-disposition")).toContain('"docs.zip"');
    expect(headers.get("content-type")).toBe("application/zip");
  });

  it("asks for no more than fits between a fast agent and a browser that reads nothing", async () => {
    const { response, dump } = await unread();
    const before = dump.sent();
    // What the two sockets hold, and no byte more, however long it takes.
    expect(before * chunkBytes).toBeLessThan(32 * 1024 * 1024);
    let bytes = 0;
    response.on("data", (piece: Buffer) => {
      bytes += piece.length;
    });
    response.resume();
    await server.until("more is asked for", () => dump.credit() > before);
    dump.end();
    await new Promise((resolve) => response.once("end", resolve));
    expect(bytes).toBe(before * chunkBytes);
  });
});

/** A browser that reads nothing, and an agent that has sent everything that was asked for. */
async function unread() {
  const opened = Promise.withResolvers<IncomingMessage>();
  const { cookie } = server.admin;
  const request = httpGet(`${server.url}${url}?path=/big`, { headers: { cookie } });
  request.on("response", (came) => opened.resolve(came.pause())).on("error", opened.reject);
  const dump = await served();
  const chunk = Buffer.alloc(chunkBytes, 1);
  do {
    while (dump.sent() < dump.credit()) dump.send(chunk);
    await roundTrip();
  } while (dump.sent() === 0 || dump.sent() < dump.credit());
  return { response: await opened.promise, dump };
}

describe("what is not the whole", () => {
  it("never looks like it: the connection breaks when the agent says so half-way", async () => {
    const answer = raw();
    const dump = await served();
    dump.send(Buffer.from("half"));
    const response = await answer;
    expect(response.status).toBe(200);
    dump.end({ code: "restic.killed", message: "restic was killed." });
    await expect(response.text()).rejects.toThrow();
  });

  it("breaks when the agent goes away half-way", async () => {
    const answer = raw();
    (await served()).send(Buffer.from("half"));
    const response = await answer;
    await agent.drop();
    await expect(response.text()).rejects.toThrow();
  });

  it.each([
    ["a chunk out of turn", (id: string) => ({ request_id: id, n: 5, data: "" })],
    ["the same chunk twice", (id: string) => ({ request_id: id, n: 0, data: "" })],
  ])("breaks on %s", async (_what, chunk) => {
    const answer = raw();
    const dump = await served();
    dump.send(Buffer.from("half"));
    const response = await answer;
    agent.send({ type: "dump.chunk", ...chunk(dump.request_id) });
    await expect(response.text()).rejects.toThrow();
    await server.until("the agent is told", dump.cancelled);
  });

  it("breaks on more than was asked for", async () => {
    const { response, dump } = await unread();
    dump.send(Buffer.from("more"));
    await server.until("the agent is told", dump.cancelled);
    response.resume();
    await expect(
      new Promise((resolve, reject) => response.on("end", resolve).on("error", reject)),
    ).rejects.toThrow();
  });
});

describe("before the first byte", () => {
  it.each([
    ["dump.not_found", 404],
    ["dump.snapshot_gone", 404],
    ["dump.is_folder", 422],
    ["restic.unreachable", 422],
  ])("%s of the agent is an answer with status %i, and no entry in the audit trail", async (code, status) => {
    const answer = raw();
    (await served()).end({ code, message: "Why." });
    expect(await json(await answer)).toEqual({ status, code });
    const { entries } = await listAudit({ db: server.db }, { action: "snapshot.download" });
    expect(entries).toEqual([]);
  });

  it("a host that is away is said at once", async () => {
    await agent.drop();
    await server.until("the host is away", async () => (await raw()).status === 409);
    expect(await json(await raw())).toEqual({ status: 409, code: "hosts.offline" });
  });

  it("an agent that is too old is told at once", async () => {
    const answer = raw();
    await served();
    agent.send({ type: "error", code: "protocol.unknown_type", message: "Unknown.", of_type: "dump.start" });
    expect(await json(await answer)).toEqual({ status: 409, code: "agent.too_old" });
  });

  it("an agent that says nothing is given up and told so", async () => {
    const answer = raw();
    const dump = await served();
    await server.until("the download is given up", dump.cancelled, 1000);
    expect(await json(await answer)).toEqual({ status: 504, code: "agent.no_answer" });
  });

  it.each([
    ["no path", "", 400],
    ["a relative path", "?path=etc/hosts", 400],
    ["a path that leaves", "?path=/etc/../root", 400],
    ["a path with NUL", "?path=/a%00b", 400],
    ["another format", "?path=/a&format=7z", 400],
    ["two files as one", "?path=/a&path=/b", 422],
    ["a zip of two", "?path=/a&path=/b&format=zip", 422],
  ])("%s is refused", async (_what, query, status) => {
    expect((await server.admin.get(url + query)).status).toBe(status);
    expect(agent.all("dump.start")).toEqual([]);
  });

  it("a snapshot that is not of this host is not found", async () => {
    const other = await server.admin.get(`${url.replace(snapshotId, "cd".repeat(32))}?path=/a`);
    expect([other.status, other.body.code]).toEqual([404, "snapshots.not_found"]);
  });

  it("selections that no message holds are refused, and the host stays connected", async () => {
    const long = Array.from({ length: 14 }, (_, n) => `path=/${String(n).repeat(1000)}`).join("&");
    expect((await server.admin.get(`${url}?format=tar&${long}`)).status).not.toBe(200);
    await roundTrip();
  });

  it("HEAD is not answered: it would read everything", async () => {
    const answer = await server.admin.fetch(`${url}?path=/a`, { method: "HEAD" });
    expect(answer.status).toBe(404);
  });
});

describe("whoever leaves", () => {
  it("half-way ends it on the host", async () => {
    const leaving = new AbortController();
    const answer = server.admin.fetch(`${url}?path=/a`, { signal: leaving.signal });
    const dump = await served();
    dump.send(Buffer.from("half"));
    await answer;
    leaving.abort();
    await server.until("the agent is told", dump.cancelled);
  });

  it("before the first byte ends it as well", async () => {
    const leaving = new AbortController();
    const answer = server.admin.fetch(`${url}?path=/a`, { signal: leaving.signal });
    const dump = await served();
    leaving.abort();
    await expect(answer).rejects.toThrow();
    await server.until("the agent is told", dump.cancelled);
  });
});

describe("how many", () => {
  it("two of a host go on at once, a third is refused and has its turn when one has ended", async () => {
    const first = raw("/1");
    const dump = await served();
    const second = raw("/2");
    const other = await served();
    expect(await json(await raw("/3"))).toEqual({ status: 429, code: "downloads.too_many" });
    dump.end();
    await first;
    await server.until("there is room", async () => {
      // Only one that has its turn is waited for: who waits for the dump of a refused one takes that of the next.
      const before = agent.all("dump.start").length;
      const hasTurn = () => agent.all("dump.start").length > before;
      let answered = false;
      const third = raw("/3").finally(() => {
        answered = true;
      });
      await server.until("its turn, or a refusal", () => hasTurn() || answered);
      if (hasTurn()) (await served()).end();
      await third;
      return hasTurn();
    });
    other.end();
    await second;
  });

  it("an answer of another host changes nothing", async () => {
    const stranger = await connectTestAgent(server);
    await stranger.hello();
    const answer = raw();
    const dump = await served();
    const { request_id } = dump;
    stranger.send({ type: "dump.chunk", request_id, n: 0, data: "eA==" });
    stranger.send({ type: "dump.end", request_id, error: null });
    await roundTrip();
    dump.send(Buffer.from("ours"));
    dump.end();
    expect(await (await answer).text()).toBe("ours");
  });
});

it("is refused to everybody when the server's owner has switched downloads off", async () => {
  await server.stop();
  await start({ downloads: false });
  expect(await json(await raw())).toEqual({ status: 403, code: "downloads.off" });
  expect(agent.all("dump.start")).toEqual([]);
});
