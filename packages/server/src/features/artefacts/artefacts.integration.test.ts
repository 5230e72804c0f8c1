/** Files for hosts over a real socket: a large one, slowly, in parts, and cut off. */
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { startTestServer, type TestServer, writeRelease } from "@restic-manager/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";

const mib = 1024 * 1024;
const name = "restic-manager-agent-0.2.0-linux-x64";
const url = `/install/${name}`;
let server: TestServer;
let content: Buffer;

beforeAll(async () => {
  server = await startTestServer();
  content = Buffer.alloc(100 * mib);
  for (let at = 0; at < content.length; at += 4096) content.writeUInt32LE(at, at);
  await writeRelease(join(server.dataDir, "release"), { [name]: content });
  await server.clock.advance(6000);
});
afterAll(() => server.stop());

/** What buffers hold, without what is only not collected yet. */
function heldBytes(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().arrayBuffers;
}

it("a hundred megabytes to a client that does not read cost no memory", async () => {
  const before = heldBytes();
  const slow = await Promise.all(Array.from({ length: 5 }, () => server.anonymous().fetch(url)));
  // Whatever a server would read ahead, it has read once another whole file went by.
  const whole = Buffer.from(await (await server.anonymous().fetch(url)).arrayBuffer());
  expect(whole.equals(content)).toBe(true);
  // What the client had in its hands goes a moment later; what a server holds for those that do not read would stay.
  let held = heldBytes();
  for (let tries = 0; tries < 50 && held - before - whole.byteLength > 60 * mib; tries++) {
    await new Promise((resolve) => setImmediate(resolve));
    held = heldBytes();
  }
  expect(held - before - whole.byteLength).toBeLessThan(60 * mib);
  for (const answer of slow) await answer.body?.cancel();
});

it("a download that broke off goes on where it was", async () => {
  const first = await server.anonymous().fetch(url, { headers: { range: `bytes=0-${70 * mib - 1}` } });
  const etag = first.headers.get("etag") ?? "";
  const head = Buffer.from(await first.arrayBuffer());
  const rest = await server
    .anonymous()
    .fetch(url, { headers: { range: `bytes=${head.length}-`, "if-range": etag } });
  expect(rest.status).toBe(206);
  expect(rest.headers.get("content-range")).toBe(`bytes ${70 * mib}-${content.length - 1}/${content.length}`);
  const tail = Buffer.from(await rest.arrayBuffer());
  expect(Buffer.concat([head, tail]).equals(content)).toBe(true);
});

it("a HEAD says how long it is, and reads nothing", async () => {
  const answer = await server.anonymous().fetch(url, { method: "HEAD" });
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-length")).toBe(String(content.length));
  expect(answer.headers.get("x-artefact-version")).toBe("0.2.0");
});
