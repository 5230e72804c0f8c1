/**
 * What the scheduler remembers on the disk: per schedule how far it has dealt with its planned times, what it has asked
 * the server about without an answer, and what became of the newest. No secrets; replaced in one step. A file that can't
 * be read costs nothing but a question: the server knows every key that it took.
 */
import { z } from "zod";
import { reasonOf } from "../platform/errors.ts";
import { readTextIfExists, writeFileAtomic } from "../platform/files.ts";
import type { Log } from "../platform/log.ts";
import { type Fire, fireKey } from "./due.ts";

/** So many runs are remembered: far more than one host has under way. */
const MAX_RECENT = 200;

const fire = z.object({ schedule_id: z.string(), planned_at: z.int() });
const storedState = z.object({
  version: z.literal(1),
  dealt_until: z.record(z.string(), z.int()),
  asked: z.array(fire),
  recent: z.array(fire),
});

export type FireState = {
  dealtUntil: ReadonlyMap<string, number>;
  /** Fired and without an outcome, oldest first. */
  asked: readonly Fire[];
  /** Taken by the server or run by ourselves; oldest first. */
  recent: readonly Fire[];
};

const nothing: FireState = { dealtUntil: new Map(), asked: [], recent: [] };

/** The state at `path`; an empty one, and a line in the log, when it can't be read. */
export async function readFireState(path: string, log: Log): Promise<FireState> {
  try {
    const text = await readTextIfExists(path);
    return text === undefined ? nothing : fromStored(storedState.parse(JSON.parse(text)));
  } catch (error) {
    log.error({ reason: reasonOf(error) }, "the state of the schedules can't be read and is begun anew");
    return nothing;
  }
}

export function writeFireState(path: string, state: FireState): Promise<void> {
  const toStored = ({ scheduleId, plannedAt }: Fire) => ({ schedule_id: scheduleId, planned_at: plannedAt });
  const stored: z.infer<typeof storedState> = {
    version: 1,
    dealt_until: Object.fromEntries(state.dealtUntil),
    asked: state.asked.map(toStored),
    recent: state.recent.map(toStored),
  };
  return writeFileAtomic(path, JSON.stringify(stored));
}

function fromStored(stored: z.infer<typeof storedState>): FireState {
  const toFire = (one: z.infer<typeof fire>): Fire => ({
    scheduleId: one.schedule_id,
    plannedAt: one.planned_at,
  });
  return {
    dealtUntil: new Map(Object.entries(stored.dealt_until)),
    asked: stored.asked.map(toFire),
    recent: stored.recent.map(toFire),
  };
}

/** Positions move and fires begin, in one step: what is dealt with is asked about, whatever happens next. */
export function withFires(
  state: FireState,
  dealtUntil: ReadonlyMap<string, number>,
  fires: readonly Fire[],
): FireState {
  return {
    ...state,
    dealtUntil: new Map([...state.dealtUntil, ...dealtUntil]),
    asked: [...state.asked, ...fires.map(({ scheduleId, plannedAt }) => ({ scheduleId, plannedAt }))],
  };
}

/** The server refused a fire: nothing ran, so a clock that was wrong then may come to it again. */
export function withoutFire(state: FireState, refused: Fire): FireState {
  return { ...state, asked: state.asked.filter((other) => fireKey(other) !== fireKey(refused)) };
}

/** A fire has its run. */
export function withOutcome(state: FireState, done: Fire): FireState {
  const key = fireKey(done);
  return {
    ...withoutFire(state, done),
    recent: [...state.recent.filter((other) => fireKey(other) !== key), done].slice(-MAX_RECENT),
  };
}

/** Forgets the positions of schedules that the host does not have any more; the same state when there are none. */
export function withoutForgotten(state: FireState, scheduleIds: ReadonlySet<string>): FireState {
  const kept = [...state.dealtUntil].filter(([scheduleId]) => scheduleIds.has(scheduleId));
  return kept.length === state.dealtUntil.size ? state : { ...state, dealtUntil: new Map(kept) };
}

/** Everything that was fired and is remembered. */
export const firedKeys = ({ asked, recent }: FireState): Set<string> =>
  new Set([...asked, ...recent].map(fireKey));
