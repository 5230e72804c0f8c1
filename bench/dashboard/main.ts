/**
 * What a person and a script wait for at 10,000 hosts with 300,000 jobs: the dashboard's first page, the first and the
 * last page of `/api/hosts`, and a start of the server on that database. Each page in turns with `/healthz`, which is
 * the least that a request costs; each start in turns with bare Node.
 *
 * node bench/dashboard/main.ts [HOSTS] [JOBS]
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { engineName } from "../database.ts";
import { createFleet, type Fleet } from "../fleet.ts";
import { insertHistory } from "../history.ts";
import { atMost, percentile, printReport } from "../report.ts";
import { makeServerBundle } from "../server-bundle.ts";
import { residentMiB, startServerProgram } from "../server-program.ts";

/** With the walk through the list and what warms up, below the requests that one address may send in a minute. */
const rounds = 150;
const starts = 7;
const pageSize = 50;

/** How long an answer takes until its last byte. @returns milliseconds, and the body */
async function fetchTimed(url: string, cookie: string): Promise<{ ms: number; body: string }> {
  const since = performance.now();
  const response = await fetch(url, { headers: { cookie } });
  const body = await response.text();
  const ms = performance.now() - since;
  if (!response.ok) throw new Error(`${url}: ${response.status} ${body.slice(0, 200)}`);
  return { ms, body };
}

/** Walks the list to its end. @returns the address of its last page, and how many hosts were met */
async function findLastPage(url: string, cookie: string): Promise<{ last: string; hosts: number }> {
  let last = url;
  for (let hosts = 0; ; ) {
    const page = JSON.parse((await fetchTimed(last, cookie)).body) as {
      hosts: unknown[];
      next: string | null;
    };
    hosts += page.hosts.length;
    if (page.next === null) return { last, hosts };
    last = `${url}&after=${encodeURIComponent(page.next)}`;
  }
}

/** The addresses in turns, each `rounds` times, after some that are not counted. */
async function measure(urls: string[], cookie: string): Promise<number[][]> {
  const timesMs = urls.map((): number[] => []);
  for (let round = -20; round < rounds; round++) {
    for (const [index, url] of urls.entries()) {
      const { ms } = await fetchTimed(url, cookie);
      if (round >= 0) timesMs[index]?.push(ms);
    }
  }
  return timesMs;
}

interface StartTimes {
  /** As one file, like the executable. */
  bundleMs: number[];
  /** From the built modules of a checkout. */
  modulesMs: number[];
  bareNodeMs: number[];
}

/** Each `starts` times, in turns. */
async function measureStarts(fleet: Fleet): Promise<StartTimes> {
  const bundle = await makeServerBundle();
  const times: StartTimes = { bundleMs: [], modulesMs: [], bareNodeMs: [] };
  for (let i = 0; i < starts; i++) {
    times.bundleMs.push(await startAndStop(fleet, bundle));
    times.modulesMs.push(await startAndStop(fleet));
    times.bareNodeMs.push(await startBareNode());
  }
  return times;
}

async function startAndStop(fleet: Fleet, main?: string): Promise<number> {
  const server = await startServerProgram(fleet, main);
  await server.stop();
  return server.listeningMs;
}

async function startBareNode(): Promise<number> {
  const since = performance.now();
  await once(spawn(process.execPath, ["-e", "0"], { stdio: "ignore" }), "exit");
  return performance.now() - since;
}

async function main(hosts: number, jobs: number): Promise<void> {
  const fleet = await createFleet(hosts, (db) => insertHistory(db, hosts, Math.round(jobs / hosts)));
  const start = await measureStarts(fleet);
  const server = await startServerProgram(fleet);
  const dashboard = `${server.url}/`;
  const list = `${server.url}/api/hosts?limit=${pageSize}`;
  const firstLookMs = (await fetchTimed(dashboard, fleet.cookie)).ms;
  const { last, hosts: listed } = await findLastPage(list, fleet.cookie);
  if (listed !== hosts) throw new Error(`the pages have ${listed} of ${hosts} hosts`);
  const urls = [dashboard, list, last, `${server.url}/healthz`];
  const [page = [], first = [], end = [], bare = []] = await measure(urls, fleet.cookie);
  const resident = residentMiB(server.pid);
  await server.stop();
  const p50 = (times: number[]) => percentile(times, 50);
  printReport({
    bench: "dashboard",
    figures: {
      database: engineName(),
      hosts,
      jobs,
      dashboard_first_look_ms: firstLookMs,
      dashboard_p50_ms: p50(page),
      dashboard_p99_ms: percentile(page, 99),
      hosts_first_page_p50_ms: p50(first),
      hosts_last_page_p50_ms: p50(end),
      bare_request_p50_ms: p50(bare),
      resident_mib: resident,
      cold_start_ms: p50(start.bundleMs),
      cold_start_of_modules_ms: p50(start.modulesMs),
      bare_node_start_ms: p50(start.bareNodeMs),
    },
    goals: [
      atMost("p50 in ms, the dashboard's first page", p50(page), 6),
      atMost("times the first page of /api/hosts, the last one", p50(end) / p50(first), 1.5),
      atMost("seconds until the server listens", p50(start.bundleMs) / 1000, 0.6),
    ],
  });
}

const [hosts, jobs] = process.argv.slice(2);
await main(Number(hosts ?? 10_000), Number(jobs ?? 300_000));
