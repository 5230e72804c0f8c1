/**
 * An hour of silence, shown in a minute: nginx with the file of deploy/, but patient for 30 seconds only. What says
 * nothing is cut by it; the agent's connection and the live view of a silent job are not.
 */
import { once } from "node:events";
import { chmod, readFile, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { LabHost } from "../lab/host.ts";
import { Lab } from "../lab/lab.ts";
import { type ReverseProxy, startNginx } from "../lab/reverse-proxy.ts";

/** More than the 25 s between two heartbeats, and little more. */
const PATIENCE_S = 30;

let lab: Lab;
let proxy: ReverseProxy;
beforeAll(async () => {
  lab = await Lab.create();
  lab.settings = { RM_TRUSTED_PROXY: "127.0.0.1" };
  await lab.startServer();
  await lab.signUp();
  proxy = await startNginx(lab, { idleSeconds: PATIENCE_S });
});
afterAll(() => lab.close());

/** A restic whose backup says nothing until the gate opens. */
async function writeSilentRestic(gate: string): Promise<string> {
  const path = join(lab.folder, "silent-restic");
  const wait = `if [ "$1" = backup ]; then while [ ! -e ${gate} ]; do sleep 0.2; done; fi`;
  await writeFile(path, `#!/bin/sh\n${wait}\nexec ${lab.resticPath} "$@"\n`);
  await chmod(path, 0o755);
  return path;
}

/** Seconds until the same nginx ends a WebSocket over which nobody says a word. */
async function secondsUntilCut(): Promise<number> {
  const mute = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  lab.cleanups.push(async () => mute.close());
  await once(mute, "listening");
  const { port } = mute.address() as AddressInfo;
  const other = await startNginx(lab, { idleSeconds: PATIENCE_S, upstreamPort: port });
  const socket = new WebSocket(other.url.replace("https", "wss"), { ca: await readFile(other.caFile) });
  await once(socket, "open");
  const openedAt = performance.now();
  await once(socket, "close");
  return (performance.now() - openedAt) / 1000;
}

/** The live view of a job, as a browser has it: it answers pings by itself. */
async function openView(jobId: string) {
  const headers = { cookie: lab.api.cookie, origin: proxy.url };
  const url = `${proxy.url.replace("https", "wss")}/api/jobs/${jobId}/stream`;
  const socket = new WebSocket(url, { headers, ca: await readFile(proxy.caFile) });
  const types: string[] = [];
  socket.on("message", (data) => types.push((JSON.parse(String(data)) as { type: string }).type));
  const closed = once(socket, "close");
  await once(socket, "open");
  return { socket, types, closed };
}

it("a proxy that is patient for 30 seconds ends neither a quiet agent nor the live view of a quiet job", async () => {
  const gate = join(lab.folder, "gate");
  const source = await lab.makeFolder("source");
  await writeFile(join(source, "file"), "content");
  const host = await LabHost.add(lab, {
    ...{ name: "quiet", paths: [source], isQuick: true, resticPath: await writeSilentRestic(gate) },
    way: { server: proxy.url, caFile: proxy.caFile },
  });
  const jobId = await host.startBackup();
  const view = await openView(jobId);
  const connections = async () =>
    (await readFile(host.agentLog, "utf8")).split('"msg":"connected"').length - 1;
  expect(await connections()).toBe(1);
  // Twice as long as this nginx is patient with a connection that is mute.
  for (let times = 0; times < 2; times++) expect(await secondsUntilCut()).toBeGreaterThan(PATIENCE_S - 2);
  expect(await connections()).toBe(1);
  expect(view.socket.readyState).toBe(view.socket.OPEN);
  await writeFile(gate, "");
  expect((await host.finished(jobId)).status).toBe("succeeded");
  await view.closed;
  expect(view.types.at(-1)).toBe("end");
});
