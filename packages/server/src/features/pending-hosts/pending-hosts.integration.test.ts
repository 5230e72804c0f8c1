/** Announce and approve over real HTTP and real sockets: who gets the bearer, and everybody who must not. */
import { once } from "node:events";
import {
  AnnouncedMachine,
  connectTestAgent,
  FakeClock,
  startTestServer,
  TestAgent,
  type TestServer,
  type TestServerOptions,
} from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, describe, expect, it } from "vitest";
import { announcementsPerMinute } from "./pending-hosts.api.ts";
import { announcementLifetimeMs, maxPendingHosts } from "./pending-hosts.ts";

let server: TestServer;
afterEach(() => server.stop());

async function start(options: TestServerOptions = {}): Promise<void> {
  server = await startTestServer(options);
}

const wanted = { repo_url: "/srv/repo", repo_password: "Encrypts-Everything-1", tags: ["prod"] };
const accept = (id: string, more: Record<string, unknown>, client = server.admin) =>
  client.post(`/api/pending-hosts/${id}/accept`, { hostname: "web-01", ...wanted, ...more });
const reject = (id: string, reason?: string, client = server.admin) =>
  client.post(`/api/pending-hosts/${id}/reject`, reason === undefined ? {} : { reason });

async function list(): Promise<Record<string, unknown>[]> {
  return (await server.admin.get("/api/pending-hosts")).body.pending_hosts as Record<string, unknown>[];
}

async function audited(action: string): Promise<Record<string, unknown>[]> {
  const { rows } = await sql<{ payload: string }>`
    SELECT payload FROM audit_entries WHERE action = ${action} ORDER BY id`.execute(server.db);
  return rows.map(({ payload }) => JSON.parse(payload) as Record<string, unknown>);
}

async function hostNames(): Promise<string[]> {
  const { hosts } = (await server.admin.get("/api/hosts")).body as { hosts: { name: string }[] };
  return hosts.map(({ name }) => name);
}

