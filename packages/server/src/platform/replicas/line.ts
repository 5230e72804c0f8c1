/**
 * The one connection between a replica and the others, beside the pool: LISTEN, NOTIFY and the rows about replicas go
 * over it, one statement after the other. Invariant: it never hangs; whatever fails on it ends it.
 */
import type pg from "pg";
import { connectClient } from "../db/postgres.ts";
import { findChannel, type Query } from "./replicas.store.ts";

/** For connecting and for each statement: short, so that a database that is away is noticed in time. */
const limitMs = 4_000;

export interface LineEvents {
  /** Something arrived on the channel. */
  heard(text: string): void;
  /** The connection is gone; said once. */
  ended(line: Line): void;
}

export class Line {
  private readonly client: pg.Client;
  private readonly events: LineEvents;
  private channel = "";
  private ended = false;
  private last: Promise<unknown> = Promise.resolve();

  private constructor(client: pg.Client, events: LineEvents) {
    this.client = client;
    this.events = events;
    client.on("notification", ({ payload = "" }) => events.heard(payload));
    client.on("error", () => this.close());
    client.on("end", () => this.close());
  }

  /** Connects and listens. @throws DatabaseAway, or what the database said */
  static async open(url: string, events: LineEvents): Promise<Line> {
    const line = new Line(await connectClient(url, limitMs), events);
    // What is written here is said again 5 s later: it need not be on the disk before it is answered.
    await line.query("SET synchronous_commit = off");
    line.channel = await findChannel(line.query);
    await line.query(`LISTEN ${line.channel}`);
    return line;
  }

  /** @throws what the database said, or that it does not answer; the line is closed then */
  query: Query = async <R extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<R[]> => {
    const run = this.last.then(() => this.client.query<R>(text, values));
    this.last = run.catch(() => this.close());
    return (await run).rows;
  };

  notify = async (text: string): Promise<void> => {
    await this.query("SELECT pg_notify($1, $2)", [this.channel, text]);
  };

  close(): void {
    if (this.ended) return;
    this.ended = true;
    // A statement that is not answered is cut; otherwise it says goodbye.
    void this.client.end().catch(() => undefined);
    this.events.ended(this);
  }
}
