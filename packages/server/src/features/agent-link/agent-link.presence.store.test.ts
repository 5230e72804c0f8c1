/** When agents were heard, as the rows say it, on both engines. */
import { engines, FakeClock, makeHost, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createLog } from "../../platform/log.ts";
import { findHost } from "../hosts/hosts.ts";
import { Presence } from "./agent-link.presence.ts";

describe.each(engines)("presence on %s", (engine) => {
  let database: TestDatabase;
  let isAway: boolean;
  let presence: Presence;
  let hosts: string[];
  let clock: FakeClock;
  let startAt: number;
  let queries: number;

  beforeEach(async () => {
    database = await openTestDatabase(engine);
    clock = new FakeClock();
    startAt = clock.now();
    hosts = [];
    for (const name of ["a", "b"]) hosts.push((await makeHost(database.db, { name, at: startAt })).id);
    isAway = false;
    queries = 0;
    const db = database.db.withPlugin({
      transformQuery({ node }) {
        queries++;
        if (isAway) throw new Error("the database is away");
        return node;
      },
      transformResult: async ({ result }) => result,
    });
    presence = new Presence({ db, clock, log: createLog("silent") });
  });
  afterEach(() => database.close());

  /** When each host was last heard by its row, in ms after the start. */
  const seen = async () =>
    Promise.all(
      hosts.map(async (id) => {
        const at = (await findHost(database.db, id))?.lastSeenAt ?? null;
        return at === null ? null : at - startAt;
      }),
    );

  /** Sessions by host, last heard so many ms after the start; by a clock that nobody sets. */
  const heard = (...afterMs: number[]) =>
    new Map(afterMs.map((ms, index) => [hosts[index] ?? "", { lastHeardAt: startAt + ms }]));

  it("is written anew for everybody once the clock was set, on or back", async () => {
    const hourMs = 3_600_000;
    await clock.advance(5000);
    await presence.write(heard(1000, 4000));
    clock.jump(hourMs);
    await clock.advance(5000);
    await presence.write(heard(1000, 4000));
    expect(await seen()).toEqual([1000 + hourMs, 4000 + hourMs]);
    clock.jump(-2 * hourMs);
    await clock.advance(5000);
    await presence.write(heard(1000, 4000));
    expect(await seen()).toEqual([1000 - hourMs, 4000 - hourMs]);
  });

  it("is written for all hosts at once, and never moves one back in time", async () => {
    await presence.write(heard(1000, 1001));
    expect(await seen()).toEqual([1000, 1001]);
    await presence.write(heard(500, 500).set("gone", { lastHeardAt: startAt + 2000 }));
    expect(await seen()).toEqual([1000, 1001]);
  });

  it("that could not be written is written the next time, unless the host was heard since", async () => {
    presence.leave(hosts[1] ?? "", startAt + 1001);
    isAway = true;
    await presence.write(heard(1000));
    isAway = false;
    expect(await seen()).toEqual([null, null]);
    await presence.write(heard(3000));
    expect(await seen()).toEqual([3000, 1001]);
  });

  it("asks nothing of the database while nobody was heard since the last time", async () => {
    await clock.advance(5000);
    await presence.write(heard(1000, 4800));
    expect(await seen()).toEqual([1000, 4800]);
    queries = 0;
    await clock.advance(5000);
    await presence.write(heard(1000, 4800));
    expect(queries).toBe(0);
  });

  it("of a host that left and came back is that of its new session", async () => {
    presence.leave(hosts[0] ?? "", startAt + 1000);
    await presence.write(heard(3000));
    expect(await seen()).toEqual([3000, null]);
    await presence.write(new Map());
    expect(await seen()).toEqual([3000, null]);
  });
});
