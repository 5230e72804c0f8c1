/** One planned time at two servers in the same moment, on PostgreSQL: a host fires it that the other takes for away. */
import { ScheduleLab } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, expect, it } from "vitest";
import { inTransaction } from "../../platform/db/db.ts";
import type { Host } from "../hosts/hosts.ts";
import { claimFire } from "./fires.ts";
import type { Schedule } from "./schedule.ts";
import { listPending, lockSchedule } from "./schedules.store.ts";

const planned = "2026-11-23T05:00:00.000Z";
const hourMs = 60 * 60_000;
const untilMs = 10_000;
let lab: ScheduleLab;
let host: Host;
let schedule: Schedule;

beforeEach(async () => {
  lab = await ScheduleLab.open("postgres");
  const added = await lab.addHost("db-01");
  host = added.host;
  schedule = await lab.addSchedule(host.id, [added.groupId]);
});
afterEach(() => lab.close());

/** Resolves when a session waits for a lock of another one. */
async function untilOneWaits(): Promise<void> {
  const end = performance.now() + untilMs;
  for (;;) {
    const { rows } =
      await sql`SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`.execute(
        lab.db,
      );
    if (rows.length > 0) return;
    if (performance.now() > end) throw new Error("nobody waits");
  }
}

it("the run that was made is the one whose end is awaited", async () => {
  await lab.stopWatches();
  lab.disconnect(host.id);
  await lab.clock.advance(2 * hourMs);
  const other = lab.startWatch();
  // It knows by now what hosts did by themselves while it was not there.
  await lab.clock.suspend(hourMs);
  await other.idle();
  await sql`UPDATE schedules SET next_fire_at = ${Date.parse(planned)}, look_at = 0`.execute(lab.db);
  await sql`DELETE FROM pending_runs`.execute(lab.db);
  let looked: Promise<unknown> = Promise.resolve();
  const made = await inTransaction(lab.db, async (tx) => {
    const due = await lockSchedule(tx, schedule.id);
    if (!due) throw new Error("the schedule is gone");
    const claimed = await claimFire(tx, host, due, { plannedAt: Date.parse(planned), at: lab.clock.now() });
    looked = other.look();
    await untilOneWaits();
    return claimed.jobs;
  });
  await looked;
  expect(await listPending(lab.db, { scheduleId: schedule.id })).toMatchObject([
    { waits: "running", jobId: made[0]?.id, plannedAt: Date.parse(planned) },
  ]);
});
