/**
 * One of several servers on a PostgreSQL database. Every 5 s it shows that it is alive, renews or takes the lease, looks
 * who else is alive, and sends a frame. Invariants: it gives the lease up before the database would give it to another;
 * it never blocks or fails a request; a database that is away is tried again every second.
 */
import type { Logger } from "pino";
import type { Clock } from "../clock.ts";
import type { EventBus } from "../events.ts";
import { Bridge } from "./bridge.ts";
import { Line } from "./line.ts";
import * as store from "./replicas.store.ts";
import {
  awayAfterMs,
  eventsMissed,
  giveUpAfterMs,
  healthChanged,
  heartbeatMs,
  type Replicas,
  replicaLost,
} from "./replicas.ts";

const retryMs = 1_000;
/** For connecting and for each statement: short, so that a database that is away is noticed in time. */
const answerWithinMs = 4_000;
const stopWithinMs = 1_000;

export interface PostgresReplicaDeps {
  id: string;
  version: string;
  databaseUrl: string;
  /** Where other replicas reach this one; asked once, at the start. */
  url(): string;
  bus: EventBus;
  clock: Clock;
  log: Logger;
  /** Ends the pool's connections, which may hang. */
  cutConnections(): void;
  /** How long the database may take to answer; 4 s unless a test has less time. */
  limitMs?: number;
}

export class PostgresReplica implements Replicas {
  readonly id: string;
  private readonly deps: PostgresReplicaDeps;
  private readonly bridge: Bridge;
  private readonly stopping = new AbortController();
  private line: Line | null = null;
  /** The others that are alive, by id: where they answer. */
  private others = new Map<string, string>();
  private leads = false;
  /** When the lease was last asked for, or renewed, by a beat that was answered: on the wall's clock and on the one that nobody sets. */
  private renewed = { wall: 0, monotonic: 0 };
  private healthy = true;
  private started = false;
  /** Since when the database does not answer, monotonic: when the first beat began that failed. */
  private failingSince: number | null = null;
  /** Beats in a row that failed. */
  private failures = 0;
  private wake = new AbortController();
  /** Aborted once the database answers again. */
  private answered = new AbortController();
  private beating: Promise<void> = Promise.resolve();
  private url = "";

  constructor(deps: PostgresReplicaDeps) {
    this.id = deps.id;
    this.deps = deps;
    this.bridge = new Bridge({ ...deps, onStranger: () => this.wake.abort() });
    deps.bus.connect(this.bridge.publish);
  }

  /**
   * Counted from the renewal itself: a server that was stopped for a while, and goes on, has seen no beat fail. By the
   * clock that says more: one may be set back, and the other stands still while the machine is suspended.
   */
  isLeader(): boolean {
    const { clock } = this.deps;
    const { wall, monotonic } = this.renewed;
    return this.leads && Math.max(clock.now() - wall, clock.monotonic() - monotonic) < giveUpAfterMs;
  }

  isHealthy(): boolean {
    return this.healthy;
  }

  urlOf(replicaId: string): string | undefined {
    return this.others.get(replicaId);
  }

  async start(): Promise<void> {
    this.url = this.deps.url();
    await this.tryBeat();
    this.started = true;
    this.beating = this.beatOn();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    this.wake.abort();
    const left = new AbortController();
    await Promise.race([this.leave(), this.deps.clock.sleep(stopWithinMs, left.signal)]);
    left.abort();
    this.answered.abort();
    this.deps.bus.connect(null);
    await this.line?.close();
  }

  private async leave(): Promise<void> {
    await this.beating;
    const { line } = this;
    if (!line) return;
    await this.bridge.flush();
    await store.giveBack(line.query, this.id).catch((error: unknown) => {
      this.deps.log.warn({ err: error }, "other replicas could not be told that this one stops");
    });
  }

