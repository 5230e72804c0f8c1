/** The hub alone, with real sockets and handlers that the test holds back: races, presence, slow peers. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import {
  encodeMessage,
  type Hello,
  type LogStream,
  maxFrameBytes,
  protocolRange,
  type ServerMessage,
} from "@restic-manager/protocol";
import {
  countQueries,
  FakeClock,
  linesOf,
  logOf,
  makeHost,
  openTestDatabase,
  type TestDatabase,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import type { Db } from "../../platform/db/db.ts";
import { EventBus } from "../../platform/events.ts";
import { createLog } from "../../platform/log.ts";
import { newId } from "../../platform/random.ts";
import { healthChanged } from "../../platform/replicas/replicas.ts";
import { getHost, type Host, type HostIdentity } from "../hosts/hosts.ts";
import { AgentHub, agentDisconnected, type LinkHandlers, OwnLinks } from "./agent-link.ts";

const config: ServerMessage = { type: "config.update", version: 1, repository: null };
const ping: ServerMessage = { type: "command.cancel", job_id: "01KAQ2XK3M5N7P9Q1R3S5T7V9W" };

let database: TestDatabase;
let clock: FakeClock;
let bus: EventBus;
let hub: AgentHub;
let sockets: WebSocketServer;
let queries: string[];
/** Replaced by tests that hold the greeting back. */
let configurationOf: LinkHandlers["configurationOf"];
/** What belongs to a first connect; replaced by tests that let it fail. */
let onFirstConnect: LinkHandlers["onFirstConnect"];
/** What storing a piece of log does; replaced by tests that hold it back. */
let storeLog: LinkHandlers["events"]["log.stream"];
let clients: WebSocket[];
/** Whether the database answers. */
let healthy: boolean;

beforeEach(async () => {
  database = await openTestDatabase("sqlite");
  clock = new FakeClock();
  const log = createLog("silent");
  bus = new EventBus(log);
  configurationOf = async () => [config];
  onFirstConnect = async () => undefined;
  storeLog = async () => undefined;
  clients = [];
  healthy = true;
  const counted = countQueries(database.db);
  queries = counted.kinds;
  const refuse = () => Promise.reject(new Error("no event was expected"));
  const events = {
    "job.started": refuse,
    "log.stream": (tx: Db, host: HostIdentity, event: LogStream) => storeLog(tx, host, event),
    "snapshots.report": refuse,
    "job.finished": refuse,
    "snapshots.added": refuse,
    "schedule.ran": refuse,
    "repo.stats": refuse,
  };
  const handlers: LinkHandlers = {
    events,
    onCommandAck: async () => undefined,
    onProgress: async () => undefined,
    onScheduleVersion: async () => undefined,
    onScheduleFire: refuse,
    configurationOf: (host) => configurationOf(host),
    onFirstConnect: (tx, host) => onFirstConnect(tx, host),
  };
  const alone = { links: new OwnLinks(), neighbours: null, isHealthy: () => healthy };
  hub = new AgentHub({ db: counted.db, clock, bus, log, handlers, ...alone });
  hub.start();
  sockets = new WebSocketServer({ port: 0, host: "127.0.0.1", maxPayload: maxFrameBytes });
  await once(sockets, "listening");
});
afterEach(async () => {
  await hub.stop();
  for (const client of clients) client.terminate();
  sockets.close();
  await database.close();
});

const addHost = (name: string): Promise<Host> => makeHost(database.db, { name, at: clock.now() });

const hello = (streamId = newId(clock.now())): Hello => ({
  type: "hello",
  protocol: protocolRange,
  agent_version: "0.1.0",
  restic_version: null,
  hostname: "h",
  os: "linux",
  arch: "x64",
  sent_at: new Date(clock.now()).toISOString(),
  stream_id: streamId,
  jobs: [],
});

interface Dialled {
  client: WebSocket;
  /** The server's end of it. */
  socket: WebSocket;
  types: string[];
  /** The close code, once it is closed. */
  closed: Promise<number>;
}

