/**
 * Which replica each agent is connected to. Invariants: rows are the truth, and decide wherever a mistake would cost
 * something; the picture in memory is for questions that may be a moment old, so that nobody has to wait for a query. Of
 * each replica the picture has the hosts that it said are with it: events of one replica keep their order, those of two
 * don't need one.
 */
import type { Logger } from "pino";
import type { Clock } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import type { EventBus } from "../../platform/events.ts";
import { Looks } from "../../platform/looks.ts";
import { listReplicas } from "../../platform/replicas/known-replicas.ts";
import { eventsMissed, healthChanged, type Replicas, replicaLost } from "../../platform/replicas/replicas.ts";
import { agentConnected, agentDisconnected, linkReleased } from "./agent-link.contract.ts";
import {
  type AgentLink,
  claimLink,
  findLinkHolder,
  listLinks,
  releaseLink,
  releaseLinksOf,
  restoreLink,
} from "./agent-link.store.ts";

/** A database that does not answer must not keep the server from stopping. */
const stopWithinMs = 1000;

/** The sessions of this server. */
export interface SessionsHere {
  /** Hosts that have one. */
  hostIds(): string[];
  /** Whether the host has one, or is being greeted. */
  has(hostId: string): boolean;
  /** Ends the host's session if another replica has its agent. */
  leaveIfMoved(hostId: string): Promise<void>;
  /** Brings every agent here what it may have missed. */
  catchUp(): Promise<void>;
  /** One transaction, after those of hellos that came before. */
  commit<T>(work: (tx: Db) => Promise<T>): Promise<T>;
}

export interface Links {
  /** Of this server. */
  readonly replicaId: string;
  start(here: SessionsHere): void;
  stop(): Promise<void>;
  /** An agent says hello; in the transaction that records it. */
  claim(tx: Db, hostId: string): Promise<void>;
  /** A host has no session here any more. */
  release(hostId: string): void;
  /** Whether another live replica has the agent; by the picture. */
  isElsewhere(hostId: string): boolean;
  /** How many agents each other replica has, by its id; by the picture. */
  countElsewhere(): ReadonlyMap<string, number>;
  /** Whether no other replica has greeted the agent since we did; by the row. */
  holds(hostId: string): Promise<boolean>;
  /** Whether a live replica, this one included, has the agent or greets it now; by the rows. */
  isHeld(tx: Db, hostId: string): Promise<boolean>;
  /** Where the replica answers that has the agent; by the row. Undefined when that is nobody alive, or we. */
  findUrl(hostId: string): Promise<{ replicaId: string; url: string } | undefined>;
}

/** Of a server that is alone: every agent is here or nowhere, and nothing is written. */
export class OwnLinks implements Links {
  readonly replicaId = "alone";

  start(): void {}
  async stop(): Promise<void> {}
  async claim(): Promise<void> {}
  release(): void {}
  isElsewhere = (): boolean => false;
  countElsewhere = (): ReadonlyMap<string, number> => new Map();
  holds = async (): Promise<boolean> => true;
  isHeld = async (): Promise<boolean> => false;
  findUrl = async (): Promise<undefined> => undefined;
}

export interface LinksDeps {
  db: Db;
  clock: Clock;
  bus: EventBus;
  log: Logger;
  replicas: Pick<Replicas, "id" | "urlOf" | "isHealthy">;
}

/** Of a server that may have others beside it. */
export class SharedLinks implements Links {
  readonly replicaId: string;
  private readonly deps: LinksDeps;
  private here: SessionsHere | null = null;
  private picture = new Map<string, Set<string>>();
  /** What events said while the rows were read: they may be newer. */
  private late: (AgentLink & { connected: boolean })[] | null = null;
  private readonly unsubscribe: (() => void)[] = [];
  private readonly looks: Looks;

  constructor(deps: LinksDeps) {
    this.deps = deps;
    this.replicaId = deps.replicas.id;
    this.looks = new Looks({ clock: deps.clock, look: () => this.look(), failed: this.failed });
  }

  start(here: SessionsHere): void {
    const { bus } = this.deps;
    this.here = here;
    this.unsubscribe.push(
      bus.on(agentConnected, (link, origin) => {
        if (origin === "here") return;
        this.apply({ ...link, connected: true });
        if (here.has(link.hostId)) void this.supervise(here.leaveIfMoved(link.hostId));
      }),
      bus.on(agentDisconnected, (link, origin) => {
        if (origin === "replica") this.apply({ ...link, connected: false });
      }),
      // Who read the rows between the two has taken it for connected again.
      bus.on(linkReleased, (link, origin) => {
        if (origin !== "replica") return;
        this.apply({ ...link, connected: false });
        // With a hello that was late there it may have taken the row of an agent that was here already.
        if (here.has(link.hostId)) void this.supervise(this.putBack(link.hostId));
      }),
      // Its rows stay: should it only have been slow, they are read again once it is back. What it committed last, it may
      // not have told.
      bus.on(replicaLost, ({ replicaId }) => {
        this.picture.delete(replicaId);
        this.looks.ask();
      }),
      bus.on(eventsMissed, this.looks.ask),
      bus.on(healthChanged, ({ healthy }) => {
        if (healthy) this.looks.ask();
      }),
    );
    this.looks.start();
  }

