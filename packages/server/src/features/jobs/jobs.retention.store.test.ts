/** Removing old logs: the right ones, in slices, and the job says that its log is gone. */
import { engines, FakeClock, makeHost, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { sql } from "kysely";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EventBus } from "../../platform/events.ts";
import { systemActor } from "../../platform/http/identity.ts";
import { newId } from "../../platform/random.ts";
import { appendLog, countLogLines } from "./jobs.log.ts";
import { LogRetention } from "./jobs.retention.ts";
import { createJobs, getJob, type Job, moveJob } from "./jobs.ts";

const dayMs = 24 * 60 * 60_000;

describe.each(engines)("log retention on %s", (engine) => {
  let database: TestDatabase;
  const clock = new FakeClock();
  const log = pino({ level: "silent" });

  beforeEach(async () => {
    database = await openTestDatabase(engine);
  });
  afterEach(() => database.close());

  async function makeFinishedJob(finishedAt: number, chunks: number): Promise<Job> {
    const { db } = database;
    const at = clock.now();
    const host = await makeHost(db, { name: `host-${newId(at)}`, at });
    const deps = { db, clock, bus: new EventBus(log) };
    const [job] = await createJobs(deps, [{ hostId: host.id, spec: { kind: "init" }, actor: systemActor }]);
    if (!job) throw new Error("no job");
    for (let chunk = 0; chunk < chunks; chunk++) {
      const line = { at: new Date(at).toISOString(), level: "info", stream: "stdout", text: "x" } as const;
      await appendLog(db, job.id, [{ n: chunk + 1, ...line }]);
    }
    await moveJob(db, job, "cancelled", { finishedAt });
    return job;
  }

  it("removes the logs of jobs that ended too long ago and keeps the jobs and the younger logs", async () => {
    const old = await makeFinishedJob(clock.now() - 91 * dayMs, 450);
    const young = await makeFinishedJob(clock.now() - 89 * dayMs, 3);
    const retention = new LogRetention({ db: database.db, clock, log, keepDays: 90, isLeader: () => true });
    const pruning = retention.prune();
    let done = false;
    void pruning.finally(() => {
      done = true;
    });
    while (!done) {
      await clock.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await pruning).toBe(1);
    expect(await countLogLines(database.db, old.id)).toBe(0);
    expect((await getJob(database.db, old.id)).logPrunedAt).not.toBeNull();
    expect(await countLogLines(database.db, young.id)).toBe(3);
    expect((await getJob(database.db, young.id)).logPrunedAt).toBeNull();
    expect(await retention.prune()).toBe(0);
  });

  it("rests between slices of many short logs too, so that others have their turn", async () => {
    for (let i = 0; i < 60; i++) await makeFinishedJob(clock.now() - 91 * dayMs + i, 1);
    const retention = new LogRetention({ db: database.db, clock, log, keepDays: 90, isLeader: () => true });
    const prunedNow = async () => {
      const { rows } = await sql<{ count: number }>`SELECT count(*) AS count FROM jobs
        WHERE log_pruned_at IS NOT NULL`.execute(database.db);
      return Number(rows[0]?.count);
    };
    const pruning = retention.prune();
    // The clock stands still: after the first slice it rests for as long as that.
    await expect.poll(prunedNow).toBeGreaterThan(0);
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    const first = await prunedNow();
    expect(first).toBeLessThan(60);
    let done = false;
    void pruning.finally(() => {
      done = true;
    });
    while (!done) {
      await clock.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await pruning).toBe(60);
    expect(await prunedNow()).toBe(60);
  });
});
