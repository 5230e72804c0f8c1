/**
 * What going through the agent costs: the wall-clock time of the same restic backup alone and as a job, from its
 * creation to its reported end, in turns, with a fresh repository each; and the memory of an idle agent and server.
 *
 * `node bench/agent-overhead/main.ts [--quick]`: prints a table and one line of JSON. Needs a built tree; Linux
 * only (/proc). `--quick` takes little data, for trying it out.
 */
import { execFile } from "node:child_process";
import { createCipheriv, randomBytes } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { type JobJson, LabHost } from "../../e2e/lab/host.ts";
import { Lab, plainEnvironment } from "../../e2e/lab/lab.ts";
import { atMost, printReport } from "../report.ts";

const run = promisify(execFile);
/** Issue 8 promises it. */
const maxRatio = 1.03;
const idleMs = 10_000;
/** One run of one side: long enough that what is paid once for each job is seen as the small part that it is. */
const runMs = process.argv.includes("--quick") ? 2_000 : 12_000;
const rounds = process.argv.includes("--quick") ? 3 : 7;
const askEveryMs = 2000;
const jobLimitMs = 180_000;
/** No round begins later: on a machine with other work a set ends with fewer, and its row says so. */
const setLimitMs = 260_000;

interface FileSet {
  name: string;
  folder: string;
}

interface Timing {
  set: string;
  aloneMs: number[];
  throughAgentMs: number[];
  /** What of `throughAgentMs` was not restic's own run: dispatch, start, the report. */
  outsideResticMs: number[];
  /** Processor time of agent and server meanwhile; hardly disturbed by other work on the machine. */
  ownCpuMs: number[];
}

const median = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Random bytes at the speed of a cipher, or text that compresses well. */
function makeContent(sizeBytes: number, compressible: boolean): Buffer {
  if (compressible) {
    const line = Buffer.from(
      `${randomBytes(12).toString("hex")} GET /index.html 200 some words that repeat\n`,
    );
    return Buffer.alloc(sizeBytes, line);
  }
  return createCipheriv("aes-256-ctr", randomBytes(32), Buffer.alloc(16)).update(Buffer.alloc(sizeBytes));
}

type MakeFile = (folder: string, number: number) => Promise<unknown>;

const makeLargeFile: MakeFile = (folder, number) =>
  writeFile(join(folder, `file-${number}`), makeContent(32 * 1024 * 1024, number % 3 === 2));

const makeSmallFile: MakeFile = async (folder, number) => {
  const part = join(folder, String(number % 200));
  await mkdir(part, { recursive: true });
  await writeFile(join(part, `file-${number}`), makeContent(4000, number % 3 === 2));
};

/** As many files as restic takes about `runMs` for on this machine now, judged by a few of them. */
async function makeFiles(lab: Lab, name: string, sample: number, makeFile: MakeFile): Promise<FileSet> {
  const folder = await lab.makeFolder(name);
  await makeFile(folder, 0);
  // What restic pays once, such as deriving its key, says nothing about how long more files take.
  const fixedMs = Math.min(await backUpAlone(lab, folder, 1000), await backUpAlone(lab, folder, 1001));
  for (let number = 1; number < sample; number++) await makeFile(folder, number);
  const sampleMs = Math.min(await backUpAlone(lab, folder, 1002), await backUpAlone(lab, folder, 1003));
  const wanted = Math.round((sample * (runMs - fixedMs)) / Math.max(1, sampleMs - fixedMs));
  const files = Math.min(sample * 30, Math.max(sample, wanted));
  for (let number = sample; number < files; number++) await makeFile(folder, number);
  console.log(`${name}: ${files} files; ${sample} of them took ${Math.round(sampleMs)} ms`);
  return { name, folder };
}

/** The files were written a moment ago: the page cache is warm for both. The same command that the agent gives, output to nowhere. @returns milliseconds */
async function backUpAlone(lab: Lab, source: string, number: number): Promise<number> {
  const name = `alone-${basename(source)}-${number}`;
  const repository = join(lab.folder, name);
  const env = {
    ...plainEnvironment(),
    RESTIC_REPOSITORY: repository,
    RESTIC_PASSWORD: "a password of the benchmark",
    RESTIC_CACHE_DIR: await lab.makeFolder(`cache-${name}`),
    RESTIC_PROGRESS_FPS: "1",
  };
  await run(lab.resticPath, ["init", "--json", "--repository-version", "2"], { env });
  await settleDisk();
  const args = ["backup", "--json", "--host", "bench", "--tag", "default", "--retry-lock", "10m", source];
  const start = performance.now();
  await run(lab.resticPath, args, { env, maxBuffer: 64 * 1024 * 1024 });
  const tookMs = performance.now() - start;
  await rm(repository, { recursive: true });
  return tookMs;
}

/** A new host with its own repository; the time is what a person who pressed "Run now" waits. */
async function backUpThroughAgent(lab: Lab, set: FileSet, number: number, timing: Timing): Promise<void> {
  const name = `bench-${set.name}-${number}`;
  const host = await LabHost.add(lab, { name, paths: [set.folder] });
  await settleDisk();
  const cpuMs = async () => (await cpuMsOf(host.agent?.pid)) + (await cpuMsOf(lab.server?.pid));
  const cpuBeforeMs = await cpuMs();
  const job = await finished(host, await host.startBackup());
  timing.ownCpuMs.push((await cpuMs()) - cpuBeforeMs);
  if (job.status !== "succeeded" || !job.finished_at)
    throw new Error(`the backup ${job.status}: ${job.error?.message}`);
  await host.agent?.stop(6000);
  await rm(host.repository, { recursive: true });
  const tookMs = Date.parse(job.finished_at) - Date.parse(job.created_at);
  timing.throughAgentMs.push(tookMs);
  timing.outsideResticMs.push(tookMs - (job.summary?.duration_ms ?? 0));
}