describe("a machine that announces itself", () => {
  it("waits on the list with its fingerprint, is accepted, and connects as the host it became", async () => {
    await start();
    const machine = new AnnouncedMachine(server, "web-01");
    const { pendingId, socket } = await machine.wait({ note: "in the basement", machine_id: "m1" });
    expect(await list()).toMatchObject([
      {
        ...{ id: pendingId, hostname: "web-01", fingerprint: machine.fingerprint, address: "127.0.0.1" },
        ...{ note: "in the basement", connected: true, duplicates: [], server_name: machine.serverName },
      },
    ]);
    const answer = await accept(pendingId, { fingerprint: machine.fingerprint, initial_paths: ["/etc"] });
    expect(answer.status, answer.text).toBe(201);
    const given = await socket.next("pending.accepted");
    expect(given).toMatchObject({ host_id: answer.body.host_id, host_name: "web-01", cert_pin: null });
    await socket.end();
    const agent = new TestAgent(server, { name: "web-01", hostId: given.host_id, bearer: given.bearer });
    expect(await agent.connect()).toMatchObject({ host_name: "web-01" });
    expect((await agent.nextMessage("config.update")).repository).toMatchObject({ location: "/srv/repo" });
    expect((await agent.nextMessage("command.run")).spec).toMatchObject({ kind: "init" });
    expect(await list()).toEqual([]);
    const host = (await server.admin.get(`/api/hosts/${given.host_id}`)).body;
    expect(host).toMatchObject({ name: "web-01", tags: ["prod"], online: true });
  });

  it("is in the audit trail from its announcement to its bearer, with its address, and no secret is", async () => {
    await start();
    const machine = new AnnouncedMachine(server, "WEB-01");
    const { pendingId, socket } = await machine.wait();
    await accept(pendingId, { fingerprint: machine.fingerprint });
    const { bearer } = await socket.next("pending.accepted");
    const { fingerprint } = machine;
    expect(await audited("pending_host.announce")).toEqual([
      {
        ...{ fingerprint, hostname: "WEB-01", address: "127.0.0.1" },
        ...{ os: "linux", arch: "x64", agent_version: "0.1.0-test" },
      },
    ]);
    expect(await audited("pending_host.accept")).toMatchObject([
      { fingerprint, repository: "/srv/repo", reported_hostname: "WEB-01", server_name: machine.serverName },
    ]);
    expect(await audited("host.collect")).toMatchObject([{ pending_id: pendingId, fingerprint }]);
    const tables = await server.db.introspection.getTables();
    const rows = await Promise.all(
      tables.map(async ({ name }) => (await sql`SELECT * FROM ${sql.table(name)}`.execute(server.db)).rows),
    );
    for (const secret of [bearer, wanted.repo_password]) {
      expect(JSON.stringify([rows, server.log])).not.toContain(secret);
    }
  });

  it("is told why it was rejected, and so is one that was away meanwhile", async () => {
    await start();
    const [here, away] = [new AnnouncedMachine(server, "a"), new AnnouncedMachine(server, "b")];
    const { pendingId, socket } = await here.wait();
    expect((await reject(pendingId, "not one of ours")).status).toBe(200);
    expect(await socket.next("pending.refused")).toMatchObject({
      ...{ code: "pending.rejected", retry: false, message: "This machine was rejected: not one of ours" },
    });
    await server.clock.advance(1);
    const second = await away.wait();
    await second.socket.drop();
    await server.clock.advance(1);
    await reject(second.pendingId);
    expect((await away.tryAnnounce({ pending_id: second.pendingId })).body).toMatchObject({
      code: "pending.rejected",
    });
    expect(await list()).toEqual([]);
    const reasons = (await audited("pending_host.reject")).map(({ reason }) => reason);
    expect(reasons).toEqual(["not one of ours", undefined]);
    // Who begins anew may ask again.
    expect((await away.tryAnnounce()).status).toBe(200);
  });

  it("keeps its place when it announces itself again, with what it says now", async () => {
    await start();
    const machine = new AnnouncedMachine(server, "web-01");
    const first = await machine.announce();
    await server.clock.advance(announcementLifetimeMs - 1000);
    const again = await machine.announce({ note: "me again" });
    expect(again.pendingId).toBe(first.pendingId);
    expect(again.nonce).not.toBe(first.nonce);
    await server.clock.advance(announcementLifetimeMs - 1000);
    expect(await list()).toMatchObject([{ id: first.pendingId, note: "me again", connected: false }]);
    expect(await audited("pending_host.announce")).toHaveLength(2);
  });

  it("is told when its hour is over, and can't be accepted any more", async () => {
    await start();
    const machine = new AnnouncedMachine(server, "web-01");
    const { pendingId, socket } = await machine.wait();
    await server.clock.suspend(announcementLifetimeMs);
    expect(await socket.next("pending.refused")).toMatchObject({ code: "pending.expired", retry: false });
    expect(await list()).toEqual([]);
    const late = await accept(pendingId, { fingerprint: machine.fingerprint });
    expect([late.status, late.body.code]).toEqual([409, "pending.expired"]);
    expect((await reject(pendingId)).body.code).toBe("pending.expired");
    expect(await machine.tryAnnounce({ pending_id: pendingId })).toMatchObject({
      body: { code: "pending.expired" },
    });
    expect((await machine.announce()).pendingId).not.toBe(pendingId);
    const { fingerprint } = machine;
    expect(await audited("pending_host.expire")).toMatchObject([{ fingerprint, address: "127.0.0.1" }]);
  });

  it("is in the audit trail when its hour is over, though nobody comes after it", async () => {
    await start();
    const machine = new AnnouncedMachine(server, "web-01");
    await machine.announce();
    await server.clock.suspend(announcementLifetimeMs);
    await server.until("the entry", async () => (await audited("pending_host.expire")).length > 0);
    const { fingerprint } = machine;
    expect(await audited("pending_host.expire")).toMatchObject([{ fingerprint, address: "127.0.0.1" }]);
  });
});

