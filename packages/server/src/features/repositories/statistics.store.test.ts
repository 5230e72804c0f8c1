/** A repository's figures on both engines: kept where nothing was told, a row a day, and never another one's. */
import { engines, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inTransaction } from "../../platform/db/db.ts";
import {
  acceptForeignId,
  ensureRepository,
  findRepository,
  listHistory,
  recordStatistics,
  refuseSwapped,
} from "./repositories.ts";

const ours = "a".repeat(64);
const foreign = "b".repeat(64);
const noon = Date.UTC(2026, 10, 23, 12);
const dayMs = 24 * 60 * 60_000;
const lock = {
  ...{ id: "c".repeat(64), hostname: "db-01", username: "root", pid: 7, exclusive: true, alive: null },
  created_at: "2026-11-23T11:00:00.000Z",
};

describe.each(engines)("a repository's statistics on %s", (engine) => {
  let database: TestDatabase;
  let id: string;
  beforeEach(async () => {
    database = await openTestDatabase(engine);
    ({ id } = await ensureRepository(database.db, "/srv/restic", 1));
  });
  afterEach(() => database.close());

  const figures = { raw_bytes: 1000, uncompressed_bytes: 3000, snapshot_count: 5, locks: [lock] };
  const tell = (more: object = {}, at = noon, ambiguous = false) => {
    const stats = { job_id: null, repository_id: ours, ...figures, ...more };
    return inTransaction(database.db, (tx) => recordStatistics(tx, id, { stats, at, ambiguous }));
  };
  const now = () => findRepository(database.db, id);
  const history = (days: number, at = noon) => listHistory(database.db, id, { days, now: at });

  it("are taken as told, and what was not told is kept", async () => {
    expect(await tell()).toBe(false);
    const whole = { rawBytes: 1000, uncompressedBytes: 3000, snapshotCount: 5, locks: [lock] };
    expect(await now()).toMatchObject({ ...whole, resticId: ours, foreignId: null, statsAt: noon });
    const nothing = { raw_bytes: null, uncompressed_bytes: null, snapshot_count: 6, locks: null };
    await tell({ ...nothing, repository_id: null }, noon + 1);
    expect(await now()).toMatchObject({ ...whole, snapshotCount: 6, resticId: ours, statsAt: noon + 1 });
  });

  it("take an agent's id without its control characters", async () => {
    expect(await tell({ repository_id: `${ours}\u0000` })).toBe(false);
    expect(await tell({ repository_id: `\u001b${ours}` })).toBe(false);
    expect(await tell({ repository_id: `${foreign}\u0000` })).toBe(true);
    expect(await now()).toMatchObject({ resticId: ours, foreignId: foreign });
  });

  it("of an earlier moment that arrive late change only their day", async () => {
    await tell();
    await tell({ raw_bytes: 900 }, noon - dayMs);
    expect(await now()).toMatchObject({ rawBytes: 1000, statsAt: noon });
    expect(await history(30)).toMatchObject([{ rawBytes: 900 }, { rawBytes: 1000 }]);
  });

  it("have one row for each UTC day, as its last report left it", async () => {
    const midnight = Date.UTC(2026, 10, 24);
    await tell({ raw_bytes: 1 }, midnight - 2);
    await tell({ raw_bytes: null, snapshot_count: 9 }, midnight - 1);
    await tell({ raw_bytes: 3 }, midnight);
    expect(await history(2, midnight)).toEqual([
      { at: midnight - dayMs, rawBytes: 1, snapshotCount: 9 },
      { at: midnight, rawBytes: 3, snapshotCount: 5 },
    ]);
    expect(await history(1, midnight)).toHaveLength(1);
    await tell({ raw_bytes: null, snapshot_count: null }, midnight + dayMs);
    expect(await history(30, midnight + dayMs)).toHaveLength(2);
  });

  it("of another repository under the address are not taken, and nothing may be done to it", async () => {
    await tell();
    refuseSwapped(await now());
    expect(await tell({ repository_id: foreign, raw_bytes: 1 })).toBe(true);
    const swapped = await now();
    expect(swapped).toMatchObject({ resticId: ours, foreignId: foreign, rawBytes: 1000 });
    expect(() => refuseSwapped(swapped)).toThrow(
      expect.objectContaining({ kind: "conflict", code: "repositories.swapped" }),
    );
    expect(await history(30)).toMatchObject([{ rawBytes: 1000 }]);
  });

  it("begin anew when the other repository is accepted", async () => {
    await tell();
    await expect(inTransaction(database.db, (tx) => acceptForeignId(tx, id))).rejects.toMatchObject({
      code: "repositories.not_swapped",
    });
    await tell({ repository_id: foreign });
    expect(await inTransaction(database.db, (tx) => acceptForeignId(tx, id))).toBe(foreign);
    expect(await now()).toMatchObject({ resticId: foreign, foreignId: null, rawBytes: null, locks: null });
    await tell({ repository_id: foreign, raw_bytes: 7 });
    expect(await now()).toMatchObject({ rawBytes: 7 });
  });

  it("of one path on several hosts raise no alarm: each may have its own repository there", async () => {
    await tell({}, noon, true);
    expect(await tell({ repository_id: foreign, raw_bytes: 1 }, noon, true)).toBe(false);
    expect(await now()).toMatchObject({ resticId: ours, foreignId: null, rawBytes: 1000 });
  });
});
