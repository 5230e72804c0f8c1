/** The fleet's figures and order on both engines: current for a small fleet, some seconds old for a large one, never blocked. */
import { engines, FakeClock, makeHost, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Db } from "../../platform/db/db.ts";
import { EventBus } from "../../platform/events.ts";
import { createLog } from "../../platform/log.ts";
import { deleteHost } from "../hosts/hosts.ts";
import { LiveProgress } from "../jobs/jobs.ts";
import { FleetPictures } from "./fleet-picture.ts";

/** More than are read at once. */
const manyHosts = 401;

describe.each(engines)("the fleet's picture on %s", (engine) => {
  let database: TestDatabase;
  let db: Db;
  let clock: FakeClock;
  let pictures: FleetPictures;
  beforeEach(async () => {
    database = await openTestDatabase(engine);
    db = database.db;
    clock = new FakeClock();
    const log = createLog("silent");
    pictures = new FleetPictures({
      ...{ db, clock, log, progress: new LiveProgress({ db, bus: new EventBus(log) }) },
      shelf: { outline: async () => ({ kind: "none" }) },
    });
  });
  afterEach(() => database.close());

  const nameOf = (index: number) => `host-${String(index).padStart(4, "0")}`;
  const add = (index: number, tags: string[] = []) =>
    makeHost(db, { id: `H${index}`, name: nameOf(index), tags, at: clock.now() });
  const total = async () => (await pictures.look()).figures.total;

  it("is of this moment while the fleet is small", async () => {
    await add(1, ["web"]);
    expect(await total()).toBe(1);
    await add(2, ["db", "web"]);
    const picture = await pictures.look();
    expect(picture.figures.total).toBe(2);
    expect(picture.tags).toEqual(["db", "web"]);
    const names = (entries: readonly { name: string }[]) => entries.map(({ name }) => name);
    expect(names(picture.find({ direction: "desc" }))).toEqual([nameOf(2), nameOf(1)]);
    expect(names(picture.find({ tag: "db" }))).toEqual([nameOf(2)]);
  });

  it("has every host of a large fleet once, in order", async () => {
    for (let i = manyHosts; i > 0; i--) await add(i);
    const found = (await pictures.look()).find({}).map(({ name }) => name);
    expect(found).toEqual(Array.from({ length: manyHosts }, (_, i) => nameOf(i + 1)));
  });

  it("of a large fleet serves for some seconds, then makes room for the next one, and is waited for after a pause", async () => {
    for (let i = 1; i <= manyHosts; i++) await add(i);
    expect(await total()).toBe(manyHosts);
    await add(manyHosts + 1);
    await clock.advance(5000);
    expect(await total()).toBe(manyHosts);
    await clock.advance(1);
    // This look begins the next picture, and does not wait for it.
    expect(await total()).toBe(manyHosts);
    await expect.poll(total, { timeout: 20_000 }).toBe(manyHosts + 1);
    const losses = async () => ({});
    const actor = { kind: "system", id: null, name: "system" } as const;
    const events = new EventBus(createLog("silent"));
    await deleteHost({ db, clock, events, losses }, { hostId: "H7", typedName: nameOf(7), actor });
    await clock.advance(60_000);
    expect(await total()).toBe(manyHosts);
    // A clock that was set back by an hour does not make it serve for one.
    await add(manyHosts + 2);
    clock.jump(-3_600_000);
    expect(await total()).toBe(manyHosts + 1);
  });
});