describe("between the decision and the bearer", () => {
  it("nothing is lost when the server or the machine goes away: the key collects it later", async () => {
    await start();
    const machine = new AnnouncedMachine(server, "web-01");
    const { pendingId, socket } = await machine.wait();
    await socket.drop();
    await server.until("it is seen as away", async () => (await list())[0]?.connected === false);
    const { host_id } = (await accept(pendingId, { fingerprint: machine.fingerprint })).body;
    await server.restart();
    const again = await machine.announce({ pending_id: pendingId });
    expect(again.pendingId).toBe(pendingId);
    // The port is another after the restart, so the machine dials another name: not what was accepted.
    const moved = await machine.prove(again);
    expect(await moved.next("pending.refused")).toMatchObject({ code: "pending.server_name_wrong" });
    await sql`UPDATE pending_hosts SET server_name = ${machine.serverName}`.execute(server.db);
    const given = await (await machine.prove(await machine.announce())).next("pending.accepted");
    expect(given.host_id).toBe(host_id);
    // The answer was lost on its way: another bearer, and the first opens nothing any more.
    const better = await (await machine.prove(await machine.announce())).next("pending.accepted");
    expect(better.bearer).not.toBe(given.bearer);
    const identity = { name: "web-01", hostId: better.host_id };
    await expect(new TestAgent(server, { ...identity, bearer: given.bearer }).dial()).rejects.toThrow("401");
    await new TestAgent(server, { ...identity, bearer: better.bearer }).connect();
    // It has connected: the key makes another host or none.
    expect((await machine.announce()).pendingId).not.toBe(pendingId);
  });

  it("says nothing more after its proof, or its connection ends; its announcement stays", async () => {
    await start();
    const machine = new AnnouncedMachine(server, "web-01");
    const { pendingId, socket } = await machine.wait();
    const closed = once(socket.ws, "close");
    socket.ws.send("hello?");
    expect((await closed)[0]).toBe(1008);
    expect(await list()).toMatchObject([{ id: pendingId, connected: false }]);
    await machine.wait({ pending_id: pendingId });
    expect(await list()).toMatchObject([{ id: pendingId, connected: true }]);
  });

  it("only the newest connection of a key is told", async () => {
    await start();
    const machine = new AnnouncedMachine(server, "web-01");
    const { pendingId, socket: older } = await machine.wait();
    const { socket: newer } = await machine.wait();
    expect(await older.next("pending.refused")).toMatchObject({ code: "pending.replaced", retry: false });
    await accept(pendingId, { fingerprint: machine.fingerprint });
    const { bearer, host_id: hostId } = await newer.next("pending.accepted");
    await new TestAgent(server, { name: "web-01", hostId, bearer }).connect();
    expect(older.received.map(({ type }) => type)).toEqual(["pending.waiting", "pending.refused"]);
  });
});

