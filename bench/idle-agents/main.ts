/**
 * What ten thousand connected hosts that do nothing cost: memory and CPU time of the server beside those of a bare
 * `ws` hub with the same sockets and pings, both at once and over the same span, because from minute to minute the same
 * program takes up to half as much again; and how often the database is committed to meanwhile, as a second connection
 * sees it (SQLite only). Then as many dial as one server with 20,000 open files can hold, and all must stay.
 *
 * node bench/idle-agents/main.ts [AGENTS] [SECONDS] [HELD]
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { BenchAgent } from "../agent.ts";
import { runBareHub } from "../bare-hub.ts";
import { databaseUrl, engineName } from "../database.ts";
import { createFleet } from "../fleet.ts";
import { atLeast, atMost, printReport } from "../report.ts";
import {
  cpuMs,
  databaseFile,
  freePort,
  type Program,
  residentMiB,
  sleep,
  startBareProgram,
  startServerProgram,
} from "../server-program.ts";

/** As the server tells its agents. */
const heartbeatIntervalMs = 25_000;
const dialAtOnce = 400;
/** After the last hello the programs tidy up, the server within half a minute; what they need for ever is measured later. */
const settleMs = 40_000;
/** Commits closer together than this are seen as one: up to fifty a second are told apart, one is allowed. */
const commitPollMs = 20;
/** So long all of them must be held: longer than a heartbeat takes to be missed. */
const heldMs = 40_000;

/** Agents in a program of their own: one program may have too few open files for two fleets. */
class Fleet {
  private readonly child: ChildProcess;
  private readonly answers: AsyncIterator<string>;

  constructor(port: number, first: number, count: number) {
    const words = [import.meta.filename, "dial", port, first, count].map(String);
    this.child = spawn(process.execPath, words, { stdio: ["pipe", "pipe", "inherit"] });
    const { stdout } = this.child;
    if (stdout === null) throw new Error("no output to read");
    this.answers = createInterface({ input: stdout })[Symbol.asyncIterator]();
    process.once("exit", () => this.child.kill("SIGKILL"));
  }

  /** Resolves when all have been welcomed. */
  async dialled(): Promise<void> {
    await this.next();
  }

  async countOnline(): Promise<number> {
    this.child.stdin?.write("count\n");
    return Number(await this.next());
  }

  async end(): Promise<void> {
    const gone = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await gone;
  }

  private async next(): Promise<string> {
    const { value, done } = await this.answers.next();
    if (done) throw new Error("the agents' program ended");
    return value;
  }
}

/** The agents' program: says "dialled" once all are online, and then, whenever it is asked, how many are. */
async function runFleet(port: number, first: number, count: number): Promise<void> {
  const agents = Array.from({ length: count }, (_, index) => new BenchAgent({ port, index: first + index }));
  await dialAll(agents);
  process.stdout.write("dialled\n");
  for await (const _ of createInterface({ input: process.stdin }))
    process.stdout.write(`${agents.filter(({ online }) => online).length}\n`);
}

/** The fleet's heartbeats are spread over their interval, as those of agents that started whenever they did. */
async function dialAll(agents: BenchAgent[]): Promise<void> {
  const everyMs = (heartbeatIntervalMs * 0.9) / (agents.length / dialAtOnce);
  for (let i = 0; i < agents.length; i += dialAtOnce) {
    const next = sleep(everyMs);
    const part = agents.slice(i, i + dialAtOnce);
    for (const agent of part) agent.dial();
    await next;
    while (!part.every((agent) => agent.online)) await sleep(20);
  }
}

/** Counts commits of other connections: `data_version` changes with each. */
function watchCommits(file: string): { stop(): number } {
  const db = new DatabaseSync(file, { readOnly: true });
  const version = db.prepare("PRAGMA data_version");
  let last = version.get()?.data_version;
  let seen = 0;
  const timer = setInterval(() => {
    const now = version.get()?.data_version;
    if (now !== last) seen++;
    last = now;
  }, commitPollMs);
  return {
    stop() {
      clearInterval(timer);
      db.close();
      return seen;
    },
  };
}

