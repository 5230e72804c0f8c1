/** Two sessions of one agent that both believe to be its only one, as at two replicas: every event is stored once. */
import { EventEmitter } from "node:events";
import type { WebSocket } from "@fastify/websocket";
import { encodeMessage, type LogStream, type ServerMessage } from "@restic-manager/protocol";
import {
  engines,
  FakeClock,
  linesOf,
  logOf,
  makeHost,
  openTestDatabase,
  type TestDatabase,
} from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Db } from "../../platform/db/db.ts";
import { GroupCommit } from "../../platform/db/group-commit.ts";
import { createLog } from "../../platform/log.ts";
import type { Host } from "../hosts/hosts.ts";
import type { LinkHandlers } from "./agent-link.contract.ts";
import { AgentDumps } from "./agent-link.dumps.ts";
import { AgentRequests } from "./agent-link.requests.ts";
import { AgentSession } from "./agent-link.session.ts";
import { findPosition } from "./agent-link.store.ts";

const run = { job_id: "01KAQ2XK3M5N7P9Q1R3S5T7V9W", attempt: 1 };
const streamId = "01KAQ2XK3M5N7P9Q1R3S5T7V9A";
const machine = { machineId: null, bootId: null };

describe.each(engines)("the stream of an agent on %s", (engine) => {
  let database: TestDatabase;
  let clock: FakeClock;
  let host: Host;

  beforeEach(async () => {
    database = await openTestDatabase(engine);
    clock = new FakeClock();
    host = await addHost("h");
    // Without a key: an event that is stored twice is there twice.
    await sql`CREATE TABLE taken (host_id text NOT NULL, seq bigint NOT NULL)`.execute(database.db);
  });
  afterEach(() => database.close());

  const addHost = (name: string): Promise<Host> => makeHost(database.db, { name, at: clock.now() });

  const storeLog = async (tx: Db, { id }: Host, { seq }: LogStream) => {
    await sql`INSERT INTO taken (host_id, seq) VALUES (${id}, ${seq})`.execute(tx);
    return undefined;
  };

  /** What one replica has of its own. */
  const replica = () => {
    const handlers = { events: { "log.stream": storeLog } } as unknown as LinkHandlers;
    return {
      ...{ commits: new GroupCommit(database.db, clock), clock, log: createLog("silent"), handlers },
      ...{ requests: new AgentRequests(clock), dumps: new AgentDumps(clock) },
    };
  };

  async function open(at: ReturnType<typeof replica>, of = host, stream = streamId) {
    const position = await findPosition(database.db, of.id);
    const socket = new OpenSocket();
    const peer = { host: of, machine, streamId: stream, position };
    return { socket, session: new AgentSession(at, socket as unknown as WebSocket, peer) };
  }
  type Opened = Awaited<ReturnType<typeof open>>;

  const send = ({ session }: Opened, seq: number) =>
    session.receive(encodeMessage(logOf(run, seq, linesOf(seq, seq))));

  const settled = ({ socket, session }: Opened, seq: number) =>
    until(`event ${seq} is settled`, () => session.ackedSeq >= seq || socket.closedWith !== null);

  const taken = async (of = host): Promise<number[]> => {
    const rows = await sql<{
      seq: number;
    }>`SELECT seq FROM taken WHERE host_id = ${of.id} ORDER BY seq`.execute(database.db);
    return rows.rows.map(({ seq }) => Number(seq));
  };

  it("belongs to whichever session stores first; the other one stores nothing and ends", async () => {
    const older = await open(replica());
    const newer = await open(replica());
    send(older, 1);
    await settled(older, 1);
    send(newer, 1);
    send(newer, 2);
    await settled(newer, 2);
    expect(newer.socket.closedWith).toBe(4411);
    expect(newer.socket.acked()).toEqual([]);
    expect(await taken()).toEqual([1]);
    send(older, 2);
    await settled(older, 2);
    expect(older.socket.acked()).toEqual([1, 2]);
    expect(await taken()).toEqual([1, 2]);
  });

  it("goes on in the next session from what is committed, whoever committed it", async () => {
    const older = await open(replica());
    const newer = await open(replica());
    send(older, 1);
    await settled(older, 1);
    send(newer, 1);
    await settled(newer, 1);
    const again = await open(replica());
    expect(again.session.ackedSeq).toBe(1);
    send(again, 2);
    await settled(again, 2);
    send(older, 2);
    await settled(older, 2);
    expect(older.socket.closedWith).toBe(4411);
    expect(await taken()).toEqual([1, 2]);
  });

  it("takes every event once when two sessions race for each of them", async () => {
    const replicas = [replica(), replica()];
    const last = 40;
    const agents = replicas.map(async (at) => {
      for (let opened = await open(at); ; opened = await open(at)) {
        for (let seq = opened.session.ackedSeq + 1; seq <= last && opened.socket.closedWith === null; seq++) {
          send(opened, seq);
          await settled(opened, seq);
        }
        if (opened.socket.closedWith === null) return;
      }
    });
    await Promise.all(agents);
    expect(await taken()).toEqual(Array.from({ length: last }, (_, i) => i + 1));
  });

  it("that has moved on ends its own session alone: others of the same transaction are stored", async () => {
    const other = await addHost("other");
    const at = replica();
    const stale = await open(at);
    const fresh = await open(at, other);
    const elsewhere = await open(replica());
    send(elsewhere, 1);
    await settled(elsewhere, 1);
    send(stale, 1);
    send(fresh, 1);
    await Promise.all([settled(stale, 1), settled(fresh, 1)]);
    expect([stale.socket.closedWith, fresh.socket.closedWith]).toEqual([4411, null]);
    expect(await taken(other)).toEqual([1]);
    expect(await taken()).toEqual([1]);
  });

  it("of a new disk ends the session that still has the old one's", async () => {
    const old = await open(replica());
    send(old, 1);
    await settled(old, 1);
    const anew = await open(replica(), host, "01KAQ2XK3M5N7P9Q1R3S5T7V9B");
    expect(anew.session.ackedSeq).toBe(0);
    send(anew, 1);
    await settled(anew, 1);
    send(old, 2);
    await settled(old, 2);
    expect([old.socket.closedWith, anew.socket.closedWith]).toEqual([4411, null]);
    expect(await taken()).toEqual([1, 1]);
  });
});

/** As much of a socket as a session uses; it stays open until the session closes it. */
class OpenSocket extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  readonly bufferedAmount = 0;
  readonly isPaused = false;
  closedWith: number | null = null;
  private readonly sent: ServerMessage[] = [];

  send(frame: string): void {
    this.sent.push(JSON.parse(frame) as ServerMessage);
  }

  close(code: number): void {
    this.closedWith ??= code;
    this.readyState = 3;
  }

  pause(): void {
    // Nothing comes by itself.
  }

  resume(): void {
    // As above.
  }

  acked(): number[] {
    return this.sent.flatMap((message) => (message.type === "event.ack" ? [message.seq] : []));
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let looks = 0; !holds(); looks++) {
    if (looks > 5000) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
