/** What an agent or a person says of a job in the moment in which another server changes the job's row, on PostgreSQL. */
import { FakeClock, makeHost, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, expect, it } from "vitest";
import { inTransaction } from "../../platform/db/db.ts";
import { EventBus } from "../../platform/events.ts";
import { systemActor } from "../../platform/http/identity.ts";
import { createLog } from "../../platform/log.ts";
import type { Host } from "../hosts/hosts.ts";
import { cancelJob } from "./job.ts";
import { createJobEventHandlers } from "./jobs.events.ts";
import { LiveProgress } from "./jobs.progress.ts";
import { createJobs, getJob, type Job, moveJob } from "./jobs.ts";
import { recordOwnRun } from "./own-runs.ts";

const clock = new FakeClock();
const bus = new EventBus(createLog("silent"));
const untilMs = 10_000;
let database: TestDatabase;
let host: Host;
let job: Job;

beforeEach(async () => {
  database = await openTestDatabase("postgres");
  host = await makeHost(database.db, { at: clock.now() });
  const deps = { db: database.db, clock, bus };
  const [made] = await createJobs(deps, [{ hostId: host.id, spec: { kind: "init" }, actor: systemActor }]);
  if (!made) throw new Error("no job was made");
  await moveJob(database.db, made, "dispatched", { attempt: 1, dispatchedAt: clock.now() });
  job = await getJob(database.db, made.id);
});
afterEach(() => database.close());

/** Resolves when a session waits for a lock of another one. */
async function untilOneWaits(): Promise<void> {
  const end = performance.now() + untilMs;
  for (;;) {
    const { rows } =
      await sql`SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`.execute(
        database.db,
      );
    if (rows.length > 0) return;
    if (performance.now() > end) throw new Error("nobody waits");
  }
}

it("its end counts, although its dispatch is taken back in that moment", async () => {
  const handlers = createJobEventHandlers({
    db: database.db,
    clock,
    bus,
    progress: new LiveProgress({ db: database.db, bus }),
  });
  const at = new Date(clock.now()).toISOString();
  let told: Promise<unknown> = Promise.resolve();
  await inTransaction(database.db, async (tx) => {
    await moveJob(tx, job, "queued");
    told = inTransaction(database.db, (other) =>
      handlers["job.finished"](other, host, {
        ...{ type: "job.finished", seq: 1, job_id: job.id, attempt: 1, at, status: "succeeded" },
        ...{ exit_code: 0, error: null, summary: null, log_lines: 0 },
      } as never),
    );
    await untilOneWaits();
  });
  await told;
  expect((await getJob(database.db, job.id)).status).toBe("succeeded");
});

it("it is cancelled at once, although it was taken back only in that moment", async () => {
  let cancelled: Promise<unknown> = Promise.resolve();
  await inTransaction(database.db, async (tx) => {
    await moveJob(tx, job, "queued");
    cancelled = cancelJob({ db: database.db, clock, bus }, { jobId: job.id, actor: systemActor });
    await untilOneWaits();
  });
  expect(await cancelled).toBe("cancelled");
});

it("the run that its host began by itself is the one that counts, although it is sent again in that moment", async () => {
  await moveJob(database.db, job, "queued");
  const scheduled = { jobId: job.id, scheduleId: "s", plannedAt: clock.now() };
  const newJob = { hostId: host.id, spec: job.spec, actor: systemActor, scheduled };
  let told: Promise<unknown> = Promise.resolve();
  await inTransaction(database.db, async (tx) => {
    await moveJob(tx, { ...job, status: "queued" }, "dispatched", { attempt: 2 });
    told = inTransaction(database.db, (other) =>
      recordOwnRun(other, host, { newJob, attempt: 1, at: clock.now() }),
    );
    await untilOneWaits();
  });
  await told;
  expect(await getJob(database.db, job.id)).toMatchObject({ status: "dispatched", attempt: 1 });
});
