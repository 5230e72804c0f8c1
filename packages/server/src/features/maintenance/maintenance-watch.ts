/**
 * What looks after repositories beside the requests: once a minute, what is due. Invariants: rows are the truth, so a
 * restart or a second server changes nothing, and what was missed meanwhile is caught up once; each repository has a
 * transaction of its own, and one that fails stops no other.
 */
import { setImmediate as othersRun } from "node:timers/promises";
import type { Logger } from "pino";
import type { Clock } from "../../platform/clock.ts";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import type { EventBus } from "../../platform/events.ts";
import { listHostsOfRepository } from "../hosts/hosts.ts";
import { announce } from "../jobs/jobs.ts";
import { listRepositoryPage, type Repository } from "../repositories/repositories.ts";
import {
  defaultMaintenance,
  forgottenAfterMs,
  type Maintenance,
  newestDue,
  operations,
  sinceOf,
} from "./cadences.ts";
import { type Due, fireDue, type Skip } from "./due.ts";
import * as store from "./maintenance.store.ts";

const tickMs = 60_000;
/** After a start the hosts need a while to come back; what was missed meanwhile must not find them away. */
const settleMs = 5 * 60_000;
/** Every so many ticks, which is a day: outcomes that nobody asks for any more go. */
const purgeEvery = 1440;
/** Beyond what is caught up, so that the last outcome of an operation is there as long as it counts. */
const keepFiresMs = forgottenAfterMs + 10 * 24 * 60 * 60_000;

export interface MaintenanceWatchDeps {
  db: Db;
  clock: Clock;
  bus: EventBus;
  log: Logger;
  /** Whether this server does what only one of all replicas shall do. */
  isLeader(): boolean;
}

/** A planned time of a repository that has begun; it may have its outcome. */
interface Begun extends Due {
  repository: Repository;
  maintenance: Maintenance;
}

/** As many repositories are looked at at once: whoever waits meanwhile waits for milliseconds. */
const slice = 200;

export class MaintenanceWatch {
  private readonly deps: MaintenanceWatchDeps;
  private readonly stopping = new AbortController();
  private ticking: Promise<void> | null = null;
  /** The tick that is at work, or was last. */
  private round: Promise<void> = Promise.resolve();

  constructor(deps: MaintenanceWatchDeps) {
    this.deps = deps;
  }

  start(): void {
    this.ticking = this.keepTicking();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.ticking;
    await this.round;
  }

  /** Resolves when the tick that was begun last is done. */
  idle(): Promise<void> {
    return this.round;
  }

  /** Gives every planned time that is due its outcome. */
  async look(): Promise<void> {
    for await (const repositories of this.slices()) {
      const open = await this.withoutOutcome(await this.listBegun(repositories));
      for (const [repository, due] of Map.groupBy(open, (begun) => begun.repository)) {
        if (this.stopping.signal.aborted) return;
        await this.fire(repository, due).catch(this.failed(repository));
        await othersRun();
      }
    }
  }

  private async *slices(): AsyncGenerator<Repository[]> {
    for (let after = ""; !this.stopping.signal.aborted; ) {
      const repositories = await listRepositoryPage(this.deps.db, { after, limit: slice });
      const last = repositories.at(-1);
      if (last === undefined) return;
      yield repositories;
      after = last.id;
      await othersRun();
    }
  }

  /** Of each operation the newest planned time, in the operations' order. */
  private async listBegun(repositories: readonly Repository[]): Promise<Begun[]> {
    const { db, clock } = this.deps;
    const now = clock.now();
    const ids = repositories.map(({ id }) => id);
    const rows = new Map((await store.listMaintenance(db, ids)).map((row) => [row.repositoryId, row]));
    return repositories.flatMap((repository) => {
      const maintenance = rows.get(repository.id) ?? defaultMaintenance(repository.id);
      try {
        return operations.flatMap((operation) => {
          const plannedAt = newestDue(
            maintenance,
            operation,
            sinceOf(repository, maintenance, null, now),
            now,
          );
          return plannedAt === null ? [] : [{ repository, maintenance, operation, plannedAt }];
        });
      } catch (error) {
        this.failed(repository)(error);
        return [];
      }
    });
  }

  /** Repositories of one cron share their planned times, so this is a handful of queries. */
  private async withoutOutcome(begun: readonly Begun[]): Promise<Begun[]> {
    const settled = new Set<string>();
    const alike = Map.groupBy(begun, ({ operation, plannedAt }) => `${operation} ${plannedAt}`);
    for (const [one, ...others] of alike.values()) {
      if (!one) continue;
      const repositoryIds = [one, ...others].map(({ repository }) => repository.id);
      for (const id of await store.listSettled(this.deps.db, repositoryIds, one))
        settled.add(`${one.operation} ${id}`);
    }
    return begun.filter(({ operation, repository }) => !settled.has(`${operation} ${repository.id}`));
  }

  private async fire(repository: Repository, begun: readonly Begun[]): Promise<void> {
    const { db, clock, bus } = this.deps;
    const sharers = await listHostsOfRepository(db, repository.id);
    const [first] = begun;
    // One that no host uses any more.
    if (sharers.length === 0 || first === undefined) return;
    const due = begun.map(({ operation, plannedAt }) => ({ operation, plannedAt }));
    const input = { maintenance: first.maintenance, sharers, due, now: clock.now() };
    const { jobs, skips } = await inTransaction(db, (tx) => fireDue(tx, input));
    for (const job of jobs) announce(bus, job);
    for (const skip of skips) this.tell(repository, skip);
  }

  private failed({ location: repository }: Repository): (error: unknown) => void {
    return (error) => this.deps.log.error({ err: error, repository }, "looking after a repository failed");
  }

  private tell({ location: repository }: Repository, { operation, hostName: host, outcome }: Skip): void {
    this.deps.log.warn({ repository, operation, host, outcome }, "planned maintenance was skipped");
  }

  private async keepTicking(): Promise<void> {
    await this.deps.clock.sleep(settleMs, this.stopping.signal);
    for (let tick = 1; !this.stopping.signal.aborted; tick++) {
      this.round = this.tick(tick).catch((error: unknown) =>
        this.deps.log.error({ err: error }, "looking after the repositories failed"),
      );
      await this.round;
      await this.deps.clock.sleep(tickMs, this.stopping.signal);
    }
  }

  private async tick(tick: number): Promise<void> {
    if (!this.deps.isLeader()) return;
    await this.look();
    const { db, clock } = this.deps;
    if (tick % purgeEvery !== 0) return;
    const forgottenBefore = clock.now() - keepFiresMs;
    for await (const repositories of this.slices()) {
      const ids = repositories.map(({ id }) => id);
      await store.purgeFires(db, ids, forgottenBefore);
    }
  }
}
