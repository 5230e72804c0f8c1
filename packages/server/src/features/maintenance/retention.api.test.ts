/** What a retention would keep, as a client and as a reader of the page are told. */
import {
  buildTestApp,
  FakeClock,
  find,
  makeHost,
  openTestDatabase,
  parseHtml,
  reportOf,
  snapshotOf,
  type TestDatabase,
  testIdentity,
  testPage,
  textOf,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inTransaction } from "../../platform/db/db.ts";
import { EventBus } from "../../platform/events.ts";
import type { App } from "../../platform/http/route.ts";
import { createLog } from "../../platform/log.ts";
import { type Host, setHostRepository } from "../hosts/hosts.ts";
import { ensureRepository } from "../repositories/repositories.ts";
import { onSnapshotsReport } from "../snapshots/snapshots.ts";
import { createDefaultGroup, listSourceGroups } from "../sources/sources.ts";
import { defaultMaintenance } from "./cadences.ts";
import { replaceMaintenance } from "./maintenance.store.ts";
import { registerRetentionRoutes } from "./retention.api.ts";
import { registerRetentionPages } from "./retention.pages.tsx";

const dayMs = 86_400_000;
let clock: FakeClock;
let database: TestDatabase;
let app: App;
let host: Host;
let groupId: string;
let schedules: { cron: string; timeZone: string; pausedAt: number | null }[];

beforeEach(async () => {
  clock = new FakeClock();
  database = await openTestDatabase("sqlite");
  const { db } = database;
  schedules = [{ cron: "0 3 * * *", timeZone: "UTC", pausedAt: null }];
  host = await makeHost(db, { id: "H1", name: "host", at: clock.now() });
  await createDefaultGroup(db, { host, initialPaths: ["/etc"], at: clock.now() });
  groupId = (await listSourceGroups(db, host.id))[0]?.id ?? "";
  app = (await buildTestApp({ identify: async () => testIdentity("viewer") })).app;
  const deps = { db, clock, schedulesUsing: async () => schedules };
  registerRetentionRoutes(app, deps);
  registerRetentionPages(app, { ...deps, page: testPage });
});
afterEach(async () => {
  await app.close();
  await database.close();
});

/** One a day, the newest an hour ago. */
async function receive(count: number, tag = "default"): Promise<void> {
  const snapshots = Array.from({ length: count }, (_, index) =>
    snapshotOf(String(index).padStart(8, "0"), {
      tags: [tag],
      time: new Date(clock.now() - 3_600_000 - index * dayMs).toISOString(),
    }),
  );
  const bus = new EventBus(createLog("silent"));
  await inTransaction(database.db, (tx) =>
    onSnapshotsReport({ clock, bus }, tx, host, reportOf(1, snapshots)),
  );
}

const ask = async (retention: object, group = groupId) =>
  app.inject({
    method: "POST",
    url: `/api/hosts/H1/source-groups/${group}/retention-preview`,
    payload: { retention },
  });
const fragment = async (query = "") =>
  parseHtml((await app.inject({ url: `/fragments/hosts/H1/sources/${groupId}/retention${query}` })).body);

