/**
 * What drives rotations beside the requests: at every end of a job, at every agent that connects, and on a tick. Rows are
 * the truth, so a restart or a second server changes nothing.
 */

import type { Logger } from "pino";
import { z } from "zod";
import type { Clock } from "../../platform/clock.ts";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { type EventBus, sharedTopic } from "../../platform/events.ts";
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
  private readonly stopping = new AbortController();
  private readonly unsubscribe: (() => void)[] = [];
  private ticking: Promise<void> | null = null;
  /** The looks that were asked for, one after the other. */
  private round: Promise<void> = Promise.resolve();
  private isAsked = false;

  constructor(deps: RotationWatchDeps) {
    this.deps = deps;
  }

  start(): void {
    const { bus } = this.deps;
    const ask = () => this.ask();
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
    this.ticking = this.keepTicking();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    for (const off of this.unsubscribe.splice(0)) off();
    await this.ticking;
    await this.round;
  }

  /** Resolves when every look that was asked for until now is made. */
  async idle(): Promise<void> {
    for (let seen: Promise<void> | null = null; seen !== this.round; ) {
      seen = this.round;
      await seen;
    }
  }

  /** One more look, soon; a thousand wishes in one moment are one look. */
  private ask(): void {
    if (this.isAsked || this.stopping.signal.aborted || !this.deps.isLeader()) return;
    this.isAsked = true;
    this.round = this.round.then(async () => {
      this.isAsked = false;
      await this.look();
    });
  }

  private async look(): Promise<void> {
    const failed = (error: unknown) => this.deps.log.error({ err: error }, "a rotation could not go on");
    const active = await store.listActive(this.deps.db).catch((error: unknown) => {
      failed(error);
      return [];
    });
    for (const repositoryId of active) {
      if (this.stopping.signal.aborted) return;
      await this.lookAt(repositoryId).catch(failed);
    }
  }

  private async lookAt(repositoryId: string): Promise<void> {
    const { db, box, clock, bus, isConnected, deliver } = this.deps;
    for (let looks = 0; looks < maxLooks && !this.stopping.signal.aborted; looks++) {
      const { jobs, switched, changed } = await inTransaction(db, (tx) =>
        advance(tx, { box, now: clock.now(), isConnected }, repositoryId),
      );
      for (const hostId of switched) {
        await deliver(hostId);
        bus.emit(hostChanged, { hostId });
      }
      for (const job of jobs) announce(bus, job);
      if (!changed) return;
    }
  }

  private async keepTicking(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      this.ask();
      await this.deps.clock.sleep(tickMs, this.stopping.signal);
    }
  }
}
