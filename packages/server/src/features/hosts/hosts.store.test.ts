/** Hosts on both engines: names, bearers, connections, heartbeats, removal. */
import { engines, FakeClock, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inTransaction } from "../../platform/db/db.ts";
import { EventBus } from "../../platform/events.ts";
import { systemActor } from "../../platform/http/identity.ts";
import { createLog } from "../../platform/log.ts";
import { newId } from "../../platform/random.ts";
import {
  bumpScheduleVersion,
  createHost,
  deleteHost,
  findHost,
  findHostByBearer,
  findHostByName,
  getHost,
  type HelloFacts,
  hostRemoved,
  listHostPage,
  listHosts,
  listHostsOfRepository,
  listOtherHosts,
  type NewHost,
  offlineAfterMs,
  recordAppliedVersion,
  recordHello,
  scheduleSetChanged,
  setBandwidth,
  setHostMode,
  setHostRepository,
  touchHosts,
} from "./hosts.ts";

const clock = new FakeClock();

const newHost = (name: string, more: Partial<NewHost> = {}): NewHost => ({
  id: newId(clock.now()),
  name,
  os: "linux",
  arch: "x64",
  tags: ["prod"],
  repositoryId: null,
  bearer: `bearer of ${name}`,
  agentVersion: "0.1.0",
  resticVersion: null,
  at: clock.now(),
  ...more,
});

const hello = (more: Partial<HelloFacts> = {}): HelloFacts => ({
  agentVersion: "0.2.0",
  resticVersion: "0.18.0",
  resticProblem: null,
  appliedScheduleVersion: null,
  hooksAllowed: null,
  backendKinds: null,
  jobKinds: null,
  os: "linux",
  arch: "arm64",
  machineId: "m1",
  bootId: "b1",
  clockSkewMs: -250,
  at: clock.now() + 5000,
  ...more,
});

