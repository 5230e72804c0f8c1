/**
 * What drives rotations beside the requests: at every end of a job, at every agent that connects, and on a tick. Rows are
 * the truth, so a restart or a second server changes nothing.
 */

import type { Logger } from "pino";
import { z } from "zod";
import type { Clock } from "../../platform/clock.ts";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { type EventBus, sharedTopic } from "../../platform/events.ts";
import { Looks } from "../../platform/looks.ts";
import { eventsMissed, replicaLost } from "../../platform/replicas/replicas.ts";
import type { SecretBox } from "../../platform/secrets.ts";
import { agentConnected } from "../agent-link/agent-link.ts";
import { hostChanged, hostRemoved } from "../hosts/hosts.ts";
import { announce, isFinal, jobChanged } from "../jobs/jobs.ts";
import { credentialsChanged } from "../repositories/repositories.ts";
import { advance } from "./advance.ts";
import * as store from "./rotation.store.ts";

/** Somebody started a rotation or decided about one. */
export const rotationChanged = sharedTopic("rotation.changed", {
  payload: z.object({ repositoryId: z.string() }),
});

const tickMs = 15_000;
/** A look that always finds more would be a mistake of ours; the next tick goes on. */
const maxLooks = 20;

export interface RotationWatchDeps {
  db: Db;
  box: SecretBox;
  clock: Clock;
  bus: EventBus;
  log: Logger;
  isConnected(hostId: string): boolean;
  /** Whether this server does what only one of all replicas shall do. */
  isLeader(): boolean;
  /** Gives a connected agent what is stored for its host now. Its next command comes after that. */
  deliver(hostId: string): Promise<void>;
}

export class RotationWatch {
  private readonly deps: RotationWatchDeps;
  private readonly unsubscribe: (() => void)[] = [];
  private readonly looks: Looks;

  constructor(deps: RotationWatchDeps) {
    this.deps = deps;
    this.looks = new Looks({
      ...{ clock: deps.clock, everyMs: tickMs, failed: this.failed },
      look: () => this.look(),
    });
  }

  start(): void {
    const { bus } = this.deps;
    const { ask } = this.looks;
    this.unsubscribe.push(
      bus.on(rotationChanged, ask),
      bus.on(agentConnected, ask),
      bus.on(hostRemoved, ask),
      bus.on(eventsMissed, ask),
      bus.on(replicaLost, ask),
      bus.on(credentialsChanged, ask),
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
    if (!this.deps.isLeader()) return;
    for (const repositoryId of await store.listActive(this.deps.db)) {
      if (this.looks.isStopping) return;
      // One that can't go on keeps no other from it.
      await this.lookAt(repositoryId).catch(this.failed);
    }
  }

  private readonly failed = (error: unknown): void => {
    this.deps.log.error({ err: error }, "a rotation could not go on");
  };

  private async lookAt(repositoryId: string): Promise<void> {
    const { db, box, clock, bus, isConnected, deliver } = this.deps;
    for (let looks = 0; looks < maxLooks && !this.looks.isStopping; looks++) {
      const { jobs, switched, changed } = await inTransaction(db, (tx) =>
        advance(tx, { box, now: clock.now(), isConnected }, repositoryId),
      );
      for (const hostId of switched) {
        await deliver(hostId).catch((error: unknown) => {
          this.failed(error);
          // The replica that has its agent can't be asked: it hears of this as of any edit.
          bus.emit(credentialsChanged, { hostId });
        });
        bus.emit(hostChanged, { hostId });
      }
      for (const job of jobs) announce(bus, job);
      if (!changed) return;
    }
  }
}
