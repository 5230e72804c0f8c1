/**
 * An hour of silence, shown in a minute: nginx with the file of deploy/, but patient for 30 seconds only. What says
 * nothing is cut by it; the agent's connection and the live view of a silent job are not.
 */
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { WebSocket } from "ws";
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
  proxy = await startNginx(lab, PATIENCE_S);
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

/** When a WebSocket was closed, in seconds after it opened; and what came over it. */
async function open(path: string, headers: Record<string, string>, answersPings = true) {
  const socket = new WebSocket(`${proxy.url.replace("https", "wss")}${path}`, {
    ...{ headers, autoPong: answersPings, ca: await readFile(proxy.caFile) },
  });
  const types: string[] = [];
  const closed = Promise.withResolvers<number>();
  let openedAt = 0;
  socket.on("message", (data) => types.push((JSON.parse(String(data)) as { type: string }).type));
  socket.on("close", () => closed.resolve((performance.now() - openedAt) / 1000));
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  openedAt = performance.now();
  return { types, closed: closed.promise, socket };
}

it("a proxy that is patient for 30 seconds ends neither a quiet agent nor the live view of a quiet job", async () => {
  const gate = join(lab.folder, "gate");
  const source = await lab.makeFolder("source");
  await writeFile(join(source, "file"), "content");
  const host = await LabHost.add(lab, {
    ...{ name: "quiet", paths: [source], isQuick: true, resticPath: await writeSilentRestic(gate) },
    way: { server: proxy.url, caFile: proxy.caFile },
  });
  const jobId = await host.startBackUp();
  const view = await open(`/api/jobs/${jobId}/stream`, { cookie: lab.api.cookie, origin: proxy.url });
  const connections = async () => (await readFile(host.agentLog, "utf8")).split('"msg":"connected"').length - 1;
  expect(await connections()).toBe(1);

  // The silence that is waited for is nginx's own: a connection on which nobody says anything.
  const silent = await openSilent();
  const silentForSeconds = await silent.closed;
  expect(silentForSeconds).toBeGreaterThan(PATIENCE_S - 2);
  const second = await openSilent();
  await second.closed;

  expect(await connections()).toBe(1);
  expect(view.socket.readyState).toBe(view.socket.OPEN);
  await writeFile(gate, "");
  expect((await host.finished(jobId)).status).toBe("succeeded");
  await view.closed;
  expect(view.types.at(-1)).toBe("end");
});
