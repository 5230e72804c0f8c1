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

  beforeEach(async () => {
    database = await openTestDatabase(engine);
    const at = new FakeClock().now();
    hosts = [];
    for (const name of ["a", "b"]) hosts.push((await makeHost(database.db, { name, at })).id);
    isAway = false;
    const db = database.db.withPlugin({
      transformQuery({ node }) {
        if (isAway) throw new Error("the database is away");
        return node;
      },
      transformResult: async ({ result }) => result,
    });
    presence = new Presence({ db, log: createLog("silent") });
  });
  afterEach(() => database.close());

  const seen = async () =>
    Promise.all(hosts.map(async (id) => (await findHost(database.db, id))?.lastSeenAt ?? null));

  it("is written for all hosts at once, and never moves one back in time", async () => {
    hosts.forEach((id, index) => void presence.note(id, 1000 + index));
    await presence.write();
    expect(await seen()).toEqual([1000, 1001]);
    for (const id of hosts) presence.note(id, 500);
    presence.note("gone", 2000);
    await presence.write();
    expect(await seen()).toEqual([1000, 1001]);
  });

  it("that could not be written is written the next time, unless the host was heard since", async () => {
    hosts.forEach((id, index) => void presence.note(id, 1000 + index));
    isAway = true;
    await presence.write();
    isAway = false;
    expect(await seen()).toEqual([null, null]);
    presence.note(hosts[0] ?? "", 3000);
    await presence.write();
    expect(await seen()).toEqual([3000, 1001]);
  });
});
