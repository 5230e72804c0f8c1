/**
 * How long a line takes from an agent's socket to a browser's: 100 agents send a line of one job each, ten times a
 * second, each line in an event of its own, and 100 readers follow `/api/jobs/:id/stream`. The server has stored the
 * line before it shows it; beside it a bare relay that only passes it on. Both ends live in this program, so that
 * one clock measures; what the agent itself waits to fill a batch is not in it.
 *
 * node bench/live-latency/main.ts [SECONDS]
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
  sleep,
  startBareProgram,
  startServerProgram,
} from "../server-program.ts";

const jobCount = 100;
const linesPerSecond = 10;
/** The first lines meet cold code on both sides. */
const warmUpMs = 3000;

interface Outcome {
  latenciesMs: number[];
  cpuShare: number;
}

async function measure(program: Program, cookie: string, seconds: number): Promise<Outcome> {
  const latenciesMs: number[] = [];
  const agents = await Promise.all(
    Array.from({ length: jobCount }, (_, index) => connect(program.port, index)),
  );
  let counting = false;
  const onLine = (sentAt: number) => counting && sentAt > 0 && latenciesMs.push(performance.now() - sentAt);
  const readers = await Promise.all(
    agents.map(({ jobId }) => followJob(program.port, jobId, cookie, onLine)),
  );
  const timers = agents.map(startSending);
  await sleep(warmUpMs);
  counting = true;
  const cpuBefore = cpuMs(program.pid);
  await sleep(seconds * 1000);
  const cpuShare = (cpuMs(program.pid) - cpuBefore) / (seconds * 1000);
  for (const timer of timers) clearInterval(timer);
  // Whatever is still on its way counts too: the slowest lines above all.
  await sleep(1000);
  for (const agent of agents) agent.stop();
  for (const reader of readers) reader.terminate();
  return { latenciesMs, cpuShare };
}

function connect(port: number, index: number): Promise<BenchAgent> {
  return new Promise((resolve) => {
    const agent: BenchAgent = new BenchAgent({ port, index, onWelcome: () => resolve(agent) });
    agent.dial();
  });
}

/** Agents start spread over the first tenth of a second, as jobs of a fleet do not tick together. */
function startSending(agent: BenchAgent, index: number): NodeJS.Timeout {
  const intervalMs = 1000 / linesPerSecond;
  const send = () => agent.log([`${performance.now()} modified /var/lib/data/file-${index}.dat`]);
  const timer = setTimeout(() => {
    send();
    timer.refresh();
  }, intervalMs);
  setTimeout(() => timer.refresh(), (index / jobCount) * intervalMs);
  return timer;
}

async function main(seconds: number): Promise<void> {
  const barePort = await freePort();
  const bareProgram = await startBareProgram(import.meta.filename, barePort);
  const bare = await measure(bareProgram, "", seconds);
  await bareProgram.kill();
  const { dataDir, port, cookie } = await createFleet(jobCount);
  const server = await startServerProgram({ dataDir, port });
  const ours = await measure(server, cookie, seconds);
  await server.stop();
  const p = (outcome: Outcome, which: number) => percentile(outcome.latenciesMs, which);
  printReport({
    bench: "live-latency",
    figures: {
      database: engineName(),
      jobs: jobCount,
      lines_per_s: ours.latenciesMs.length / seconds,
      p50_ms: p(ours, 50),
      p99_ms: p(ours, 99),
      max_ms: p(ours, 100),
      cpu_share: ours.cpuShare,
      bare_p50_ms: p(bare, 50),
      bare_p99_ms: p(bare, 99),
      bare_cpu_share: bare.cpuShare,
    },
    goals: [
      atMost("p50 in ms, agent's socket to browser's", p(ours, 50), 5),
      atMost("p99 in ms, agent's socket to browser's", p(ours, 99), 50),
    ],
  });
}

const [role, port] = process.argv.slice(2);
if (role === "bare") runBareHub(Number(port), 25_000);
else await main(Number(role ?? 20));
