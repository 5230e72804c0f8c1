/** The picture of who has which agent, and the rows that it comes from, on both engines. */
import { engines, FakeClock, makeHost, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inTransaction } from "../../platform/db/db.ts";
import { EventBus } from "../../platform/events.ts";
import { createLog } from "../../platform/log.ts";
import { eventsMissed, healthChanged, replicaLost } from "../../platform/replicas/replicas.ts";
import { agentConnected, agentDisconnected, linkReleased } from "./agent-link.contract.ts";
import { SharedLinks } from "./agent-link.links.ts";

describe.each(engines)("links on %s", (engine) => {
  let database: TestDatabase;
  let clock: FakeClock;
  let bus: EventBus;
  let links: SharedLinks;
  let host: string;
  /** Hosts with a session at this server, which is `us`. */
  let sessions: Set<string>;
  /** Replicas that are alive besides us. */
  let alive: Set<string>;
  let left: string[];
  let caughtUp: number;
  /** Once, when the next query was answered and nobody has seen the answer yet. */
  let whileRead: () => void;
  /** How many of the next queries fail. */
  let failing: number;

  beforeEach(async () => {
    database = await openTestDatabase(engine);
    clock = new FakeClock();
    const log = createLog("silent");
    bus = new EventBus(log);
    alive = new Set(["them", "others"]);
    sessions = new Set();
    left = [];
    caughtUp = 0;
    const replicas = {
      id: "us",
      isHealthy: () => true,
      urlOf: (id: string) => (alive.has(id) ? `http://${id}` : undefined),
    };
    whileRead = () => undefined;
    failing = 0;
    const db = database.db.withPlugin({
      transformQuery({ node }) {
        if (failing-- > 0) throw new Error("the database is away");
        return node;
      },
      async transformResult({ result }) {
        whileRead();
        whileRead = () => undefined;
        return result;
      },
    });
    links = new SharedLinks({ db, clock, bus, log, replicas });
    host = await addHost("h");
  });
  afterEach(async () => {
    await links.stop();
    await database.close();
  });

  async function start(): Promise<void> {
    links.start({
      hostIds: () => [...sessions],
      has: (hostId) => sessions.has(hostId),
      leaveIfMoved: async (hostId) => {
        if (!(await links.holds(hostId))) left.push(hostId);
      },
      catchUp: async () => void caughtUp++,
      commit: (work) => inTransaction(database.db, work),
    });
    await links.idle();
  }

  const addHost = async (name: string): Promise<string> => {
    return (await makeHost(database.db, { name, at: clock.now() })).id;
  };
  const tell = (replicaId: string, connected: boolean, hostId = host) =>
    bus.deliver((connected ? agentConnected : agentDisconnected).name, { hostId, replicaId });
  const put = (replicaId: string, hostId = host) =>
    sql`INSERT INTO agent_links (host_id, replica_id, connected_at) VALUES (${hostId}, ${replicaId}, 0)`.execute(
      database.db,
    );
  const rows = async () =>
    (
      await sql<{ host_id: string; replica_id: string }>`SELECT * FROM agent_links`.execute(database.db)
    ).rows.map((row) => [row.host_id, row.replica_id]);
  const missEvents = async () => {
    bus.emit(eventsMissed, {});
    await links.idle();
  };

  it("begin with what the rows say of replicas that are alive", async () => {
    const dead = await addHost("dead");
    await put("them");
    await put("nobody", dead);
    await start();
    expect([links.isElsewhere(host), links.isElsewhere(dead)]).toEqual([true, false]);
    expect(await links.findUrl(host)).toEqual({ replicaId: "them", url: "http://them" });
    expect(await links.findUrl(dead)).toBeUndefined();
  });

  it("follow events, in whichever order those of two replicas come", async () => {
    await start();
    tell("them", true);
    expect(links.isElsewhere(host)).toBe(true);
    // It moved on: the newer replica's word comes before the older one's.
    tell("others", true);
    tell("them", false);
    expect(links.isElsewhere(host)).toBe(true);
    tell("others", false);
    expect(links.isElsewhere(host)).toBe(false);
  });

  it("forget a replica that is lost, and know it again by the rows when it was only slow", async () => {
    await put("them");
    await start();
    alive.delete("them");
    bus.emit(replicaLost, { replicaId: "them" });
    await links.idle();
    expect([links.isElsewhere(host), links.countElsewhere()]).toEqual([false, new Map()]);
    alive.add("them");
    await missEvents();
    expect([links.isElsewhere(host), links.countElsewhere()]).toEqual([true, new Map([["them", 1]])]);
  });

  it("are told once the row is gone, too: whoever read it meanwhile took the agent for connected", async () => {
    await start();
    await put("them");
    tell("them", false);
    // The row goes a moment later; we read it before, as others do that missed an event.
    await missEvents();
    expect(links.isElsewhere(host)).toBe(true);
    bus.deliver(linkReleased.name, { hostId: host, replicaId: "them" });
    expect(links.isElsewhere(host)).toBe(false);
  });

  it("put the row of a session back that a late hello elsewhere took with it", async () => {
    await start();
    sessions.add(host);
    bus.deliver(linkReleased.name, { hostId: host, replicaId: "them" });
    await until("the row is back", async () => (await rows()).length === 1);
    expect(await rows()).toEqual([[host, "us"]]);
    // Of a host that is not here nothing is written.
    const second = await addHost("second");
    bus.deliver(linkReleased.name, { hostId: second, replicaId: "them" });
    await missEvents();
    expect(await rows()).toEqual([[host, "us"]]);
  });

  it("bring agents what a replica committed last before it was lost", async () => {
    await start();
    bus.emit(replicaLost, { replicaId: "them" });
    await links.idle();
    expect(caughtUp).toBe(2);
  });

  it("look again after a while when a look failed, and not at once", async () => {
    await start();
    await put("them");
    failing = 1;
    await missEvents();
    expect([links.isElsewhere(host), caughtUp]).toEqual([false, 1]);
    await clock.advance(5_000);
    await links.idle();
    expect([links.isElsewhere(host), caughtUp]).toEqual([true, 2]);
  });

  it("tell others when a row of ours goes, also one of a session that ended while the database was away", async () => {
    await put("us");
    const released = new Promise((resolve) => bus.on(linkReleased, resolve));
    await start();
    expect(await released).toEqual({ hostId: host, replicaId: "us" });
    expect(await rows()).toEqual([]);
  });

  it("believe an event that comes while the rows are read more than the rows", async () => {
    await put("them");
    await start();
    const second = await addHost("second");
    whileRead = () => {
      tell("them", false);
      tell("them", true, second);
    };
    await missEvents();
    expect([links.isElsewhere(host), links.isElsewhere(second)]).toEqual([false, true]);
  });

  it("are claimed by the newest hello, and released only by the one who has them", async () => {
    await start();
    await put("them");
    await links.claim(database.db, host);
    expect(await rows()).toEqual([[host, "us"]]);
    expect([await links.holds(host), await links.findUrl(host)]).toEqual([true, undefined]);
    await sql`UPDATE agent_links SET replica_id = 'them'`.execute(database.db);
    await links.stop();
    expect(await rows()).toEqual([[host, "them"]]);
  });

  it("are released once a host has no session, and not when it is back by then", async () => {
    await start();
    const second = await addHost("second");
    for (const hostId of [host, second]) await links.claim(database.db, hostId);
    sessions.add(second);
    for (const hostId of [host, second]) links.release(hostId);
    await until("the first is released", async () => (await rows()).length === 1);
    expect(await rows()).toEqual([[second, "us"]]);
  });

  it("end the session of an agent that another replica has greeted, and no other", async () => {
    await start();
    const second = await addHost("second");
    sessions.add(host).add(second);
    await put("them");
    await links.claim(database.db, second);
    tell("them", true);
    // Late: it came back to us since.
    tell("them", true, second);
    await until("the first has left", async () => left.length > 0);
    expect(left).toEqual([host]);
  });

  it("are put right by a look: moved sessions end, lost rows come back, rows without a session go", async () => {
    await start();
    const [unrowed, gone] = [await addHost("unrowed"), await addHost("gone")];
    sessions.add(host).add(unrowed);
    await put("them");
    await links.claim(database.db, gone);
    const told: unknown[] = [];
    bus.on(agentConnected, (link, origin) => told.push([link, origin]));
    bus.emit(healthChanged, { healthy: true });
    await links.idle();
    expect(left).toEqual([host]);
    expect(told).toEqual([[{ hostId: unrowed, replicaId: "us" }, "here"]]);
    await until("the row goes", async () => (await rows()).length === 2);
    expect(new Map((await rows()) as [string, string][])).toEqual(
      new Map([
        [host, "them"],
        [unrowed, "us"],
      ]),
    );
    expect(caughtUp).toBe(2);
  });

  // SQLite has no clock for the rows of replicas, and none of those.
  if (engine === "postgres")
    it("are held by a live replica only, by the rows", async () => {
      await start();
      const isHeld = () => links.isHeld(database.db, host);
      const seen = (at: string) =>
        sql`INSERT INTO replicas VALUES ('them', 'http://them', '0', 0, ${sql.raw(at)})
          ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at`.execute(database.db);
      expect(await isHeld()).toBe(false);
      await put("them");
      // Not known here yet: it has just started.
      alive.delete("them");
      await seen("(extract(epoch FROM clock_timestamp()) * 1000)::bigint");
      expect(await isHeld()).toBe(true);
      await seen("0");
      expect(await isHeld()).toBe(false);
      await links.claim(database.db, host);
      expect(await isHeld()).toBe(false);
      sessions.add(host);
      expect(await isHeld()).toBe(true);
    });

  it("go with their server", async () => {
    await start();
    await links.claim(database.db, host);
    await links.stop();
    expect(await rows()).toEqual([]);
  });
});

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let looks = 0; !(await holds()); looks++) {
    if (looks > 2000) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
