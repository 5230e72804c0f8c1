/**
 * PostgreSQL behind the same stores. Big integers arrive as numbers: ours are milliseconds, sizes and counts below 2^53.
 * Invariants: nothing hangs for ever, also when packets are dropped instead of refused; a connection that failed is
 * destroyed and never given to the next one; a server that is cut off leaves no locks behind for long.
 */
import { Socket } from "node:net";
import { Kysely, PostgresDialect, type PostgresPoolClient, type PostgresQueryResult } from "kysely";
import pg from "pg";
import type { Db } from "./db.ts";
import { asDatabaseAway, DatabaseAway } from "./failures.ts";

const int8Oid = 20;
const defaultPoolSize = 10;
const idleConnectionMs = 60_000;
const keepAliveAfterMs = 10_000;
/** How long PostgreSQL may take to see a session off; then the socket is closed anyway, or it would keep us from ending. */
const goodbyeMs = 1_000;

/** How long what may last; 0 is without end. */
export interface PostgresLimits {
  /** For a connection to be made, or for one of the pool to be free. */
  connectMs: number;
  /** The database ends a statement, a wait for a lock, and a session whose transaction does nothing. */
  statementMs: number;
  lockMs: number;
  idleInTransactionMs: number;
  /** When the database's answer is not waited for any more; longer than a statement's, whose end says more. */
  answerMs: number;
}

/** Statements of requests and agents are short, or come in batches. */
const everyday: PostgresLimits = {
  // A whole fleet that connects at once waits for its turn.
  connectMs: 20_000,
  statementMs: 30_000,
  lockMs: 10_000,
  idleInTransactionMs: 15_000,
  answerMs: 35_000,
};

/** A migration may have a large table to go through, and may wait for another replica that does it. */
export const migrationLimits: PostgresLimits = {
  ...everyday,
  statementMs: 0,
  lockMs: 60_000,
  idleInTransactionMs: 60_000,
  answerMs: 0,
};

export interface PostgresOptions {
  /** A search path of its own lets tests share one cluster. */
  schema?: string;
  /** Connections at most, 10 unless said otherwise. */
  poolSize?: number;
  limits?: Partial<PostgresLimits>;
}

export interface PostgresDatabase {
  db: Db;
  /** Ends all connections at once: whoever waits on one is told, and the next query makes a new one. */
  cutConnections(): void;
}

/** @param url `postgres://…`; it may hold a password, so it is never logged */
export const openPostgres = (url: string, options?: PostgresOptions): Db => connectPostgres(url, options).db;

/** As openPostgres; queries throw DatabaseAway when it is the database that is not there. */
export function connectPostgres(url: string, options: PostgresOptions = {}): PostgresDatabase {
  const sockets = new Set<Socket>();
  const limits = { ...everyday, ...options.limits };
  const pool = new pg.Pool({
    connectionString: url,
    max: options.poolSize ?? defaultPoolSize,
    idleTimeoutMillis: idleConnectionMs,
    ...ground(limits),
    ...(options.schema ? { options: `-c search_path=${options.schema}` } : {}),
    stream: () => remember(sockets, new Socket()),
    // Set once the session is there: a connection pooler refuses most of them as start parameters.
    // oxlint-disable-next-line typescript/no-misused-promises -- the pool waits for it, its type only does not say so
    onConnect: (client) => client.query(sessionSettings(limits)),
  });
  // Without a listener a lost idle connection would end the program; the pool replaces it by itself.
  pool.on("error", () => undefined);
  const guarded = { connect: () => connectGuarded(pool), end: () => seeOff(sockets, () => pool.end()) };
  return {
    db: new Kysely({ dialect: new PostgresDialect({ pool: guarded }) }),
    cutConnections: () => cut(sockets),
  };
}

/** One connection beside the pool, for what belongs to a session: LISTEN. */
export interface PostgresSession {
  readonly client: pg.Client;
  /** Says goodbye, or cuts what is under way. Never rejects. */
  end(): Promise<void>;
}

/**
 * @param limitMs for connecting, and for each statement
 * @throws DatabaseAway
 */