describe("a proof is refused", () => {
  it("with another key's signature, and its nonce is used up", async () => {
    await start();
    const machine = new AnnouncedMachine(server, "web-01");
    const announced = await machine.announce();
    const { key } = new AnnouncedMachine(server, "thief");
    const spoofed = await machine.prove(announced, { signature: machine.sign({ ...announced, key }) });
    expect(await spoofed.next("pending.refused")).toMatchObject({ code: "pending.signature_invalid" });
    await server.clock.advance(1);
    const replayed = await machine.prove(announced);
    expect(await replayed.next("pending.refused")).toMatchObject({ code: "pending.nonce_used", retry: true });
    expect(await list()).toMatchObject([{ connected: false, server_name: null }]);
    const trail = await audited("pending_host.proof_refused");
    expect(trail.map(({ code }) => code)).toEqual(["pending.signature_invalid"]);
  });

  it("when it is sent a second time, also after another nonce was given out", async () => {
    await start();
    const machine = new AnnouncedMachine(server, "web-01");
    const announced = await machine.announce();
    const signature = machine.sign(announced);
    await (await machine.prove(announced, { signature })).next("pending.waiting");
    const replayed = await machine.prove(announced, { signature });
    expect(await replayed.next("pending.refused")).toMatchObject({ code: "pending.nonce_used" });
    await machine.announce();
    const older = await machine.prove(announced, { signature });
    expect(await older.next("pending.refused")).toMatchObject({ code: "pending.signature_invalid" });
  });

  it("for another server's name: who relays an announcement gets nothing", async () => {
    await start();
    const machine = new AnnouncedMachine(server, "web-01");
    const relayed = await machine.prove(await machine.announce(), { serverName: "evil.example" });
    expect(await relayed.next("pending.refused")).toMatchObject({
      code: "pending.server_name_wrong",
      message: expect.stringContaining("evil.example"),
    });
    const lied = await machine.announce();
    const signature = machine.sign({ ...lied, serverName: "evil.example" });
    const socket = await machine.prove(lied, { signature });
    expect(await socket.next("pending.refused")).toMatchObject({ code: "pending.signature_invalid" });
    expect(await list()).toMatchObject([{ server_name: null }]);
  });

  it("for another announcement, and for none", async () => {
    await start();
    const [mine, other] = [new AnnouncedMachine(server, "a"), new AnnouncedMachine(server, "b")];
    const announced = await mine.announce();
    const { pendingId } = await other.announce();
    const signature = mine.sign(announced);
    const wrong = await mine.prove(announced, { signature, pendingId });
    expect(await wrong.next("pending.refused")).toMatchObject({ code: "pending.signature_invalid" });
    const unknown = await mine.prove(announced, { signature, pendingId: "01KAQ2XK3M5N7P9Q1R3S5T7V9W" });
    expect(await unknown.next("pending.refused")).toMatchObject({ code: "pending.not_found" });
  });

  it.each([
    ["text that is no message", "hello"],
    ["a heartbeat", JSON.stringify({ type: "heartbeat", sent_at: "2026-11-23T05:12:09.104Z" })],
    ["more than a proof can be", "x".repeat(100_000)],
    ["nothing in ten seconds", null],
  ])("that is %s", async (_what, frame) => {
    await start();
    const socket = await new AnnouncedMachine(server, "web-01").dial();
    if (frame !== null) socket.ws.send(frame);
    await server.until("it is refused", () => socket.received.length > 0, 1000);
    expect(socket.received).toMatchObject([{ type: "pending.refused", code: "pending.proof_missing" }]);
    await socket.end();
  });
});

describe("accepting is refused", () => {
  it("a second time, and after a rejection", async () => {
    await start();
    const [first, second] = [new AnnouncedMachine(server, "a"), new AnnouncedMachine(server, "b")];
    const one = await first.wait();
    const accepted = () => accept(one.pendingId, { fingerprint: first.fingerprint });
    expect((await accepted()).status).toBe(201);
    const again = await accepted();
    expect([again.status, again.body.code]).toEqual([409, "pending.already_accepted"]);
    expect((await reject(one.pendingId)).body.code).toBe("pending.already_accepted");
    const other = await second.wait();
    await reject(other.pendingId);
    const late = await accept(other.pendingId, { fingerprint: second.fingerprint, hostname: "b" });
    expect([late.status, late.body.code]).toEqual([409, "pending.rejected"]);
    expect(await hostNames()).toEqual(["web-01"]);
    const codes = (await audited("pending_host.accept_refused")).map(({ code }) => code);
    expect(codes.sort()).toEqual(["pending.already_accepted", "pending.rejected"]);
    expect(await audited("pending_host.reject_refused")).toMatchObject([
      { code: "pending.already_accepted" },
    ]);
  });

  it("exactly one of two operators who accept at once wins", async () => {
    await start();
    const machine = new AnnouncedMachine(server, "web-01");
    const { pendingId } = await machine.wait();
    const answers = await Promise.all(
      ["a", "b", "c"].map((hostname) => accept(pendingId, { fingerprint: machine.fingerprint, hostname })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409]);
    expect(await hostNames()).toHaveLength(1);
  });

  it("with another fingerprint, with a taken name, or by a viewer; the machine then still waits", async () => {
    await start();
    await connectTestAgent(server, { name: "taken" });
    const machine = new AnnouncedMachine(server, "web-01");
    const { pendingId } = await machine.wait();
    const { fingerprint } = machine;
    const other = new AnnouncedMachine(server, "x").fingerprint;
    expect((await accept(pendingId, { fingerprint: other })).body.code).toBe("pending.fingerprint_differs");
    const taken = await accept(pendingId, { fingerprint, hostname: "Taken" });
    expect([taken.status, taken.body.code]).toEqual([409, "hosts.name_taken"]);
    expect((await accept(pendingId, { fingerprint, repo_url: "nonsense" })).status).toBe(400);
    const viewer = await server.signIn("viewer");
    expect((await accept(pendingId, { fingerprint }, viewer)).body.code).toBe("auth.role_too_low");
    expect((await reject(pendingId, undefined, viewer)).body.code).toBe("auth.role_too_low");
    expect((await viewer.get("/api/pending-hosts")).status).toBe(200);
    expect((await accept("01KAQ2XK3M5N7P9Q1R3S5T7V9W", { fingerprint })).status).toBe(404);
    const codes = (await audited("pending_host.accept_refused")).map(({ code }) => code);
    expect(codes.sort()).toEqual(["hosts.name_taken", "pending.fingerprint_differs"]);
    expect((await accept(pendingId, { fingerprint })).status).toBe(201);
  });

  it("before the key is proved", async () => {
    await start();
    const machine = new AnnouncedMachine(server, "web-01");
    const { pendingId } = await machine.announce();
    const answer = await accept(pendingId, { fingerprint: machine.fingerprint });
    expect([answer.status, answer.body.code]).toEqual([409, "pending.unproved"]);
  });

  it("one never rejects another of the same name; both are flagged, and so is a host's name and machine", async () => {
    await start();
    const agent = await connectTestAgent(server, { name: "db-01" });
    await agent.hello({ machine_id: "machine-1" });
    const [a, b] = [new AnnouncedMachine(server, "web-01"), new AnnouncedMachine(server, "Web-01")];
    const c = new AnnouncedMachine(server, "DB-01");
    const first = await a.wait({ machine_id: "machine-2" });
    await server.clock.advance(1);
    await b.wait({ machine_id: "machine-1" });
    await server.clock.advance(1);
    await c.wait({ machine_id: "machine-2" });
    const kinds = (one: Record<string, unknown>) =>
      (one.duplicates as { kind: string }[]).map(({ kind }) => kind);
    expect((await list()).map(kinds)).toEqual([
      ["pending_name", "pending_machine"],
      ["host_machine", "pending_name"],
      ["host_name", "pending_machine"],
    ]);
    await accept(first.pendingId, { fingerprint: a.fingerprint });
    // The host that came of it has not said yet which machine it is on.
    expect((await list()).map(kinds)).toEqual([["host_name", "host_machine"], ["host_name"]]);
  });
});

