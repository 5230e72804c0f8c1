/** Chooses what a server is: alone on SQLite's file, or one of those that share a PostgreSQL database. */
import { productVersion } from "@restic-manager/protocol/version";
import type { Logger } from "pino";
import type { Clock } from "../clock.ts";
import type { OpenDatabase } from "../db/open.ts";
import type { EventBus } from "../events.ts";
import { newId } from "../random.ts";
import { replicaUrlOf } from "./address.ts";
import { PostgresReplica } from "./postgres-replica.ts";
import { AloneReplica, type Replicas } from "./replicas.ts";

export interface ReplicasInput {
  databaseUrl: string | undefined;
  /** Where others reach this one, when an operator says so. */
  replicaUrl: string | undefined;
  database: OpenDatabase;
  bus: EventBus;
  clock: Clock;
  log: Logger;
  /** Where this server listens; asked once it does. */
  url(): string;
}

export function createReplicas({
  databaseUrl,
  replicaUrl,
  database,
  url,
  ...ground
}: ReplicasInput): Replicas {
  const id = newId(ground.clock.now());
  if (!databaseUrl) return new AloneReplica(id);
  return new PostgresReplica({
    ...ground,
    id,
    databaseUrl,
    version: productVersion,
    url: () => replicaUrl ?? replicaUrlOf(url()),
    cutConnections: () => database.cutConnections?.(),
  });
}
