/** Snapshots through the whole server: what the agent is asked, what a client sees, what is remembered and what is not. */
import type { Snapshot, TreeEntry, TreeIndex } from "@restic-manager/protocol";
import {
  connectTestAgent,
  reportOf,
  startTestServer,
  type TestAgent,
  type TestServer,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

let server: TestServer;
let agent: TestAgent;
let url: string;
const idOf = (n: number) => String(n).padStart(64, "0");
const first = idOf(1);

const snapshotOf = (n: number, more: Partial<Snapshot> = {}): Snapshot => ({
  id: idOf(n),
  time: new Date(Date.UTC(2026, 0, 1) + n * 60_000).toISOString(),
  hostname: agent.name,
  username: "root",
  paths: ["/etc", "C:\\Users"],
  tags: ["default"],
  ...{ size_bytes: null, file_count: null, added_bytes: null },
  ...more,
});

beforeEach(async () => {
  server = await startTestServer();
  agent = await connectTestAgent(server);
  await agent.hello();
  url = `/api/hosts/${agent.hostId}/snapshots`;
  agent.send(reportOf(1, [snapshotOf(1), snapshotOf(2)]));
  await agent.acknowledged(1);
});
afterEach(() => server.stop());

const ready: TreeIndex = { state: "ready", entries: 12, problem: null };
const entryOf = (name: string, more: Partial<TreeEntry> = {}): TreeEntry => ({
  ...{ name, kind: "file", size_bytes: 3, mode: 0o644, uid: 0, gid: 0, user: "root", group: null },
  ...{ modified_at: "2026-01-01T00:00:00.000Z", target: null },
  ...more,
});

async function answerList(entries: TreeEntry[], more: { more?: boolean; index?: TreeIndex } = {}) {
  const question = await agent.nextMessage("tree.list");
  const { request_id } = question;
  agent.send({ type: "tree.page", request_id, entries, more: false, index: ready, error: null, ...more });
  return question;
}

async function refuseList(code: string) {
  const { request_id } = await agent.nextMessage("tree.list");
  const error = { code, message: "A sentence of the agent." };
  agent.send({ type: "tree.page", request_id, entries: [], more: false, index: ready, error });
}

describe("a folder of a snapshot", () => {
  it("is asked of the host's agent and shown with paths that can be asked for", async () => {
    const asked = server.admin.get(`${url}/${first}/tree?path=/etc&after=hosts`);
    const link = entryOf("base64:YmFk/w==", { kind: "link", size_bytes: null, target: "../x" });
    const question = await answerList([entryOf("a b\n"), link], { more: true });
    expect(question).toMatchObject({ snapshot_id: first, path: "/etc", after: "hosts", limit: 500 });
    expect(question).not.toHaveProperty("access");
    const { status, body } = await asked;
    expect(status).toBe(200);
    expect(body).toMatchObject({
      entries: [
        {
          name: "a b\n",
          ref: "/etc/a b\n",
          kind: "file",
          size_bytes: 3,
          mode: 0o644,
          user: "root",
          group: null,
        },
        { name: "bad\ufffd", ref: "base64:L2V0Yy9iYWT/", kind: "link", size_bytes: null, target: "../x" },
      ],
      ...{ more: true, indexed: true, index_problem: null },
    });
    const below = server.admin.get(`${url}/${first}/tree?path=${encodeURIComponent("base64:L2V0Yy9iYWT/")}`);
    expect(await answerList([])).toMatchObject({ path: "base64:L2V0Yy9iYWT/", after: null });
    expect((await below).body).toMatchObject({ entries: [] });
  });

  it("is the root without a path, and goes on after a name or a ref of any bytes", async () => {
    const ask = async (query: string) => {
      const asked = server.admin.get(`${url}/${first}/tree${query}`);
      const question = await answerList([]);
      await asked;
      return question;
    };
    expect(await ask("")).toMatchObject({ path: "/", after: null });
    expect(await ask("?after=/etc/hosts")).toMatchObject({ after: "hosts" });
    expect(await ask(`?after=${encodeURIComponent("base64:L2V0Yy9iYWT/")}`)).toMatchObject({
      after: "base64:YmFk/w==",
    });
    expect(await ask("?after=base64:odd")).toMatchObject({ after: "base64:YmFzZTY0Om9kZA==" });
  });

  it("is remembered for half an hour, page by page and snapshot by snapshot", async () => {
    const page = `${url}/${first}/tree?path=/etc`;
    const asked = server.admin.get(page);
    await answerList([entryOf("hosts")], { index: { state: "building", entries: 1, problem: null } });
    expect((await asked).body).toMatchObject({ indexed: false });
    expect((await server.admin.get(page)).body).toEqual((await asked).body);
    expect(agent.all("tree.list")).toHaveLength(1);
    const other = server.admin.get(`${url}/${idOf(2)}/tree?path=/etc`);
    await answerList([]);
    await other;
    await server.clock.advance(29 * 60_000);
    expect((await server.admin.get(page)).body.entries).toHaveLength(1);
    await server.clock.advance(60_000);
    // The clock went so far that the connection is cut.
    await agent.connect();
    const again = server.admin.get(page);
    await answerList([]);
    expect((await again).body.entries).toEqual([]);
  });

  it("that can't be read is told in the agent's words, and is not remembered", async () => {
    for (const [code, status] of [
      ["tree.not_found", 404],
      ["tree.snapshot_gone", 404],
      ["tree.not_a_folder", 422],
      ["restic.wrong_password", 422],
      ["restic.timeout", 504],
      ["tree.busy", 503],
    ] as const) {
      const asked = server.admin.get(`${url}/${first}/tree?path=/nope`);
      await refuseList(code);
      expect(await asked).toMatchObject({ status, body: { code, message: "A sentence of the agent." } });
    }
  });

  it("is refused for paths that are none, other snapshots and other people", async () => {
    for (const path of ["etc", "/a/../b", "/a/", "/a//b", "/a%00b", "base64:YQ==", ""])
      expect((await server.admin.get(`${url}/${first}/tree?path=${path}`)).body.code).toBe("request.invalid");
    expect(await server.admin.get(`${url}/${idOf(9)}/tree`)).toMatchObject({
      ...{ status: 404, body: { code: "snapshots.not_found" } },
    });
    expect((await server.admin.get(`${url}/${first.slice(56)}/tree`)).body.code).toBe("snapshots.not_found");
    expect((await server.admin.get(`/api/hosts/nobody/snapshots/${first}/tree`)).body.code).toBe(
      "hosts.not_found",
    );
    const viewer = await server.signIn("viewer");
    for (const path of [`${first}/tree`, `${first}/search?pattern=a`, "versions?path=/etc"]) {
      expect((await viewer.get(`${url}/${path}`)).status).toBe(403);
      expect((await server.anonymous().get(`${url}/${path}`)).status).toBe(401);
    }
    expect(agent.all("tree.list")).toEqual([]);
  });

  it("of a host that is away is refused at once; what is remembered is shown", async () => {
    const asked = server.admin.get(`${url}/${first}/tree`);
    await answerList([entryOf("etc", { kind: "folder" })]);
    await asked;
    await agent.drop();
    await server.until("the host is away", async () => {
      const { status, body } = await server.admin.get(`${url}/${first}/tree?path=/etc`);
      return status === 409 && body.code === "hosts.offline";
    });
    expect((await server.admin.get(`${url}/${first}/tree`)).body.entries).toHaveLength(1);
  });

  it("that does not come within a minute is given up, and one that nobody waits for is cancelled", async () => {
    const asked = server.admin.get(`${url}/${first}/tree`);
    const { request_id } = await agent.nextMessage("tree.list");
    await server.clock.advance(60_000);
    expect(await asked).toMatchObject({ status: 504, body: { code: "agent.no_answer" } });
    expect(await agent.nextMessage("tree.cancel")).toEqual({ type: "tree.cancel", request_id });
    const leaving = new AbortController();
    const left = server.admin.fetch(`${url}/${first}/tree`, { signal: leaving.signal }).catch(() => "left");
    const second = await agent.nextMessage("tree.list");
    leaving.abort();
    expect(await left).toBe("left");
    expect((await agent.nextMessage("tree.cancel")).request_id).toBe(second.request_id);
  });

  it("is refused at once by an agent that is older than this", async () => {
    const asked = server.admin.get(`${url}/${first}/tree`);
    await agent.nextMessage("tree.list");
    const message = "This message type is unknown here.";
    agent.send({ type: "error", code: "protocol.unknown_type", message, of_type: "tree.list" });
    expect(await asked).toMatchObject({ status: 409, body: { code: "agent.too_old" } });
  });

  it("is read by another host's agent with this host's access, which nothing repeats", async () => {
    const other = await connectTestAgent(server);
    await other.hello();
    await agent.drop();
    const asked = server.admin.get(`${url}/${first}/tree?path=/etc&via=${other.hostId}`);
    const { request_id, access } = await other.nextMessage("tree.list");
    expect(access).toMatchObject({ location: "/srv/repo", password: "repository password" });
    other.send({
      type: "tree.page",
      request_id,
      entries: [entryOf("secret file")],
      more: false,
      index: ready,
      error: null,
    });
    expect((await asked).body.entries).toMatchObject([{ ref: "/etc/secret file" }]);
    expect(JSON.stringify(server.log)).not.toMatch(/repository password|secret file/);
    expect((await server.admin.get(`${url}/${first}/tree?via=nobody`)).body.code).toBe("hosts.not_found");
  });

  it("read by another host stands in the trail of both, once for all that a person opens", async () => {
    const other = await connectTestAgent(server);
    await other.hello();
    for (const path of ["/etc", "/srv"]) {
      const asked = server.admin.get(`${url}/${first}/tree?path=${path}&via=${other.hostId}`);
      const { request_id } = await other.nextMessage("tree.list");
      other.send({
        ...{ type: "tree.page", request_id, entries: [], more: false },
        ...{ index: ready, error: null },
      });
      expect((await asked).status).toBe(200);
    }
    const { entries } = (await server.admin.get("/api/audit?action=snapshot.read_elsewhere")).body;
    const targets = (entries as { target: { id: string } }[]).map(({ target }) => target.id);
    expect(targets.toSorted()).toEqual([agent.hostId, other.hostId].toSorted());
  });
});

describe("a search in a snapshot", () => {
  const search = (query: string) => server.admin.get(`${url}/${first}/search?${query}`);
  async function answer(index: TreeIndex, matches: (TreeEntry & { folder: string })[] = []) {
    const question = await agent.nextMessage("tree.search");
    const { request_id } = question;
    agent.send({ type: "tree.matches", request_id, matches, more: false, index, error: null });
    return question;
  }

  it("gives every match with its path", async () => {
    const asked = search("pattern=*.conf&after=/etc/a.conf");
    const question = await answer(ready, [{ ...entryOf("base64:YmFk/w=="), folder: "/etc" }]);
    expect(question).toMatchObject({ snapshot_id: first, pattern: "*.conf", after: "/etc/a.conf" });
    expect((await asked).body).toMatchObject({
      ...{ state: "ready", indexed_files: 12, problem: null, more: false, waits_for_job: false },
      matches: [{ name: "bad\ufffd", path: "/etc/bad\ufffd", ref: "base64:L2V0Yy9iYWT/" }],
    });
  });

  it("says how far the index is, and why there will be none", async () => {
    const building = search("pattern=a");
    await answer({ state: "building", entries: 1234, problem: null });
    expect((await building).body).toMatchObject({
      state: "indexing",
      indexed_files: 1234,
      waits_for_job: false,
    });
    const waiting = search("pattern=a");
    await answer({ state: "waiting", entries: 0, problem: null });
    expect((await waiting).body).toMatchObject({ state: "indexing", waits_for_job: true });
    const none = search("pattern=a");
    await answer({
      state: "none",
      entries: 0,
      problem: { code: "tree.no_room", message: "The disk is full." },
    });
    expect(await none).toMatchObject({
      status: 422,
      body: { code: "tree.no_room", message: "The disk is full." },
    });
  });

  it("needs a pattern of a sane length", async () => {
    for (const query of ["", "pattern=", `pattern=${"a".repeat(1001)}`, "pattern=a&after=relative"])
      expect((await search(query)).body.code).toBe("request.invalid");
  });
});

describe("what selections hold", () => {
  const count = (paths: unknown) => server.admin.post(`${url}/${first}/count`, { paths });
  const none = { files: null, folders: null, size_bytes: null };

  it("is counted by the host's agent once the snapshot is indexed", async () => {
    const building = count(["/etc"]);
    const asked = await agent.nextMessage("tree.count");
    const index = { state: "building", entries: 40, problem: null } as const;
    agent.send({ type: "tree.counts", request_id: asked.request_id, ...none, index, error: null });
    expect((await building).body).toMatchObject({ state: "indexing", indexed_files: 40, ...none });
    const counted = count(["/etc", "/srv"]);
    const { request_id, ...question } = await agent.nextMessage("tree.count");
    expect(question).toEqual({ type: "tree.count", snapshot_id: first, paths: ["/etc", "/srv"] });
    const figures = { files: 12, folders: 3, size_bytes: 4096 };
    agent.send({ type: "tree.counts", request_id, ...figures, index: ready, error: null });
    expect((await counted).body).toMatchObject({ state: "ready", ...figures });
  });

  it("is told in the agent's words when it can't be", async () => {
    const asked = count(["/nope"]);
    const { request_id } = await agent.nextMessage("tree.count");
    const error = { code: "tree.not_found", message: "There is no /nope." };
    agent.send({ type: "tree.counts", request_id, ...none, index: ready, error });
    expect(await asked).toMatchObject({ status: 404, body: error });
  });

  it.each([[[]], [["etc"]], [["/a/../b"]], [Array.from({ length: 1001 }, (_, n) => `/${n}`)], ["/etc"]])(
    "%j is refused and nobody asked",
    async (paths) => {
      expect((await count(paths)).body.code).toBe("request.invalid");
      expect(agent.all("tree.count")).toEqual([]);
    },
  );
});

describe("the versions of a file", () => {
  const versions = (path: string) => server.admin.get(`${url}/versions?path=${encodeURIComponent(path)}`);
  const at = { kind: "file", mode: 0o644, modified_at: "2026-01-01T00:00:00.000Z" } as const;

  it("come newest first, and say which are the same as the newer one", async () => {
    agent.send(
      reportOf(
        2,
        [1, 2, 3, 4].map((n) => snapshotOf(n, n === 4 ? { paths: ["/srv"] } : {})),
      ),
    );
    await agent.acknowledged(2);
    const asked = versions("/etc/hosts");
    const { request_id, snapshot_ids, path } = await agent.nextMessage("tree.versions");
    expect({ snapshot_ids, path }).toEqual({ snapshot_ids: [idOf(3), idOf(2), idOf(1)], path: "/etc/hosts" });
    const found = [3, 2, 1].map((n) => ({ snapshot_id: idOf(n), size_bytes: n === 1 ? 1 : 2, ...at }));
    agent.send({ type: "tree.version_list", request_id, versions: found, truncated: false, error: null });
    expect((await asked).body).toMatchObject({
      truncated: false,
      versions: [
        { snapshot_id: idOf(3), time: snapshotOf(3).time, size_bytes: 2, is_same_as_newer: false },
        { snapshot_id: idOf(2), size_bytes: 2, is_same_as_newer: true },
        { snapshot_id: idOf(1), size_bytes: 1, is_same_as_newer: false },
      ],
    });
  });

  it("are looked for in the newest hundred snapshots, and it is said when there are more", async () => {
    agent.send(
      reportOf(
        2,
        Array.from({ length: 101 }, (_, n) => snapshotOf(n)),
      ),
    );
    await agent.acknowledged(2);
    const asked = versions("/C/Users/a/b");
    const { request_id, snapshot_ids } = await agent.nextMessage("tree.versions");
    expect([snapshot_ids.length, snapshot_ids[0], snapshot_ids[99]]).toEqual([100, idOf(100), idOf(1)]);
    agent.send({ type: "tree.version_list", request_id, versions: [], truncated: false, error: null });
    expect((await asked).body).toEqual({ versions: [], truncated: true });
  });

  it("are none, and nobody is asked, where no snapshot covers the path", async () => {
    expect((await versions("/etcetera/hosts")).body).toEqual({ versions: [], truncated: false });
    expect((await versions("relative")).body.code).toBe("request.invalid");
    expect(agent.all("tree.versions")).toEqual([]);
  });
});