describe("the server's name", () => {
  it("is RM_BASE_URL's when it is set, whatever a client calls it", async () => {
    await start({ baseUrl: "https://rm.example.org" });
    const machine = new AnnouncedMachine(server, "web-01");
    const wrong = await machine.prove(await machine.announce());
    expect(await wrong.next("pending.refused")).toMatchObject({
      code: "pending.server_name_wrong",
      message: expect.stringContaining("goes by rm.example.org"),
    });
    const right = await machine.prove(await machine.announce(), { serverName: "rm.example.org" });
    await right.next("pending.waiting");
  });

  it("of a relay, which writes there what the machine dialled, gets past the proof but not past the operator", async () => {
    await start();
    const machine = new AnnouncedMachine(server, "web-01");
    const announced = await machine.announce();
    const relay = await machine.prove(announced, { serverName: "evil.example" }, { host: "evil.example" });
    await relay.next("pending.waiting");
    expect(await list()).toMatchObject([{ server_name: "evil.example" }]);
    const refused = await accept(announced.pendingId, { fingerprint: machine.fingerprint });
    expect([refused.status, refused.body.code]).toEqual([409, "pending.server_name_unconfirmed"]);
    expect(refused.body.message).toContain("The machine dialled evil.example");
    expect(relay.received.map(({ type }) => type)).toEqual(["pending.waiting"]);
  });

  it("that was set lets no relay past the proof, whatever it writes", async () => {
    await start({ baseUrl: "https://rm.example.org" });
    const machine = new AnnouncedMachine(server, "web-01");
    const names = { serverName: "evil.example" };
    const relay = await machine.prove(await machine.announce(), names, { host: "evil.example" });
    expect(await relay.next("pending.refused")).toMatchObject({ code: "pending.server_name_wrong" });
  });

  it("that was dialled has to be confirmed where the operator uses another", async () => {
    await start();
    const machine = new AnnouncedMachine(server, "web-01");
    const { pendingId } = await machine.wait();
    await sql`UPDATE pending_hosts SET server_name = 'backup.lan'`.execute(server.db);
    const { fingerprint } = machine;
    const refused = await accept(pendingId, { fingerprint });
    expect([refused.status, refused.body.code]).toEqual([409, "pending.server_name_unconfirmed"]);
    expect((await accept(pendingId, { fingerprint, server_name: "other.lan" })).status).toBe(409);
    expect((await accept(pendingId, { fingerprint, server_name: "backup.lan" })).status).toBe(201);
  });
});

