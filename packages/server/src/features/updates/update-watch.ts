/**
 * What drives update runs beside the requests: at every end of a job, at every agent that comes or goes, and on a tick.
 * Rows are the truth, so a restart or a second server changes nothing.
 */

import type { Logger } from "pino";
import { z } from "zod";
import type { Clock } from "../../platform/clock.ts";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { type EventBus, sharedTopic } from "../../platform/events.ts";
import { Looks } from "../../platform/looks.ts";
import { eventsMissed, replicaLost } from "../../platform/replicas/replicas.ts";
import { agentConnected, agentDisconnected } from "../agent-link/agent-link.ts";
import type { ReleaseShelf } from "../artefacts/artefacts.ts";
import { hostRemoved } from "../hosts/hosts.ts";
import { announce, isFinal, jobChanged } from "../jobs/jobs.ts";
import { advance } from "./advance.ts";
import * as store from "./updates.store.ts";

/** Somebody started a run or decided about one. */
export const updatesChanged = sharedTopic("updates.changed", {
  payload: z.object({ runId: z.string() }),
});

const tickMs = 15_000;
/** A look that always finds more would be a mistake of ours; the next tick goes on. */
const maxLooks = 20;

export interface UpdateWatchDeps {
  db: Db;
  clock: Clock;
  bus: EventBus;
  log: Logger;
  shelf: Pick<ReleaseShelf, "current">;
  isConnected(hostId: string): boolean;
  /** Whether this server does what only one of all replicas shall do. */
  isLeader(): boolean;
  /** Of the time. All of it when absent: who jumps in time makes a look seem long. */
  maxLookShare?: number;
}

export class UpdateWatch {
  private readonly deps: UpdateWatchDeps;
  private readonly unsubscribe: (() => void)[] = [];
  private readonly looks: Looks;
  /** While nobody listened no host could say a word. */
  private readonly listensSince: number;

  constructor(deps: UpdateWatchDeps) {
    this.deps = deps;
    const failed = (error: unknown) => deps.log.error({ err: error }, "an update run could not go on");
    const { clock, maxLookShare: maxShare = 1 } = deps;
    this.looks = new Looks({ clock, everyMs: tickMs, maxShare, look: () => this.look(), failed });
    this.listensSince = deps.clock.now();
  }

  start(): void {
    const { bus } = this.deps;
    const { ask } = this.looks;
    this.unsubscribe.push(
      bus.on(updatesChanged, ask),
      bus.on(agentConnected, ask),
      bus.on(agentDisconnected, ask),
      bus.on(hostRemoved, ask),
      bus.on(eventsMissed, ask),
      bus.on(replicaLost, ask),
      bus.on(jobChanged, ({ status }) => {
        if (isFinal(status)) ask();
      }),
    );
    this.looks.start();
  }

  async stop(): Promise<void> {
    for (const off of this.unsubscribe.splice(0)) off();
    await this.looks.stop();
  }

  /** Resolves when every look that was asked for until now is made. */
  idle(): Promise<void> {
    return this.looks.idle();
  }

  private async look(): Promise<void> {
    const { db, clock, bus, shelf, isConnected } = this.deps;
    // Most looks find none, and cost one query.
    if (!this.deps.isLeader() || !(await store.findActive(db))) return;
    const release = await shelf.current();
    for (let looks = 0; looks < maxLooks && !this.looks.isStopping; looks++) {
      const { jobs, changed } = await inTransaction(db, (tx) =>
        advance(tx, { now: clock.now(), listensSince: this.listensSince, release, isConnected }),
      );
      for (const job of jobs) announce(bus, job);
      if (!changed) return;
    }
  }
}
