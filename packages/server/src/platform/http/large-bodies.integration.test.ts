/** A request that is too large, on a real connection whose other side is still sending when the answer comes. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { buildTestApp } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import type { BuiltApp } from "./app.ts";
import { apiRoute } from "./route.ts";

const mib = 1024 * 1024;

let app: BuiltApp["app"];
let socket: Socket;
let received: string;
beforeEach(async () => {
  app = (await buildTestApp()).app;
  const body = z.strictObject({ name: z.string() });
  apiRoute(app, {
    method: "POST",
    url: "/api/things",
    policy: "anonymous",
    schema: { body },
    answer: () => ({}),
  });
  const url = await app.listen({ host: "127.0.0.1", port: 0 });
  socket = connect(Number(new URL(url).port), "127.0.0.1");
  received = "";
  socket.setEncoding("utf8").on("data", (text: string) => {
    received += text;
  });
  socket.on("error", () => undefined);
});
afterEach(async () => {
  socket.destroy();
  await app.close();
});

function sendHead(...length: string[]): void {
  const lines = ["POST /api/things HTTP/1.1", "host: x", "content-type: application/json", ...length];
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
}
const has = (text: string) => expect.poll(() => received, { timeout: 20_000 }).toContain(text);
const untilClosed = () => (socket.closed ? undefined : once(socket, "close"));

describe("a body that is too large", () => {
  test("is read to its end and dropped, so that a proxy that still sends gets the answer and not a broken connection", async () => {
    sendHead(`content-length: ${3 * mib}`);
    await has("request.too_large");
    for (let sent = 0; sent < 3; sent++) socket.write("x".repeat(mib));
    received = "";
    sendHead("content-length: 12");
    socket.write('{"name":"a"}');
    await has("HTTP/1.1 200 OK");
  });

  test.each([
    ["is said to be larger than anybody reads for nothing", `content-length: ${65 * mib}`],
    ["has no length", "transfer-encoding: chunked"],
  ])("ends its connection when it %s", async (_what, length) => {
    sendHead(length);
    const chunk = `${mib.toString(16)}\r\n${"x".repeat(mib)}\r\n`;
    for (let sent = 0; sent < 3; sent++) socket.write(chunk);
    await untilClosed();
    expect(socket.destroyed).toBe(true);
  });
});
