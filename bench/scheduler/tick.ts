/**
 * What the schedules cost one server: the tick when nothing is due, and four mornings at which one schedule of every
 * host is due in the same minute: nobody fires and the server looks itself, every agent fires at once, every host is
 * away, and every host comes back. Beside it the same rows inserted plainly into a database with the same durability.
 */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setImmediate as othersRun } from "node:timers/promises";
import { agentConnected } from "../../packages/server/src/features/agent-link/agent-link.ts";
import { getHost, type Host, touchHosts } from "../../packages/server/src/features/hosts/hosts.ts";
import { toInstant } from "../../packages/server/src/platform/clock.ts";
import { atMost, percentile, printReport } from "../report.ts";
import { makeFolder } from "../server-program.ts";
import { type Blocks, measureBlocks } from "./loop-block.ts";
import { openStage, type Stage, type StageSchedule } from "./stage.ts";

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
/** The hour at which everybody backs up. */
const firstMorning = Date.UTC(2026, 5, 2, 3);
/** The daily one is due on every morning, the others later or on other days. */
const crons = ["0 3 * * *", "0 12 * * 1-5", "0 18 * * 0", "30 23 1 * *"] as const;
/** Each scheduled run writes its outcome, its job, an audit entry and what awaits its end. */
const insertsOfRun = 4;
const bareRunsPerTransaction = 50;
/** After it the server looks by itself. */
const overdueMs = minuteMs + 5000;

interface Crowd {
  seconds: number;
  blocks: Blocks;
}

async function measureCrowd(work: () => Promise<unknown>): Promise<Crowd> {
  const since = performance.now();
  let seconds = 0;
  const { blocks } = await measureBlocks(async () => {
    await work();
    seconds = (performance.now() - since) / 1000;
  });
  return { seconds, blocks };
}

async function measureTicks(work: () => Promise<unknown>, ticks: number): Promise<number[]> {
  const took: number[] = [];
  for (let i = 0; i < ticks; i++) {
    const since = performance.now();
    await work();
    took.push(performance.now() - since);
    await othersRun();
  }
  return took;
}

/** Ends every live job as its agent would have told, and what was awaited with it, so that the next day can begin. */
function endJobs({ folder }: Stage): void {
  const db = new DatabaseSync(join(folder, "restic-manager.db"));
  db.exec("UPDATE jobs SET status = 'succeeded'; DELETE FROM pending_runs");
  db.close();
}

function count({ folder }: Stage, what: string): number {
  const db = new DatabaseSync(join(folder, "restic-manager.db"), { readOnly: true });
  const row = db.prepare(`SELECT count(*) AS n FROM ${what}`).get();
  db.close();
  return Number(row?.n);
}

const allSeen = (stage: Stage) =>
  touchHosts(stage.db, new Map(stage.hostIds.map((id) => [id, stage.clock.now()])), stage.clock.now());

/** (b) Hosts are there and do not fire. */
async function lookAtAll(stage: Stage, at: number): Promise<Crowd> {
  stage.clock.set(at + overdueMs);
  await allSeen(stage);
  return measureCrowd(() => stage.watch.look());
}

/** (c) Every agent fires in the same instant. */
async function fireAll(stage: Stage, hosts: Host[], due: StageSchedule[], at: number): Promise<Crowd> {
  stage.clock.set(at + 1000);
  await allSeen(stage);
  const planned_at = toInstant(at);
  const answers = new Map<string, number>();
  const crowd = await measureCrowd(() =>
    Promise.all(
      due.map(async ({ id }, i) => {
        const host = hosts[i];
        if (!host) return;
        // Frames arrive one by one: each socket is read in a turn of the loop of its own, or a few of them.
        if (i % 16 === 0) await othersRun();
        const answer = await stage.watch.answerFire(host, {
          type: "schedule.fire",
          schedule_id: id,
          planned_at,
        });
        const outcome = answer.type === "schedule.fired" ? answer.outcome : "none";
        answers.set(outcome, (answers.get(outcome) ?? 0) + 1);
      }),
    ),
  );
  if (answers.get("taken") !== due.length) throw new Error(`answers: ${JSON.stringify([...answers])}`);
  return crowd;
}

/** (d) Every host is away at its time. */
async function missAll(stage: Stage, at: number): Promise<Crowd> {
  stage.clock.set(at + overdueMs);
  return measureCrowd(() => stage.watch.look());
}

/** (e) They come back within a minute, and a settle delay later what waits for them begins. */
async function comeBackAll(stage: Stage): Promise<{ back: Crowd; caughtUp: Crowd }> {
  const at = stage.clock.now() + 10 * minuteMs;
  stage.clock.set(at);
  await allSeen(stage);
  const back = await measureCrowd(async () => {
    for (const [i, hostId] of stage.hostIds.entries()) {
      stage.bus.emit(agentConnected, { hostId, replicaId: "alone" });
      if (i % 16 === 0) await othersRun();
    }
    await stage.watch.idle();
  });
  stage.clock.set(at + 2 * minuteMs);
  await allSeen(stage);
  return { back, caughtUp: await measureCrowd(() => stage.watch.drain()) };
}

