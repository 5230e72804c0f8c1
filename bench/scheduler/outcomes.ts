/** What became of each planned time of a schedule, read from rows, the model's or the database's. */

import type { PlanSchedule } from "./fleet-plan.ts";
import type { FireRow, PendingRow } from "./model-server.ts";

/** `covered` by one later row; `waiting`: its host or every server is away at the end of the span. */
export type Outcome = FireRow["outcome"] | "covered" | "waiting";
export const outcomes: readonly Outcome[] = ["run", "skipped", "expired", "covered", "waiting"];

export interface Rows {
  nextFireAt: number;
  fires: Iterable<FireRow>;
  pending: Iterable<Pick<PendingRow, "plannedAt" | "missedSince" | "waits">>;
}

export interface Found {
  /** In the order of the planned times before the end. */
  outcomes: { plannedAt: number; outcome: Outcome }[];
  violations: string[];
}

export function outcomesOf(plan: PlanSchedule, rows: Rows, endMs: number): Found {
  const { times, firstPlannedAt } = plan;
  const first = times.above(firstPlannedAt - 1);
  const planned = times.all.slice(first, times.above(endMs - 1));
  const own: (FireRow | undefined)[] = [];
  const covered = new Uint16Array(planned.length);
  const violations: string[] = [];
  for (const fire of rows.fires) {
    const at = times.above(fire.plannedAt - 1) - first;
    if (at < 0 || times.all[first + at] !== fire.plannedAt) {
      violations.push(`${tell(plan, fire.plannedAt)} has an outcome and was never planned`);
      continue;
    }
    // A clock that is ahead by minutes may fire what is planned for the very end.
    own[at] = fire;
    for (let i = at - 1; i >= 0 && (planned[i] ?? endMs) >= fire.coversFrom; i--)
      if (i < planned.length) covered[i] = (covered[i] ?? 0) + 1;
  }
  const waits = [...rows.pending].filter((run) => run.waits === "offline");
  const found = planned.map((plannedAt, i) => {
    const count = (own[i] ? 1 : 0) + (covered[i] ?? 0);
    const isWaiting =
      plannedAt >= rows.nextFireAt ||
      waits.some((run) => run.missedSince <= plannedAt && plannedAt <= run.plannedAt);
    if (count > 1 || (count === 0 && !isWaiting))
      violations.push(
        `${tell(plan, plannedAt)} has ${count} outcomes (${own[i]?.outcome ?? "no row of its own"})`,
      );
    return { plannedAt, outcome: own[i]?.outcome ?? (covered[i] ? "covered" : "waiting") } as const;
  });
  return { outcomes: found, violations };
}

const tell = ({ hostId, id, cron, timeZone }: PlanSchedule, plannedAt: number): string =>
  `${new Date(plannedAt).toISOString()} of ${id} (${cron} ${timeZone}) on ${hostId}`;