describe("limits", () => {
  it("one address may announce ten times a minute, and is told when to come back", async () => {
    await start();
    const machine = new AnnouncedMachine(server, "web-01");
    for (let i = 0; i < announcementsPerMinute; i++) expect((await machine.tryAnnounce()).status).toBe(200);
    const answer = await machine.tryAnnounce();
    expect([answer.status, answer.body.code]).toEqual([429, "request.rate_exceeded"]);
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await list()).toHaveLength(1);
    for (let times = 0; times < 5; times++) expect((await machine.tryAnnounce()).status).toBe(429);
    const refusal = { code: "request.rate_exceeded", address: "127.0.0.1" };
    await server.until("the entry", async () => (await audited("pending_host.refuse")).length > 0);
    expect(await audited("pending_host.refuse")).toEqual([refusal]);
  });

  it("one address may dial sixty times a minute, and the burst beyond is one entry of the audit trail", async () => {
    await start();
    const dial = async () => (await fetch(`${server.url}/ws/agent/pending`)).status;
    for (let times = 0; times < 60; times++) expect(await dial()).toBe(426);
    for (let times = 0; times < 5; times++) expect(await dial()).toBe(429);
    await server.until("the entry", async () => (await audited("pending_host.refuse")).length > 0);
    expect(await audited("pending_host.refuse")).toEqual([
      { code: "request.rate_exceeded", address: "127.0.0.1" },
    ]);
  });

  it("the 101st machine is refused in words; none of the hundred is pushed out, and those may come again", async () => {
    await start({ trustedProxies: ["127.0.0.1"], clock: new FakeClock() });
    const machines = Array.from(
      { length: maxPendingHosts + 1 },
      (_, i) => new AnnouncedMachine(server, `m-${i}`),
    );
    const from = (i: number) => ({ "x-forwarded-for": `10.0.0.${i}` });
    for (const [i, machine] of machines.slice(0, maxPendingHosts).entries())
      expect((await machine.tryAnnounce({}, from(i))).status).toBe(200);
    const refused = await machines[maxPendingHosts]?.tryAnnounce({}, from(200));
    expect([refused?.status, refused?.body.code]).toEqual([409, "pending.list_full"]);
    expect((await machines[maxPendingHosts]?.tryAnnounce({}, from(203)))?.status).toBe(409);
    expect(await audited("pending_host.refuse")).toEqual([
      { code: "pending.list_full", address: "10.0.0.200" },
    ]);
    const listed = await list();
    expect(listed).toHaveLength(maxPendingHosts);
    const seventh = listed.find(({ hostname }) => hostname === "m-7");
    expect(seventh).toMatchObject({ address: "10.0.0.7" });
    expect((await machines[0]?.tryAnnounce({}, from(201)))?.status).toBe(200);
    await reject(String(seventh?.id));
    expect((await machines[maxPendingHosts]?.tryAnnounce({}, from(202)))?.status).toBe(200);
  });

  it.each([
    ["no key", { public_key: undefined }],
    ["a key of another kind", { public_key: `MCowBQYDK2VuAyEA${"A".repeat(43)}=` }],
    ["a name that is none", { hostname: "<script>" }],
    ["a terminal's commands in a note", { note: "\u001b[2J" }],
    ["an unknown field", { token: "x" }],
  ])("%s is refused", async (_what, wrong) => {
    await start();
    const answer = await new AnnouncedMachine(server, "web-01").tryAnnounce(wrong);
    expect(answer.status).toBe(400);
    expect(answer.body.code).toMatch(/^(request\.invalid|pending\.key_invalid)$/);
    expect(await list()).toEqual([]);
  });
});
