/** Whether the model is true to more than itself: a sample of the fleet over the real watch, outcome by outcome. */
import { planHost, planServers, type Span } from "./fleet-plan.ts";
import { HostYear } from "./host-year.ts";
import { type Found, outcomesOf } from "./outcomes.ts";
import { Replay } from "./replay.ts";

export interface Compared {
  plannedTimes: number;
  equal: number;
  differences: string[];
}

/** Plays what the model's server was told to the real one. */
export async function compare(seed: number, hostCount: number, span: Span): Promise<Compared> {
  const lives = planServers(seed, span);
  const hosts = Array.from({ length: hostCount }, (_, index) => planHost(seed, index, span));
  const years = hosts.map((host) => new HostYear(host, { span, lives, seed, notes: true }));
  for (const year of years) year.run();
  const replay = await Replay.open(hosts, span, lives);
  const told = years.flatMap((year) => year.told).sort((a, b) => a.at - b.at);
  await replay.play(told, span.to);
  const compared: Compared = { plannedTimes: 0, equal: 0, differences: [...replay.differences] };
  for (const [i, host] of hosts.entries()) {
    const real = await replay.outcomes(host, span.to);
    for (const [k, { plan, fires, nextFireAt, pending }] of (years[i]?.server.schedules ?? []).entries()) {
      const model = outcomesOf(plan, { nextFireAt, fires: fires.values(), pending }, span.to);
      add(compared, plan.id, model, real[k]);
    }
  }
  await replay.close();
  return compared;
}

function add(compared: Compared, scheduleId: string, model: Found, real: Found | undefined): void {
  const found = new Map(real?.outcomes.map(({ plannedAt, outcome }) => [plannedAt, outcome]));
  for (const { plannedAt, outcome } of model.outcomes) {
    compared.plannedTimes++;
    const other = found.get(plannedAt);
    if (other === outcome) compared.equal++;
    else {
      const when = new Date(plannedAt).toISOString();
      compared.differences.push(
        `${when} of ${scheduleId}: ${other} in the database, ${outcome} in the model`,
      );
    }
  }
}
