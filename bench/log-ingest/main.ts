/**
 * How many log lines a second the server stores: 50-line events of some agents, each counted when its acknowledgement
 * arrives, which the server sends after the commit. Beside it the same frames into bare `node:sqlite` inserts with
 * the same durability (WAL, synchronous FULL, one transaction for each event).
 *
 * node bench/log-ingest/main.ts [LINES]
 */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { WebSocketServer } from "ws";
import { BenchAgent } from "../agent.ts";
import { engineName } from "../database.ts";
import { countStoredLines, createFleet, jobIdOf } from "../fleet.ts";
import { atLeast, printReport } from "../report.ts";
import {
  cpuMs,
  freePort,
  makeFolder,
  type Program,
  startBareProgram,
  startServerProgram,
} from "../server-program.ts";

const agentCount = 20;
const linesPerBatch = 50;
/** Events that an agent sends before it waits for an acknowledgement: as many as the real outbox has in flight. */
const windowEvents = 8;

interface Outcome {
  linesPerSecond: number;
  cpuMsPerThousandLines: number;
}

/** A line as restic prints it with --verbose: long, and no two alike. */
const textOf = (i: number): string =>
  `modified  /var/lib/service-${i % 97}/data/${(i * 2654435761) % 2 ** 32}/file-${i}.dat, saved in 0.0${i % 90}s (${i % 999}.1 KiB added)`;

async function measure(program: Program, lines: number): Promise<Outcome> {
  const batches = Math.floor(lines / linesPerBatch / agentCount);
  const texts = Array.from({ length: linesPerBatch }, (_, i) => textOf(i * 7919));
  const cpuBefore = cpuMs(program.pid);
  const since = performance.now();
  const agents = Array.from({ length: agentCount }, (_, index) =>
    sendAll(program.port, index, batches, texts),
  );
  for (const { done } of agents) await done;
  const seconds = (performance.now() - since) / 1000;
  const total = batches * linesPerBatch * agentCount;
  for (const { agent } of agents) agent.stop();
  return {
    linesPerSecond: total / seconds,
    cpuMsPerThousandLines: ((cpuMs(program.pid) - cpuBefore) / total) * 1000,
  };
}

/** One agent that keeps its window full until everything is acknowledged. */
function sendAll(
  port: number,
  index: number,
  batches: number,
  texts: string[],
): { agent: BenchAgent; done: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let sent = 0;
  const refill = () => {
    while (sent < batches && agent.unacknowledged < windowEvents) {
      sent++;
      agent.log(texts);
    }
    if (sent === batches && agent.unacknowledged === 0) resolve();
  };
  const agent = new BenchAgent({ port, index, onWelcome: refill, onAck: refill });
  agent.dial();
  return { agent, done: promise };
}

/** The counterpart: what any program must at least do that stores these lines one by one and says so. */
function runBareStore(port: number, folder: string): void {
  const db = new DatabaseSync(join(folder, "bare.db"));
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  db.exec(
    "CREATE TABLE lines (job_id TEXT, n INTEGER, at TEXT, level TEXT, text TEXT, PRIMARY KEY (job_id, n)) WITHOUT ROWID",
  );
  const insert = db.prepare("INSERT INTO lines VALUES (?, ?, ?, ?, ?)");
  const server = new WebSocketServer({ host: "127.0.0.1", port, perMessageDeflate: false });
  server.on("listening", () => process.stdout.write("listening\n"));
  server.on("connection", (socket) => {
    socket.on("message", (data) => {
      const frame = JSON.parse(data.toString());
      if (frame.type === "hello") socket.send(JSON.stringify(welcome()));
      if (frame.type !== "log.stream") return;
      db.exec("BEGIN");
      for (const { n, at, level, text } of frame.lines) insert.run(frame.job_id, n, at, level, text);
      db.exec("COMMIT");
      socket.send(JSON.stringify({ type: "event.ack", seq: frame.seq }));
    });
  });
}

const welcome = () => ({
  type: "welcome",
  protocol: 2,
  server_version: "0.0.0",
  host_id: "01BENCHH000000000000000000",
  host_name: "bare",
  heartbeat_interval_ms: 25_000,
  acked_seq: 0,
  sent_at: new Date().toISOString(),
});

async function main(lines: number): Promise<void> {
  const barePort = await freePort();
  const bareProgram = await startBareProgram(import.meta.filename, barePort, makeFolder());
  const bare = await measure(bareProgram, lines);
  await bareProgram.kill();
  const { dataDir, port } = await createFleet(agentCount);
  const server = await startServerProgram({ dataDir, port });
  const ours = await measure(server, lines);
  await server.stop();
  const stored = await countStoredLines(dataDir);
  const expected = Math.floor(lines / linesPerBatch / agentCount) * linesPerBatch;
  for (let i = 0; i < agentCount; i++) {
    if (stored.get(jobIdOf(i)) !== expected)
      throw new Error(`host ${i}: ${stored.get(jobIdOf(i))} of ${expected} lines`);
  }
  const ratio = ours.linesPerSecond / bare.linesPerSecond;
  printReport({
    bench: "log-ingest",
    figures: {
      database: engineName(),
      lines,
      agents: agentCount,
      lines_per_batch: linesPerBatch,
      lines_per_s: ours.linesPerSecond,
      bare_lines_per_s: bare.linesPerSecond,
      cpu_ms_per_1000_lines: ours.cpuMsPerThousandLines,
      bare_cpu_ms_per_1000_lines: bare.cpuMsPerThousandLines,
    },
    goals: [
      atLeast("lines/s persisted and acknowledged", ours.linesPerSecond, 20_000),
      atLeast("of bare inserts over a bare socket", ratio, 0.25),
    ],
  });
}

const [role, first, second] = process.argv.slice(2);
if (role === "bare") runBareStore(Number(first), second ?? "");
else await main(Number(role ?? 400_000));