  async stop(): Promise<void> {
    const looked = this.looks.stop();
    for (const off of this.unsubscribe.splice(0)) off();
    // Rows that stay are those of a replica that is not alive.
    const left = new AbortController();
    const leave = looked.then(() => this.supervise(releaseLinksOf(this.deps.db, this.replicaId)));
    await Promise.race([leave, this.deps.clock.sleep(stopWithinMs, left.signal)]);
    left.abort();
  }

  async claim(tx: Db, hostId: string): Promise<void> {
    await claimLink(tx, { hostId, replicaId: this.replicaId }, this.deps.clock.now());
  }

  release(hostId: string): void {
    const { here, replicaId } = this;
    if (this.looks.isStopping || !here || !this.deps.replicas.isHealthy()) return;
    const work = async (tx: Db) => {
      // It may be back by now.
      if (!here.has(hostId)) await releaseLink(tx, { hostId, replicaId });
    };
    const tell = () => {
      if (!here.has(hostId)) this.deps.bus.emit(linkReleased, { hostId, replicaId });
    };
    void this.supervise(here.commit(work).then(tell));
  }

  isElsewhere(hostId: string): boolean {
    for (const [, hosts] of this.alive()) if (hosts.has(hostId)) return true;
    return false;
  }

  countElsewhere(): ReadonlyMap<string, number> {
    return new Map([...this.alive()].map(([replicaId, hosts]) => [replicaId, hosts.size]));
  }

  /** Of the picture, without replicas that are gone. */
  private *alive(): Iterable<[string, ReadonlySet<string>]> {
    for (const known of this.picture) if (this.deps.replicas.urlOf(known[0]) !== undefined) yield known;
  }

  async holds(hostId: string): Promise<boolean> {
    return (await findLinkHolder(this.deps.db, hostId)) === this.replicaId;
  }

  async isHeld(tx: Db, hostId: string): Promise<boolean> {
    const holder = await findLinkHolder(tx, hostId);
    if (holder === null) return false;
    if (holder === this.replicaId) return this.here?.has(hostId) ?? false;
    return (await listReplicas(tx)).some(({ id, isAlive }) => id === holder && isAlive);
  }

  async findUrl(hostId: string): Promise<{ replicaId: string; url: string } | undefined> {
    const replicaId = await findLinkHolder(this.deps.db, hostId);
    if (replicaId === null || replicaId === this.replicaId) return undefined;
    const url = this.deps.replicas.urlOf(replicaId);
    return url === undefined ? undefined : { replicaId, url };
  }

  /** Resolves when every look that was asked for until now is made. */
  idle(): Promise<void> {
    return this.looks.idle();
  }

  private apply(said: AgentLink & { connected: boolean }): void {
    this.late?.push(said);
    const hosts = this.picture.get(said.replicaId) ?? new Set();
    if (said.connected) this.picture.set(said.replicaId, hosts.add(said.hostId));
    else hosts.delete(said.hostId);
  }

  /** Puts the picture right by the rows, and the rows by our sessions. */
  private async look(): Promise<void> {
    const late: typeof this.late = [];
    this.late = late;
    const rows = await listLinks(this.deps.db).finally(() => {
      this.late = null;
    });
    this.picture = new Map();
    for (const row of rows) if (row.replicaId !== this.replicaId) this.apply({ ...row, connected: true });
    for (const said of late) this.apply(said);
    await this.compare(new Map(rows.map(({ hostId, replicaId }) => [hostId, replicaId])));
    if (!this.looks.isStopping) await this.here?.catchUp();
  }

  private async compare(holders: ReadonlyMap<string, string>): Promise<void> {
    const { here, replicaId } = this;
    if (!here) return;
    for (const hostId of here.hostIds()) {
      const holder = holders.get(hostId);
      if (this.looks.isStopping) return;
      if (holder === undefined) await this.putBack(hostId);
      else if (holder !== replicaId) await here.leaveIfMoved(hostId);
    }
    for (const [hostId, holder] of holders)
      if (holder === replicaId && !here.has(hostId)) this.release(hostId);
  }

  /** Nobody else has it, by the rows: they may be those of a backup, or of a standby that was a moment behind. */
  private async putBack(hostId: string): Promise<void> {
    const { db, clock, bus } = this.deps;
    const link = { hostId, replicaId: this.replicaId };
    if (await restoreLink(db, link, clock.now())) bus.emit(agentConnected, link);
    else await this.here?.leaveIfMoved(hostId);
  }

  /** Never rejects: what fails now is put right by a look. */
  private supervise(work: Promise<void>): Promise<void> {
    return work.catch(this.failed);
  }

  private readonly failed = (error: unknown): void => {
    this.deps.log.warn({ err: error }, "where agents are connected could not be read or written");
    this.looks.askLater();
  };
}
