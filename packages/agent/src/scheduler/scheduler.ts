/**
 * Fires the host's schedules (docs/adr/0004). Invariants: a fire is on the disk before the server is asked, so an agent
 * that is killed at that second goes on with the same key; the server decides while it answers; without an answer in
 * time the agent runs by itself, under the ids that the server would give; nothing here runs twice.
 */
import { type ScheduleFire, type ScheduleFired, scheduledJobId } from "@restic-manager/protocol";
import type { OwnRun } from "../commands/own-run.ts";
import { type Clock, slept } from "../platform/clock.ts";
import { reasonOf } from "../platform/errors.ts";
import type { Log } from "../platform/log.ts";
import { type DueFire, decideDue, type Fire, fireKey } from "./due.ts";
import {
  type FireState,
  firedKeys,
  readFireState,
  withFires,
  withOutcome,
  withoutFire,
  withoutForgotten,
  writeFireState,
} from "./fire-state.ts";
import type { StoredSchedules } from "./stored-schedules.ts";
import { WakeWatch } from "./wake.ts";

/** What the scheduler needs of the host's jobs. */
export type OwnJobs = {
  knows(jobId: string): boolean;
  isUnfinished(jobId: string): boolean;
  listOwn(): { schedule_id: string; planned_at: string }[];
  /** MUST have the run on the disk when it returns, and MUST NOT start it. */
  hold(run: OwnRun): Promise<void>;
  startHeld(): void;
};

export type SchedulerDeps = {
  clock: Clock;
  log: Log;
  schedules: StoredSchedules;
  jobs: OwnJobs;
  statePath: string;
  /** False when there is no connection. */
  send: (message: ScheduleFire) => boolean;
};

/** A clock that jumps and a machine that slept are noticed this soon. */
export const LOOK_MS = 30_000;
/** An unanswered question is asked again. */
const ASK_AGAIN_MS = 10_000;
/** As docs/adr/0004 says. */
export const ANSWER_WITHIN_MS = 30_000;

/** Monotonic times of a fire without an outcome. */
type Asking = { sinceMs: number; askedMs: number | undefined };

export class Scheduler {
  readonly #deps: SchedulerDeps;
  readonly #asking = new Map<string, Asking>();
  #state: FireState;
  /** The disk does not have the state yet. */
  #unsaved = false;
  #watch: WakeWatch | undefined;
  #pause = new AbortController();
  #stopped = false;
  #running: Promise<void> = Promise.resolve();
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(deps: SchedulerDeps, state: FireState) {
    this.#deps = deps;
    this.#state = state;
  }

  /** Reads what an earlier agent left. */
  static async open(deps: SchedulerDeps): Promise<Scheduler> {
    return new Scheduler(deps, await readFireState(deps.statePath, deps.log));
  }

