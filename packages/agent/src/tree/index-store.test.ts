/** Indexes on the disk: what goes when, and that nothing goes while it is used. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AgentFakeClock } from "../../../testkit/src/agent-clock.ts";
import { INDEX_LIMITS, type IndexLimits, IndexStore } from "./index-store.ts";

let dir: string;
let clock: AgentFakeClock;
const stores: IndexStore[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "index-store-"));
  clock = new AgentFakeClock();
});
afterEach(async () => {
  for (const store of stores.splice(0)) store.stop();
  await rm(dir, { recursive: true });
});

function createStore(limits: Partial<IndexLimits> = {}): IndexStore {
  const all = { ...INDEX_LIMITS, freeBytes: async () => 10 ** 12, ...limits };
  const store = new IndexStore({ dir, clock, log: pino({ level: "silent" }), limits: all });
  stores.push(store);
  return store;
}

const keyOf = (n: number, foreign = false) => ({ snapshotId: String(n).padStart(64, "0"), foreign });
const names = async () => (await readdir(dir)).map((name) => name.replace(/^0+/, "")).sort();
const touch = (store: IndexStore, n: number, foreign = false) =>
  store.use(keyOf(n, foreign), async () => undefined);
const HALF_AN_HOUR_MS = 30 * 60_000;

describe("the indexes of a host", () => {
  test("of another host's snapshots go after half an hour without use, its own stay", async () => {
    const store = createStore();
    await touch(store, 1);
    await touch(store, 2, true);
    await clock.advance(HALF_AN_HOUR_MS - 1);
    await store.dropIdleForeign();
    expect(await names()).toEqual(["1.sqlite", "2.foreign.sqlite"]);
    await touch(store, 2, true);
    await clock.advance(HALF_AN_HOUR_MS - 1);
    await store.dropIdleForeign();
    expect(await names()).toHaveLength(2);
    await clock.advance(1);
    await store.dropIdleForeign();
    expect(await names()).toEqual(["1.sqlite"]);
  });

  test("are not dropped while they are used, and can be used to the end when they are", async () => {
    const store = createStore({ maxBytes: 1 });
    await touch(store, 2);
    await store.use(keyOf(1), async (index) => {
      await store.makeRoom();
      expect(await names()).toEqual(["1.sqlite"]);
      await store.drop(keyOf(1));
      expect(index.page("/", null, 1)).toBeUndefined();
    });
    expect(await names()).toEqual([]);
  });

  test("are opened again after more than a few were, with what is in them", async () => {
    const store = createStore();
    for (let n = 1; n <= 8; n += 1)
      await store.use(keyOf(n), async (index) => {
        index.walkFolder("/");
        index.finishWalk(n);
      });
    for (let n = 1; n <= 8; n += 1)
      expect(await store.use(keyOf(n), async ({ walk }) => walk?.skipped)).toBe(n);
    expect(await store.has(keyOf(3))).toBe(true);
    expect(await store.has(keyOf(9))).toBe(false);
  });

  test("that break while they are used are thrown away", async () => {
    const store = createStore();
    await touch(store, 1);
    const broken = Object.assign(new Error("database disk image is malformed"), { code: "ERR_SQLITE_ERROR" });
    await expect(store.use(keyOf(1), () => Promise.reject(broken))).rejects.toBe(broken);
    await expect.poll(names).toEqual([]);
    await touch(store, 1);
    expect(await names()).toEqual(["1.sqlite"]);
  });

  test("are not begun where the disk has no room or can't be written", async () => {
    const full = createStore({ freeBytes: async () => INDEX_LIMITS.minFreeBytes - 1 });
    await expect(touch(full, 1)).rejects.toMatchObject({ code: "tree.no_room" });
    const store = new IndexStore({ dir: "/dev/null/trees", clock, log: pino({ level: "silent" }) });
    await store.start();
    await expect(store.use(keyOf(1), async () => undefined)).rejects.toMatchObject({
      code: "tree.index_unusable",
    });
    expect(await names()).toEqual([]);
  });
});
