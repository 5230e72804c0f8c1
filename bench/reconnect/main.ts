/**
 * The whole fleet loses its server: kill -9 while every agent has events that nobody acknowledged, a new start at
 * once, and every agent dials with the real backoff (full jitter, 1 s to 10 s). Measured from the kill until the last
 * agent is welcomed, and until everything is acknowledged; then the stored lines are counted. Beside it a bare hub
 * that is killed and started the same way.
 *
 * node bench/reconnect/main.ts [AGENTS]
 */
import { BenchAgent } from "../agent.ts";
import { runBareHub } from "../bare-hub.ts";
import { engineName } from "../database.ts";
import { countStoredLines, createFleet } from "../fleet.ts";
import { atMost, printReport } from "../report.ts";
import {
  cpuMs,
  freePort,
  type Program,
  sleep,
  startBareProgram,
  startServerProgram,
} from "../server-program.ts";

/** Events of each agent that are sent right before the kill. */
const eventsInFlight = 3;
const linesPerEvent = 5;
/** So long after the events are sent the server is killed: in the middle of storing them. */
const killAfterMs = 150;
/** Agents that dial at once when the fleet is built; the listen queue holds 511. */
const dialAtOnce = 400;
const giveUpAfterMs = 60_000;

interface Outcome {
  firstOnlineMs: number;
  /** From the kill until the last agent is welcomed. */
  onlineMs: number;
  listeningMs: number;
  acknowledgedMs: number;
  unacknowledgedAtKill: number;
  /** CPU time of the second start until everything is acknowledged. */
  cpuSeconds: number;
}

async function measure(start: () => Promise<Program>, agents: BenchAgent[]): Promise<Outcome> {
  const program = await start();
  const since = performance.now();
  for (let i = 0; i < agents.length; i += dialAtOnce) {
    const part = agents.slice(i, i + dialAtOnce);
    for (const agent of part) agent.dial();
    await until(() => part.every((agent) => agent.online), "the fleet is online");
  }
  const firstOnlineMs = performance.now() - since;
  for (const agent of agents) sendEvents(agent);
  await sleep(killAfterMs);
  const unacknowledgedAtKill = agents.filter((agent) => agent.unacknowledged > 0).length;
  await program.kill();
  const killed = performance.now();
  const again = await start();
  const listeningMs = performance.now() - killed;
  await until(() => agents.every((agent) => agent.online), "the fleet is online again");
  const onlineMs = performance.now() - killed;
  await until(() => agents.every((agent) => agent.unacknowledged === 0), "everything is acknowledged");
  const acknowledgedMs = performance.now() - killed;
  const cpuSeconds = cpuMs(again.pid) / 1000;
  for (const agent of agents) agent.stop();
  await again.stop();
  return { firstOnlineMs, onlineMs, listeningMs, acknowledgedMs, unacknowledgedAtKill, cpuSeconds };
}

function sendEvents(agent: BenchAgent): void {
  for (let event = 0; event < eventsInFlight; event++) {
    agent.log(Array.from({ length: linesPerEvent }, (_, i) => `unchanged /var/lib/data/${event}/${i}.dat`));
  }
}

async function until(wanted: () => boolean, what: string): Promise<void> {
  for (const since = performance.now(); !wanted(); await sleep(10)) {
    if (performance.now() - since > giveUpAfterMs) throw new Error(`not within a minute: ${what}`);
  }
}

const makeAgents = (count: number, port: number): BenchAgent[] =>
  Array.from({ length: count }, (_, index) => new BenchAgent({ port, index, redial: true }));

async function main(count: number): Promise<void> {
  const barePort = await freePort();
  const bare = await measure(
    () => startBareProgram(import.meta.filename, barePort),
    makeAgents(count, barePort),
  );
  const { dataDir, port } = await createFleet(count);
  const agents = makeAgents(count, port);
  const ours = await measure(() => startServerProgram({ dataDir, port }), agents);
  const stored = await countStoredLines(dataDir);
  const lost = agents.reduce((sum, agent) => sum + Math.abs(agent.lines - (stored.get(agent.jobId) ?? 0)), 0);
  printReport({
    bench: "reconnect",
    figures: {
      database: engineName(),
      agents: count,
      agents_unacknowledged_at_kill: ours.unacknowledgedAtKill,
      first_online_s: ours.firstOnlineMs / 1000,
      listening_again_s: ours.listeningMs / 1000,
      all_online_s: ours.onlineMs / 1000,
      all_acknowledged_s: ours.acknowledgedMs / 1000,
      cpu_s: ours.cpuSeconds,
      bare_first_online_s: bare.firstOnlineMs / 1000,
      bare_all_online_s: bare.onlineMs / 1000,
      bare_cpu_s: bare.cpuSeconds,
      lines_sent: agents.reduce((sum, agent) => sum + agent.lines, 0),
      lines_lost_or_doubled: lost,
    },
    goals: [
      atMost("seconds from kill -9 until all are online", ours.onlineMs / 1000, count > 5000 ? 15 : 10),
      atMost("lines lost or doubled", lost, 0),
    ],
  });
}

const [role, port] = process.argv.slice(2);
if (role === "bare") runBareHub(Number(port), 25_000);
else await main(Number(role ?? 5000));
