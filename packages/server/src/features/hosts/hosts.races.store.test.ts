/** Two servers change one host in the same moment, on PostgreSQL: nothing is lost, nothing is written twice. */
import { FakeClock, makeHost, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, expect, it } from "vitest";
import { inTransaction } from "../../platform/db/db.ts";
import { EventBus } from "../../platform/events.ts";
import { systemActor } from "../../platform/http/identity.ts";
import { createLog } from "../../platform/log.ts";
import {
  bumpScheduleVersion,
  deleteHost,
  getHost,
  type Host,
  recordTwin,
  setBandwidth,
  setHostMode,
} from "./hosts.ts";

const clock = new FakeClock();
const events = new EventBus(createLog("silent"));
const actor = systemActor;
const untilMs = 10_000;
let database: TestDatabase;
let host: Host;

beforeEach(async () => {
  database = await openTestDatabase("postgres");
  host = await makeHost(database.db, { at: clock.now() });
});
afterEach(() => database.close());

/** Lets both go as far as they come while somebody else holds the host's row, and then on. */
async function atOnce(one: () => Promise<unknown>, other: () => Promise<unknown>) {
  let both: Promise<PromiseSettledResult<unknown>[]> = Promise.resolve([]);
  await inTransaction(database.db, async (tx) => {
    await bumpScheduleVersion(tx, host.id);
    both = Promise.allSettled([one(), other()]);
    const end = performance.now() + untilMs;
    while ((await countWaiting()) < 2) if (performance.now() > end) throw new Error("they do not wait");
  });
  return (await both).map(({ status }) => status);
}

async function countWaiting(): Promise<number> {
  const { rows } =
    await sql`SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`.execute(
      database.db,
    );
  return rows.length;
}

async function audited(action: string): Promise<number> {
  const { rows } = await sql`SELECT 1 FROM audit_entries WHERE action = ${action}`.execute(database.db);
  return rows.length;
}

it("a mode and a cap that are set at once are both set", async () => {
  const deps = { db: database.db, clock, events };
  const caps = { uploadKib: 100, downloadKib: null };
  await atOnce(
    () => setHostMode(deps, { hostId: host.id, mode: "intermittent", actor }),
    () => setBandwidth(deps, { hostId: host.id, caps, actor }),
  );
  expect(await getHost(database.db, host.id)).toMatchObject({ mode: "intermittent", uploadKib: 100 });
});

it("a host that two people delete at once is deleted once", async () => {
  const deps = { db: database.db, clock, events, losses: async () => ({}) };
  const remove = () => deleteHost(deps, { hostId: host.id, typedName: "h", actor });
  expect((await atOnce(remove, remove)).toSorted()).toEqual(["fulfilled", "rejected"]);
  expect(await audited("host.delete")).toBe(1);
});

it("a copy of a machine that dials two servers at once is noted once", async () => {
  const twin = { hostname: "copy", machineId: "m", bootId: "b", seenAt: clock.now() };
  const record = () => recordTwin(database.db, host, twin);
  await atOnce(record, record);
  expect(await audited("host.twin_refused")).toBe(1);
});
