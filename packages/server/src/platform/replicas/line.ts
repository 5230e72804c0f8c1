/**
 * The one connection between a replica and the others, beside the pool: LISTEN, NOTIFY and the rows about replicas go
 * over it, one statement after the other. Invariant: it never hangs; whatever fails on it ends it.
 */
import type pg from "pg";
import { openSession, type PostgresSession } from "../db/postgres.ts";
import { findChannel, type Query } from "./replicas.store.ts";

export interface LineEvents {
  /** Something arrived on the channel. */
  heard(text: string): void;
  /** The connection is gone; said once. */
  ended(line: Line): void;
}

export interface LineInput {
  /** Of the database. */
  url: string;
  /** What the database calls this session in `pg_stat_activity`. */
  name: string;
  /** For connecting, and for each statement. */
  limitMs: number;
}

export class Line {
  private readonly session: PostgresSession;
  private readonly events: LineEvents;
  private channel = "";
  private ended = false;
  private gone: Promise<void> = Promise.resolve();
  private last: Promise<unknown> = Promise.resolve();

  private constructor(session: PostgresSession, events: LineEvents) {
    const { client } = session;
    this.session = session;
    this.events = events;
    client.on("notification", ({ payload = "" }) => events.heard(payload));
    client.on("error", () => void this.close());
    client.on("end", () => void this.close());
  }

  /** Connects and listens. @throws DatabaseAway, or what the database said */
  static async open({ url, name, limitMs }: LineInput, events: LineEvents): Promise<Line> {
    const line = new Line(await openSession(url, limitMs), events);
    await line.query("SELECT set_config('application_name', $1, false)", [name]);
    // What is written here is said again 5 s later: it need not be on the disk before it is answered.
    await line.query("SET synchronous_commit = off");
    line.channel = await findChannel(line.query);
    await line.query(`LISTEN ${line.channel}`);
    return line;
  }

  /** @throws what the database said, or that it does not answer; the line is closed then */
  query: Query = async <R extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<R[]> => {
    const run = this.last.then(() => this.session.client.query<R>(text, values));
    this.last = run.catch(() => void this.close());
    return (await run).rows;
  };

  notify = async (text: string): Promise<void> => {
    await this.query("SELECT pg_notify($1, $2)", [this.channel, text]);
  };

  /** Resolves when the session is gone, within a second or so. Never rejects. */
  close(): Promise<void> {
    if (!this.ended) {
      this.ended = true;
      this.gone = this.session.end();
      this.events.ended(this);
    }
    return this.gone;
  }
}
