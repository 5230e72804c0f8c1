/** The sizes of all repositories at once, on both engines: for a page that shows every host. */
import { countQueries, engines, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inTransaction } from "../../platform/db/db.ts";
import { ensureRepository, listFleetSizes, recordStatistics } from "./repositories.ts";

const now = Date.UTC(2026, 10, 23, 12);
const dayMs = 86_400_000;
const today = Date.UTC(2026, 10, 23) / dayMs;

describe.each(engines)("the sizes of the fleet on %s", (engine) => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await openTestDatabase(engine);
  });
  afterEach(() => database.close());

  async function add(name: string, sizes: [daysAgo: number, rawBytes: number | null][]): Promise<string> {
    const location = `rest:https://backup.example.org/${name}`;
    const { id } = await inTransaction(database.db, (tx) => ensureRepository(tx, location, now));
    for (const [daysAgo, rawBytes] of sizes) {
      const none = {
        job_id: null,
        repository_id: null,
        uncompressed_bytes: null,
        snapshot_count: 3,
        locks: null,
      };
      const told = { stats: { ...none, raw_bytes: rawBytes }, at: now - daysAgo * dayMs, ambiguous: false };
      await inTransaction(database.db, (tx) => recordStatistics(tx, id, told));
    }
    return id;
  }

  it("hold each repository with the days in the range that have a size, the oldest first, in two queries", async () => {
    const grown = await add("grown", [
      [40, 10],
      [29, 20],
      [7, null],
      [0, 30],
      // A host that was away tells of an earlier day.
      [15, 25],
    ]);
    const silent = await add("silent", []);
    const counted = countQueries(database.db);
    const sizes = await listFleetSizes(counted.db, [grown, silent], { days: 30, now });
    expect(counted.kinds).toHaveLength(2);
    expect(sizes.get(grown)).toEqual({
      rawBytes: 30,
      daily: { days: [today - 29, today - 15, today], rawBytes: [20, 25, 30] },
    });
    expect(sizes.get(silent)).toEqual({ rawBytes: null, daily: { days: [], rawBytes: [] } });
  });
});
