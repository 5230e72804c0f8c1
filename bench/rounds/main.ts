/**
 * Whether anybody has to wait while the server looks after ten thousand hosts: with a month of history, their agents
 * connected and idle, for so long that all it does by the clock has come round (maintenance five minutes after the start and
 * then each minute). `/healthz` is asked for again and again, in turns with a bare Node that answers the same.
 *
 * node bench/rounds/main.ts [HOSTS] [JOBS] [MINUTES]
 */
import { createServer } from "node:http";
import { BenchAgent } from "../agent.ts";
import { engineName } from "../database.ts";
import { createFleet } from "../fleet.ts";
import { insertHistory } from "../history.ts";
import { atMost, percentile, printReport } from "../report.ts";
import {
  cpuMs,
  freePort,
  type Program,
  residentMiB,
  sleep,
  startBareProgram,
  startServerProgram,
} from "../server-program.ts";

/** Below the requests that one address may send in a minute. */
const askEveryMs = 60;
const dialAtOnce = 400;
/** After the last hello: what a fleet that comes back costs is measured by bench/reconnect. */
const settleMs = 20_000;
/** A wait that a person notices. */
const noticedMs = 100;

interface Waits {
  /** When it was asked, since the first question. */
  atMs: number;
  ours: number;
  bare: number;
}

async function timed(url: string): Promise<number> {
  const since = performance.now();
  const response = await fetch(url);
  await response.arrayBuffer();
  return performance.now() - since;
}

/** One question after the other. */
async function ask(urls: { ours: string; bare: string }, seconds: number): Promise<Waits[]> {
  const waits: Waits[] = [];
  const begin = performance.now();
  while (performance.now() - begin < seconds * 1000) {
    const atMs = performance.now() - begin;
    const [ours, bare] = [await timed(urls.ours), await timed(urls.bare)];
    waits.push({ atMs, ours, bare });
    await sleep(askEveryMs);
  }
  return waits;
}

async function dialAll(agents: BenchAgent[]): Promise<void> {
  for (let i = 0; i < agents.length; i += dialAtOnce) {
    const part = agents.slice(i, i + dialAtOnce);
    for (const agent of part) agent.dial();
    while (!part.every((agent) => agent.online)) await sleep(20);
  }
}

/** The fleet as a program of its own: ten thousand sockets must not slow down the clock that measures. */
async function runFleet(port: number, count: number): Promise<void> {
  const agents = Array.from(
    { length: count },
    (_, index) => new BenchAgent({ port, index, idle: true, redial: true }),
  );
  await dialAll(agents);
  process.stdout.write("listening\n");
}

function runBare(port: number): void {
  createServer((_, response) => response.end('{"status":"ok"}')).listen(port, "127.0.0.1", () =>
    process.stdout.write("listening\n"),
  );
}

async function main(hosts: number, jobs: number, minutes: number): Promise<void> {
  const fleet = await createFleet(hosts, (db) => insertHistory(db, hosts, Math.round(jobs / hosts)));
  const server = await startServerProgram(fleet);
  const bare = await startBareProgram(import.meta.filename, await freePort());
  const agents: Program = await startBareProgram(import.meta.filename, server.port, "fleet", String(hosts));
  await sleep(settleMs);
  const cpuBefore = cpuMs(server.pid);
  const urls = { ours: `${server.url}/healthz`, bare: bare.url };
  const waits = await ask(urls, minutes * 60);
  const cpuShare = (cpuMs(server.pid) - cpuBefore) / (minutes * 60_000);
  const resident = residentMiB(server.pid);
  for (const program of [agents, server, bare]) await program.kill();
  const noticed = waits.filter(({ ours }) => ours > noticedMs);
  for (const { atMs, ours, bare: beside } of noticed)
    process.stderr.write(
      `after ${(atMs / 1000).toFixed(1)} s: ${ours.toFixed(0)} ms, bare ${beside.toFixed(0)}\n`,
    );
  const [ours, bareWaits] = [waits.map((wait) => wait.ours), waits.map((wait) => wait.bare)];
  const longest = percentile(ours, 100);
  printReport({
    bench: "rounds",
    figures: {
      ...{ database: engineName(), hosts, jobs, minutes, requests: waits.length },
      ...{ p50_ms: percentile(ours, 50), p99_ms: percentile(ours, 99), longest_ms: longest },
      ...{ bare_p50_ms: percentile(bareWaits, 50), bare_p99_ms: percentile(bareWaits, 99) },
      ...{ bare_longest_ms: percentile(bareWaits, 100), waits_above_100_ms: noticed.length },
      ...{ cpu_share: cpuShare, resident_mib: resident },
    },
    goals: [
      atMost("p99 in ms of a request", percentile(ours, 99), 20),
      atMost("ms, the longest wait of a request", longest, 250),
    ],
  });
}

const [role, second, third, fourth] = process.argv.slice(2);
if (role === "bare" && third === "fleet") await runFleet(Number(second), Number(fourth));
else if (role === "bare") runBare(Number(second));
else await main(Number(role ?? 10_000), Number(second ?? 300_000), Number(third ?? 9));