/** A client whose other end is already with the hub; `types` grows as messages come. */
async function dial(host: Host): Promise<Dialled> {
  const accepted = once(sockets, "connection");
  const client = new WebSocket(`ws://127.0.0.1:${(sockets.address() as AddressInfo).port}`);
  clients.push(client);
  const types: string[] = [];
  client.on("error", () => undefined);
  const closed = new Promise<number>((resolve) => client.once("close", resolve));
  client.on("message", (data) => types.push((JSON.parse(String(data)) as ServerMessage).type));
  const [[socket]] = await Promise.all([accepted, once(client, "open")]);
  hub.accept(socket as WebSocket, host);
  return { client, socket: socket as WebSocket, types, closed };
}

/** One after the other, so that each client is matched with its own other end. */
async function dialAll(hosts: Host[]): Promise<Dialled[]> {
  const dialled: Dialled[] = [];
  for (const host of hosts) dialled.push(await dial(host));
  return dialled;
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let looks = 0; !holds(); looks++) {
    if (looks > 2000) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** A gate that holds the greeting at its configuration. */
function holdConfiguration(): () => void {
  const gate = Promise.withResolvers<void>();
  configurationOf = async () => {
    await gate.promise;
    return [config];
  };
  return gate.resolve;
}

describe("a greeting that takes its time", () => {
  it("lets no command pass before the configuration", async () => {
    const host = await addHost("slow");
    const open = holdConfiguration();
    const { client, types } = await dial(host);
    client.send(encodeMessage(hello()));
    await until("the welcome", () => types.length > 0);
    expect(hub.isConnected(host.id)).toBe(false);
    expect(hub.send(host.id, ping)).toBe(false);
    open();
    await until("the agent is ready", () => hub.isConnected(host.id));
    expect(hub.send(host.id, ping)).toBe(true);
    await until("the command", () => types.length === 3);
    expect(types).toEqual(["welcome", "config.update", "command.cancel"]);
  });

  it("does not miss credentials that are edited meanwhile", async () => {
    const host = await addHost("edited");
    const open = holdConfiguration();
    const { client, types } = await dial(host);
    client.send(encodeMessage(hello()));
    await until("the welcome", () => types.length > 0);
    const pushed = hub.pushConfiguration(host.id);
    open();
    await pushed;
    await until("both configurations", () => types.length === 3);
    expect(types).toEqual(["welcome", "config.update", "config.update"]);
  });

  it("that comes first is the first again when what belongs to it could not be stored", async () => {
    const host = await addHost("fresh");
    const firsts: string[] = [];
    onFirstConnect = async () => {
      firsts.push("failed");
      throw new Error("the database is away");
    };
    const failed = await dial(host);
    failed.client.send(encodeMessage(hello()));
    expect(await failed.closed).toBe(1011);
    onFirstConnect = async (tx) => {
      firsts.push("stored");
      expect(await getHost(tx, host.id)).toMatchObject({ firstConnectedAt: clock.now() });
      return () => void firsts.push("told");
    };
    for (let dials = 0; dials < 2; dials++) {
      const { client, types } = await dial(host);
      client.send(encodeMessage(hello()));
      await until("the configuration", () => types.includes("config.update"));
    }
    expect(firsts).toEqual(["failed", "stored", "told"]);
  });

  it("leaves nothing behind when the socket goes meanwhile", async () => {
    const host = await addHost("gone");
    let gone = 0;
    bus.on(agentDisconnected, () => gone++);
    const open = holdConfiguration();
    const { client, types } = await dial(host);
    client.send(encodeMessage(hello()));
    await until("the welcome", () => types.length > 0);
    client.terminate();
    open();
    await until("the hub forgot it", () => gone === 1);
    expect(hub.isConnected(host.id)).toBe(false);
  });

  it("of two that race ends with exactly one connection", async () => {
    const host = await addHost("racing");
    const dialled = await dialAll([host, host, host]);
    const streamId = newId(clock.now());
    for (const { client } of dialled) client.send(encodeMessage(hello(streamId)));
    await until(
      "two are replaced",
      () => dialled.filter(({ types }) => types.includes("goodbye")).length === 2,
    );
    const open = () => dialled.filter(({ client }) => client.readyState === WebSocket.OPEN);
    await until("one is left", () => open().length === 1);
    expect(hub.isConnected(host.id)).toBe(true);
  });
});

describe("an agent", () => {
  const run = { job_id: "01KAQ2XK3M5N7P9Q1R3S5T7V9W", attempt: 1 };
  /** Nearly as large as a frame may be. */
  const largeLines = linesOf(1, 60, () => "x".repeat(16_000));

  it("that sends faster than we store is made to wait, and loses nothing", async () => {
    const host = await addHost("flood");
    const gate = Promise.withResolvers<void>();
    const stored: number[] = [];
    storeLog = async (_tx, _host, event) => {
      await gate.promise;
      stored.push(event.seq);
      return undefined;
    };
    const { client, socket, types } = await dial(host);
    client.send(encodeMessage(hello()));
    await until("the agent is ready", () => hub.isConnected(host.id));
    for (let seq = 1; seq <= 30; seq++) client.send(encodeMessage(logOf(run, seq, largeLines)));
    await until("the socket is paused", () => socket.isPaused);
    expect(types).not.toContain("event.ack");
    gate.resolve();
    await until("everything is stored", () => stored.length === 30);
    expect(stored).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    await until("the socket is read again", () => !socket.isPaused);
  });

  it("that reads nothing is cut off before it costs much memory", async () => {
    const host = await addHost("deaf");
    const { client, socket } = await dial(host);
    client.send(encodeMessage(hello()));
    await until("the agent is ready", () => hub.isConnected(host.id));
    client.pause();
    const includes = Array.from({ length: 30 }, (_, i) => `/${i}${"x".repeat(30_000)}`);
    const spec = { kind: "backup" as const, host_name: "h", source_group: "g", includes, excludes: [] };
    const sent: boolean[] = [];
    while (sent.at(-1) !== false && sent.length < 50) {
      sent.push(hub.send(host.id, { type: "command.run", ...run, spec }));
      expect(socket.bufferedAmount).toBeLessThan(10 * maxFrameBytes);
    }
    expect(sent.at(-1)).toBe(false);
    await until("the hub forgot it", () => !hub.isConnected(host.id));
  });
});

describe("presence", () => {
  it("of many hosts costs one write every five seconds, and none without heartbeats", async () => {
    const hosts = await Promise.all(Array.from({ length: 30 }, (_, i) => addHost(`h${i}`)));
    const dialled = await dialAll(hosts);
    for (const { client } of dialled) client.send(encodeMessage(hello()));
    await until("all are connected", () => hosts.every((host) => hub.isConnected(host.id)));
    await clock.advance(5000);
    for (const { client } of dialled) {
      for (let times = 0; times < 3; times++) client.ping();
      client.send("{");
    }
    await until("all beats are in", () => dialled.every(({ types }) => types.includes("error")));
    queries.length = 0;
    await clock.advance(5000);
    expect(queries).toEqual(["RawNode"]);
    await clock.advance(10_000);
    expect(queries).toEqual(["RawNode"]);
    const seen = await Promise.all(
      hosts.map(async (host) => (await getHost(database.db, host.id)).lastSeenAt),
    );
    expect(new Set(seen)).toEqual(new Set([clock.now() - 15_000]));
  });

  it("of a host whose session is over is written too", async () => {
    const host = await addHost("left");
    const { client, closed } = await dial(host);
    client.send(encodeMessage(hello()));
    await until("the agent is ready", () => hub.isHere(host.id));
    await clock.advance(7000);
    const heardAt = clock.now();
    client.ping();
    client.close();
    await closed;
    await until("the hub forgot it", () => !hub.isConnected(host.id));
    await clock.advance(5000);
    expect((await getHost(database.db, host.id)).lastSeenAt).toBe(heardAt);
  });

  it.each([
    ["on", 3_600_000],
    ["back", -3_600_000],
  ])("is by a clock that nobody sets: one that was set %s by an hour cuts nobody", async (_way, ms) => {
    const host = await addHost("steady");
    const { client } = await dial(host);
    client.send(encodeMessage(hello()));
    await until("the agent is ready", () => hub.isHere(host.id));
    clock.jump(ms);
    await clock.advance(10_000);
    expect(hub.isHere(host.id)).toBe(true);
    const { lastSeenAt } = await getHost(database.db, host.id);
    expect(lastSeenAt).toBe(clock.now() - 10_000);
    await clock.advance(85_000);
    await until("the silent agent is cut", () => !hub.isHere(host.id));
  });

  it("does not come from pings of a connection that has not said hello", async () => {
    const host = await addHost("mute");
    const { client, closed } = await dial(host);
    const ponged = once(client, "pong");
    client.ping();
    await ponged;
    await clock.advance(10_000);
    expect(await closed).toBe(1006);
    expect((await getHost(database.db, host.id)).lastSeenAt).toBeNull();
  });
});

describe("a hello", () => {
  it("to a server that is alone costs two updates and one look, and its end nothing", async () => {
    const host = await addHost("counted");
    const { client, closed } = await dial(host);
    queries.length = 0;
    client.send(encodeMessage(hello()));
    await until("the agent is ready", () => hub.isHere(host.id));
    expect(queries).toEqual(["UpdateQueryNode", "UpdateQueryNode", "SelectQueryNode"]);
    client.close();
    await closed;
    await until("the hub forgot it", () => !hub.isConnected(host.id));
    expect(queries).toHaveLength(3);
  });
});

describe("a hub whose database is away", () => {
  it("sends its agents to another replica, and serves again once it is back", async () => {
    const host = await addHost("moved");
    const first = await dial(host);
    first.client.send(encodeMessage(hello()));
    await until("the agent is ready", () => hub.isHere(host.id));
    healthy = false;
    bus.emit(healthChanged, { healthy });
    expect(hub.isHere(host.id)).toBe(false);
    expect(await first.closed).toBe(1013);
    expect(first.types.at(-1)).toBe("goodbye");
    expect(hub.isOpen).toBe(false);
    const late = await dial(host);
    expect(await late.closed).toBe(1001);
    expect(late.types).toEqual(["goodbye"]);
    healthy = true;
    bus.emit(healthChanged, { healthy });
    const back = await dial(host);
    back.client.send(encodeMessage(hello()));
    await until("the agent is back", () => hub.isHere(host.id));
  });
});

describe("a hub that stops", () => {
  it("says goodbye and sends later callers away", async () => {
    const host = await addHost("left");
    const { client, types } = await dial(host);
    client.send(encodeMessage(hello()));
    await until("the agent is ready", () => hub.isConnected(host.id));
    await hub.stop();
    await until("the goodbye", () => types.includes("goodbye"));
    const late = await dial(host);
    await until("the goodbye of the late", () => late.types.includes("goodbye"));
    expect(await late.closed).toBe(1001);
  });
});

it("sends no agent away for good by the word of an event, while the row of its host is there", async () => {
  const host = await addHost("kept");
  const dialled = await dial(host);
  dialled.client.send(encodeMessage(hello()));
  await until("the agent is ready", () => hub.isHere(host.id));
  await hub.removeHost(host.id);
  expect(hub.isHere(host.id)).toBe(true);
  await database.db.withTables<{ hosts: { id: string } }>().deleteFrom("hosts").execute();
  await hub.removeHost(host.id);
  expect([await dialled.closed, dialled.types.at(-1)]).toEqual([1000, "goodbye"]);
});
