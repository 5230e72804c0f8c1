/**
 * An agent's scheduler without disk and socket: what scheduler.ts does, told again over the real decisions
 * (`decideDue`, `WakeWatch`, `scheduledJobId`). It looks only when a look can matter; that the looks in between change
 * nothing is what makes a year of them affordable.
 */
import { scheduledJobId } from "@restic-manager/protocol";
import {
  decideDue,
  type Fire,
  fireKey,
  type PlannedSchedule,
} from "../../packages/agent/src/scheduler/due.ts";
import { type Moment, WakeWatch } from "../../packages/agent/src/scheduler/wake.ts";
import type { PlanHost } from "./fleet-plan.ts";

export const lookMs = 30_000;
const askAgainMs = 10_000;
const answerWithinMs = 30_000;
const maxRecent = 200;

interface Asked extends Fire {
  /** Its `fireKey`. */
  key: string;
  sinceMs: number | null;
  askedMs: number | null;
}

/** A job in the agent's journal. */
export interface HeldJob extends Fire {
  id: string;
  groupId: string;
  /** Runs that the server tries again do not hold back the agent's own. */
  tries: number;
  endsAt: number;
}

export interface AgentActions {
  /** False when there is no connection. */
  ask(fire: Fire): boolean;
  /** Begins a run without the server. */
  runOwn(run: { id: string; groupId: string } & Fire): void;
}

export class ModelAgent {
  private readonly actions: AgentActions;
  private readonly groupsOf: ReadonlyMap<string, string[]>;
  private readonly planned: PlannedSchedule[];
  /** On the disk. */
  private readonly dealtUntil = new Map<string, number>();
  private readonly asked: Asked[] = [];
  /** A ring. */
  private readonly recent: string[] = [];
  private oldest = 0;
  private readonly fired = new Set<string>();
  readonly knows = new Set<string>();
  unfinished: HeldJob[] = [];
  private watch: WakeWatch;
  /** The clock has been set or the machine slept since the last look. */
  private jumped = false;
  /** Something missed waits until the machine has settled. */
  private waits = false;
  private dueMs = Number.POSITIVE_INFINITY;

  constructor(host: PlanHost, moment: Moment, actions: AgentActions) {
    this.actions = actions;
    this.watch = new WakeWatch(moment);
    this.groupsOf = new Map(host.schedules.map(({ id, groupIds }) => [id, groupIds]));
    this.planned = host.schedules.map(({ id, times, jitterSeconds, firstPlannedAt }) => ({
      scheduleId: id,
      times,
      jitterSeconds,
      firstPlannedAt,
    }));
  }

  /** The program begins anew with what is on the disk. */
  restart(moment: Moment): void {
    this.watch = new WakeWatch(moment);
    this.jumped = false;
    for (const asked of this.asked) {
      asked.sinceMs = null;
      asked.askedMs = null;
    }
  }

  /** MUST be told right before the clock is set or the machine sleeps. */
  beforeJump(moment: Moment): void {
    this.watch.look(moment, Number.POSITIVE_INFINITY);
    this.jumped = true;
  }

  /** A new connection: what waits for an answer is asked on it. @returns whether something waits */
  connected(): boolean {
    for (const asked of this.asked) asked.askedMs = null;
    return this.asked.length > 0;
  }

  /** @returns how long until the next look */
  look(now: Moment): number {
    if (!this.jumped) this.watch.look(now, Number.POSITIVE_INFINITY);
    this.jumped = false;
    const settleMs = this.watch.look(now, lookMs);
    const { dealtUntil, fired } = this;
    const decision = decideDue({
      schedules: this.planned,
      dealtUntil,
      fired,
      nowMs: now.wallMs,
      settled: settleMs === 0,
    });
    for (const [id, until] of decision.dealtUntil) this.dealtUntil.set(id, until);
    for (const { scheduleId, plannedAt } of decision.fires) {
      const key = fireKey({ scheduleId, plannedAt });
      this.asked.push({ scheduleId, plannedAt, key, sinceMs: null, askedMs: null });
      this.fired.add(key);
    }
    this.waits = decision.waits;
    let wait = decision.waits ? settleMs : Number.POSITIVE_INFINITY;
    this.dueMs = decision.nextDueMs ?? Number.POSITIVE_INFINITY;
    if (decision.nextDueMs !== null) wait = Math.min(wait, decision.nextDueMs - now.wallMs);
    if (this.asked.length > 0)
      for (const asked of [...this.asked]) wait = Math.min(wait, this.pursue(asked, now.monotonicMs));
    return Math.max(1, wait);
  }

  /** @returns how long until the next look when nothing waits any more; null when something does, or it is too late */
  answered(fire: Fire, answer: "taken" | "refused", wallMs: number): number | null {
    const asked = this.find(fire);
    if (!asked) return null;
    if (answer === "taken") this.conclude(asked);
    else {
      this.asked.splice(this.asked.indexOf(asked), 1);
      this.fired.delete(asked.key);
    }
    return this.asked.length === 0 && !this.jumped && !this.waits ? Math.max(1, this.dueMs - wallMs) : null;
  }

  private pursue(asked: Asked, nowMs: number): number {
    asked.sinceMs ??= nowMs;
    const leftMs = asked.sinceMs + answerWithinMs - nowMs;
    if (leftMs <= 0) {
      this.runOwn(asked);
      return lookMs;
    }
    if (asked.askedMs === null || nowMs - asked.askedMs >= askAgainMs)
      asked.askedMs = this.actions.ask(asked) ? nowMs : null;
    return Math.min(leftMs, asked.askedMs === null ? lookMs : asked.askedMs + askAgainMs - nowMs);
  }

  private runOwn(asked: Asked): void {
    const { scheduleId, plannedAt } = asked;
    for (const groupId of this.groupsOf.get(scheduleId) ?? []) {
      const id = scheduledJobId({ scheduleId, plannedAt, sourceGroupId: groupId, tries: 0 });
      if (this.knows.has(id) || this.previousGoesOn(asked, groupId)) continue;
      this.actions.runOwn({ id, groupId, scheduleId, plannedAt });
    }
    this.conclude(asked);
  }

  private previousGoesOn({ scheduleId, plannedAt }: Fire, groupId: string): boolean {
    return this.unfinished.some(
      (job) =>
        job.scheduleId === scheduleId &&
        job.groupId === groupId &&
        job.tries === 0 &&
        job.plannedAt !== plannedAt &&
        this.fired.has(fireKey(job)) &&
        !this.find(job),
    );
  }

  private find(fire: Fire): Asked | undefined {
    return this.asked.find(
      ({ scheduleId, plannedAt }) => scheduleId === fire.scheduleId && plannedAt === fire.plannedAt,
    );
  }

  private conclude(asked: Asked): void {
    this.asked.splice(this.asked.indexOf(asked), 1);
    const forgotten = this.recent[this.oldest];
    if (forgotten !== undefined) this.fired.delete(forgotten);
    this.recent[this.oldest] = asked.key;
    this.oldest = (this.oldest + 1) % maxRecent;
  }
}
