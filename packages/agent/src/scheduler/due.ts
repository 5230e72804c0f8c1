/**
 * Which planned times are due: one pure decision from the set, what has been dealt with, and the clock. Invariants:
 * a planned time that is dealt with is never fired again, wherever the clock goes; of several that were missed only the
 * newest is fired; what is due later never depends on what a timer remembers.
 */
import { type CronTimes, jitterMs } from "@restic-manager/protocol";

/** A schedule as the decision needs it. Times are epoch milliseconds. */
export type PlannedSchedule = {
  scheduleId: string;
  times: CronTimes;
  jitterSeconds: number;
  /** Earlier planned times are not this schedule's. */
  firstPlannedAt: number;
};

export type Fire = { scheduleId: string; plannedAt: number };

export type DueInput = {
  schedules: readonly PlannedSchedule[];
  /** Per schedule: everything planned up to here is dealt with. */
  dealtUntil: ReadonlyMap<string, number>;
  /** What was fired lately, by `fireKey`: holds also when a position is lost or was set back. */
  fired: ReadonlySet<string>;
  nowMs: number;
  /** False until the machine has been up or awake for a while: missed times wait for it. */
  settled: boolean;
};

export type DueFire = Fire & { missed: boolean };

export type Decision = {
  /** In the order of their planned times. */
  fires: DueFire[];
  /** Positions that change. */
  dealtUntil: Map<string, number>;
  /** Schedules whose position lay far in the future, because the clock was there. */
  setBack: string[];
  /** When the next planned time is due; null when nothing is planned. */
  nextDueMs: number | null;
  /** Something was missed and waits until the machine has settled. */
  waits: boolean;
};

/** Found within this time a run is on time: the loop looks every 30 s, and an agent that is updated is back by then. */
export const ON_TIME_MS = 90_000;
/** A position further ahead than this was written under a wrong clock; a day off must not silence a schedule longer. */
export const MAX_AHEAD_MS = 24 * 60 * 60 * 1000;

export const fireKey = ({ scheduleId, plannedAt }: Fire): string => `${scheduleId} ${plannedAt}`;

/** Looks at every schedule at one moment. */
export function decideDue(input: DueInput): Decision {
  const decision: Decision = { fires: [], dealtUntil: new Map(), setBack: [], nextDueMs: null, waits: false };
  for (const schedule of input.schedules) addDue(decision, schedule, input);
  decision.fires.sort((a, b) => a.plannedAt - b.plannedAt);
  return decision;
}

function addDue(decision: Decision, schedule: PlannedSchedule, input: DueInput): void {
  const { scheduleId } = schedule;
  const { nowMs, settled, fired } = input;
  let stored = input.dealtUntil.get(scheduleId);
  if (stored !== undefined && stored > nowMs + MAX_AHEAD_MS) {
    stored = nowMs;
    decision.setBack.push(scheduleId);
    decision.dealtUntil.set(scheduleId, nowMs);
  }
  const found = findDue(schedule, Math.max(stored ?? 0, schedule.firstPlannedAt - 1), nowMs);
  decision.nextDueMs = earlier(decision.nextDueMs, found.nextDueMs);
  // A run that begins now covers those that were missed before it.
  const missed = found.onTime.length === 0 && found.missed !== null;
  if (missed && !settled) {
    decision.waits = true;
    return;
  }
  const planned = missed ? [found.missed ?? 0] : found.onTime;
  const last = planned.at(-1);
  if (last === undefined) return;
  decision.dealtUntil.set(scheduleId, last);
  for (const plannedAt of planned) {
    if (!fired.has(fireKey({ scheduleId, plannedAt })))
      decision.fires.push({ scheduleId, plannedAt, missed });
  }
}

type Found = { missed: number | null; onTime: number[]; nextDueMs: number | null };

/**
 * Walks the planned times after `dealtUntil` in their order. With a spread that is longer than the pause between two
 * planned times a later one could be due first: it waits for the earlier, so that one position tells all.
 */
function findDue(schedule: PlannedSchedule, dealtUntil: number, nowMs: number): Found {
  const { times, scheduleId, jitterSeconds } = schedule;
  const found: Found = { missed: null, onTime: [], nextDueMs: null };
  let dueMs = 0;
  for (
    let planned = findFirst(schedule, dealtUntil, nowMs);
    planned !== null;
    planned = times.next(planned)
  ) {
    dueMs = Math.max(dueMs, planned + jitterMs(scheduleId, planned, jitterSeconds));
    if (dueMs > nowMs) {
      found.nextDueMs = dueMs;
      break;
    }
    if (nowMs - dueMs <= ON_TIME_MS) found.onTime.push(planned);
    else found.missed = planned;
  }
  return found;
}

/**
 * The first planned time to look at. Years of missed minutes are not walked through: only the newest of those that
 * nothing can make punctual any more matters.
 */
function findFirst(schedule: PlannedSchedule, dealtUntil: number, nowMs: number): number | null {
  const { times, jitterSeconds } = schedule;
  const missedBefore = nowMs - jitterSeconds * 1000 - ON_TIME_MS - 1;
  const first = times.next(dealtUntil);
  if (first === null || first >= missedBefore) return first;
  return times.next(Math.max(first, times.last(missedBefore) ?? first) - 1);
}

function earlier(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return a ?? b;
  return Math.min(a, b);
}