  /**
   * Completes runs that an earlier agent had begun to write down when it was killed. MUST come before the jobs start: a
   * job that has begun could end and be forgotten, and would then seem never to have been.
   */
  async resume(): Promise<void> {
    const { jobs } = this.#deps;
    const begun = new Set(
      jobs.listOwn().map(({ schedule_id: scheduleId, planned_at }) => {
        return fireKey({ scheduleId, plannedAt: Date.parse(planned_at) });
      }),
    );
    for (const fire of this.#state.asked.filter((asked) => begun.has(fireKey(asked))))
      await this.#write(fire);
  }

  start(): void {
    this.#watch = new WakeWatch(this.#moment());
    this.#running = this.#loop();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#pause.abort();
    await this.#running;
    await this.#queue;
  }

  /** There is a connection: what waits for an answer is asked on it at once. */
  connected(): void {
    for (const asking of this.#asking.values()) asking.askedMs = undefined;
    this.#pause.abort();
  }

  /** Another set is in force. */
  changed(): Promise<void> {
    return this.#exclusive(async () => {
      const known = new Set(this.#deps.schedules.listPlanned().map(({ scheduleId }) => scheduleId));
      const kept = withoutForgotten(this.#state, known);
      if (kept !== this.#state) await this.#become(kept);
      this.#pause.abort();
    });
  }

  /** The server's answer. One that nobody waits for is too late, and nothing comes of it. */
  fired(answer: ScheduleFired): Promise<void> {
    return this.#exclusive(async () => {
      const { schedule_id, planned_at, outcome, code } = answer;
      const fire = { scheduleId: schedule_id, plannedAt: Date.parse(planned_at) };
      if (!this.#isAsked(fire)) return;
      this.#deps.log.info({ schedule_id, planned_at, code: code ?? undefined }, `a run was ${outcome}`);
      this.#asking.delete(fireKey(fire));
      const withAnswer = outcome === "taken" ? withOutcome : withoutFire;
      await this.#become(withAnswer(this.#state, fire));
      // Some of its jobs may be written down already, when the others could not be.
      this.#deps.jobs.startHeld();
    });
  }

  async #loop(): Promise<void> {
    while (!this.#stopped) {
      const pause = new AbortController();
      this.#pause = pause;
      let waitMs = LOOK_MS;
      try {
        waitMs = await this.#exclusive(() => this.#look());
      } catch (error) {
        this.#deps.log.error({ reason: reasonOf(error) }, "the schedules could not be looked at");
      }
      if (!this.#stopped) await slept(this.#deps.clock, waitMs, pause.signal);
    }
  }

  /** Does what is due now; how long until there may be more. */
  async #look(): Promise<number> {
    const { schedules } = this.#deps;
    const now = this.#moment();
    const settleMs = this.#watch?.look(now, LOOK_MS) ?? 0;
    const decision = decideDue({
      schedules: schedules.listPlanned(),
      dealtUntil: this.#state.dealtUntil,
      fired: firedKeys(this.#state),
      nowMs: now.wallMs,
      settled: settleMs === 0,
    });
    for (const schedule_id of decision.setBack)
      this.#deps.log.warn({ schedule_id }, "the clock was far ahead: the schedule goes on from now");
    if (decision.dealtUntil.size > 0) await this.#begin(decision.dealtUntil, decision.fires);
    else if (this.#unsaved) await this.#save();
    const waits = [LOOK_MS, ...(decision.waits ? [settleMs] : [])];
    if (decision.nextDueMs !== null) waits.push(decision.nextDueMs - now.wallMs);
    for (const fire of this.#state.asked) waits.push(await this.#pursue(fire));
    return Math.max(1, Math.min(...waits));
  }

  async #begin(dealtUntil: ReadonlyMap<string, number>, fires: readonly DueFire[]): Promise<void> {
    for (const { scheduleId, plannedAt, missed } of fires) {
      const planned_at = new Date(plannedAt).toISOString();
      this.#deps.log.info({ schedule_id: scheduleId, planned_at, missed }, "a schedule fires");
    }
    await this.#become(withFires(this.#state, dealtUntil, fires));
  }

  /** Asks about a fire, or runs it when the answer does not come; how long until there is more to do about it. */
  async #pursue(fire: Fire): Promise<number> {
    const nowMs = this.#deps.clock.monotonicMs();
    const key = fireKey(fire);
    const asking = this.#asking.get(key) ?? { sinceMs: nowMs, askedMs: undefined };
    this.#asking.set(key, asking);
    const leftMs = asking.sinceMs + ANSWER_WITHIN_MS - nowMs;
    if (leftMs <= 0) return this.#runOwn(fire);
    if (asking.askedMs === undefined || nowMs - asking.askedMs >= ASK_AGAIN_MS) {
      const planned_at = new Date(fire.plannedAt).toISOString();
      const message = { type: "schedule.fire" as const, schedule_id: fire.scheduleId, planned_at };
      asking.askedMs = this.#deps.send(message) ? nowMs : undefined;
    }
    const askAgainMs = asking.askedMs === undefined ? LOOK_MS : asking.askedMs + ASK_AGAIN_MS - nowMs;
    return Math.min(leftMs, askAgainMs);
  }

  /** Runs a fire without the server. What can't be written down is tried again. */
  async #runOwn(fire: Fire): Promise<number> {
    const schedule_id = fire.scheduleId;
    try {
      await this.#write(fire);
    } catch (error) {
      this.#deps.log.error(
        { schedule_id, reason: reasonOf(error) },
        "a run can't be written down; free space",
      );
      return ASK_AGAIN_MS;
    }
    // Only now: a job that ended before the state knew of it could be run again after a crash.
    this.#deps.jobs.startHeld();
    return LOOK_MS;
  }

  /** Puts a fire's jobs into the journal and notes its outcome. */
  async #write(fire: Fire): Promise<void> {
    const { schedules, jobs, log } = this.#deps;
    const { scheduleId, plannedAt } = fire;
    const groups = schedules.findGroups(scheduleId);
    if (groups === undefined)
      log.warn({ schedule_id: scheduleId }, "a schedule is gone before its run began");
    for (const { source_group_id: sourceGroupId, spec } of groups ?? []) {
      const jobId = scheduledJobId({ scheduleId, plannedAt, sourceGroupId, tries: 0 });
      const about = { schedule_id: scheduleId, source_group: spec.source_group, job_id: jobId };
      if (jobs.knows(jobId)) continue;
      if (this.#previousGoesOn(fire, sourceGroupId)) {
        log.warn(about, "a run is left out: the one before it has not ended");
        continue;
      }
      await jobs.hold({ jobId, scheduleId, plannedAt, sourceGroupId, spec });
      log.info(about, "the server does not answer: this agent runs by itself");
    }
    this.#asking.delete(fireKey(fire));
    await this.#become(withOutcome(this.#state, fire));
  }

  #previousGoesOn({ scheduleId, plannedAt }: Fire, sourceGroupId: string): boolean {
    return this.#state.recent.some((other) => {
      if (other.scheduleId !== scheduleId || other.plannedAt === plannedAt) return false;
      return this.#deps.jobs.isUnfinished(scheduledJobId({ ...other, sourceGroupId, tries: 0 }));
    });
  }

  #isAsked(fire: Fire): boolean {
    return this.#state.asked.some((asked) => fireKey(asked) === fireKey(fire));
  }

  #become(state: FireState): Promise<void> {
    this.#state = state;
    return this.#save();
  }

  /** A full disk holds up nothing: the server's keys and the journal's keep what is asked twice from running twice. */
  async #save(): Promise<void> {
    try {
      await writeFireState(this.#deps.statePath, this.#state);
      this.#unsaved = false;
    } catch (error) {
      if (!this.#unsaved)
        this.#deps.log.error(
          { reason: reasonOf(error) },
          "the state of the schedules can't be written; free space",
        );
      this.#unsaved = true;
    }
  }

  /** One look or answer at a time, so that none sees the other's half. */
  #exclusive<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(operation);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  #moment() {
    return { wallMs: this.#deps.clock.nowMs(), monotonicMs: this.#deps.clock.monotonicMs() };
  }
}
