/**
 * A year of ten thousand hosts with four schedules each: sleep, restarts, cuts, clocks set wrong, both edges of summer
 * time, and two servers that restart and are down for hours. At its end every planned time must have exactly one outcome.
 */
import { printReport } from "../report.ts";
import { planHost, planServers, type ServerLife, type Span } from "./fleet-plan.ts";
import { HostYear } from "./host-year.ts";
import { type Outcome, outcomes, outcomesOf } from "./outcomes.ts";
import { Replay } from "./replay.ts";

/** 2027: northern and southern summer time begin and end in it. */
const span: Span = { from: Date.UTC(2027, 0, 1), to: Date.UTC(2028, 0, 1) };
const shownViolations = 10;
/** Two months of spring, for a sample of the fleet and over the real watch: summer time begins in both halves of it. */
const sampleSpan: Span = { from: Date.UTC(2027, 2, 1), to: Date.UTC(2027, 3, 30) };
const sampleHosts = 25;

interface Tally {
  outcomes: Record<Outcome, number>;
  jobs: number;
  ownRuns: number;
  violations: string[];
}

function simulate(seed: number, hosts: number, lives: ServerLife[]): Tally {
  const tally: Tally = {
    outcomes: { run: 0, skipped: 0, expired: 0, covered: 0, waiting: 0 },
    ...{ jobs: 0, ownRuns: 0, violations: [] },
  };
  for (let index = 0; index < hosts; index++) {
    const year = new HostYear(planHost(seed, index, span), { span, lives, seed, notes: false });
    year.run();
    add(tally, year);
  }
  return tally;
}

function add(tally: Tally, { server, ownRuns }: HostYear): void {
  tally.jobs += server.jobs.size;
  tally.ownRuns += ownRuns;
  for (const { plan, fires, nextFireAt, pending } of server.schedules) {
    const found = outcomesOf(plan, { nextFireAt, fires: fires.values(), pending }, span.to);
    for (const { outcome } of found.outcomes) tally.outcomes[outcome]++;
    tally.violations.push(...found.violations);
  }
}

interface Compared {
  plannedTimes: number;
  equal: number;
  differences: string[];
}

/** Plays what the model's server was told to the real one. */
async function compare(seed: number): Promise<Compared> {
  const lives = planServers(seed, sampleSpan);
  const hosts = Array.from({ length: sampleHosts }, (_, index) => planHost(seed, index, sampleSpan));
  const years = hosts.map((host) => new HostYear(host, { span: sampleSpan, lives, seed, notes: true }));
  for (const year of years) year.run();
  const replay = await Replay.open(hosts, sampleSpan, lives);
  const told = years.flatMap((year) => year.told).sort((a, b) => a.at - b.at);
  await replay.play(told, sampleSpan.to);
  const compared: Compared = { plannedTimes: 0, equal: 0, differences: replay.differences };
  for (const [i, host] of hosts.entries()) {
    const real = await replay.outcomes(host, sampleSpan.to);
    for (const [k, { plan, fires, nextFireAt, pending }] of (years[i]?.server.schedules ?? []).entries()) {
      const model = outcomesOf(plan, { nextFireAt, fires: fires.values(), pending }, sampleSpan.to);
      const wanted = new Map(real[k]?.outcomes.map(({ plannedAt, outcome }) => [plannedAt, outcome]));
      for (const { plannedAt, outcome } of model.outcomes) {
        compared.plannedTimes++;
        if (wanted.get(plannedAt) === outcome) compared.equal++;
        else
          compared.differences.push(
            `${new Date(plannedAt).toISOString()} of ${plan.id}: ${wanted.get(plannedAt)} in the database, ${outcome} in the model`,
          );
      }
    }
  }
  await replay.close();
  return compared;
}

/** @returns the exit code: 1 when a planned time has not exactly one outcome */
export async function runYear(seed: number, quick: boolean): Promise<number> {
  const hosts = quick ? 500 : 10_000;
  process.stdout.write(`seed ${seed}\n`);
  const since = performance.now();
  const tally = simulate(seed, hosts, planServers(seed, span));
  const seconds = (performance.now() - since) / 1000;
  const compared = await compare(seed);
  for (const difference of compared.differences.slice(0, shownViolations))
    process.stdout.write(`${difference}\n`);
  for (const violation of tally.violations.slice(0, shownViolations)) process.stdout.write(`${violation}\n`);
  const counts = Object.fromEntries(outcomes.map((name) => [`planned_times_${name}`, tally.outcomes[name]]));
  printReport({
    bench: "scheduler-year",
    figures: {
      ...{ seed: String(seed), hosts, schedules: hosts * 4, seconds },
      ...counts,
      jobs: tally.jobs,
      own_runs_of_agents: tally.ownRuns,
      compared_with_the_real_watch: compared.plannedTimes,
      compared_equal: compared.equal,
    },
    goals: [
      {
        name: "planned times without exactly one outcome",
        value: tally.violations.length,
        limit: 0,
        met: tally.violations.length === 0,
      },
      {
        name: "differences from the real watch",
        value: compared.differences.length,
        limit: 0,
        met: compared.differences.length === 0,
      },
      { name: "seconds", value: seconds, limit: 60, met: seconds <= 60 },
    ],
  });
  return tally.violations.length + compared.differences.length === 0 ? 0 : 1;
}
