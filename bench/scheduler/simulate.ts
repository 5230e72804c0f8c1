/** Some of the hosts of a year, one after the other, and what became of their planned times. */
import { planHost, planServers, type Span } from "./fleet-plan.ts";
import { HostYear } from "./host-year.ts";
import { type Outcome, outcomesOf } from "./outcomes.ts";

export interface Part {
  seed: number;
  span: Span;
  /** Every `step`-th host from `first` on, below `hosts`. */
  hosts: number;
  first: number;
  step: number;
}

export interface Tally {
  outcomes: Record<Outcome, number>;
  jobs: number;
  /** Runs that agents began without the server. */
  ownRuns: number;
  violations: string[];
}

export const emptyTally = (): Tally => ({
  outcomes: { run: 0, skipped: 0, expired: 0, covered: 0, waiting: 0 },
  jobs: 0,
  ownRuns: 0,
  violations: [],
});

export function simulate({ seed, span, hosts, first, step }: Part): Tally {
  const tally = emptyTally();
  const lives = planServers(seed, span);
  for (let index = first; index < hosts; index += step) {
    const year = new HostYear(planHost(seed, index, span), { span, lives, seed, notes: false });
    year.run();
    add(tally, year, span);
  }
  return tally;
}

function add(tally: Tally, { server, ownRuns }: HostYear, span: Span): void {
  tally.jobs += server.jobs.size;
  tally.ownRuns += ownRuns;
  for (const { plan, fires, nextFireAt, pending } of server.schedules) {
    const found = outcomesOf(plan, { nextFireAt, fires: fires.values(), pending }, span.to);
    for (const { outcome } of found.outcomes) tally.outcomes[outcome]++;
    tally.violations.push(...found.violations);
  }
}