  private async beatOn(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      this.wake = new AbortController();
      const pauseMs = this.pauseMs();
      if (pauseMs > 0) await this.deps.clock.sleep(pauseMs, this.wake.signal);
      if (signal.aborted) return;
      await this.tryBeat();
    }
  }

  /** A connection that was lost is replaced at once; a database that fails again is given a second. */
  private pauseMs(): number {
    if (this.failures > 1) return retryMs;
    return this.line === null ? 0 : heartbeatMs;
  }

  /** Never rejects. */
  private async tryBeat(): Promise<void> {
    const startedAt = this.deps.clock.monotonic();
    try {
      await this.beat();
      this.failingSince = null;
      this.failures = 0;
      this.answered.abort();
    } catch (error) {
      if (this.stopping.signal.aborted) return;
      if (this.failures++ === 0) this.fail(error, startedAt);
      if (this.line) this.drop(this.line);
    }
    this.judge();
  }

  private fail(error: unknown, startedAt: number): void {
    this.deps.log.warn({ err: error }, "the database does not answer");
    this.failingSince = startedAt;
    this.answered = new AbortController();
    void this.judgeLater(this.answered.signal);
  }

  /** The next tries may take longer than the database may be away. */
  private async judgeLater(answered: AbortSignal): Promise<void> {
    await this.deps.clock.sleep(awayAfterMs - heartbeatMs - this.failingMs(), answered);
    if (!answered.aborted) this.judge();
  }

  private failingMs(): number {
    return this.failingSince === null ? 0 : this.deps.clock.monotonic() - this.failingSince;
  }

  private async beat(): Promise<void> {
    const line = this.line ?? (await this.connect());
    const { id, url } = this;
    await store.touch(line.query, { id, url, version: this.deps.version });
    const { clock } = this.deps;
    const asked = { wall: clock.now(), monotonic: clock.monotonic() };
    this.leads = await store.takeLease(line.query, id);
    this.renewed = asked;
    if (this.leads) await store.removeForgotten(line.query);
    this.know(await store.listOthers(line.query, id));
    if (this.bridge.isHeard) this.bridge.beat();
    else this.relisten(line);
  }

  private async connect(): Promise<Line> {
    const { databaseUrl: url, limitMs = answerWithinMs } = this.deps;
    const line = await Line.open(
      { url, name: `restic-manager replica ${this.id}`, limitMs },
      { heard: (text) => this.bridge.receive(text), ended: (ended) => this.drop(ended) },
    );
    if (this.stopping.signal.aborted) {
      await line.close();
      throw new Error("this replica stops");
    }
    this.line = line;
    this.bridge.open(line.notify);
    // What was told while nobody listened here is lost.
    if (this.started) this.deps.bus.emit(eventsMissed, {});
    return line;
  }

  /** Frames are sent and do not come back: a pooler that gives each statement another session, perhaps. */
  private relisten(line: Line): void {
    this.deps.log.warn("events between replicas get lost: RM_DATABASE_URL must lead to PostgreSQL itself");
    this.drop(line);
  }

  private drop(line: Line): void {
    void line.close();
    if (this.line !== line) return;
    this.line = null;
    this.bridge.close();
    this.wake.abort();
  }

  private know(rows: store.ReplicaRow[]): void {
    const before = this.others;
    this.others = new Map(rows.map(({ id, url }) => [id, url]));
    for (const replicaId of before.keys()) {
      if (this.others.has(replicaId)) continue;
      this.bridge.forget(replicaId);
      this.deps.log.info({ replicaId }, "another replica is gone");
      this.deps.bus.emit(replicaLost, { replicaId });
    }
    // What it told before it was known here may have been taken for a stranger's.
    if (this.started && rows.some(({ id }) => !before.has(id))) this.deps.bus.emit(eventsMissed, {});
  }

  /**
   * Calls the database away when it has not answered for too long. The last answer came at most one heartbeat before the
   * first beat that failed.
   */
  private judge(): void {
    const healthy = this.failingMs() < awayAfterMs - heartbeatMs;
    if (!healthy) this.leads = false;
    if (!healthy) this.deps.cutConnections();
    if (healthy === this.healthy) return;
    this.healthy = healthy;
    const { log, bus } = this.deps;
    if (healthy) log.info("the database answers again");
    else log.error("the database is away: agents are sent to other replicas until it answers");
    bus.emit(healthChanged, { healthy });
  }
}