/** Asked seldom: the time is the server's, and each question takes away from restic what no browser on another machine would. */
async function finished(host: LabHost, jobId: string): Promise<JobJson> {
  for (const since = performance.now(); performance.now() - since < jobLimitMs; ) {
    await new Promise((resolve) => setTimeout(resolve, askEveryMs));
    const job = await host.job(jobId);
    if (job.finished_at !== null) return job;
  }
  throw new Error(`the backup took longer than ${jobLimitMs / 1000} s`);
}

/** Fields 14 and 15 of proc(5)'s stat, in hundredths of a second; the name before them may hold blanks. */
async function cpuMsOf(pid = 0): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Neither side shall pay for what the other one left to be written. */
const settleDisk = (): Promise<unknown> => run("sync");

async function measure(lab: Lab, set: FileSet): Promise<Timing> {
  const timing: Timing = {
    set: set.name,
    aloneMs: [],
    throughAgentMs: [],
    outsideResticMs: [],
    ownCpuMs: [],
  };
  const measures = [
    async (number: number) => void timing.aloneMs.push(await backUpAlone(lab, set.folder, number)),
    (number: number) => backUpThroughAgent(lab, set, number, timing),
  ];
  const endsAt = performance.now() + setLimitMs;
  for (let number = 1; number <= rounds && performance.now() < endsAt; number++) {
    const order = number % 2 === 0 ? measures.toReversed() : measures;
    for (const one of order) await one(number);
    const [alone, agent] = [timing.aloneMs.at(-1) ?? 0, timing.throughAgentMs.at(-1) ?? 0];
    console.log(`${set.name}, round ${number}: alone ${Math.round(alone)} ms, through the agent ${agent} ms`);
  }
  return timing;
}

interface Memory {
  rssMib: number;
  pssMib: number;
}

async function memoryOf(pid: number): Promise<Memory> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
  const mib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1]) / 1024;
  return { rssMib: mib("Rss"), pssMib: mib("Pss") };
}

/** Of an agent that has connected and made its repository, and of its server. */
async function measureIdle(lab: Lab): Promise<{ agent: Memory; server: Memory }> {
  const host = await LabHost.add(lab, { name: "idle", paths: [lab.folder] });
  await new Promise((resolve) => setTimeout(resolve, idleMs));
  const agent = await memoryOf(host.agent?.pid ?? 0);
  await host.agent?.stop(6000);
  return { agent, server: await memoryOf(lab.server?.pid ?? 0) };
}

/** Runs of the same thing that differ by more say that the machine has other work: then no ratio means much. */
const quietSpread = 1.15;

function toRow({ set, aloneMs, throughAgentMs, outsideResticMs, ownCpuMs }: Timing) {
  const [alone, agent] = [median(aloneMs), median(throughAgentMs)];
  return {
    set,
    rounds: aloneMs.length,
    alone_ms: Math.round(alone),
    agent_ms: Math.round(agent),
    outside_restic_ms: Math.round(median(outsideResticMs)),
    own_cpu_ms: median(ownCpuMs),
    ratio: +(agent / alone).toFixed(3),
    ratio_of_fastest: +(Math.min(...throughAgentMs) / Math.min(...aloneMs)).toFixed(3),
    spread: +(Math.max(...aloneMs) / Math.min(...aloneMs)).toFixed(2),
  };
}

function print(timings: Timing[], idle: { agent: Memory; server: Memory }): void {
  const rows = timings.map(toRow);
  console.table(rows);
  console.table(
    Object.entries(idle).map(([program, memory]) => ({
      program,
      rss_mib: +memory.rssMib.toFixed(1),
      pss_mib: +memory.pssMib.toFixed(1),
    })),
  );
  if (rows.some((row) => row.spread > quietSpread))
    console.log(
      "The machine is not quiet: restic alone took very different times. Measure again without other work.",
    );
  printReport({
    bench: "agent-overhead",
    figures: Object.fromEntries([
      ...rows.flatMap(({ set, ...row }) =>
        Object.entries(row).map(([name, value]) => [`${set}_${name}`, value]),
      ),
      ["idle_agent_mib", idle.agent.rssMib],
      ["idle_server_mib", idle.server.rssMib],
    ]),
    goals: rows.map(({ set, ratio }) => atMost(`times restic alone, ${set} files`, ratio, maxRatio)),
  });
}

const lab = await Lab.create();
// Whoever stops the benchmark stops its programs too.
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void lab.close().finally(() => process.exit(1)));
try {
  const sets = [
    await makeFiles(lab, "large", 10, makeLargeFile),
    await makeFiles(lab, "small", 10_000, makeSmallFile),
  ];
  await lab.startServer();
  await lab.signUp();
  const idle = await measureIdle(lab);
  const timings: Timing[] = [];
  for (const set of sets) timings.push(await measure(lab, set));
  print(timings, idle);
} finally {
  await lab.close();
}