interface Cost {
  emptyMiB: number;
  residentMiB: number;
  cpuShare: number;
}

/** What each program costs over the same span, with as many idle agents each; commits to `file` meanwhile. */
async function measure(
  programs: readonly Program[],
  { count, seconds, file }: { count: number; seconds: number; file: string | null },
): Promise<{ costs: Cost[]; commitsPerSecond: number }> {
  const emptyMiB = programs.map(({ pid }) => residentMiB(pid));
  const fleets = programs.map(({ port }) => new Fleet(port, 0, count));
  await Promise.all(fleets.map((fleet) => fleet.dialled()));
  await sleep(settleMs);
  const commits = file === null ? null : watchCommits(file);
  const cpuBefore = programs.map(({ pid }) => cpuMs(pid));
  await sleep(seconds * 1000);
  const costs = programs.map(({ pid }, index) => ({
    emptyMiB: emptyMiB[index] ?? Number.NaN,
    residentMiB: residentMiB(pid),
    cpuShare: (cpuMs(pid) - (cpuBefore[index] ?? Number.NaN)) / (seconds * 1000),
  }));
  const commitsPerSecond = (commits?.stop() ?? 0) / seconds;
  for (const fleet of fleets) {
    const online = await fleet.countOnline();
    if (online < count) throw new Error(`${count - online} agents are no longer connected`);
    await fleet.end();
  }
  return { costs, commitsPerSecond };
}

/** @returns how many of so many agents are connected to the program after a while */
async function hold(program: Program, count: number): Promise<number> {
  const half = Math.ceil(count / 2);
  const fleets = [new Fleet(program.port, 0, half), new Fleet(program.port, half, count - half)];
  await Promise.all(fleets.map((fleet) => fleet.dialled()));
  await sleep(heldMs);
  let online = 0;
  for (const fleet of fleets) {
    online += await fleet.countOnline();
    await fleet.end();
  }
  return online;
}

async function main(count: number, seconds: number, held: number): Promise<void> {
  const hub = await startBareProgram(import.meta.filename, await freePort());
  const { dataDir, port } = await createFleet(Math.max(count, held));
  const server = await startServerProgram({ dataDir, port });
  const file = databaseUrl() === undefined ? databaseFile(dataDir) : null;
  const { costs, commitsPerSecond } = await measure([server, hub], { count, seconds, file });
  const [ours, bare] = costs;
  if (!ours || !bare) throw new Error("nothing was measured");
  await hub.kill();
  const stillHeld = await hold(server, held);
  await server.kill();
  const perAgentKiB = (cost: Cost) => ((cost.residentMiB - cost.emptyMiB) * 1024) / count;
  printReport({
    bench: "idle-agents",
    figures: {
      database: engineName(),
      agents: count,
      seconds,
      empty_mib: ours.emptyMiB,
      resident_mib: ours.residentMiB,
      kib_per_agent: perAgentKiB(ours),
      cpu_share: ours.cpuShare,
      held: stillHeld,
      commits_per_s: commitsPerSecond,
      bare_empty_mib: bare.emptyMiB,
      bare_resident_mib: bare.residentMiB,
      bare_kib_per_agent: perAgentKiB(bare),
      bare_cpu_share: bare.cpuShare,
    },
    goals: [
      atMost("times the memory of a bare hub", ours.residentMiB / bare.residentMiB, 2),
      atMost("MiB resident", ours.residentMiB, 200),
      atLeast("agents held at once", stillHeld, held),
      atMost("times the CPU time of a bare hub", ours.cpuShare / bare.cpuShare, 1.5),
      atMost("database commits a second", commitsPerSecond, 1),
    ],
  });
}

const [role, ...words] = process.argv.slice(2);
const numbers = words.map(Number);
if (role === "bare") runBareHub(numbers[0] ?? 0, heartbeatIntervalMs);
else if (role === "dial") await runFleet(numbers[0] ?? 0, numbers[1] ?? 0, numbers[2] ?? 0);
else {
  await main(Number(role ?? 10_000), numbers[0] ?? 200, numbers[1] ?? 19_000);
  process.exit();
}