describe("the preview of a retention as JSON", () => {
  it("says what stays with the reasons, what goes, and how it will be over the year", async () => {
    await receive(12);
    const answer = (await ask({ keep_daily: 3, keep_last: 1 })).json();
    expect(answer).toMatchObject({
      counts: { total: 12, keep: 3, remove: 9 },
      share_removed: 0.75,
      ...{ needs_confirmation: false, empty: false, message: null, simulation_note: null },
    });
    expect(answer.keep[0]).toEqual({
      id: "00000000",
      time: new Date(clock.now() - 3_600_000).toISOString(),
      reasons: ["last", "daily"],
    });
    expect(answer.remove).toHaveLength(9);
    expect(answer.simulation).toHaveLength(12);
    expect(answer.simulation[0]).toEqual({ month: "2026-11", kept: 3 });
  });

  it("says when forget would ask first", async () => {
    await receive(12);
    expect((await ask({ keep_last: 1 })).json()).toMatchObject({
      counts: { remove: 11 },
      needs_confirmation: true,
    });
  });

  it("asks by the limit of the host's own repository", async () => {
    const { id } = await ensureRepository(database.db, "/srv/restic", clock.now());
    await setHostRepository(database.db, host.id, id);
    const limit = { version: 0, at: clock.now() };
    await replaceMaintenance(
      database.db,
      { ...defaultMaintenance(id), maxRemovedPercent: 95, version: 1 },
      limit,
    );
    await receive(12);
    expect((await ask({ keep_last: 1 })).json()).toMatchObject({
      counts: { remove: 11 },
      needs_confirmation: false,
    });
  });

  it("of no rule at all keeps everything and says that nothing is forgotten", async () => {
    await receive(3);
    const answer = (await ask({})).json();
    expect(answer).toMatchObject({ counts: { keep: 3, remove: 0 }, share_removed: 0, empty: true });
    expect(answer.message).toMatch(/nothing is forgotten/);
  });

  it("leaves out the snapshots of other groups", async () => {
    await receive(5, "databases");
    expect((await ask({ keep_last: 1 })).json()).toMatchObject({ counts: { total: 0 }, share_removed: 0 });
  });

  it("looks ahead with the schedules that are enabled only, and not with more than it can", async () => {
    schedules = [{ cron: "0 3 * * *", timeZone: "UTC", pausedAt: 1 }];
    const paused = (await ask({ keep_daily: 7 })).json();
    expect(paused.simulation.map(({ kept }: { kept: number }) => kept)).toEqual(Array(12).fill(0));
    expect(paused.simulation_note).toMatch(/No schedule that is enabled/);
    schedules = Array(3).fill({ cron: "* * * * *", timeZone: "UTC", pausedAt: null });
    const busy = (await ask({ keep_daily: 7 })).json();
    expect(busy).toMatchObject({ simulation: [], simulation_note: expect.stringMatching(/too often/) });
  });

  it.each([
    { retention: { keep_last: 0 }, code: "sources.invalid" },
    { retention: { keep_within: "soon" }, code: "sources.invalid" },
    { retention: { keep_daily: 1.5 }, code: "request.invalid" },
    { retention: { keep_forever: 1 }, code: "request.invalid" },
  ])("refuses $retention as $code", async ({ retention, code }) => {
    const answer = await ask(retention);
    expect([answer.statusCode, answer.json().code]).toEqual([400, code]);
  });

  it("of a group that is not there is refused", async () => {
    expect((await ask({ keep_last: 1 }, "nothing")).json().code).toBe("sources.not_found");
  });
});

describe("the preview of a retention in a form", () => {
  it("shows the counts, every snapshot with its reason or that it would go, and the months with their numbers", async () => {
    await receive(4);
    const shown = await fragment("?keep_last=&keep_daily=3&keep_within=");
    expect(shown.querySelectorAll("[role=status] dd").map(textOf)).toEqual([
      "3 snapshots",
      "1 snapshot (25%)",
    ]);
    const rows = shown.querySelectorAll("tbody tr").map(textOf);
    expect(rows).toHaveLength(4);
    expect(rows[0]).toMatch(/^00000000.*kept daily$/);
    expect(rows[3]).toMatch(/^00000003.*would be removed$/);
    const months = shown.querySelectorAll(".month-bars li").map(textOf);
    expect(months).toHaveLength(12);
    expect(months[0]).toMatch(/^3 ?Nov 2026$/);
  });

  it("says what is wrong with a number instead", async () => {
    for (const [query, said] of [
      ["?keep_daily=many", /whole number/],
      ["?keep_within=1w", /Write a duration/],
    ] as const)
      expect(textOf(find(await fragment(query), "[role=status]"))).toMatch(said);
  });

  it("takes all fields empty for no rule, and no field at all for what is stored", async () => {
    await receive(3);
    expect(textOf(await fragment("?keep_last=&keep_daily="))).toMatch(/Without a rule nothing is forgotten/);
    const page = await app.inject({ url: `/hosts/H1/sources/${groupId}/retention` });
    expect(page.statusCode).toBe(200);
    expect(page.body).toContain("Looked at now");
  });

  it("warns of many removals, and cuts a list that nobody reads to its end", async () => {
    await receive(400);
    const shown = await fragment("?keep_last=2");
    expect(textOf(find(shown, ".notice.warn"))).toMatch(/Most of the snapshots would go/);
    expect(shown.querySelectorAll("tbody tr")).toHaveLength(300);
    expect(textOf(shown)).toMatch(/And 100 older, of which 100 would be removed/);
  });

  it("of a group without snapshots says what comes", async () => {
    expect(textOf(await fragment("?keep_last=2"))).toMatch(/No snapshot of this group yet/);
  });
});
