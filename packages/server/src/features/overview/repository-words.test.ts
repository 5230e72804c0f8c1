/** What is said of checks, coverage, skipped times and locks. */
import { describe, expect, it } from "vitest";
import type { CadenceView, LastRun, LockView } from "../maintenance/maintenance.ts";
import {
  checkWord,
  compressionWords,
  coverageWords,
  depthWords,
  isDamaged,
  lockHolder,
  newestSkip,
  staleLocks,
  wantsIndex,
} from "./repository-words.ts";

const now = Date.UTC(2026, 10, 23, 4);
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

const run = (overrides: Partial<LastRun> = {}): LastRun => ({
  ...{ jobId: "J1", hostId: "H1", status: "succeeded", finishedAt: now - hourMs, result: null, error: null },
  readData: null,
  ...overrides,
});
const checked = (figures: { errors?: number; index?: boolean }): LastRun =>
  run({
    result: {
      ...{ kind: "check", error_count: figures.errors ?? 0, broken_packs: 0, suggest_prune: false },
      suggest_repair_index: figures.index ?? false,
    },
  });

describe("coverage", () => {
  const parts = { nextSlice: 13, slicesOf: 43 };

  it("is the age of the oldest reading once every part was read", () => {
    const all = { ...parts, slicesRead: 43, since: now - 42.5 * dayMs };
    expect(coverageWords(all, now)).toBe("Every pack was read in the last 43 days.");
    expect(coverageWords({ ...all, since: now - hourMs }, now)).toBe("Every pack was read in the last day.");
  });

  it("counts the parts before that, and says what to do when there are none", () => {
    expect(coverageWords({ ...parts, slicesRead: 12, since: null }, now)).toBe("12 of 43 parts read so far.");
    expect(coverageWords({ ...parts, slicesRead: 0, since: null }, now)).toContain("Not every pack");
  });
});

describe("a check", () => {
  it("says what it read", () => {
    const words = [null, { percent: 5 }, { percent: 100 }, { slice: 2, of: 7 }].map(depthWords);
    expect(words).toEqual(["structure only", "5\u00a0% of the data", "all data", "part 2 of 7"]);
  });

  it("is damaged by its error or by what it counted, and then a repair is offered", () => {
    const failed = run({ status: "failed", error: { code: "restic.repository_damaged", message: "" } });
    for (const check of [failed, checked({ errors: 3 })]) {
      expect([isDamaged(check), wantsIndex(check), checkWord(check).tone]).toEqual([true, true, "fail"]);
    }
  });

  it("with a stale index alone offers the index, and no more", () => {
    const stale = checked({ index: true });
    expect([isDamaged(stale), wantsIndex(stale), checkWord(stale).word]).toEqual([
      false,
      true,
      "index is stale",
    ]);
    expect([isDamaged(checked({})), wantsIndex(checked({})), checkWord(checked({})).word]).toEqual([
      false,
      false,
      "no errors",
    ]);
  });

  it("that failed for another reason is no damage", () => {
    const locked = run({ status: "failed", error: { code: "restic.repository_locked", message: "" } });
    expect([isDamaged(locked), checkWord(locked).word]).toEqual([false, "failed"]);
  });
});

describe("a skipped time", () => {
  const cadence = (lastFire: CadenceView["lastFire"], lastRun: LastRun | null): CadenceView => ({
    ...{ operation: "prune", nextAt: null, lastFire, lastRun },
  });

  it("is told with its reason until something ran after it", () => {
    const skipped = { plannedAt: now - 2 * hourMs, outcome: "offline" } as const;
    expect(newestSkip(cadence(skipped, null))?.reason).toBe("the host was offline");
    expect(newestSkip(cadence(skipped, run({ finishedAt: now - 3 * hourMs })))).not.toBeNull();
    expect(newestSkip(cadence(skipped, run()))).toBeNull();
    expect(newestSkip(cadence({ ...skipped, outcome: "run" }, null))).toBeNull();
  });
});

describe("locks", () => {
  const lock = (overrides: Partial<LockView>): LockView => ({
    ...{
      id: "L1",
      hostname: "web-01",
      username: "root",
      pid: 7,
      exclusive: true,
      createdAt: now - 2 * hourMs,
    },
    ...{ alive: null, host: null, ours: false, job: null, jobAlive: null },
    ...overrides,
  });
  const isStale = (overrides: Partial<LockView>): boolean =>
    staleLocks({ locks: [lock(overrides)] }, now).length === 1;

  it("are stale when their holder is gone or unknown for long, never while it lives", () => {
    expect(isStale({ alive: false, createdAt: now })).toBe(true);
    expect(isStale({ jobAlive: false, createdAt: now })).toBe(true);
    expect(isStale({})).toBe(true);
    expect(isStale({ createdAt: now - 60_000 })).toBe(false);
    expect(isStale({ alive: true })).toBe(false);
    expect(isStale({ jobAlive: true })).toBe(false);
    expect(staleLocks({ locks: null }, now)).toEqual([]);
  });

  it("say of their holder what is known", () => {
    const job = { id: "J1", kind: "prune" as const };
    expect(lockHolder(lock({ job, jobAlive: true })).word).toBe("held by our prune, which still runs");
    expect(lockHolder(lock({ alive: false })).word).toBe("its process is gone");
    expect(lockHolder(lock({ job, jobAlive: false })).word).toBe("our prune that made it has ended");
    expect(lockHolder(lock({})).word).toBe("nobody here knows its holder");
  });
});

describe("compression", () => {
  it("is a ratio in words, where both sizes are known", () => {
    expect(compressionWords(100, 325)).toBe("3.3 times what is stored");
    expect(compressionWords(100, 101)).toBe("compression saves nothing");
    expect(compressionWords(null, 101)).toBe("measured after a backup");
  });
});
