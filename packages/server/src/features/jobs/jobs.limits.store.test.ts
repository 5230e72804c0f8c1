/** How much of one job's log the server keeps, on both engines: a stolen host must not fill the disk. */
import { randomBytes } from "node:crypto";
import {
  engines,
  FakeClock,
  linesOf,
  logOf,
  makeHost,
  openTestDatabase,
  type TestDatabase,
} from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Db } from "../../platform/db/db.ts";
import { EventBus } from "../../platform/events.ts";
import { systemActor } from "../../platform/http/identity.ts";
import { createLog } from "../../platform/log.ts";
import type { Host } from "../hosts/hosts.ts";
import { createJobs, type Job } from "./job.ts";
import { createJobEventHandlers } from "./jobs.events.ts";
import { appendLog, countLogLines, readLog } from "./jobs.log.ts";
import { LiveProgress } from "./jobs.progress.ts";

const noise = () => randomBytes(6000).toString("base64");

describe.each(engines)("a job's log on %s", (engine) => {
  const clock = new FakeClock();
  let database: TestDatabase;
  let db: Db;
  let host: Host;
  let job: Job;

  beforeEach(async () => {
    database = await openTestDatabase(engine);
    db = database.db;
    host = await makeHost(db, { at: clock.now() });
    const deps = { db, clock, bus: new EventBus(createLog("silent")) };
    const [made] = await createJobs(deps, [{ hostId: host.id, spec: { kind: "check" }, actor: systemActor }]);
    if (!made) throw new Error("no job");
    job = made;
  });
  afterEach(() => database.close());

  const storedBytes = async () => {
    const query = sql<{ bytes: number }>`SELECT coalesce(sum(length(lines)), 0) AS bytes FROM job_log_chunks`;
    return Number((await query.execute(db)).rows[0]?.bytes);
  };

  it("stops growing at its limit, with a last line that says so", async () => {
    const limit = 100_000;
    let n = 1;
    for (; n <= 40; n++) await appendLog(db, job.id, linesOf(n, n, noise), limit);
    expect(await storedBytes()).toBeLessThan(limit + 10_000);
    const last = await countLogLines(db, job.id);
    expect(await readLog(db, job.id, last)).toEqual([
      expect.objectContaining({ n: last, level: "warning", text: expect.stringContaining("left out") }),
    ]);
    expect(await appendLog(db, job.id, linesOf(n, n + 9), limit)).toEqual([]);
  });

  it.each([
    { what: "backwards", numbers: [2, 1] },
    { what: "twice", numbers: [1, 1] },
    { what: "with a gap", numbers: [1, 3] },
    { what: "beyond all bounds", numbers: [Number.MAX_SAFE_INTEGER] },
  ])("takes no lines numbered $what", async ({ numbers }) => {
    const lines = numbers.flatMap((n) => linesOf(n, n));
    await expect(appendLog(db, job.id, lines)).rejects.toMatchObject({ code: "jobs.log_disordered" });
    expect(await countLogLines(db, job.id)).toBe(0);
  });

  it("that was removed for its age takes nothing more", async () => {
    await sql`UPDATE jobs SET log_pruned_at = 1 WHERE id = ${job.id}`.execute(db);
    const bus = new EventBus(createLog("silent"));
    const handlers = createJobEventHandlers({ db, clock, bus, progress: new LiveProgress({ db, bus }) });
    await handlers["log.stream"](db, host, logOf({ job_id: job.id, attempt: job.attempt }, 1, linesOf(1, 3)));
    expect(await countLogLines(db, job.id)).toBe(0);
  });
});
