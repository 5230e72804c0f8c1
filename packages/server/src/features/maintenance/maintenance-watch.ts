/**
 * What looks after repositories beside the requests: once a minute, what is due. Invariants: rows are the truth, so a
 * restart or a second server changes nothing, and what was missed meanwhile is caught up once; each repository has a
 * transaction of its own, and one that fails stops no other.
 */
import type { Logger } from "pino";
import type { Clock } from "../../platform/clock.ts";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import type { EventBus } from "../../platform/events.ts";
import { type Host, listHosts } from "../hosts/hosts.ts";
import { announce } from "../jobs/jobs.ts";
import { listRepositories, type Repository } from "../repositories/repositories.ts";
import {
  byAge,
  defaultMaintenance,
  forgottenAfterMs,
  type Maintenance,
  newestDue,
  type Operation,
  operations,
  sinceOf,
} from "./cadences.ts";
import { fireDue, type Skip } from "./due.ts";
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

/** A repository as the tick sees it. */
interface Subject {
  repository: Repository;
  maintenance: Maintenance;
  sharers: Host[];
  lastFires: ReadonlyMap<Operation, number>;
}

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
    for (const subject of await this.subjects()) {
      if (this.stopping.signal.aborted) return;
      await this.lookAt(subject).catch((error: unknown) => {
        const repository = subject.repository.location;
        this.deps.log.error({ err: error, repository }, "looking after a repository failed");
      });
    }
  }

  /** Everything that a tick must know, in four queries. */
  private async subjects(): Promise<Subject[]> {
    const { db } = this.deps;
    const rows = new Map((await store.listMaintenance(db)).map((row) => [row.repositoryId, row]));
    const fires = Map.groupBy(await store.listLastFires(db), (fire) => fire.repositoryId);
    const hosts = Map.groupBy((await listHosts(db)).sort(byAge), (host) => host.repositoryId);
    return (await listRepositories(db))
      .filter(({ id }) => hosts.has(id))
      .map((repository) => {
        const { id } = repository;
        const last = (fires.get(id) ?? []).map((fire) => [fire.operation, fire.plannedAt] as const);
        return {
          repository,
          maintenance: rows.get(id) ?? defaultMaintenance(id),
          sharers: hosts.get(id) ?? [],
          lastFires: new Map(last),
        };
      });
  }

  private async lookAt({ repository, maintenance, sharers, lastFires }: Subject): Promise<void> {
    const { db, clock, bus } = this.deps;
    const now = clock.now();
    const due = operations.flatMap((operation) => {
      const since = sinceOf(repository, maintenance, lastFires.get(operation) ?? null, now);
      const plannedAt = newestDue(maintenance, operation, since, now);
      return plannedAt === null ? [] : [{ operation, plannedAt }];
    });
    if (due.length === 0) return;
    const { jobs, skips } = await inTransaction(db, (tx) => fireDue(tx, { maintenance, sharers, due, now }));
    for (const job of jobs) announce(bus, job);
    for (const skip of skips) this.tell(repository, skip);
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
    if (tick % purgeEvery === 0) await store.purgeFires(db, clock.now() - keepFiresMs);
  }
}
