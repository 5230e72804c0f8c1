/**
 * What ten thousand connected hosts that do nothing cost: memory and CPU time of the server beside those of a bare
 * `ws` hub with the same sockets, heartbeats and pings, over the same span; and how often the database is committed
 * to meanwhile, as a second connection sees it (SQLite only). Then as many more dial as two programs with 20,000 open
 * files each can hold between them, and all must stay.
 *
 * node bench/idle-agents/main.ts [AGENTS] [SECONDS] [HELD]
 */
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

interface Outcome {
  emptyMiB: number;
  residentMiB: number;
  cpuShare: number;
  commitsPerSecond: number;
  /** Of `held`, how many were connected at the end. */
  stillHeld: number;
}

interface Wish {
  count: number;
  seconds: number;
  held: number;
  /** The database, to count its commits; null when there is none to watch. */
  file: string | null;
}

async function measure(program: Program, { count, seconds, held, file }: Wish): Promise<Outcome> {
  const emptyMiB = residentMiB(program.pid);
  const agents = Array.from({ length: held }, (_, index) => new BenchAgent({ port: program.port, index }));
  await dialAll(agents.slice(0, count));
  await sleep(settleMs);
  const commits = file === null ? null : watchCommits(file);
  const cpuBefore = cpuMs(program.pid);
  await sleep(seconds * 1000);
  const cpuShare = (cpuMs(program.pid) - cpuBefore) / (seconds * 1000);
  const commitsPerSecond = (commits?.stop() ?? 0) / seconds;
  const resident = residentMiB(program.pid);
  const away = agents.slice(0, count).filter((agent) => !agent.online).length;
  if (away > 0) throw new Error(`${away} agents are no longer connected`);
  await dialAll(agents.slice(count));
  if (held > count) await sleep(heldMs);
  const stillHeld = agents.filter((agent) => agent.online).length;
  for (const agent of agents) agent.stop();
  return { emptyMiB, residentMiB: resident, cpuShare, commitsPerSecond, stillHeld };
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

async function main(count: number, seconds: number, held: number): Promise<void> {
  const barePort = await freePort();
  const hub = await startBareProgram(import.meta.filename, barePort);
  const bare = await measure(hub, { count, seconds, held: count, file: null });
  await hub.kill();
  const { dataDir, port } = await createFleet(held);
  const server = await startServerProgram({ dataDir, port });
  const file = databaseUrl() === undefined ? databaseFile(dataDir) : null;
  const ours = await measure(server, { count, seconds, held, file });
  await server.kill();
  const perAgentKiB = ((ours.residentMiB - ours.emptyMiB) * 1024) / count;
  printReport({
    bench: "idle-agents",
    figures: {
      database: engineName(),
      agents: count,
      seconds,
      empty_mib: ours.emptyMiB,
      resident_mib: ours.residentMiB,
      kib_per_agent: perAgentKiB,
      cpu_share: ours.cpuShare,
      held: ours.stillHeld,
      commits_per_s: ours.commitsPerSecond,
      bare_empty_mib: bare.emptyMiB,
      bare_resident_mib: bare.residentMiB,
      bare_kib_per_agent: ((bare.residentMiB - bare.emptyMiB) * 1024) / count,
      bare_cpu_share: bare.cpuShare,
    },
    goals: [
      atMost("times the memory of a bare hub", ours.residentMiB / bare.residentMiB, 2),
      atMost("MiB resident", ours.residentMiB, 200),
      atLeast("agents held at once", ours.stillHeld, held),
      atMost("times the CPU time of a bare hub", ours.cpuShare / bare.cpuShare, 1.5),
      atMost("database commits a second", ours.commitsPerSecond, 1),
    ],
  });
}

const [role, second, third] = process.argv.slice(2);
if (role === "bare") runBareHub(Number(second), heartbeatIntervalMs);
else await main(Number(role ?? 10_000), Number(second ?? 50), Number(third ?? 19_000));