/** The counterpart: the rows of `runs` scheduled runs, plainly. */
async function insertBare(runs: number): Promise<Crowd> {
  const db = new DatabaseSync(join(makeFolder(), "bare.db"));
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  db.exec("CREATE TABLE rows (id TEXT, n INTEGER, at INTEGER, text TEXT, PRIMARY KEY (id, n))");
  db.exec("CREATE TABLE positions (id TEXT PRIMARY KEY, at INTEGER)");
  const insert = db.prepare("INSERT INTO rows VALUES (?, ?, ?, ?)");
  const move = db.prepare("INSERT INTO positions VALUES (?, ?) ON CONFLICT DO UPDATE SET at = excluded.at");
  const text = "x".repeat(200);
  const crowd = await measureCrowd(async () => {
    for (let run = 0; run < runs; run++) {
      if (run % bareRunsPerTransaction === 0) db.exec("BEGIN");
      for (let n = 0; n < insertsOfRun; n++) insert.run(`schedule ${run * 7919}`, n, run, text);
      move.run(`schedule ${run * 7919}`, run);
      if (run % bareRunsPerTransaction < bareRunsPerTransaction - 1 && run < runs - 1) continue;
      db.exec("COMMIT");
      await othersRun();
    }
  });
  db.close();
  return crowd;
}

function expectCount(stage: Stage, what: string, wanted: number): void {
  const found = count(stage, what);
  if (found !== wanted) throw new Error(`${what}: ${found} rows instead of ${wanted}`);
}

/** @returns the exit code: 1 when a goal is missed */
export async function runTick(quick: boolean): Promise<number> {
  const hostCount = quick ? 1000 : 10_000;
  const stage = await openStage(hostCount, crons, firstMorning - 30 * minuteMs);
  const { watch, schedules, hostIds } = stage;
  const hosts = await Promise.all(hostIds.map((id) => getHost(stage.db, id)));
  const due = schedules.filter(({ cron }) => cron === crons[0]);
  stage.clock.set(firstMorning - 10 * minuteMs);
  await measureTicks(() => watch.look(), 100);
  const looks = await measureTicks(() => watch.look(), 2000);
  const drains = await measureTicks(() => watch.drain(), 2000);
  const looked = await lookAtAll(stage, firstMorning);
  expectCount(stage, "jobs", hostCount);
  endJobs(stage);
  await fastForward(stage, firstMorning + dayMs - minuteMs);
  const fired = await fireAll(stage, hosts, due, firstMorning + dayMs);
  expectCount(stage, `jobs WHERE planned_at = ${firstMorning + dayMs}`, hostCount);
  endJobs(stage);
  await fastForward(stage, firstMorning + 2 * dayMs - 10 * minuteMs);
  const missed = await missAll(stage, firstMorning + 2 * dayMs);
  expectCount(stage, "pending_runs WHERE waits = 'offline'", hostCount);
  const { back, caughtUp } = await comeBackAll(stage);
  expectCount(stage, `jobs WHERE planned_at = ${firstMorning + 2 * dayMs}`, hostCount);
  const full = await measureTicks(() => watch.look(), 500);
  await stage.close();
  const bare = await insertBare(hostCount);
  return report({ hostCount, looks, full, drains, looked, fired, missed, back, caughtUp, bare });
}

/** What is due at noon is not what is measured: everybody was there, and it succeeded. */
async function fastForward(stage: Stage, to: number): Promise<void> {
  stage.clock.set(to);
  await allSeen(stage);
  await stage.watch.look();
  endJobs(stage);
}

type Measured = Record<"looked" | "fired" | "missed" | "back" | "caughtUp" | "bare", Crowd> &
  Record<"looks" | "full" | "drains", number[]> & { hostCount: number };

function report(m: Measured): number {
  const crowds = { looked: m.looked, fired: m.fired, missed: m.missed, back: m.back, caught_up: m.caughtUp };
  const figures: Record<string, number | string> = {
    hosts: m.hostCount,
    schedules: m.hostCount * crons.length,
    idle_look_p50_ms: percentile(m.looks, 50),
    idle_look_p99_ms: percentile(m.looks, 99),
    idle_drain_p50_ms: percentile(m.drains, 50),
    idle_drain_p99_ms: percentile(m.drains, 99),
    full_idle_look_p99_ms: percentile(m.full, 99),
  };
  for (const [name, { seconds, blocks }] of Object.entries({ ...crowds, bare: m.bare })) {
    figures[`${name}_s`] = seconds;
    figures[`${name}_longest_block_ms`] = blocks.longestMs;
    figures[`${name}_longest_block_cpu_ms`] = blocks.longestCpuMs;
  }
  figures.looked_over_bare = m.looked.seconds / m.bare.seconds;
  figures.fired_over_bare = m.fired.seconds / m.bare.seconds;
  const longest = Math.max(...Object.values(crowds).map(({ blocks }) => blocks.longestMs));
  const goals = [
    atMost("ms of an idle look, p99", percentile(m.looks, 99), 10),
    atMost("ms of an idle drain, p99", percentile(m.drains, 99), 10),
    atMost("ms that the event loop is blocked at most", longest, 50),
  ];
  printReport({ bench: "scheduler-tick", figures, goals });
  return goals.every(({ met }) => met) ? 0 : 1;
}
