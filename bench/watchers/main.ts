/**
 * One job that 200 browsers watch, and one of them stops reading. Twice the same minute of lines: with all of them reading,
 * and with one that never takes another byte. The others must not notice, and the server must not keep what the stalled one
 * does not take. Beside it a bare relay that keeps everything for everybody.
 *
 * node bench/watchers/main.ts [SECONDS] [WATCHERS]
 */
import { BenchAgent } from "../agent.ts";
import { runBareHub } from "../bare-hub.ts";
import { engineName } from "../database.ts";
import { createFleet } from "../fleet.ts";
import { followJob } from "../job-reader.ts";
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

/** Twenty events a second of 25 long lines: what a verbose backup says, and megabytes for who does not read. */
const eventsPerSecond = 20;
const linesPerEvent = 25;
const lineCharacters = 250;
/** The first lines meet cold code, and the memory that it needs for ever. */
const warmUpMs = 5000;
/** A server that has just started grows for 50 to 100 s under this load, until V8's room for new objects has its size. */
const firstWarmUpMs = 120_000;

interface Outcome {
  latenciesMs: number[];
  cpuShare: number;
  /** Resident memory at the end less that after the warm-up. */
  grownMiB: number;
}

interface Wish {
  cookie: string;
  seconds: number;
  watchers: number;
  stalled: boolean;
  warmUpMs: number;
}

async function measure(program: Program, index: number, wish: Wish): Promise<Outcome> {
  const agent = await connect(program.port, index);
  const latenciesMs: number[] = [];
  let counting = false;
  const onLine = (sentAt: number) => counting && latenciesMs.push(performance.now() - sentAt);
  const readers = await Promise.all(
    Array.from({ length: wish.watchers }, () => followJob(program.port, agent.jobId, wish.cookie, onLine)),
  );
  if (wish.stalled) readers.at(-1)?.pause();
  const timer = setInterval(() => agent.log(linesOfNow()), 1000 / eventsPerSecond);
  await sleep(wish.warmUpMs);
  const memoryBefore = residentMiB(program.pid);
  const cpuBefore = cpuMs(program.pid);
  counting = true;
  await sleep(wish.seconds * 1000);
  const cpuShare = (cpuMs(program.pid) - cpuBefore) / (wish.seconds * 1000);
  const grownMiB = residentMiB(program.pid) - memoryBefore;
  clearInterval(timer);
  // Whatever is still on its way counts too: the slowest lines above all.
  await sleep(1000);
  agent.stop();
  for (const reader of readers) reader.terminate();
  return { latenciesMs, cpuShare, grownMiB };
}

function connect(port: number, index: number): Promise<BenchAgent> {
  return new Promise((resolve) => {
    const agent: BenchAgent = new BenchAgent({ port, index, onWelcome: () => resolve(agent) });
    agent.dial();
  });
}

const linesOfNow = (): string[] =>
  Array.from({ length: linesPerEvent }, (_, i) =>
    `${performance.now()} modified /var/lib/data/${i}/`.padEnd(lineCharacters, "x"),
  );

async function main(seconds: number, watchers: number): Promise<void> {
  const barePort = await freePort();
  const bareProgram = await startBareProgram(import.meta.filename, barePort);
  const wish = { cookie: "", seconds, watchers, warmUpMs };
  const bareAll = await measure(bareProgram, 0, { ...wish, stalled: false });
  const bareStalled = await measure(bareProgram, 1, { ...wish, stalled: true });
  await bareProgram.kill();
  const { dataDir, port, cookie } = await createFleet(2);
  const server = await startServerProgram({ dataDir, port });
  const all = await measure(server, 0, { ...wish, cookie, stalled: false, warmUpMs: firstWarmUpMs });
  const stalled = await measure(server, 1, { ...wish, cookie, stalled: true });
  await server.stop();
  const p = (outcome: Outcome, which: number) => percentile(outcome.latenciesMs, which);
  printReport({
    bench: "watchers",
    figures: {
      database: engineName(),
      watchers,
      lines_per_s: eventsPerSecond * linesPerEvent,
      p50_ms: p(all, 50),
      p99_ms: p(all, 99),
      p50_with_stalled_ms: p(stalled, 50),
      p99_with_stalled_ms: p(stalled, 99),
      grown_mib: all.grownMiB,
      grown_with_stalled_mib: stalled.grownMiB,
      cpu_share: stalled.cpuShare,
      bare_p50_ms: p(bareAll, 50),
      bare_p99_ms: p(bareAll, 99),
      bare_p50_with_stalled_ms: p(bareStalled, 50),
      bare_grown_with_stalled_mib: bareStalled.grownMiB,
      bare_cpu_share: bareStalled.cpuShare,
    },
    goals: [
      atMost("times the p50 without a stalled one", p(stalled, 50) / p(all, 50), 2),
      atMost("times the p99 without a stalled one", p(stalled, 99) / p(all, 99), 2),
      atMost("MiB that the server grew by while one stalled", stalled.grownMiB, 16),
    ],
  });
}

const [role, second] = process.argv.slice(2);
if (role === "bare") runBareHub(Number(second), 25_000);
else await main(Number(role ?? 30), Number(second ?? 200));
