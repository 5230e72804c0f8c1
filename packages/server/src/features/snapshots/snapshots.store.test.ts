/** Reports of snapshots on both engines: taken over whole or not at all, and what they add up to. */
import {
  engines,
  FakeClock,
  makeHost,
  openTestDatabase,
  reportOf,
  snapshotOf,
  type TestDatabase,
} from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { EventBus } from "../../platform/events.ts";
import { createLog } from "../../platform/log.ts";
import { newId } from "../../platform/random.ts";
import type { Host } from "../hosts/hosts.ts";
import {
  countByTag,
  countSnapshots,
  findSnapshot,
  listSnapshots,
  listTaggedSnapshots,
  onSnapshotsAdded,
  onSnapshotsReport,
  snapshotsChanged,
  sumSnapshots,
} from "./snapshots.ts";

const clock = new FakeClock();
const allOfThem = { limit: 100, offset: 0 };
const hour = (n: number) => new Date(Date.UTC(2026, 10, 23, n)).toISOString();

describe.each(engines)("snapshots on %s", (engine) => {
  let database: TestDatabase;
  let db: Db;
  let host: Host;
  let bus: EventBus;
  let changes: string[];
  beforeEach(async () => {
    database = await openTestDatabase(engine);
    db = database.db;
    bus = new EventBus(createLog("silent"));
    changes = [];
    bus.on(snapshotsChanged, ({ hostId }) => changes.push(hostId));
    host = await addHost("h");
  });
  afterEach(() => database.close());

  function addHost(name: string): Promise<Host> {
    return makeHost(db, { name, at: clock.now() });
  }

  /** As the link does it: one transaction, then what follows the commit. */
  async function receive(report: ReturnType<typeof reportOf>, from = host): Promise<void> {
    const after = await inTransaction(db, (tx) => onSnapshotsReport({ clock, bus }, tx, from, report));
    after?.();
  }

  it("are counted by tag, each for all of its tags, and those without any apart", async () => {
    const tagged = (id: string, n: number, tags: string[]) => snapshotOf(id, { time: hour(n), tags });
    const all = [
      ...[tagged("aaaaaaaa01", 1, ["etc"]), tagged("aaaaaaaa02", 2, ["etc", "home"])],
      tagged("aaaaaaaa03", 3, []),
    ];
    await receive(reportOf(1, all));
    const at = (n: number) => Date.UTC(2026, 10, 23, n);
    expect(await countByTag(db, host.id)).toEqual([
      { tag: "etc", count: 2, newestAt: at(2) },
      { tag: null, count: 1, newestAt: at(3) },
      { tag: "home", count: 1, newestAt: at(2) },
    ]);
    expect(await countByTag(db, (await addHost("other")).id)).toEqual([]);
  });

  const shown = async () => (await listSnapshots(db, host.id, allOfThem)).map((snapshot) => snapshot.id);
  const parts = (report_id: string, ...ids: string[]) =>
    ids.map((id, i) => reportOf(i + 1, [snapshotOf(id)], { report_id, part: i + 1, parts: ids.length }));

  it("are known by their full id, to their own host", async () => {
    await receive(reportOf(1, [snapshotOf("aaaaaaaa01")]));
    expect(await findSnapshot(db, host.id, "aaaaaaaa01")).not.toBeNull();
    expect(await findSnapshot(db, host.id, "aaaaaaaa")).toBeNull();
    expect(await findSnapshot(db, (await addHost("other")).id, "aaaaaaaa01")).toBeNull();
    await receive(reportOf(2, []));
    expect(await findSnapshot(db, host.id, "aaaaaaaa01")).toBeNull();
  });

  it("of a report that is still arriving are not shown; the last part swaps the whole list", async () => {
    await receive(reportOf(1, [snapshotOf("aaaaaaaa")]));
    const [first, second] = parts(newId(1), "bbbbbbbb", "cccccccc");
    if (first) await receive(first);
    expect(await shown()).toEqual(["aaaaaaaa"]);
    expect(await countSnapshots(db, host.id)).toBe(1);
    expect((await sumSnapshots(db, [host.id])).get(host.id)?.count).toBe(1);
    expect(changes).toHaveLength(1);
    if (second) await receive(second);
    expect(await shown()).toEqual(["bbbbbbbb", "cccccccc"]);
    expect(changes).toEqual([host.id, host.id]);
  });

  it("of a part that comes again are there once", async () => {
    const [first, second] = parts(newId(2), "aaaaaaaa", "bbbbbbbb");
    for (const part of [first, first, second, second]) if (part) await receive(part);
    expect(await shown()).toEqual(["aaaaaaaa", "bbbbbbbb"]);
  });

  it("of a report that never ended vanish with the next one", async () => {
    const [orphan] = parts(newId(3), "aaaaaaaa", "bbbbbbbb");
    if (orphan) await receive(orphan);
    await receive(reportOf(9, [snapshotOf("cccccccc")]));
    expect(await shown()).toEqual(["cccccccc"]);
  });

  const countRows = async () => {
    const { rows } = await sql<{ count: number }>`SELECT count(*) AS count FROM snapshots`.execute(db);
    return Number(rows[0]?.count);
  };

  it("of reports that never end cost the room of one", async () => {
    for (let i = 0; i < 5; i++) {
      const [first] = parts(newId(i), "aaaaaaaa", "bbbbbbbb");
      if (first) await receive(first);
    }
    expect(await countRows()).toBe(1);
  });

  it("of one report that never ends are refused beyond its limit", async () => {
    const report_id = newId(4);
    const big = (i: number) =>
      reportOf(i, [snapshotOf(String(i).padStart(8, "0"), { paths: Array(15).fill("/".repeat(30_000)) })], {
        report_id,
        part: 1,
        parts: 2,
      });
    const flood = async () => {
      for (let i = 1; i <= 200; i++) await receive(big(i));
    };
    await expect(flood()).rejects.toMatchObject({ code: "snapshots.report_too_large" });
    expect(await countRows()).toBeLessThan(160);
  });

  it("of a report that is shown already do not grow any more", async () => {
    const report_id = newId(5);
    await receive(reportOf(1, [snapshotOf("aaaaaaaa")], { report_id }));
    await receive(reportOf(2, [snapshotOf("bbbbbbbb")], { report_id }));
    expect(await shown()).toEqual(["aaaaaaaa"]);
  });

  /** As the link does it when a backup has made one. */
  async function add(id: string): Promise<void> {
    const event = { type: "snapshots.added", seq: 1, job_id: newId(1), snapshot: snapshotOf(id) } as const;
    (await inTransaction(db, (tx) => onSnapshotsAdded({ clock, bus }, tx, host, event)))();
  }

  it("that a backup has just made join the list that is shown, until the next report says the truth", async () => {
    await receive(reportOf(1, [snapshotOf("aaaaaaaa")]));
    await add("bbbbbbbb");
    expect(await shown()).toEqual(["aaaaaaaa", "bbbbbbbb"]);
    expect(changes).toEqual([host.id, host.id]);
    await add("bbbbbbbb");
    expect(await countSnapshots(db, host.id)).toBe(2);
    await receive(reportOf(2, [snapshotOf("bbbbbbbb")]));
    expect(await shown()).toEqual(["bbbbbbbb"]);
  });

  it("are there from a host's first backup on, before it ever reported a list", async () => {
    await add("aaaaaaaa");
    expect(await shown()).toEqual(["aaaaaaaa"]);
    await receive(reportOf(1, [snapshotOf("aaaaaaaa"), snapshotOf("bbbbbbbb")]));
    expect(await shown()).toEqual(["aaaaaaaa", "bbbbbbbb"]);
  });

  it("of a first report that is still arriving are not dropped by one that is added", async () => {
    const [first, second] = parts(newId(6), "aaaaaaaa", "bbbbbbbb");
    if (first) await receive(first);
    await add("cccccccc");
    expect(await shown()).toEqual(["cccccccc"]);
    if (second) await receive(second);
    expect(await shown()).toEqual(["aaaaaaaa", "bbbbbbbb"]);
  });

  it("may all be gone: an empty report empties the list", async () => {
    await receive(reportOf(1, [snapshotOf("aaaaaaaa")]));
    await receive(reportOf(2, []));
    expect(await shown()).toEqual([]);
    expect((await sumSnapshots(db, [host.id])).get(host.id)).toEqual({
      count: 0,
      newestAt: 0,
      protectedBytes: 0,
    });
  });

  it("are thousands in one report", async () => {
    const many = Array.from({ length: 2000 }, (_, i) => snapshotOf(i.toString(16).padStart(8, "0")));
    await receive(reportOf(1, many));
    expect(await countSnapshots(db, host.id)).toBe(2000);
  });

  it("are listed newest first, in pages, with every field", async () => {
    const full = snapshotOf("dddddddd", {
      time: hour(3),
      paths: ["/a b", "/\u0001", "C:\\Users"],
      tags: ["default", "ü"],
      username: null,
      size_bytes: null,
    });
    await receive(
      reportOf(1, [
        snapshotOf("aaaaaaaa", { time: hour(1) }),
        full,
        snapshotOf("bbbbbbbb", { time: hour(2) }),
      ]),
    );
    expect(await shown()).toEqual(["dddddddd", "bbbbbbbb", "aaaaaaaa"]);
    const [newest] = await listSnapshots(db, host.id, { limit: 1, offset: 0 });
    expect(newest).toEqual({
      id: "dddddddd",
      time: Date.parse(hour(3)),
      hostname: "host",
      username: null,
      paths: full.paths,
      tags: full.tags,
      sizeBytes: null,
      fileCount: 10,
      addedBytes: 100,
    });
  });

  it("may carry text that PostgreSQL can't hold: control characters are dropped, the report is not", async () => {
    await receive(
      reportOf(1, [snapshotOf("aaaaaaaa", { hostname: "h\u0000st", username: "ro\u0000ot\u001b" })]),
    );
    const [stored] = await listSnapshots(db, host.id, allOfThem);
    expect(stored).toMatchObject({ hostname: "hst", username: "root" });
  });

  it("of one group are those of the host's own name that carry its tag, all of them", async () => {
    const many = Array.from({ length: 1200 }, (_, i) => snapshotOf(`b${i.toString(16).padStart(7, "0")}`));
    const tagged = (id: string, tags: string[], more = {}) =>
      snapshotOf(id, { tags, time: hour(2), ...more });
    const odd = [
      tagged("aaaaaaaa", ["etc", "x"]),
      ...[tagged("cccccccc", ["etc2"]), tagged("dddddddd", [])],
      tagged("eeeeeeee", ["etc"], { hostname: "other" }),
    ];
    await receive(reportOf(1, [...many.map((one) => ({ ...one, tags: ["etc"], time: hour(1) })), ...odd]));
    const found = await listTaggedSnapshots(db, { hostId: host.id, hostname: "host", tag: "etc" });
    expect(found).toHaveLength(1201);
    expect(found[0]).toEqual({ id: "aaaaaaaa", time: Date.parse(hour(2)) });
  });

  it("add up: the newest of each group counts once", async () => {
    const other = await addHost("other");
    await receive(
      reportOf(1, [
        snapshotOf("aaaaaaaa", { time: hour(1), tags: ["etc"], size_bytes: 100 }),
        snapshotOf("bbbbbbbb", { time: hour(2), tags: ["etc"], size_bytes: 70 }),
        snapshotOf("cccccccc", { time: hour(1), tags: ["srv"], size_bytes: 5000 }),
        snapshotOf("dddddddd", { time: hour(1), tags: ["old"], size_bytes: null }),
      ]),
    );
    await receive(reportOf(1, [snapshotOf("eeeeeeee", { time: hour(5), size_bytes: 2 ** 45 })]), other);
    const totals = await sumSnapshots(db, [host.id, other.id]);
    expect(totals.get(host.id)).toEqual({ count: 4, newestAt: Date.parse(hour(2)), protectedBytes: 5070 });
    expect(totals.get(other.id)).toEqual({
      count: 1,
      newestAt: Date.parse(hour(5)),
      protectedBytes: 2 ** 45,
    });
    expect([...(await sumSnapshots(db, [other.id])).keys()]).toEqual([other.id]);
  });

  it("of two with the same instant are counted as one group's newest", async () => {
    await receive(
      reportOf(1, [snapshotOf("aaaaaaaa", { size_bytes: 10 }), snapshotOf("bbbbbbbb", { size_bytes: 30 })]),
    );
    expect((await sumSnapshots(db, [host.id])).get(host.id)).toMatchObject({ count: 2, protectedBytes: 30 });
  });
});
