/** Changes of source groups on both engines: what is stored, refused, audited and told, and where hooks are. */
import { engines, FakeClock, makeHost, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EventBus } from "../../platform/events.ts";
import { createLog } from "../../platform/log.ts";
import { createSecretBox } from "../../platform/secrets.ts";
import { getHost, type Host, scheduleSetChanged } from "../hosts/hosts.ts";
import { createJobs } from "../jobs/jobs.ts";
import { readGroupDraft } from "./group-draft.ts";
import {
  cloneSourceGroup,
  createSourceGroup,
  deleteSourceGroup,
  editSourceGroup,
  type GroupBody,
  getSourceGroup,
  hookFacts,
  listSourceGroups,
  openHooks,
  type SourcesDeps,
  specOfGroup,
} from "./sources.ts";

const actor = { kind: "user", id: "01U", name: "ann" } as const;
const secret = "mysqldump -psecret-in-a-hook";

describe.each(engines)("changing source groups on %s", (engine) => {
  let database: TestDatabase;
  let clock: FakeClock;
  let deps: SourcesDeps;
  let host: Host;
  let told: string[];
  let schedules: { id: string; cron: string; timeZone: string }[];
  beforeEach(async () => {
    database = await openTestDatabase(engine);
    clock = new FakeClock();
    told = [];
    schedules = [];
    const events = new EventBus(createLog("silent"));
    events.on(scheduleSetChanged, ({ hostId }) => told.push(hostId));
    const box = createSecretBox(Buffer.alloc(32, 7));
    deps = { db: database.db, box, clock, events, schedulesUsing: async () => schedules };
    host = await addHost("web-01");
  });
  afterEach(() => database.close());

  function addHost(name: string, os = "linux"): Promise<Host> {
    return makeHost(database.db, { name, os, at: clock.now() });
  }

  const draft = (more: Partial<GroupBody> = {}) =>
    readGroupDraft({ name: "web", includes: ["/srv"], ...more });
  const create = (more: Partial<GroupBody> = {}) =>
    createSourceGroup(deps, { hostId: host.id, draft: draft(more), actor });
  const edit = (groupId: string, version: number, more: Partial<GroupBody> = {}) =>
    editSourceGroup(deps, { hostId: host.id, groupId, version, draft: draft(more), actor });
  const remove = (groupId: string) => deleteSourceGroup(deps, { hostId: host.id, groupId, actor });
  const versionOf = async (hostId = host.id) => (await getHost(database.db, hostId)).scheduleVersion;
  const factsOf = async (groupId: string) => (await hookFacts(database.db, [groupId])).get(groupId);
  const countHooks = async () =>
    Number((await sql<{ n: number }>`SELECT count(*) AS n FROM hooks`.execute(database.db)).rows[0]?.n);
  async function audit() {
    const { rows } = await sql<{ action: string; target_name: string; payload: string }>`
      SELECT action, target_name, payload FROM audit_entries ORDER BY at, id`.execute(database.db);
    return rows.map(({ payload, ...row }) => ({ ...row, payload: JSON.parse(payload) as object }));
  }

  it("keeps every field, and makes the spec of them", async () => {
    const made = await create({
      name: "Web é",
      includes: ["/srv/a b", "/\u0001"],
      excludes: ["*.tmp", "!keep.tmp"],
      exclude_if_present: [".nobackup"],
      exclude_larger_than_bytes: 2 ** 45,
      one_file_system: true,
      exclude_caches: true,
      min_size_bytes: 1,
      retention: { keep_daily: 7, keep_within: "1y" },
      retry_max: 0,
      retry_backoff_seconds: 30,
    });
    expect(await getSourceGroup(database.db, host.id, made.id)).toEqual(made);
    expect(made).toMatchObject({ version: 1, createdAt: clock.now(), updatedAt: null });
    expect(specOfGroup(host, made)).toEqual({
      kind: "backup",
      host_name: "web-01",
      source_group: "Web é",
      includes: ["/srv/a b", "/\u0001"],
      excludes: ["*.tmp", "!keep.tmp"],
      exclude_if_present: [".nobackup"],
      exclude_larger_than_bytes: 2 ** 45,
      one_file_system: true,
      exclude_caches: true,
      min_size_bytes: 1,
    });
    expect(await versionOf()).toBe(1);
    expect(told).toEqual([host.id]);
  });

  it("refuses a name that differs in case only, but not on another host", async () => {
    await create({ name: "Éclair" });
    const taken = { kind: "conflict", code: "sources.name_taken", details: [{ path: "name" }] };
    await expect(create({ name: "éCLAIR" })).rejects.toMatchObject(taken);
    const other = await create({ name: "other" });
    await expect(edit(other.id, 1, { name: "éclair" })).rejects.toMatchObject(taken);
    const { id } = await addHost("web-02");
    await createSourceGroup(deps, { hostId: id, draft: draft({ name: "éclair" }), actor });
    expect(await versionOf()).toBe(2);
  });

  it("leaves nothing behind of what it refuses", async () => {
    await expect(create({ includes: ["etc"] })).rejects.toMatchObject({
      kind: "invalid",
      code: "sources.path_relative",
      details: [{ path: "includes" }],
    });
    const nowhere = createSourceGroup(deps, { hostId: "gone", draft: draft(), actor });
    await expect(nowhere).rejects.toMatchObject({ code: "hosts.not_found" });
    expect(await listSourceGroups(database.db, host.id)).toEqual([]);
    expect([await versionOf(), told, await audit()]).toEqual([0, [], []]);
  });

  it("edits, and says in the audit which fields, never what a hook says", async () => {
    const made = await create({ pre_hook: { script: secret } });
    await clock.advance(1000);
    const edited = await edit(made.id, 1, {
      excludes: ["*.o"],
      retention: { keep_last: 3 },
      pre_hook: { script: `${secret} again` },
      post_hook: { script: "true", timeout_seconds: 5 },
    });
    expect(edited).toMatchObject({ version: 2, updatedAt: clock.now(), excludes: ["*.o"] });
    expect(await getSourceGroup(database.db, host.id, made.id)).toEqual(edited);
    expect(told).toEqual([host.id, host.id]);
    const entries = await audit();
    expect(entries).toMatchObject([
      { action: "source_group.create", target_name: "web-01", payload: { name: "web", include_count: 1 } },
      {
        action: "source_group.edit",
        target_name: "web-01",
        payload: { fields: ["excludes", "retention.keep_last", "pre_hook", "post_hook"] },
      },
    ]);
    expect(entries[1]?.payload).toMatchObject({ pre_hook_sha256: (await factsOf(made.id))?.preHook?.digest });
    expect(JSON.stringify(entries)).not.toContain("secret-in-a-hook");
  });

  it("does nothing when nothing differs", async () => {
    const made = await create({ pre_hook: { script: secret } });
    expect(await edit(made.id, 1, { pre_hook: { script: secret } })).toEqual(made);
    expect(await edit(made.id, 1)).toEqual(made);
    expect([await versionOf(), told.length, (await audit()).length]).toEqual([1, 1, 1]);
  });

  it("tells the second of two editors what is stored and where theirs differs", async () => {
    const made = await create();
    await edit(made.id, 1, { includes: ["/srv", "/etc"] });
    await expect(edit(made.id, 1, { excludes: ["*.o"], pre_hook: { script: secret } })).rejects.toMatchObject(
      {
        kind: "conflict",
        code: "sources.edit_conflict",
        details: {
          current: { id: made.id, version: 2, includes: ["/srv", "/etc"], pre_hook: null },
          changed: ["includes", "excludes", "pre_hook"],
        },
      },
    );
    expect(await countHooks()).toBe(0);
  });

  it("lets one of two edits through that come at the same moment", async () => {
    const made = await create();
    const results = await Promise.allSettled([
      edit(made.id, 1, { includes: ["/a"] }),
      edit(made.id, 1, { includes: ["/b"] }),
    ]);
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(await getSourceGroup(database.db, host.id, made.id)).toMatchObject({ version: 2 });
  });

  it("renames until a backup carries the name", async () => {
    const made = await create();
    const renamed = await edit(made.id, 1, { name: "WEB" });
    expect(renamed.name).toBe("WEB");
    const jobs = { db: database.db, clock, bus: deps.events };
    const spec = specOfGroup(host, renamed);
    await createJobs(jobs, [{ hostId: host.id, spec, actor, sourceGroupId: made.id }]);
    await expect(edit(made.id, 2, { name: "shop" })).rejects.toMatchObject({
      kind: "conflict",
      code: "sources.name_in_use",
      details: [{ path: "name" }],
    });
    expect((await edit(made.id, 2, { name: "WEB", includes: ["/a"] })).version).toBe(3);
  });

  it("knows a backup from before jobs kept the group's id by its name", async () => {
    const made = await create();
    const jobs = { db: database.db, clock, bus: deps.events };
    await createJobs(jobs, [{ hostId: host.id, spec: specOfGroup(host, made), actor }]);
    await expect(edit(made.id, 1, { name: "shop" })).rejects.toMatchObject({ code: "sources.name_in_use" });
  });

  it("removes a group with its hooks, but not one that a schedule runs nor the last", async () => {
    const made = await create({ pre_hook: { script: secret }, post_hook: { script: "true" } });
    await expect(remove(made.id)).rejects.toMatchObject({ kind: "conflict", code: "sources.last_group" });
    const other = await create({ name: "other", pre_hook: { script: "true" } });
    schedules = [{ id: "S1", cron: "0 3 * * *", timeZone: "Europe/Berlin" }];
    await expect(remove(made.id)).rejects.toMatchObject({
      code: "sources.in_use",
      details: { schedules: [{ id: "S1", cron: "0 3 * * *", time_zone: "Europe/Berlin" }] },
    });
    schedules = [];
    await clock.advance(1);
    await remove(made.id);
    expect(await listSourceGroups(database.db, host.id)).toEqual([other]);
    expect(await countHooks()).toBe(1);
    expect((await audit()).at(-1)).toMatchObject({ action: "source_group.delete", payload: { name: "web" } });
    await expect(remove(made.id)).rejects.toMatchObject({ code: "sources.not_found" });
    expect(await versionOf()).toBe(3);
  });

  it("leaves one of two groups that are removed at the same moment", async () => {
    const [a, b] = [await create({ name: "a" }), await create({ name: "b" })];
    const results = await Promise.allSettled([remove(a.id), remove(b.id)]);
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(await listSourceGroups(database.db, host.id)).toHaveLength(1);
  });

  it("reaches no group of another host", async () => {
    const made = await create();
    await create({ name: "other" });
    const { id } = await addHost("web-02");
    const there = { hostId: id, groupId: made.id, actor };
    const missing = { code: "sources.not_found" };
    await expect(getSourceGroup(database.db, id, made.id)).rejects.toMatchObject(missing);
    await expect(deleteSourceGroup(deps, there)).rejects.toMatchObject(missing);
    await expect(editSourceGroup(deps, { ...there, version: 1, draft: draft() })).rejects.toMatchObject(
      missing,
    );
    await expect(cloneSourceGroup(deps, { ...there, toHostId: host.id })).rejects.toMatchObject(missing);
  });

  it("clones with hooks, sealed for the copy, and says so on both hosts", async () => {
    const more = { retention: { keep_last: 2 }, pre_hook: { script: secret, timeout_seconds: 9 } };
    const made = await create(more);
    await clock.advance(1);
    const to = await addHost("web-02");
    const clone = (name?: string, toHostId = to.id) =>
      cloneSourceGroup(deps, { hostId: host.id, groupId: made.id, toHostId, name, actor });
    const copy = await clone();
    expect(copy).toEqual({ ...made, id: copy.id, hostId: to.id, createdAt: clock.now() });
    expect(copy.id).not.toBe(made.id);
    expect(await openHooks(database.db, deps.box, copy.id)).toEqual({
      preHook: { script: secret, timeoutSeconds: 9 },
      postHook: null,
    });
    expect(
      (await audit())
        .slice(1)
        .map(({ action, target_name }) => [action, target_name])
        .sort(),
    ).toEqual([
      ["source_group.clone", "web-01"],
      ["source_group.create", "web-02"],
    ]);
    expect([await versionOf(), await versionOf(to.id)]).toEqual([1, 1]);
    await expect(clone()).rejects.toMatchObject({ code: "sources.name_taken" });
    expect((await clone("web-b", host.id)).name).toBe("web-b");
  });

  it("clones no paths to a host that can't have them", async () => {
    const made = await create();
    const { id: toHostId } = await addHost("win-01", "windows");
    const clone = cloneSourceGroup(deps, { hostId: host.id, groupId: made.id, toHostId, actor });
    await expect(clone).rejects.toMatchObject({ code: "sources.path_foreign" });
    expect(await listSourceGroups(database.db, toHostId)).toEqual([]);
  });

  it("makes a hundred groups on a host, not more", async () => {
    for (let i = 0; i < 100; i++) await create({ name: `g${i}` });
    await expect(create({ name: "g100" })).rejects.toMatchObject({ code: "sources.too_many" });
  });

  it("reads a group from before there were options", async () => {
    await sql`INSERT INTO source_groups (id, host_id, name, name_key, includes, excludes, created_at)
      VALUES ('G1', ${host.id}, 'old', 'old', '["/etc"]', '[]', 1)`.execute(database.db);
    const old = await getSourceGroup(database.db, host.id, "G1");
    expect(old).toMatchObject({ version: 1, updatedAt: null, retryMax: 3, retryBackoffSeconds: 60 });
    expect(old.options.excludeIfPresent).toEqual([]);
    expect((await edit("G1", 1, { name: "old", includes: ["/etc"] })).version).toBe(1);
  });
});
