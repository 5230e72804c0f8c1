/**
 * A gibibyte from a real repository through real agent and server to a client: the bytes, and how little of it is ever
 * in the server's memory; then what happens to restic and to the client when one of the three goes away.
 */
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { appendFile, mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { until } from "../tools/demo/children.ts";
import { LabHost } from "./lab/host.ts";
import { Lab } from "./lab/lab.ts";

const gibibyte = 1024 * 1024 * 1024;
/** Of issue 6. */
const maxGrowthMiB = 32;

let lab: Lab;
let host: LabHost;
let bigFile: string;
let snapshotId: string;

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startServer();
  await lab.signUp();
  const folder = await lab.makeFolder("source");
  bigFile = join(folder, "big.bin");
  await writeBigFile(bigFile);
  await mkdir(join(folder, "empty"));
  host = await LabHost.add(lab, { isQuick: true, name: "files-01", paths: [folder] });
  snapshotId = (await host.backUp(120_000)).summary?.snapshot_id ?? "";
  // The list of snapshots follows the backup's end.
  await until("the snapshot in the host's list", 20_000, async () => {
    const { snapshots } = await lab.api.get<{ snapshots: { id: string }[] }>(
      `/api/hosts/${host.id}/snapshots`,
    );
    return snapshots.some(({ id }) => id === snapshotId);
  });
});
afterAll(() => lab.close());

/** Random, so that nothing on the way can shorten it, but the same 64 MiB again and again: the repository stays small. */
async function writeBigFile(path: string): Promise<void> {
  const part = randomBytes(gibibyte / 16);
  for (let count = 0; count < 16; count++) await appendFile(path, part);
}

function download(signal?: AbortSignal): Promise<Response> {
  const path = `/api/hosts/${host.id}/snapshots/${snapshotId}/download?path=${encodeURIComponent(bigFile)}`;
  return fetch(lab.url + path, { headers: { cookie: lab.api.cookie }, ...(signal ? { signal } : {}) });
}

async function digest(chunks: AsyncIterable<Uint8Array>): Promise<{ sha256: string; bytes: number }> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of chunks) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { sha256: hash.digest("hex"), bytes };
}

async function serverMemoryMiB(): Promise<number> {
  const status = await readFile(`/proc/${lab.server?.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

/** restic programs that read out of this snapshot now. */
async function dumping(): Promise<number> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "")),
  );
  return lines.filter((line) => line.includes("dump\0--no-lock") && line.includes(snapshotId)).length;
}

it("a browser that leaves half-way ends restic on the host", async () => {
  const leaving = new AbortController();
  const response = await download(leaving.signal);
  const reader = response.body?.getReader();
  for (let bytes = 0; bytes < gibibyte / 8; ) bytes += (await reader?.read())?.value?.length ?? gibibyte;
  expect(await dumping()).toBe(1);
  leaving.abort();
  await until("restic's end", 20_000, async () => (await dumping()) === 0);
});

/** After the download above: what V8 reserves for short-lived objects it takes once, for whatever comes first. */
it("a gibibyte arrives whole while the server grows by 32 MiB at most, and its host stays online", async () => {
  const before = await serverMemoryMiB();
  let peak = before;
  const response = await download();
  expect(response.status).toBe(200);
  if (response.body === null) throw new Error("no body");
  const receiving = digest(response.body);
  let done = false;
  void receiving.finally(() => {
    done = true;
  });
  while (!done) {
    peak = Math.max(peak, await serverMemoryMiB());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const came = await receiving;
  expect(came.bytes).toBe((await stat(bigFile)).size);
  expect(came).toEqual(await digest(createReadStream(bigFile)));
  console.log(`server: ${before.toFixed(1)} MiB before, ${peak.toFixed(1)} MiB at most`);
  expect(peak - before).toBeLessThanOrEqual(maxGrowthMiB);
  expect((await lab.api.get<{ online: boolean }>(`/api/hosts/${host.id}`)).online).toBe(true);
  expect(await dumping()).toBe(0);
}, 180_000);

it("a browser that reads nothing makes restic wait, and the host goes on with its other work", async () => {
  const response = await download();
  const reader = response.body?.getReader();
  await reader?.read();
  expect((await host.backUp()).status).toBe("succeeded");
  expect(await dumping()).toBe(1);
  await reader?.cancel();
  await until("restic's end", 20_000, async () => (await dumping()) === 0);
});

it("an agent that dies half-way breaks the download off, and takes its restic along", async () => {
  const response = await download();
  // Looked at from the start: it breaks while the agent is being killed.
  const broken = expect(response.arrayBuffer()).rejects.toThrow();
  await host.killAgent();
  await broken;
  await until("restic's end", 20_000, async () => (await dumping()) === 0);
  await host.startAgent();
});