export async function openSession(url: string, limitMs: number): Promise<PostgresSession> {
  const sockets = new Set<Socket>();
  const limits = {
    connectMs: limitMs,
    statementMs: limitMs,
    lockMs: limitMs,
    idleInTransactionMs: limitMs,
    answerMs: limitMs,
  };
  const client = new pg.Client({
    connectionString: url,
    ...ground(limits),
    stream: () => remember(sockets, new Socket()),
  });
  // One that is lost while it connects says so twice, and an error that nobody hears ends the program.
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query(sessionSettings(limits));
  } catch (error) {
    cut(sockets);
    throw asDatabaseAway(error) ?? new DatabaseAway(error);
  }
  return { client, end: () => seeOff(sockets, () => client.end()) };
}

/** What all connections have in common. */
const ground = ({ connectMs, answerMs }: PostgresLimits): pg.ClientConfig => ({
  connectionTimeoutMillis: connectMs,
  query_timeout: answerMs,
  keepAlive: true,
  keepAliveInitialDelayMillis: keepAliveAfterMs,
  fallback_application_name: "restic-manager",
  types: {
    getTypeParser: (oid: number, format?: "text" | "binary") =>
      oid === int8Oid ? Number : pg.types.getTypeParser(oid, format as "text"),
  },
});

/**
 * The database itself ends the session, and with it the locks, of a server that it can't reach any more. It is a part of
 * connecting, so it may not take as long as a query may. No query is compiled: that takes up to a second, and ours take
 * milliseconds however dear they are reckoned.
 */
const sessionSettings = (limits: PostgresLimits): pg.QueryConfig & { query_timeout: number } => ({
  query_timeout: limits.connectMs,
  text: `
    SET statement_timeout = ${limits.statementMs};
    SET lock_timeout = ${limits.lockMs};
    SET idle_in_transaction_session_timeout = ${limits.idleInTransactionMs};
    SET jit = off;
    SET tcp_keepalives_idle = 10;
    SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3;
    SET tcp_user_timeout = 20000`,
});

function remember(sockets: Set<Socket>, socket: Socket): Socket {
  sockets.add(socket);
  socket.once("close", () => sockets.delete(socket));
  return socket;
}

function cut(sockets: Set<Socket>): void {
  for (const socket of sockets) socket.destroy();
}

/** Resolves when all sockets are closed: by PostgreSQL's answer to the goodbye, or without it. */
async function seeOff(sockets: Set<Socket>, sayGoodbye: () => Promise<void>): Promise<void> {
  const late = setTimeout(() => cut(sockets), goodbyeMs);
  const closed = [...sockets].map((socket) => new Promise((resolve) => socket.once("close", resolve)));
  await Promise.all([sayGoodbye(), ...closed]);
  clearTimeout(late);
}

/** @throws DatabaseAway whatever the reason: without a connection there is no database */
async function connectGuarded(pool: pg.Pool): Promise<PostgresPoolClient> {
  try {
    // Kysely's type has cursors too, which are never asked for: the dialect has none.
    return new GuardedClient(await pool.connect()) as unknown as PostgresPoolClient;
  } catch (error) {
    throw new DatabaseAway(error);
  }
}

/** PostgreSQL's answer to the commit of a transaction in which a statement failed is no error. */
const rolledBack = "the transaction was rolled back: one of its statements had failed, and nobody minded";

/** A connection of the pool while somebody has it. */
class GuardedClient {
  private readonly client: pg.PoolClient;
  /** Why this connection is of no use any more. */
  private lost: DatabaseAway | null = null;

  constructor(client: pg.PoolClient) {
    this.client = client;
    // The pool listens to idle connections only, and an error that nobody hears ends the program.
    client.on("error", this.onError);
  }

  /** @throws DatabaseAway once the connection is lost: a rollback after it, too, is told at once what happened */
  query = async <R>(text: string, values: readonly unknown[]): Promise<PostgresQueryResult<R>> => {
    if (this.lost) throw this.lost;
    try {
      const result = await this.client.query(text, [...values]);
      if (text === "commit" && result.command !== "COMMIT") throw new Error(rolledBack);
      return result as unknown as PostgresQueryResult<R>;
    } catch (error) {
      this.lost = asDatabaseAway(error);
      throw this.lost ?? error;
    }
  };

  /** A connection on which an answer is still to come would answer the next one with it: it is destroyed. */
  release = (): void => {
    this.client.release(this.lost ?? false);
    this.client.off("error", this.onError);
  };

  private onError = (error: Error): void => {
    this.lost ??= new DatabaseAway(error);
  };
}
