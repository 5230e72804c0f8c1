/**
 * An hour of silence, shown in a minute: nginx and Caddy with the files of deploy/, but patient for seconds only. What
 * each of them holds for idle is cut by it; the agent's connection and the live view of a silent job are not.
 */
import { once } from "node:events";
import { chmod, readFile, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterAll, beforeAll, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { LabHost } from "../lab/host.ts";
import { Lab } from "../lab/lab.ts";
import { type ReverseProxy, startCaddy, startNginx } from "../lab/reverse-proxy.ts";

let lab: Lab;
beforeAll(async () => {
  lab = await Lab.create();
  lab.settings = { RM_TRUSTED_PROXY: "127.0.0.1" };
  await lab.startServer();
  await lab.signUp();
});
afterAll(() => lab.close());

/** A restic whose backup says nothing until the gate opens. */
async function writeSilentRestic(name: string, gate: string): Promise<string> {
  const path = join(lab.folder, `silent-restic-${name}`);
  const wait = `if [ "$1" = backup ]; then while [ ! -e ${gate} ]; do sleep 0.2; done; fi`;
  await writeFile(path, `#!/bin/sh\n${wait}\nexec ${lab.resticPath} "$@"\n`);
  await chmod(path, 0o755);
  return path;
}

/** A server of WebSockets that never says a word. @returns its port */
async function startMute(): Promise<number> {
  const mute = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  lab.cleanups.push(async () => {
    for (const client of mute.clients) client.terminate();
    mute.close();
  });
  await once(mute, "listening");
  return (mute.address() as AddressInfo).port;
}

/** A WebSocket over which nobody says a word. */
async function openMute(proxy: ReverseProxy): Promise<WebSocket> {
  const socket = new WebSocket(proxy.url.replace("https", "wss"), { ca: await readFile(proxy.caFile) });
  await once(socket, "open");
  return socket;
}

/** The live view of a job, as a browser has it: it answers pings by itself. */
async function openView(proxy: ReverseProxy, jobId: string) {
  const headers = { cookie: lab.api.cookie, origin: proxy.url };
  const url = `${proxy.url.replace("https", "wss")}/api/jobs/${jobId}/stream`;
  const socket = new WebSocket(url, { headers, ca: await readFile(proxy.caFile) });
  const types: string[] = [];
  socket.on("message", (data) => types.push((JSON.parse(String(data)) as { type: string }).type));
  const closed = once(socket, "close");
  await once(socket, "open");
  return { socket, types, closed };
}

/** A host behind the proxy and its silent job keep their connections for as long as `hour` takes. */
async function expectUncut(proxy: ReverseProxy, hour: () => Promise<void>): Promise<void> {
  const { name } = proxy;
  const gate = join(lab.folder, `gate-${name}`);
  const source = await lab.makeFolder(`source-${name}`);
  await writeFile(join(source, "file"), "content");
  const host = await LabHost.add(lab, {
    ...{ name, paths: [source], isQuick: true, resticPath: await writeSilentRestic(name, gate) },
    way: { server: proxy.url, caFile: proxy.caFile },
  });
  const jobId = await host.startBackup();
  const view = await openView(proxy, jobId);
  const connections = async () =>
    (await readFile(host.agentLog, "utf8")).split('"msg":"connected"').length - 1;
  expect(await connections()).toBe(1);
  await hour();
  expect(await connections()).toBe(1);
  expect(view.socket.readyState).toBe(view.socket.OPEN);
  await writeFile(gate, "");
  expect((await host.finished(jobId)).status).toBe("succeeded");
  await view.closed;
  expect(view.types.at(-1)).toBe("end");
}

it("nginx that is patient for 30 seconds ends neither a quiet agent nor the live view of a quiet job", async () => {
  // More than the 25 s between two heartbeats, and little more.
  const idleSeconds = 30;
  const other = await startNginx(lab, { idleSeconds, upstreamPort: await startMute() });
  await expectUncut(await startNginx(lab, { idleSeconds }), async () => {
    // Twice as long as this nginx is patient with a connection that is mute.
    for (let times = 0; times < 2; times++) {
      const socket = await openMute(other);
      const openedAt = performance.now();
      await once(socket, "close");
      expect((performance.now() - openedAt) / 1000).toBeGreaterThan(idleSeconds - 2);
    }
  });
});

/** Seconds until Caddy ends a connection on which it has answered one request and no other comes. */
async function secondsUntilCut(proxy: ReverseProxy): Promise<number> {
  const { hostname, port } = new URL(proxy.url);
  const ca = await readFile(proxy.caFile);
  const socket = connect({ host: hostname, servername: hostname, port: Number(port), ca });
  await once(socket, "secureConnect");
  const askedAt = performance.now();
  socket.write(`GET /healthz HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`);
  socket.resume();
  await once(socket, "close");
  return (performance.now() - askedAt) / 1000;
}

it("Caddy whose five minutes are five seconds ends neither those nor a WebSocket that is mute", async () => {
  const idleSeconds = 5;
  const proxy = await startCaddy(lab, { idleSeconds });
  const other = await startCaddy(lab, { idleSeconds, upstreamPort: await startMute() });
  const mute = await openMute(other);
  await expectUncut(proxy, async () => {
    // As an hour is to its five minutes.
    for (let times = 0; times < 12; times++)
      expect(await secondsUntilCut(times % 2 === 0 ? proxy : other)).toBeGreaterThan(idleSeconds - 1);
  });
  expect(mute.readyState).toBe(mute.OPEN);
  mute.terminate();
});
