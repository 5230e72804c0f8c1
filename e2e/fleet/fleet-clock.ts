/**
 * One clock for a server and its agents. While somebody waits for real programs it goes with the clock on the wall;
 * what nobody waits for is left out in one leap, as if every machine had been suspended and its connections with it.
 */
import type { Clock } from "../../packages/agent/src/platform/clock.ts";
import { FakeClock } from "../../packages/testkit/src/clock.ts";

/** Between two looks real programs get this much of the wall's time; while time flies only messages travel. In ms. */
const pauseMs = { real: 15, flying: 3 };
/** Beside a check or a prune of everything a machine with other work is slow. */
const boundMs = 180_000;

export class FleetClock extends FakeClock {
  /** The same time, as agents want it. */
  readonly ofAgents: Clock = {
    nowMs: () => this.now(),
    monotonicMs: () => this.now(),
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      await this.sleep(ms, signal);
      signal?.throwIfAborted();
    },
  };

  /**
   * Lets time pass until `wanted` holds: as it passes on the wall, or `stepMs` between two looks.
   * @throws Error after three minutes on the wall, with `what`
   */
  async until(what: string, wanted: () => boolean | Promise<boolean>, stepMs?: number): Promise<void> {
    const endMs = performance.now() + boundMs;
    for (let lastMs = performance.now(); !(await wanted()); ) {
      await new Promise((resolve) =>
        setTimeout(resolve, stepMs === undefined ? pauseMs.real : pauseMs.flying),
      );
      const nowMs = performance.now();
      if (nowMs > endMs) throw new Error(`never happened: ${what}`);
      await this.advance(stepMs ?? Math.round(nowMs - lastMs));
      lastMs = nowMs;
    }
  }

  /** Leaves out everything until then; nothing when it is past. */
  async leapTo(atMs: number): Promise<void> {
    if (atMs > this.now()) await this.suspend(Math.round(atMs - this.now()));
  }
}
