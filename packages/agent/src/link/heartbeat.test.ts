/** How agent and server show each other that they live, on a real socket and by a clock that the test moves. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Hello, protocolRange } from "@restic-manager/protocol";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AgentFakeClock } from "../../../testkit/src/agent-clock.ts";
import { FakeServer } from "../../../testkit/src/agent-fake-server.ts";
import { createId } from "../platform/ids.ts";
import { systemRandom } from "../platform/random.ts";
import { AgentLink } from "./dial.ts";
import { createNetwork } from "./network.ts";
import { Outbox } from "./outbox.ts";
import type { Receiver } from "./session.ts";

const AT = "2026-11-23T04:12:10.000Z";

let dir: string;
let server: FakeServer;
let outbox: Outbox;
let clock: AgentFakeClock;
let link: AgentLink;
let logLines: string[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "agent-heartbeat-"));
  server = new FakeServer();
  server.heartbeatIntervalMs = 10_000;
  await server.start();
  const newId = () => createId(1_763_870_000_000, systemRandom());
  outbox = await Outbox.open({ dir, newId, log: pino({ level: "silent" }) });
  clock = new AgentFakeClock();
  logLines = [];
  link = new AgentLink({
    ...{ clock, outbox, createHello, receiver, server: server.url, bearer: "test-bearer" },
    network: createNetwork({ env: {}, caFile: null, certPin: null }),
    log: pino({}, { write: (line: string) => logLines.push(line) }),
    random: { fraction: () => 0, hex: () => "00" },
    ...{ onWelcomed: () => undefined, onDown: () => undefined },
  });
});
afterEach(async () => {
  await server.stop();
  await link.stop();
  await outbox.close();
  await rm(dir, { recursive: true, force: true });
});

const createHello = async (): Promise<Hello> => ({
  ...{ type: "hello", protocol: protocolRange, agent_version: "0", restic_version: null },
  ...{ hostname: "h", os: "linux", arch: "x64", sent_at: AT, stream_id: outbox.streamId, jobs: [] },
});

/** Here the server asks for nothing. */
const receiver = {} as Receiver;

describe("the heartbeat", () => {
  const beatTwice = async (version: number) => {
    server.protocol = version;
    link.start();
    await server.until(() => server.pings === 1, "the first beat");
    await clock.advance(10_000);
    await server.until(() => server.pings === 2, "the second beat");
  };

  test("is a ping and nothing else", async () => {
    await beatTwice(2);
    expect(server.received.map(({ type }) => type)).toEqual(["hello"]);
  });

  test("goes with a message to a server that does not count pings", async () => {
    await beatTwice(1);
    expect(server.received.map(({ type }) => type)).toEqual(["hello", "heartbeat", "heartbeat"]);
  });

  test("without an answer for two and a half intervals ends the connection", async () => {
    link.start();
    await server.until(() => server.pings === 1, "the first heartbeat");
    server.freeze();
    await clock.advance(25_000);
    expect(logLines.join("")).not.toContain("silent");
    // A pong that was under way when the server froze may have counted from a little later.
    await clock.advance(30_000);
    expect(logLines.join("")).toContain("silent");
  });

  test("that is answered keeps the connection", async () => {
    // More of them than the silence that would end it, by a clock that no busy machine makes late.
    link.start();
    for (let beats = 1; beats <= 6; beats++) {
      await server.until(() => server.pings === beats, `heartbeat ${beats}`);
      await clock.advance(10_000);
    }
    expect(server.hellos).toHaveLength(1);
  });
});
