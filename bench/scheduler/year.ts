/**
 * A year of ten thousand hosts with four schedules each: sleep, restarts, cuts, clocks set wrong, both edges of summer
 * time, and two servers that restart and are down for hours. At its end every planned time must have exactly one outcome.
 */
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { atMost, type Goal, printReport } from "../report.ts";
import { compare } from "./compare.ts";
import type { Span } from "./fleet-plan.ts";
import { outcomes } from "./outcomes.ts";
import { emptyTally, type Part, type Tally } from "./simulate.ts";

/** Northern and southern summer time begin and end in it. */
const span: Span = { from: Date.UTC(2027, 0, 1), to: Date.UTC(2028, 0, 1) };
/** Two months, for a sample of the fleet over the real watch: summer time begins north and ends south. */
const sampleSpan: Span = { from: Date.UTC(2027, 2, 1), to: Date.UTC(2027, 3, 30) };
const sampleHosts = 25;
const shown = 10;
/** Of CPU time on each core: on a busy machine the wall clock tells of others. */
const cpuLimitSeconds = 60;

/** Hosts share nothing, so each core takes every n-th. */
async function simulateAll(seed: number, hosts: number): Promise<Tally> {
  const step = availableParallelism();
  const parts = Array.from({ length: step }, (_, first) => simulateApart({ seed, span, hosts, first, step }));
  const sum = emptyTally();
  for (const tally of await Promise.all(parts)) {
    for (const name of outcomes) sum.outcomes[name] += tally.outcomes[name];
    sum.jobs += tally.jobs;
    sum.ownRuns += tally.ownRuns;
    sum.violations.push(...tally.violations);
  }
  return sum;
}

async function simulateApart(part: Part): Promise<Tally> {
  const worker = new Worker(new URL("simulate-worker.ts", import.meta.url), { workerData: part });
  const [tally] = await once(worker, "message");
  return tally as Tally;
}

const none = (name: string, found: readonly string[]): Goal => ({
  name,
  value: found.length,
  limit: 0,
  met: found.length === 0,
});

/** @returns the exit code: 1 when a goal is missed */
export async function runYear(seed: number, quick: boolean): Promise<number> {
  const hosts = quick ? 500 : 10_000;
  process.stdout.write(`seed ${seed}\n`);
  const since = performance.now();
  const used = process.cpuUsage();
  const tally = await simulateAll(seed, hosts);
  const seconds = (performance.now() - since) / 1000;
  const { user, system } = process.cpuUsage(used);
  const cpuSeconds = (user + system) / 1e6 / availableParallelism();
  const compared = await compare(seed, sampleHosts, sampleSpan);
  for (const line of [...tally.violations.slice(0, shown), ...compared.differences.slice(0, shown)])
    process.stdout.write(`${line}\n`);
  const counts = Object.fromEntries(outcomes.map((name) => [`planned_times_${name}`, tally.outcomes[name]]));
  const goals = [
    none("planned times without exactly one outcome", tally.violations),
    none("differences from the real watch", compared.differences),
    atMost("CPU seconds on each core", cpuSeconds, cpuLimitSeconds),
  ];
  printReport({
    bench: "scheduler-year",
    figures: {
      ...{ seed: String(seed), hosts, schedules: hosts * 4, seconds, cpu_s_on_each_core: cpuSeconds },
      planned_times: outcomes.reduce((sum, name) => sum + tally.outcomes[name], 0),
      ...counts,
      jobs: tally.jobs,
      own_runs_of_agents: tally.ownRuns,
      compared_with_the_real_watch: compared.plannedTimes,
      compared_equal: compared.equal,
    },
    goals,
  });
  return goals.every(({ met }) => met) ? 0 : 1;
}
