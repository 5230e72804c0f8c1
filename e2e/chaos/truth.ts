/**
 * What must hold after every fault, in one place. The product's word (its API and its database) is compared with what
 * really happened: the ledger of restic's stand-in and the repository. Nothing here knows which fault it was.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { until } from "../../tools/demo/children.ts";
import { type LabDatabase, openDatabase } from "../lab/database.ts";
import type { Lab } from "../lab/lab.ts";
import { listProgramsOf } from "../lab/leftovers.ts";
import type { ChaosHost, LedgerEntry } from "./host.ts";

interface JobRow {
  id: string;
  kind: string;
  status: string;
  exit_code: number | null;
  log_lines: number | null;
  summary: string | null;
  started_at: number | null;
}

const live = new Set(["queued", "dispatched", "running"]);
/** What restic's exit codes mean for a backup. */
const statusOf = (code: number): string => (code === 0 ? "succeeded" : code === 3 ? "warning" : "failed");
const counting = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

export interface TruthOptions {
  /** How long the last of it may take to come to rest. */
  limitMs?: number;
  /** restic's own words could not be stored by the system, so they can't be in the log. */
  wordsLost?: boolean;
}

/** Waits until nothing is on its way any more, then checks every job of every host. @returns how many jobs there are */
export async function expectTruth(lab: Lab, hosts: ChaosHost[], options: TruthOptions = {}): Promise<number> {
  const database = openDatabase(lab);
  try {
    let jobs = 0;
    for (const host of hosts) jobs += await expectTruthOf(host, database, options);
    return jobs;
  } finally {
    database.close();
  }
}

async function expectTruthOf(host: ChaosHost, database: LabDatabase, options: TruthOptions): Promise<number> {
  const jobs = await settledJobs(host, database, options.limitMs ?? 60_000);
  const ledger = await host.readLedger();
  for (const job of jobs) {
    await expectWholeLog(host, job, database);
    expect(await countEnds(database, job.id), `job ${job.id} ended this often`).toBe(1);
    if (job.kind === "backup") {
      expectWhatResticDid(job, ledger);
      if (job.exit_code !== null && options.wordsLost !== true) await expectEveryWord(host, job);
    }
  }
  await expectSnapshots(host, jobs);
  await expectNothingLeft(host);
  return jobs.length;
}

/** All jobs are final, and the agent has nothing more to tell and nothing more to remember. */
async function settledJobs(host: ChaosHost, database: LabDatabase, limitMs: number): Promise<JobRow[]> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const jobs = await database.rows<JobRow>("select * from jobs where host_id = ? order by id", host.id);
    const open = jobs.filter(({ status }) => live.has(status));
    const forgotten = await host.remembersNothing();
    const [acked, told] = [await readAcked(database, host), await readLastSeq(host)];
    if (open.length === 0 && forgotten && acked === told) return jobs;
    if (Date.now() > deadline) {
      const state = open.map(({ id, status }) => `${id} ${status}`).join(", ");
      throw new Error(
        `${host.name} never came to rest: open [${state}], journal ${forgotten ? "" : "not "}empty, acknowledged ${acked} of ${told}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function readAcked(database: LabDatabase, host: ChaosHost): Promise<unknown> {
  const query = "select acked_seq from agent_streams where host_id = ?";
  return (await database.rows<{ acked_seq: number }>(query, host.id))[0]?.acked_seq;
}

/** The highest number that the agent ever gave to an event of its stream; null while it writes one down. */
async function readLastSeq(host: ChaosHost): Promise<number | null> {
  const folder = join(host.dataFolder, "outbox");
  const state = JSON.parse(await readFile(join(folder, "stream.json"), "utf8")) as {
    stream_id: string;
    last_seq: number;
  };
  const events = await readFile(join(folder, `events-${state.stream_id}.ndjson`), "utf8").catch(() => "");
  if (events === "") return state.last_seq;
  // The file is read while it grows: only what ends with a line break is a line.
  if (!events.endsWith("\n")) return null;
  const last = events.trimEnd().split("\n").at(-1) ?? "";
  return (JSON.parse(last) as { event: { seq: number } }).event.seq;
}

/** No gap and no double, in the lines and in the chunks they are stored in, and as many as the agent has told. */
async function expectWholeLog(host: ChaosHost, job: JobRow, database: LabDatabase): Promise<void> {
  const lines = await host.log(job.id);
  const what = `log of ${job.kind} ${job.id}`;
  expect(
    lines.map(({ n }) => n),
    what,
  ).toEqual(counting(job.log_lines ?? -1));
  const chunks = await database.rows<{ first_line: number; last_line: number }>(
    "select first_line, last_line from job_log_chunks where job_id = ? order by first_line",
    job.id,
  );
  for (const [index, { first_line }] of chunks.entries())
    expect(first_line, `chunk of the ${what}`).toBe((chunks[index - 1]?.last_line ?? 0) + 1);
}

async function countEnds(database: LabDatabase, jobId: string): Promise<unknown> {
  const query = "select count(*) as ends from audit_entries where action = 'job.finish' and target_id = ?";
  return (await database.rows<{ ends: number }>(query, jobId))[0]?.ends;
}

/** restic ran at most once for the job, and how it ended is how the job ended. */
function expectWhatResticDid(job: JobRow, ledger: LedgerEntry[]): void {
  const runs = ledger.filter(({ jobId }) => jobId === job.id);
  expect(runs.length, `restic was started for ${job.id}`).toBeLessThanOrEqual(1);
  const code = runs[0]?.code ?? null;
  if (code === null) {
    expect(["failed", "cancelled"], `restic never ended for ${job.id}`).toContain(job.status);
    return;
  }
  expect({ status: job.status, exit_code: job.exit_code }, `restic ended with ${code}`).toEqual({
    status: statusOf(code),
    exit_code: code,
  });
  expect(job.started_at).not.toBeNull();
}

async function expectEveryWord(host: ChaosHost, job: JobRow): Promise<void> {
  const said = (await host.log(job.id)).flatMap(({ text }) => /^said (\d+) of/.exec(text)?.[1] ?? []);
  expect(said.map(Number), `what restic said in ${job.id}`).toEqual(counting(host.spoken));
}

/** The repository holds the snapshots of the successful jobs and no other, and the server lists the same. */
async function expectSnapshots(host: ChaosHost, jobs: JobRow[]): Promise<void> {
  const there = (JSON.parse(await host.restic("snapshots", "--json", "--no-lock")) as { id: string }[])
    .map(({ id }) => id)
    .sort();
  const told = jobs
    .flatMap(({ summary }) => (JSON.parse(summary ?? "null") as { snapshot_id: string } | null) ?? [])
    .map(({ snapshot_id }) => snapshot_id)
    .sort();
  expect(told).toEqual(there);
  const snapshots = await host.listedSnapshots();
  expect(snapshots.sort()).toEqual(there);
}

/** No restic, no runner, no lock, no refused event. */
async function expectNothingLeft(host: ChaosHost): Promise<void> {
  const isWorker = (argv: string[]): boolean => argv.includes("runner") || argv.includes("backup");
  await until("the end of every restic", 10_000, async () => {
    const programs = await listProgramsOf(host.dataFolder);
    return !programs.some(({ argv }) => isWorker(argv));
  });
  expect(await readdir(join(host.repository, "locks"))).toEqual([]);
  expect(await readdir(join(host.dataFolder, "outbox"))).not.toContain("refused.ndjson");
}
