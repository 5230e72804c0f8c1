/** When the servers look: only ticks at which there is something to do are simulated, of some ten million a year. */
import type { ServerLife } from "./fleet-plan.ts";

const tickMs = 5000;
/** Every so many ticks what waits is tried. */
const drainEvery = 6;

export interface Tick {
  at: number;
  life: ServerLife;
  drains: boolean;
}

/** The lives of all servers, asked in the order of time. */
export class ServerLives {
  private readonly lives: readonly ServerLife[];
  /** Those before it are over. */
  private first = 0;

  /** @param lives by their beginnings */
  constructor(lives: readonly ServerLife[]) {
    this.lives = lives;
  }

  upAt(now: number): ServerLife[] {
    this.forget(now);
    const up: ServerLife[] = [];
    for (let i = this.first; i < this.lives.length; i++) {
      const life = this.lives[i];
      if (!life || life.from > now) break;
      if (now < life.to) up.push(life);
    }
    return up;
  }

  /** When the next life begins. */
  nextFrom(now: number): number {
    this.forget(now);
    for (let i = this.first; i < this.lives.length; i++) {
      const from = this.lives[i]?.from ?? 0;
      if (from > now) return from;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** The first tick from `now` on and before `until` that finds something due to look at or to drain. */
  firstTick(due: { lookAt: number; drainAt: number; now: number; until: number }): Tick | null {
    this.forget(due.now);
    const look = this.firstOf(due.lookAt, 1, due);
    const drain = this.firstOf(due.drainAt, drainEvery, due);
    const tick = drain === null || (look !== null && look.at <= drain.at) ? look : drain;
    return tick && { ...tick, drains: ((tick.at - tick.life.from) / tickMs) % drainEvery === 0 };
  }

  private firstOf(
    dueAt: number,
    every: number,
    { now, until }: { now: number; until: number },
  ): { at: number; life: ServerLife } | null {
    if (dueAt >= until) return null;
    let first: { at: number; life: ServerLife } | null = null;
    let before = until;
    const step = tickMs * every;
    const after = Math.max(dueAt, now);
    for (let i = this.first; i < this.lives.length; i++) {
      const life = this.lives[i];
      if (!life || life.from >= before) break;
      if (life.to <= after) continue;
      const at = life.from + Math.max(1, Math.ceil((after - life.from) / step)) * step;
      if (at >= Math.min(life.to, before)) continue;
      first = { at, life };
      before = at;
    }
    return first;
  }

  private forget(now: number): void {
    while ((this.lives[this.first]?.to ?? Number.POSITIVE_INFINITY) <= now) this.first++;
  }
}
