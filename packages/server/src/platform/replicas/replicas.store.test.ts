/**
 * Replicas on a real PostgreSQL: events, who is alive, who leads, and a database that is away. The clock is moved by
 * hand; what the database's own clock decides is aged in its rows.
 */
import { DatabaseProxy, FakeClock, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { EventBus, sharedTopic } from "../events.ts";
import { createLog } from "../log.ts";
import { newId } from "../random.ts";
import { PostgresReplica } from "./postgres-replica.ts";
import {
  AloneReplica,
  awayAfterMs,
  eventsMissed,
  giveUpAfterMs,
  healthChanged,
  heartbeatMs,
  replicaLost,
} from "./replicas.ts";

const changed = sharedTopic<{ id: string }>("things.changed", { payload: z.object({ id: z.string() }) });
/** For each statement: only a database that is frozen by the test does not answer so long. */
const limitMs = 5_000;
/** The same for replicas whose way is frozen, which wait for it. */
const frozenLimitMs = 1_000;
const untilMs = 10_000;

let database: TestDatabase;
let proxy: DatabaseProxy;
let clock: FakeClock;
let started: Replica[];

/** One replica and all that it says. */
class Replica {
  readonly id = newId(0);
  readonly bus: EventBus;
  readonly replicas: PostgresReplica;
  readonly heard: string[] = [];
  readonly lost: string[] = [];
  readonly health: boolean[] = [];
  readonly log: string[] = [];
  missed = 0;
  cuts = 0;

  constructor(databaseUrl: string, limitMs: number) {
    const log = createLog("info", { write: (line) => this.log.push(line) });
    this.bus = new EventBus(log);
    this.bus.on(changed, ({ id }, origin) => {
      if (origin === "replica") this.heard.push(id);
    });
    this.bus.on(eventsMissed, () => this.missed++);
    this.bus.on(replicaLost, ({ replicaId }) => this.lost.push(replicaId));
    this.bus.on(healthChanged, ({ healthy }) => this.health.push(healthy));
    this.replicas = new PostgresReplica({
      ...{ id: this.id, version: "0.1.0", databaseUrl, bus: this.bus, clock, log, limitMs },
      url: () => `http://${this.id.toLowerCase()}:8080`,
      cutConnections: () => this.cuts++,
    });
  }

  emit(id: string): void {
    this.bus.emit(changed, { id });
  }
}

beforeEach(async () => {
  started = [];
  clock = new FakeClock();
  database = await openTestDatabase("postgres");
  proxy = new DatabaseProxy(database.url);
  await proxy.start();
});
afterEach(async () => {
  proxy.thaw();
  for (const { replicas } of started) await replicas.stop();
  await proxy.stop();
  await database.close();
});

async function start(url = database.url): Promise<Replica> {
  const replica = new Replica(url, url === proxy.url ? frozenLimitMs : limitMs);
  started.push(replica);
  await replica.replicas.start();
  return replica;
}

/** Waits for what a database answers in its own time; the clock stands still unless `stepMs` moves it. */
async function until(what: string, wanted: () => boolean | Promise<boolean>, stepMs = 0): Promise<void> {
  const end = performance.now() + untilMs;
  while (!(await wanted())) {
    if (performance.now() > end) throw new Error(`never happened: ${what}`);
    if (stepMs > 0) await clock.advance(stepMs);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Moves the clock from heartbeat to heartbeat. */
const beats = (what: string, wanted: () => boolean | Promise<boolean>) =>
  until(what, wanted, heartbeatMs / 10);
const leaders = () => started.filter(({ replicas }) => replicas.isLeader()).map(({ id }) => id);
const knows = (one: Replica, other: Replica) => one.replicas.urlOf(other.id) !== undefined;
/** Ends the session that listens; it is gone when this resolves. */
async function terminateLine(of: Replica): Promise<void> {
  const [before] = await sessionsOf(of);
  await sql`SELECT pg_terminate_backend(${before ?? 0})`.execute(database.db);
  await until("the session is gone", async () => (await sessionsOf(of)).every((pid) => pid !== before));
}
async function sessionsOf({ id }: Replica): Promise<number[]> {
  const name = `restic-manager replica ${id}`;
  const found = await sql<{
    pid: number;
  }>`SELECT pid FROM pg_stat_activity WHERE application_name = ${name}`.execute(database.db);
  return found.rows.map(({ pid }) => pid);
}
/** Both know each other, and nothing is under way any more. */
async function acquainted(a: Replica, b: Replica): Promise<void> {
  await until("they know each other", () => knows(a, b) && knows(b, a));
  await untilHeard(a, b, `before ${a.id}`);
  await untilHeard(b, a, `before ${b.id}`);
  a.missed = 0;
  b.missed = 0;
}
const untilHeard = (from: Replica, to: Replica, id: string) =>
  until(`${id} is heard`, () => {
    from.emit(id);
    return to.heard.includes(id);
  });
const channel = async () =>
  (
    await sql<{
      name: string;
    }>`SELECT 'restic_manager_' || current_schema()::regnamespace::oid AS name`.execute(database.db)
  ).rows[0]?.name;
const notify = async (text: string) =>
  sql`SELECT pg_notify(${await channel()}, ${text})`.execute(database.db);
/** As if the replica had not shown itself for longer than it may. */
const ageRow = (of: Replica) => sql`UPDATE replicas SET seen_at = 0 WHERE id = ${of.id}`.execute(database.db);
const ageLease = () => sql`UPDATE leases SET expires_at = 0`.execute(database.db);

describe("events between replicas", () => {
  it("reach every other replica, in their order, and not again their own", async () => {
    const [a, b, c] = [await start(), await start(), await start()];
    for (let i = 0; i < 2_000; i++) a.emit(`${i}`);
    await until("the others hear the last", () => b.heard.at(-1) === "1999" && c.heard.at(-1) === "1999");
    const all = Array.from({ length: 2_000 }, (_, i) => `${i}`);
    expect([a.heard, b.heard, c.heard]).toEqual([[], all, all]);
  });

  it("of another installation in the same database are not heard", async () => {
    const other = await openTestDatabase("postgres");
    const [here, there] = [await start(), await start(other.url)];
    there.emit("theirs");
    const beside = await start();
    beside.emit("ours");
    await until("ours is heard", () => here.heard.includes("ours"));
    expect([here.heard, here.replicas.urlOf(there.id), leaders().length]).toEqual([["ours"], undefined, 2]);
    await there.replicas.stop();
    await other.close();
  });

  it("that a listener did not get are noticed with the next frame", async () => {
    const a = await start();
    const b = await start(proxy.url);
    await acquainted(a, b);
    proxy.swallowing = true;
    a.emit("swallowed");
    const c = await start();
    a.emit("too");
    await until("a third one heard both", () => c.heard.includes("too"));
    proxy.swallowing = false;
    b.missed = 0;
    await beats("b is told to read the rows", () => b.missed > 0);
    expect(b.heard).not.toContain("swallowed");
  });

  it("are read again when a listener was ended, which listens again by itself", async () => {
    const [a, b] = [await start(), await start()];
    await acquainted(a, b);
    await terminateLine(b);
    await untilHeard(a, b, "after");
    expect([b.missed > 0, b.health]).toEqual([true, []]);
  });

  it("that a sender could not send are noticed by the others", async () => {
    const [a, b] = [await start(), await start()];
    await acquainted(a, b);
    await terminateLine(a);
    a.emit("maybe lost");
    await untilHeard(a, b, "after");
    expect([b.heard.includes("maybe lost"), b.missed > 0]).toContain(true);
  });

  it("that do not even come back to their sender make it listen anew, and say so", async () => {
    const a = await start(proxy.url);
    a.missed = 0;
    proxy.swallowing = true;
    await beats("a notices", () => a.missed > 0);
    expect(a.log.join()).toContain("RM_DATABASE_URL must lead to PostgreSQL itself");
    proxy.swallowing = false;
    const b = await start();
    b.emit("heard");
    await beats("a hears again", () => a.heard.includes("heard"));
    expect(a.health).toEqual([]);
  });

  it("go on when anybody writes nonsense into the channel", async () => {
    const [a, b] = [await start(), await start()];
    const hostile = [
      "",
      "{",
      "[]",
      '{"from":1}',
      '{"from":"x","n":1,"events":[["things.changed",{"id":{"a":1}}],["__proto__",{}]]}',
      `{"from":"${"x".repeat(200)}","n":1,"events":[]}`,
      "ü".repeat(3_900),
    ];
    for (const text of hostile) await notify(text);
    a.emit("sound");
    await until("b hears what is sound", () => b.heard.includes("sound"));
    expect(b.heard).toEqual(["sound"]);
  });
});

describe("replicas", () => {
  it("know where each other is, also one that comes later", async () => {
    const a = await start();
    const b = await start();
    await until("a knows b by its first frame", () => knows(a, b));
    expect([b.replicas.urlOf(a.id), a.replicas.urlOf(b.id)]).toEqual([
      `http://${a.id.toLowerCase()}:8080`,
      `http://${b.id.toLowerCase()}:8080`,
    ]);
    expect([a.replicas.urlOf(a.id), a.replicas.urlOf("nobody")]).toEqual([undefined, undefined]);
  });

  it("are told of one that stopped", async () => {
    const [a, b] = [await start(), await start()];
    await until("a knows b", () => knows(a, b));
    await b.replicas.stop();
    await beats("a is told", () => a.lost.includes(b.id));
    const { rows } = await sql`SELECT id FROM replicas`.execute(database.db);
    expect([rows, a.replicas.urlOf(b.id)]).toEqual([[{ id: a.id }], undefined]);
  });

  it("leave nothing behind when they stop while their line is still being made", async () => {
    proxy.freeze();
    const a = new Replica(proxy.url, limitMs);
    const starting = a.replicas.start();
    await a.replicas.stop();
    proxy.thaw();
    await starting;
    const { rows } = await sql`SELECT id FROM replicas UNION SELECT holder FROM leases`.execute(database.db);
    expect(rows).toEqual([]);
    await until("its session is gone", async () => (await sessionsOf(a)).length === 0);
  });

  it("are told of one that has not shown itself for long, and that rows are to be read when it is back", async () => {
    const a = await start();
    const b = await start(proxy.url);
    await until("a knows b", () => knows(a, b));
    proxy.freeze();
    await until("b does not answer", async () => {
      await ageRow(b);
      await clock.advance(heartbeatMs / 10);
      return a.lost.length > 0;
    });
    expect([a.lost, knows(a, b)]).toEqual([[b.id], false]);
    a.missed = 0;
    proxy.thaw();
    await beats("b is back", () => knows(a, b) && a.missed > 0);
  });

  it("forget in the end whoever never said goodbye", async () => {
    const gone = new Replica(database.url, limitMs);
    await sql`INSERT INTO replicas VALUES (${gone.id}, 'http://x', '0', 0, 0)`.execute(database.db);
    const a = await start();
    const { rows } = await sql`SELECT id FROM replicas`.execute(database.db);
    expect([rows, a.lost]).toEqual([[{ id: a.id }], []]);
  });
});

describe("the lease", () => {
  it("is one replica's, however many start at once", async () => {
    const all = await Promise.all([start(), start(), start(), start()]);
    expect(leaders()).toHaveLength(1);
    const [leader] = leaders();
    await clock.advance(heartbeatMs);
    await until("all have beaten again", async () => {
      const { rows } = await sql<{
        n: number;
      }>`SELECT count(*) AS n FROM replicas WHERE seen_at > started_at`.execute(database.db);
      return rows[0]?.n === all.length;
    });
    expect(leaders()).toEqual([leader]);
  });

  it("goes to another one when its holder stops", async () => {
    const [a, b] = [await start(), await start()];
    expect(leaders()).toEqual([a.id]);
    await a.replicas.stop();
    await beats("b leads", () => b.replicas.isLeader());
  });

  it("goes to another one when its holder does not renew it, which knows so by itself", async () => {
    const a = await start(proxy.url);
    const b = await start();
    expect(leaders()).toEqual([a.id]);
    proxy.freeze();
    await beats("a gives it up", () => !a.replicas.isLeader());
    // Until the database's clock says so, too, nobody has it.
    expect(b.replicas.isLeader()).toBe(false);
    await ageLease();
    await beats("b leads", () => b.replicas.isLeader());
    proxy.thaw();
    await beats("a is back", () => a.replicas.isHealthy());
    expect(leaders()).toEqual([b.id]);
  });

  it("is no longer taken for its own by a holder that was stopped for a while and goes on", async () => {
    const a = await start();
    expect(a.replicas.isLeader()).toBe(true);
    // No beat failed meanwhile: none was tried.
    clock.jump(60 * 60_000);
    expect(a.replicas.isLeader()).toBe(false);
    await beats("a has asked", () => a.replicas.isLeader());
  });

  it("is given up in time by a holder whose clock is set back, again and again", async () => {
    const a = await start(proxy.url);
    proxy.freeze();
    for (let passedMs = 0; passedMs <= giveUpAfterMs; passedMs += heartbeatMs) {
      await clock.advance(heartbeatMs);
      clock.jump(-60 * 60_000);
    }
    expect(a.replicas.isLeader()).toBe(false);
  });

  it("stays when its holder's line is only replaced", async () => {
    const [a, b] = [await start(), await start()];
    await acquainted(a, b);
    await terminateLine(a);
    await untilHeard(a, b, "after");
    await clock.advance(heartbeatMs);
    expect([a.replicas.isLeader(), b.replicas.isLeader()]).toEqual([true, false]);
  });
});

describe("a database that is away", () => {
  it("makes a replica unhealthy only after a while, cuts what hangs, and heals", async () => {
    const a = await start(proxy.url);
    proxy.freeze();
    await clock.advance(heartbeatMs);
    await until("the first beat failed", () => a.log.join().includes("the database does not answer"));
    expect([a.replicas.isHealthy(), a.cuts]).toEqual([true, 0]);
    await beats("it is unhealthy", () => !a.replicas.isHealthy());
    expect(a.cuts).toBeGreaterThan(0);
    a.missed = 0;
    proxy.thaw();
    await beats("it is healthy again", () => a.replicas.isHealthy());
    expect([a.health, a.missed > 0, a.replicas.isLeader()]).toEqual([[false, true], true, true]);
  });

  it("is away for a replica whose clock is set back meanwhile, too", async () => {
    const a = await start(proxy.url);
    proxy.freeze();
    await clock.advance(heartbeatMs);
    await until("the first beat failed", () => a.log.join().includes("the database does not answer"));
    clock.jump(-60 * 60_000);
    const before = clock.monotonic();
    await beats("it is unhealthy", () => !a.replicas.isHealthy());
    expect(clock.monotonic() - before).toBeLessThanOrEqual(awayAfterMs);
  });

  it("is the same when connections are refused", async () => {
    const a = await start(proxy.url);
    await proxy.stop();
    await beats("it is unhealthy", () => !a.replicas.isHealthy());
    await proxy.start();
    await beats("it is healthy again", () => a.replicas.isHealthy());
  });

  it("does not keep a replica from starting or stopping", async () => {
    const url = proxy.url;
    await proxy.stop();
    const a = await start(url);
    expect([a.replicas.isLeader(), a.replicas.isHealthy()]).toEqual([false, true]);
    await proxy.start();
    await beats("it leads once the database is there", () => a.replicas.isLeader());
    proxy.freeze();
    let stopped = false;
    void a.replicas.stop().then(() => {
      stopped = true;
    });
    await beats("it has stopped", () => stopped);
  });

  it("is not what a machine takes for it that was suspended for an hour", async () => {
    const a = await start();
    await clock.suspend(60 * 60_000);
    await terminateLine(a);
    // The clock stands still: it would outrun a database that takes its time, which would then count as away.
    await until("it listens again", () => a.missed > 0);
    await until("it leads again", () => a.replicas.isLeader());
    expect(a.health).toEqual([]);
  });
});

it("alone on SQLite, a server leads, is healthy and knows nobody", async () => {
  const alone = new AloneReplica("me");
  await alone.start();
  expect([alone.id, alone.isLeader(), alone.isHealthy(), alone.urlOf()]).toEqual([
    "me",
    true,
    true,
    undefined,
  ]);
  await alone.stop();
});