describe.each(engines)("hosts on %s", (engine) => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await openTestDatabase(engine);
  });
  afterEach(() => database.close());

  it("come back as they were made, by id, name and bearer", async () => {
    const { db } = database;
    const made = await createHost(db, newHost("Web-01"));
    expect(await findHost(db, made.id)).toEqual(made);
    expect(await findHostByName(db, "WEB-01")).toEqual(made);
    expect(await findHostByBearer(db, "bearer of Web-01")).toEqual(made);
    expect(await findHostByBearer(db, "another")).toBeNull();
    expect(await findHost(db, "nobody")).toBeNull();
    await expect(getHost(db, "nobody")).rejects.toMatchObject({ kind: "not_found", code: "hosts.not_found" });
  });

  it("keep only the hash of the bearer", async () => {
    const { db } = database;
    await createHost(db, newHost("web-01", { bearer: "very-secret-bearer" }));
    const { rows } = await sql`SELECT * FROM hosts`.execute(db);
    expect(JSON.stringify(rows)).not.toContain("very-secret-bearer");
  });

  it("refuse a second host whose name differs in case only", async () => {
    const { db } = database;
    await createHost(db, newHost("web-01"));
    const second = inTransaction(db, (tx) => createHost(tx, newHost("WEB-01", { bearer: "other" })));
    await expect(second).rejects.toMatchObject({
      kind: "conflict",
      code: "hosts.name_taken",
      details: [{ path: "hostname" }],
    });
    expect((await listHosts(db)).map(({ name }) => name)).toEqual(["web-01"]);
  });

  it("are listed by name, whatever the case", async () => {
    const { db } = database;
    for (const name of ["b", "C", "a"]) await createHost(db, newHost(name));
    expect((await listHosts(db)).map(({ name }) => name)).toEqual(["a", "b", "C"]);
  });

  it("come in pages by name, narrowed in any mixture, each host once", async () => {
    const { db } = database;
    const tagged = { a_1: ["web"], "A%2": ["web", "db"], "b\\3": ["web-2"], aX1: [] };
    for (const [name, tags] of Object.entries(tagged)) await createHost(db, newHost(name, { tags }));
    const nowMs = clock.now();
    const names = async (
      filter: Parameters<typeof listHostPage>[1],
      page: { after?: string; limit?: number } = {},
    ) => (await listHostPage(db, filter, { ...page, nowMs })).map(({ name }) => name);
    const all = await names({});
    expect(all.toSorted()).toEqual(Object.keys(tagged).toSorted());
    const paged: string[] = [];
    for (let after: string | undefined; ; ) {
      const [next] = await names({}, { limit: 1, ...(after === undefined ? {} : { after }) });
      if (next === undefined) break;
      paged.push(next);
      after = next;
    }
    expect(paged).toEqual(all);
    // What LIKE would take for a pattern is meant as it is written.
    expect(await names({ q: " A_1" })).toEqual(["a_1"]);
    expect(await names({ q: "a%" })).toEqual(["A%2"]);
    expect(await names({ q: "\\" })).toEqual(["b\\3"]);
    expect(await names({ name: "A_1 " })).toEqual(["a_1"]);
    expect(await names({ name: "a" })).toEqual([]);
    expect(await names({ name: "a%" })).toEqual([]);
    expect((await names({ tag: "WEB" })).toSorted()).toEqual(["A%2", "a_1"]);
    expect(await names({ tag: "we" })).toEqual([]);
    const seen = await findHostByName(db, "a_1");
    await touchHosts(db, new Map([[seen?.id ?? "", nowMs]]), nowMs);
    expect(await names({ state: "online" })).toEqual(["a_1"]);
    expect(await names({ state: "offline", tag: "web" })).toEqual(["A%2"]);
    expect(await names({ state: "online", q: "2" })).toEqual([]);
    const setBackMs = nowMs - offlineAfterMs;
    expect(await listHostPage(db, { state: "online" }, { nowMs: setBackMs })).toHaveLength(0);
    expect(await listHostPage(db, { state: "offline" }, { nowMs: setBackMs })).toHaveLength(4);
  });

  it("are proposed by name for a form of one of them, the first twenty without that one", async () => {
    const { db } = database;
    const made = [];
    for (let n = 10; n < 34; n++) made.push(await createHost(db, newHost(`web-${n}`)));
    const ids = made.map(({ id }) => id);
    const proposed = async (hostId: string, state?: "online") =>
      (await listOtherHosts(db, hostId, { state }, clock.now())).map(({ name }) => name);
    const counting = (from: number, to: number) =>
      Array.from({ length: to - from + 1 }, (_, index) => `web-${from + index}`);
    expect(await proposed(ids[0] ?? "")).toEqual(counting(11, 30));
    expect(await proposed(ids[23] ?? "")).toEqual(counting(10, 29));
    expect(await proposed(ids[0] ?? "", "online")).toEqual([]);
    await touchHosts(db, new Map([ids[0], ids[23]].map((id) => [id ?? "", clock.now()])), clock.now());
    expect(await proposed(ids[0] ?? "", "online")).toEqual(["web-33"]);
  });

  it("connect for the first time exactly once, also when two connections race", async () => {
    const { db } = database;
    const { id } = await createHost(db, newHost("web-01"));
    const connect = () => inTransaction(db, (tx) => recordHello(tx, id, hello()));
    const firsts = await Promise.all([connect(), connect(), connect()]);
    expect(firsts.filter(({ firstConnect }) => firstConnect)).toHaveLength(1);
    expect(await connect()).toEqual({ firstConnect: false });
    expect(await getHost(db, id)).toMatchObject({
      agentVersion: "0.2.0",
      resticVersion: "0.18.0",
      arch: "arm64",
      clockSkewMs: -250,
      firstConnectedAt: clock.now() + 5000,
      lastSeenAt: clock.now() + 5000,
    });
  });

  it("record why restic can't be used, and forget it when it can", async () => {
    const { db } = database;
    const { id } = await createHost(db, newHost("web-01"));
    const resticProblem = { code: "restic.missing", message: "restic was not found" };
    await recordHello(db, id, hello({ resticVersion: null, resticProblem }));
    expect(await getHost(db, id)).toMatchObject({ resticVersion: null, resticProblem });
    await recordHello(db, id, hello());
    expect(await getHost(db, id)).toMatchObject({ resticVersion: "0.18.0", resticProblem: null });
  });

  it("take no control character from an agent", async () => {
    const { db } = database;
    const { id } = await createHost(db, newHost("web-01", { os: "li\u0000nux" }));
    await recordHello(db, id, hello({ agentVersion: "0.2\u001b[31m", machineId: "m\u0000" }));
    expect(await getHost(db, id)).toMatchObject({ os: "linux", agentVersion: "0.2[31m" });
  });

  it("refuse the hello of a host that is gone", async () => {
    await expect(recordHello(database.db, "gone", hello())).rejects.toMatchObject({
      code: "hosts.not_found",
    });
  });

  it("take a thousand heartbeats at once and never move back in time, unless the clock was set back", async () => {
    const { db } = database;
    const hosts = await Promise.all(
      Array.from({ length: 3 }, (_, i) => createHost(db, newHost(`web-${i}`, { id: `H${i}` }))),
    );
    const seen = new Map(Array.from({ length: 1201 }, (_, i) => [`H${i}`, clock.now() + i]));
    await touchHosts(db, seen, clock.now());
    await touchHosts(db, new Map(hosts.map(({ id }) => [id, clock.now() - 1])), clock.now());
    await touchHosts(db, new Map(), clock.now());
    expect((await listHosts(db)).map(({ lastSeenAt }) => lastSeenAt)).toEqual(
      [0, 1, 2].map((i) => clock.now() + i),
    );
    const setBackMs = clock.now() - offlineAfterMs;
    await touchHosts(db, [["H1", setBackMs - 1]], setBackMs);
    expect((await listHosts(db)).map(({ lastSeenAt }) => lastSeenAt)).toEqual([
      clock.now(),
      setBackMs - 1,
      clock.now() + 2,
    ]);
  });

  it("point to a repository, are found by it in the order in which they came, and point away from it", async () => {
    const { db } = database;
    const { id } = await createHost(db, newHost("web-01"));
    await sql`INSERT INTO repositories (id, location, created_at) VALUES ('R1', '/srv/restic', 1)`.execute(
      db,
    );
    await setHostRepository(db, id, "R1");
    expect((await getHost(db, id)).repositoryId).toBe("R1");
    const later = await createHost(db, newHost("a-later", { repositoryId: "R1", at: clock.now() + 1 }));
    await createHost(db, newHost("elsewhere"));
    expect((await listHostsOfRepository(db, "R1")).map((host) => host.id)).toEqual([id, later.id]);
    await setHostRepository(db, id, null);
    expect((await getHost(db, id)).repositoryId).toBeNull();
  });

  describe("when deleted", () => {
    const open = () => {
      const { db } = database;
      const events = new EventBus(createLog("silent"));
      const removed: string[] = [];
      events.on(hostRemoved, ({ hostId }) => removed.push(hostId));
      const losses = async () => ({ jobs: 3, snapshots: 14 });
      return { deps: { db, clock, events, losses }, removed };
    };

    it("want their name typed exactly, and stay otherwise", async () => {
      const { deps, removed } = open();
      const { id } = await createHost(deps.db, newHost("Web-01"));
      for (const typedName of ["", "web-01", "Web-01 "]) {
        await expect(deleteHost(deps, { hostId: id, typedName, actor: systemActor })).rejects.toMatchObject({
          code: "hosts.name_mismatch",
          details: [{ path: "confirm_name" }],
        });
      }
      expect(await findHost(deps.db, id)).not.toBeNull();
      expect(removed).toEqual([]);
    });

    it("take their rows along, tell everybody and leave what was lost in the audit", async () => {
      const { deps, removed } = open();
      const { db } = deps;
      const { id } = await createHost(db, newHost("Web-01"));
      await sql`INSERT INTO repository_credentials (host_id, slot, sealed, version, updated_at)
        VALUES (${id}, 'everyday', 'x', 1, 1)`.execute(db);
      await deleteHost(deps, { hostId: id, typedName: "Web-01", actor: systemActor });
      expect(await findHost(db, id)).toBeNull();
      expect(removed).toEqual([id]);
      expect((await sql`SELECT * FROM repository_credentials`.execute(db)).rows).toEqual([]);
      const { rows } = await sql<{ action: string; target_name: string; payload: string }>`
        SELECT action, target_name, payload FROM audit_entries`.execute(db);
      expect(rows).toMatchObject([{ action: "host.delete", target_name: "Web-01" }]);
      expect(JSON.parse(rows[0]?.payload ?? "")).toMatchObject({ lost: { jobs: 3, snapshots: 14 } });
    });

    it("answer that they are gone the second time", async () => {
      const { deps } = open();
      const { id } = await createHost(deps.db, newHost("a"));
      const input = { hostId: id, typedName: "a", actor: systemActor };
      await deleteHost(deps, input);
      await expect(deleteHost(deps, input)).rejects.toMatchObject({ code: "hosts.not_found" });
    });
  });

  describe("settings", () => {
    const admin = { kind: "user", id: "01U", name: "admin" } as const;
    const open = () => {
      const events = new EventBus(createLog("silent"));
      const told: string[] = [];
      events.on(scheduleSetChanged, ({ hostId }) => told.push(hostId));
      return { deps: { db: database.db, clock, events }, told };
    };
    const audit = async () => {
      const { rows } = await sql<{ action: string; target_name: string; payload: string }>`
        SELECT action, target_name, payload FROM audit_entries ORDER BY id`.execute(database.db);
      return rows.map(({ payload, ...row }) => ({ ...row, payload: JSON.parse(payload) as object }));
    };

    it("cap the host's line: a new version for its agent, and an entry of who did it", async () => {
      const { deps, told } = open();
      const { id } = await createHost(deps.db, newHost("web-01"));
      const caps = { uploadKib: 512, downloadKib: null };
      const host = await setBandwidth(deps, { hostId: id, caps, actor: admin });
      expect(host).toMatchObject({ ...caps, scheduleVersion: 1 });
      expect(await getHost(deps.db, id)).toEqual(host);
      expect(told).toEqual([id]);
      expect(await audit()).toEqual([
        {
          action: "host.bandwidth_edit",
          target_name: "web-01",
          payload: { upload_kib: 512, download_kib: null },
        },
      ]);
    });

    it("say whether the host is always on", async () => {
      const { deps, told } = open();
      const { id } = await createHost(deps.db, newHost("laptop"));
      const input = { hostId: id, mode: "intermittent", actor: admin } as const;
      expect(await setHostMode(deps, input)).toMatchObject({ mode: "intermittent", scheduleVersion: 1 });
      expect(told).toEqual([id]);
      expect(await audit()).toMatchObject([{ action: "host.mode_edit", payload: { mode: "intermittent" } }]);
    });

    it("that are what they were change nothing and tell nobody", async () => {
      const { deps, told } = open();
      const { id } = await createHost(deps.db, newHost("web-01"));
      await setHostMode(deps, { hostId: id, mode: "always-on", actor: admin });
      const caps = { uploadKib: null, downloadKib: null };
      await setBandwidth(deps, { hostId: id, caps, actor: admin });
      expect(await getHost(deps.db, id)).toMatchObject({ scheduleVersion: 0 });
      expect(told).toEqual([]);
      expect(await audit()).toEqual([]);
    });

    it("of a host that is gone are refused", async () => {
      const { deps } = open();
      const edit = setHostMode(deps, { hostId: "gone", mode: "intermittent", actor: admin });
      await expect(edit).rejects.toMatchObject({ code: "hosts.not_found" });
    });

    it("reach the agent when it says so, in a word of its own or with its hello", async () => {
      const { db } = database;
      const { id } = await createHost(db, newHost("web-01"));
      await recordHello(
        db,
        id,
        hello({ appliedScheduleVersion: 3, hooksAllowed: false, backendKinds: ["s3"], jobKinds: ["update"] }),
      );
      expect(await getHost(db, id)).toMatchObject({
        appliedScheduleVersion: 3,
        hooksAllowed: false,
        backendKinds: ["s3"],
        jobKinds: ["update"],
      });
      await recordAppliedVersion(db, id, 4);
      expect(await getHost(db, id)).toMatchObject({ appliedScheduleVersion: 4, hooksAllowed: false });
      await recordHello(db, id, hello());
      expect(await getHost(db, id)).toMatchObject({
        appliedScheduleVersion: null,
        hooksAllowed: null,
        backendKinds: null,
        jobKinds: null,
      });
    });

    it("changed by many at once are counted one by one", async () => {
      const { db } = database;
      const { id } = await createHost(db, newHost("web-01"));
      const bump = () => inTransaction(db, (tx) => bumpScheduleVersion(tx, id));
      await Promise.all([bump(), bump(), bump()]);
      expect(await getHost(db, id)).toMatchObject({ scheduleVersion: 3 });
    });
  });
});
