/** A stolen host's bearer: neither what it sends nor how often it dials takes the server from the other hosts. */
import { connect, type Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  connectTestAgent,
  enrolTestAgent,
  startTestServer,
  type TestAgent,
  type TestServer,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const mebibyte = 1024 * 1024;

let server: TestServer;
beforeEach(async () => {
  server = await startTestServer();
});
afterEach(() => server.stop());

/** A client that ignores everything that it is told, the end of its connection above all. */
async function dialDeaf(agent: TestAgent): Promise<Socket> {
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
  socket.on("error", () => undefined);
  const head = [
    "GET /ws/agent HTTP/1.1",
    `Host: ${new URL(server.url).host}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    `Authorization: Bearer ${agent.bearer}`,
  ];
  socket.write(`${head.join("\r\n")}\r\n\r\n`);
  await new Promise((resolve) => socket.once("data", resolve));
  socket.resume();
  return socket;
}

/** A text frame as clients send it; masked with zeros, so the payload stays as it is (RFC 6455, section 5.2). */
function frameOf(text: string): Buffer {
  const payload = Buffer.from(text);
  const head = Buffer.alloc(14);
  head[0] = 0x81;
  head[1] = 0xff;
  head.writeBigUInt64BE(BigInt(payload.length), 2);
  return Buffer.concat([head, payload]);
}

async function flood(socket: Socket, frames: number): Promise<void> {
  const frame = frameOf("x".repeat(mebibyte));
  for (let sent = 0; sent < frames && !socket.destroyed; sent++) {
    await new Promise<void>((resolve) => {
      const close = () => resolve();
      socket.once("close", close);
      socket.write(frame, () => {
        socket.off("close", close);
        resolve();
      });
    });
  }
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** What is really held: without a collection, frames long dropped would count. */
const usedBytes = () => {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

describe("an agent that goes on sending after its connection was ended", () => {
  it.each([
    { when: "refused", opening: () => ["no hello"] },
    {
      when: "cut for its bad frames",
      opening: (agent: TestAgent) => [
        JSON.stringify(agent.greeting()),
        ...Array.from({ length: 30 }, () => "no frame"),
      ],
    },
  ])("because it was $when costs no memory", async ({ opening }) => {
    const agent = await enrolTestAgent(server);
    const socket = await dialDeaf(agent);
    for (const text of opening(agent)) socket.write(frameOf(text));
    const before = usedBytes();
    await flood(socket, 200);
    // Some are still on their way; what is kept by mistake is kept for the 30 s that a close may take.
    await expect.poll(() => usedBytes() - before, { timeout: 10_000 }).toBeLessThan(50 * mebibyte);
    socket.destroy();
  });
});

describe("a bearer that dials again and again", () => {
  it("is refused at the thirty-third connection, while other hosts come in, and let in when one has ended", async () => {
    const agent = await enrolTestAgent(server);
    const dialled: TestAgent[] = [];
    for (let i = 0; i < 32; i++) {
      const copy = agent.copy();
      await copy.dial();
      dialled.push(copy);
    }
    await expect(agent.copy().dial()).rejects.toThrow("429");
    expect((await connectTestAgent(server)).socket.readyState).toBe(WebSocket.OPEN);
    dialled[0]?.socket.terminate();
    await expect.poll(() => agent.copy().dial().catch(String), { timeout: 10_000 }).toBeUndefined();
  });
});
