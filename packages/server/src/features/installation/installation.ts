/** What this installation is made of: its database, and the server or the replicas on it. Read, never written. */
import { productVersion } from "@restic-manager/protocol/version";
import { sql } from "kysely";
import type { Clock } from "../../platform/clock.ts";
import type { Db, Engine } from "../../platform/db/db.ts";
import { type KnownReplica, listReplicas } from "../../platform/replicas/known-replicas.ts";
import type { Replicas } from "../../platform/replicas/replicas.ts";

export interface InstallationDeps {
  db: Db;
  engine: Engine;
  replica: Pick<Replicas, "id">;
  /** When this server began. */
  startedAt: number;
  clock: Clock;
  /** Where this server listens. */
  url(): string;
  /** How many agents are connected: here, and to each other replica by its id. */
  countAgents(): { here: number; elsewhere: ReadonlyMap<string, number> };
  /** How long the log lines of a job are kept; 0: for ever. */
  jobLogDays: number;
  downloads: boolean;
}

export interface ReplicaView extends KnownReplica {
  /** The one that answers. */
  isThis: boolean;
  agents: number;
}

export interface InstallationView {
  version: string;
  database: { engine: "SQLite" | "PostgreSQL"; version: string; sizeBytes: number };
  jobLogDays: number;
  downloads: boolean;
  /** This one first, then the living, then the lost. */
  replicas: ReplicaView[];
}

export async function getInstallation(deps: InstallationDeps): Promise<InstallationView> {
  const { db, engine, replica, jobLogDays, downloads } = deps;
  const { here, elsewhere } = deps.countAgents();
  const known = engine === "postgres" ? await listReplicas(db) : [alone(deps)];
  const replicas = known.map((one) => ({
    ...one,
    isThis: one.id === replica.id,
    agents: one.id === replica.id ? here : (elsewhere.get(one.id) ?? 0),
  }));
  const place = ({ isThis, isAlive }: ReplicaView) => (isThis ? 0 : isAlive ? 1 : 2);
  return {
    version: productVersion,
    database: engine === "postgres" ? await askPostgres(db) : await askSqlite(db),
    ...{ jobLogDays, downloads },
    replicas: replicas.sort((a, b) => place(a) - place(b)),
  };
}

function alone({ replica, startedAt, clock, url }: InstallationDeps): KnownReplica {
  const seenAt = clock.now();
  return {
    id: replica.id,
    url: url(),
    version: productVersion,
    startedAt,
    seenAt,
    isAlive: true,
    isLeader: true,
  };
}

async function askPostgres(db: Db): Promise<InstallationView["database"]> {
  const { rows } = await sql<{ version: string; sizeBytes: number }>`
    SELECT current_setting('server_version') AS version,
      pg_database_size(current_database()) AS "sizeBytes"`.execute(db);
  return { engine: "PostgreSQL", version: rows[0]?.version ?? "", sizeBytes: rows[0]?.sizeBytes ?? 0 };
}

/** The file as it is; its write-ahead log comes and goes. */
async function askSqlite(db: Db): Promise<InstallationView["database"]> {
  const { rows } = await sql<{ version: string; sizeBytes: number }>`
    SELECT sqlite_version() AS version, page_count * page_size AS "sizeBytes"
    FROM pragma_page_count(), pragma_page_size()`.execute(db);
  return { engine: "SQLite", version: rows[0]?.version ?? "", sizeBytes: rows[0]?.sizeBytes ?? 0 };
}
