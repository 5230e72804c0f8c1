/**
 * A replica is one server on a database that others may share. Who is alive, which one does what only one shall do, and
 * whether the database answers. Invariants: rows are the truth, so nothing here is needed for being right; times are
 * the database's own, so that replicas' clocks don't matter. On SQLite there is one, always alone.
 */
import { topic } from "../events.ts";

/** How often a replica shows that it is alive, renews the lease and sends a frame, even an empty one. */
export const heartbeatMs = 5_000;
/** A replica whose row is older is lost. */
export const lostAfterMs = 20_000;
/** How long the lease lasts when it is not renewed. */
export const leaseMs = 20_000;
/** Its holder gives it up earlier, so that there are never two: the rest is for a query that is still under way. */
export const giveUpAfterMs = 15_000;
/** A replica whose database has not answered for so long is unhealthy. */
export const awayAfterMs = 15_000;

export interface Replicas {
  /** Another one at every start. */
  readonly id: string;
  /** Registers, listens, takes part in the lease. Resolves also when the database does not answer now. */
  start(): Promise<void>;
  /** Gives lease and row back, within a second. */
  stop(): Promise<void>;
  /** Whether this one does what only one of all shall do now. Correctness never depends on it: rows are claimed. */
  isLeader(): boolean;
  /** False once the database has not answered for `awayAfterMs`: agents are better off with another replica. */
  isHealthy(): boolean;
  /** Where another live replica answers, such as `http://10.0.0.2:8080`; undefined when it is not alive (any more). */
  urlOf(replicaId: string): string | undefined;
}

/** Local: another replica's row went stale or was removed. */
export const replicaLost = topic<{ replicaId: string }>("replicas.lost");
/** Local: a wake-up may be lost: whoever keeps a picture of rows reads them again. */
export const eventsMissed = topic<Record<never, never>>("replicas.events_missed");
/** Local: what `isHealthy` says has changed. */
export const healthChanged = topic<{ healthy: boolean }>("replicas.health_changed");

/** The one server of a SQLite file: leader, healthy, and nobody to talk to. */
export class AloneReplica implements Replicas {
  readonly id: string;

  constructor(id: string) {
    this.id = id;
  }

  async start(): Promise<void> {}
  async stop(): Promise<void> {}
  isLeader = (): boolean => true;
  isHealthy = (): boolean => true;
  urlOf = (): undefined => undefined;
}
