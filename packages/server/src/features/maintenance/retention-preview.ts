/**
 * What a retention would do to a source group before it is saved: to the snapshots there are, and over the coming year.
 * It reads our copy of the list; forget itself asks the repository.
 */
import type { Clock } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import { getHost } from "../hosts/hosts.ts";
import { listTaggedSnapshots } from "../snapshots/snapshots.ts";
import { getSourceGroup, isEmptyRetention, type Retention } from "../sources/sources.ts";
import { maintenanceOf } from "./edit-maintenance.ts";
import { isAboveLimit, planRetention, type RetentionPlan } from "./retention-plan.ts";
import { countRunsAYear, listRuns } from "./retention-runs.ts";
import { endsOfMonths, type MonthKept, simulateRetention } from "./retention-simulation.ts";

export interface RetentionDeps {
  db: Db;
  clock: Clock;
  /** The schedules that run a group, from the slice beside. */
  schedulesUsing(
    db: Db,
    groupId: string,
  ): Promise<readonly { cron: string; timeZone: string; pausedAt: number | null }[]>;
}

export interface RetentionPreview extends RetentionPlan {
  /** From 0 to 1. */
  shareRemoved: number;
  /** Above the repository's limit: forget does not remove so much without being asked. */
  needsConfirmation: boolean;
  /** Nothing is ever forgotten by it. */
  isEmpty: boolean;
  /** This month and the eleven after it; empty when it can't be told. */
  simulation: MonthKept[];
  /** Why the simulation says little or nothing. */
  simulationNote: string | null;
}

/** Two schedules of every minute: more takes the server's time while somebody types. */
const mostRunsAYear = 1_100_000;

/** @throws AppError `hosts.not_found`, `sources.not_found` */
export async function previewRetention(
  { db, clock, schedulesUsing }: RetentionDeps,
  input: { hostId: string; groupId: string; retention: Retention },
): Promise<RetentionPreview> {
  const { retention } = input;
  const host = await getHost(db, input.hostId);
  const group = await getSourceGroup(db, host.id, input.groupId);
  const of = { hostId: host.id, hostname: host.name, tag: group.name };
  const snapshots = await listTaggedSnapshots(db, of);
  const using = await schedulesUsing(db, group.id);
  const now = clock.now();
  const plan = planRetention(snapshots, retention, now);
  const removed = plan.remove.length;
  const { maxRemovedPercent } = await maintenanceOf(db, host);
  return {
    ...plan,
    shareRemoved: snapshots.length === 0 ? 0 : removed / snapshots.length,
    needsConfirmation: isAboveLimit(removed, snapshots.length, maxRemovedPercent),
    isEmpty: isEmptyRetention(retention),
    ...simulate(
      retention,
      snapshots.map(({ time }) => time),
      using.filter(({ pausedAt }) => pausedAt === null),
      now,
    ),
  };
}

function simulate(
  retention: Retention,
  existing: number[],
  schedules: readonly { cron: string; timeZone: string }[],
  now: number,
): Pick<RetentionPreview, "simulation" | "simulationNote"> {
  const runsAYear = schedules.reduce((sum, schedule) => sum + countRunsAYear(schedule), 0);
  if (runsAYear > mostRunsAYear)
    return { simulation: [], simulationNote: "Its schedules run too often to look a year ahead." };
  const until = (endsOfMonths(now, 12).at(-1) ?? now) - 1;
  const simulation = simulateRetention(retention, { existing, runs: listRuns(schedules, now, until) }, now);
  const note = "No schedule that is enabled runs this group, so nothing is added.";
  return { simulation, simulationNote: schedules.length === 0 ? note : null };
}

/** For whoever leaves every field empty. */
export const emptyRetentionSentence =
  "Without a rule nothing is forgotten: every snapshot stays, and forget leaves this group out.";
