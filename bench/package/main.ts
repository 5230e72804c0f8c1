/**
 * What being one executable costs: the time from start to the answer of `--version` beside that of bare Node, in turns;
 * the memory of an agent and a server that are connected and idle; the size of every file that `make package` made.
 *
 * node bench/package/main.ts [--quick]
 */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { LabHost } from "../../e2e/lab/host.ts";
import { Lab } from "../../e2e/lab/lab.ts";
import { parseArtefactName } from "../../packages/protocol/src/release.ts";
import { startChild } from "../../tools/demo/children.ts";
import { quickBuild } from "../../tools/package/quick.ts";
import { atMost, percentile, printReport } from "../report.ts";
import { residentMiB, sleep } from "../server-program.ts";

const programs = ["restic-manager-agent", "rmctl", "restic-manager-server"] as const;
const isQuick = process.argv.includes("--quick");
const rounds = isQuick ? 3 : 21;
const idleMs = isQuick ? 3_000 : 30_000;
/** Issue 7 promises it. */
const startLimitMs = 100;
/** And issue 8 this. */
const idleAgentMiB = 55;

const figures: Record<string, number | string> = {};

function startMs(file: string, args: string[]): number {
  const begin = performance.now();
  execFileSync(file, args, { stdio: "ignore" });
  return performance.now() - begin;
}

/** In turns, so that a machine that gets busy slows all of them. The first round warms the disk's cache. */
function measureStarts(files: ReadonlyMap<string, string>): Map<string, number> {
  const taken = new Map<string, number[]>();
  const note = (name: string, ms: number) => taken.set(name, [...(taken.get(name) ?? []), ms]);
  for (let round = 0; round <= rounds; round++) {
    const times = [...files].map(([name, file]) => [name, startMs(file, ["--version"])] as const);
    const bare = startMs(process.execPath, ["-e", "0"]);
    if (round === 0) continue;
    for (const [name, ms] of times) note(name, ms);
    note("node", bare);
  }
  return new Map([...taken].map(([name, values]) => [name, percentile(values, 50)]));
}

/** Memory that is the program's own; the rest is pages of its file, which several of one program share. */
function anonymousMiB(pid: number): number {
  const kib = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib) / 1024;
}

function noteMemory(name: string, pid: number): number {
  figures[`${name}_idle_mib`] = residentMiB(pid);
  figures[`${name}_idle_own_mib`] = anonymousMiB(pid);
  return anonymousMiB(pid);
}

async function measureMemory(agent: string, server: string): Promise<number> {
  const lab = await Lab.create();
  lab.serverExecutable = server;
  try {
    await lab.startServer();
    await lab.signUp();
    const host = await LabHost.add(lab, {
      name: "idle",
      paths: [lab.folder],
      executable: agent,
      isQuick: true,
    });
    const options = { env: {}, logFile: join(lab.folder, "bare.log") };
    const bare = lab.keep(startChild(process.execPath, ["-e", "setInterval(() => {}, 1e9)"], options));
    await sleep(idleMs);
    const own = noteMemory("agent", host.agent?.pid ?? 0);
    noteMemory("server", lab.server?.pid ?? 0);
    return own / noteMemory("bare_node", bare.pid);
  } finally {
    await lab.close();
  }
}

function noteSizes(): void {
  const folder = resolve(import.meta.dirname, "../../build/package");
  const names = existsSync(folder) ? readdirSync(folder) : [];
  for (const name of names.filter((one) => parseArtefactName(one) !== undefined || one.endsWith(".deb")))
    figures[`${name}_mb`] = statSync(join(folder, name)).size / 1e6;
}

async function main(): Promise<void> {
  const files = new Map<string, string>();
  for (const name of programs) files.set(name, await quickBuild(name));
  const starts = measureStarts(files);
  const bare = starts.get("node") ?? Number.NaN;
  for (const [name, ms] of starts) figures[`${name}_start_ms`] = ms;
  for (const name of programs) figures[`${name}_start_times_node`] = (starts.get(name) ?? Number.NaN) / bare;
  const timesBare = await measureMemory(files.get(programs[0]) ?? "", files.get(programs[2]) ?? "");
  figures.agent_own_times_node = timesBare;
  noteSizes();
  const goals = programs.map((name) =>
    atMost(`ms to start ${name}`, starts.get(name) ?? Number.NaN, startLimitMs),
  );
  goals.push(atMost("MiB resident, an idle agent", Number(figures.agent_idle_mib), idleAgentMiB));
  printReport({ bench: "package", figures, goals });
}

await main();
