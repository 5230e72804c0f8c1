/** Hooks on both engines: sealed where they lie, opened for a run or an editor, and whose they are. */
import { encodeMessage, maxFrameBytes } from "@restic-manager/protocol";
import { engines, FakeClock, makeHost, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EventBus } from "../../platform/events.ts";
import { createLog } from "../../platform/log.ts";
import { newId } from "../../platform/random.ts";
import { createSecretBox } from "../../platform/secrets.ts";
import { deleteHost, getHost, type Host, scheduleSetChanged, setBandwidth } from "../hosts/hosts.ts";
import { createJobs } from "../jobs/jobs.ts";
import { readGroupDraft } from "./group-draft.ts";
import {
  completeBackupSpec,
  completeSpec,
  createSourceGroup,
  type GroupBody,
  hookFacts,
  openHooks,
  type SourceGroup,
  type SourcesDeps,
  setHostHooks,
  specOfGroup,
} from "./sources.ts";

const actor = { kind: "user", id: "01U", name: "ann" } as const;
const own = { script: "systemctl stop db # pw=own-secret", timeoutSeconds: 5 };
const fallback = { script: "mount /mnt # pw=host-secret", timeoutSeconds: 600 };

describe.each(engines)("hooks on %s", (engine) => {
  let database: TestDatabase;
  let clock: FakeClock;
  let deps: SourcesDeps;
  let host: Host;
  let told: string[];
  beforeEach(async () => {
    database = await openTestDatabase(engine);
    clock = new FakeClock();
    told = [];
    const events = new EventBus(createLog("silent"));
    events.on(scheduleSetChanged, ({ hostId }) => told.push(hostId));
    const box = createSecretBox(Buffer.alloc(32, 7));
    deps = { db: database.db, box, clock, events, schedulesUsing: async () => [] };
    host = await makeHost(database.db, { at: clock.now() });
  });
  afterEach(() => database.close());

  const addGroup = (more: Partial<GroupBody> = {}): Promise<SourceGroup> => {
    const draft = readGroupDraft({ name: "web", includes: ["/srv"], ...more });
    return createSourceGroup(deps, { hostId: host.id, draft, actor });
  };
  const ownHook = { script: own.script, timeout_seconds: own.timeoutSeconds };
  const setHooks = (hooks: Pick<Parameters<typeof setHostHooks>[1], "preHook" | "postHook">) =>
    setHostHooks(deps, { hostId: host.id, actor, ...hooks });
  const complete = async (group: SourceGroup, box = deps.box) =>
    completeBackupSpec(
      database.db,
      box,
      await getHost(database.db, host.id),
      specOfGroup(host, group),
      group.id,
    );

  it("are sealed at rest: neither the rows nor the audit hold a word of them", async () => {
    const group = await addGroup({ pre_hook: ownHook });
    await setHooks({ postHook: fallback });
    const hooks = await sql`SELECT * FROM hooks`.execute(database.db);
    const entries = await sql`SELECT * FROM audit_entries`.execute(database.db);
    expect(hooks.rows).toHaveLength(2);
    expect(JSON.stringify([hooks.rows, entries.rows])).not.toMatch(/own-secret|host-secret/);
    const facts = await hookFacts(database.db, [group.id, host.id, "nobody"]);
    expect(JSON.stringify([...facts])).not.toMatch(/secret/);
    expect(facts.get(group.id)).toEqual({
      preHook: { digest: expect.stringMatching(/^[0-9a-f]{64}$/), timeoutSeconds: 5, updatedAt: clock.now() },
      postHook: null,
    });
    expect(facts.get("nobody")).toEqual({ preHook: null, postHook: null });
    expect(await openHooks(database.db, deps.box, group.id)).toEqual({ preHook: own, postHook: null });
  });

  it("of a run are the group's own, each else its host's", async () => {
    const group = await addGroup({ pre_hook: ownHook });
    await setHooks({ preHook: fallback, postHook: fallback });
    expect(await complete(group)).toMatchObject({
      pre_hook: ownHook,
      post_hook: { script: fallback.script, timeout_seconds: 600 },
    });
    const plain = await addGroup({ name: "plain" });
    expect((await complete(plain)).pre_hook?.script).toBe(fallback.script);
    await setHooks({ preHook: null, postHook: null });
    expect(await complete(plain)).toEqual(specOfGroup(host, plain));
  });

  it("set for a host: what is left out stays, what is the same tells nobody, digests are audited", async () => {
    await setHooks({ preHook: fallback });
    await clock.advance(1);
    const facts = await setHooks({ postHook: own });
    expect(facts).toMatchObject({ preHook: { updatedAt: clock.now() - 1 }, postHook: { timeoutSeconds: 5 } });
    await setHooks({ preHook: fallback, postHook: own });
    await setHooks({});
    expect(told).toEqual([host.id, host.id]);
    expect((await setHooks({ preHook: { ...fallback, timeoutSeconds: 7 } })).preHook).toMatchObject({
      digest: facts.preHook?.digest,
      timeoutSeconds: 7,
    });
    await clock.advance(1);
    await setHooks({ postHook: null });
    const { rows } = await sql<{ action: string; payload: string }>`
      SELECT action, payload FROM audit_entries ORDER BY at, id`.execute(database.db);
    expect(new Set(rows.map(({ action }) => action))).toEqual(new Set(["host.hooks_edit"]));
    expect(rows.map(({ payload }) => JSON.parse(payload) as object).at(-1)).toEqual({
      fields: ["post_hook"],
      post_hook_sha256: null,
    });
    expect(await getHost(database.db, host.id)).toMatchObject({ scheduleVersion: 4 });
  });

  it("that can't be are refused with the field", async () => {
    await expect(setHooks({ preHook: { ...own, script: "a".repeat(65_537) } })).rejects.toMatchObject({
      code: "sources.hook_too_large",
      details: [{ path: "pre_hook.script" }],
    });
    expect((await sql`SELECT * FROM hooks`.execute(database.db)).rows).toEqual([]);
  });

  it("can't be opened with another key, nor from another's row or slot", async () => {
    const group = await addGroup({ pre_hook: ownHook });
    const unreadable = { code: "secrets.unreadable" };
    await expect(complete(group, createSecretBox(Buffer.alloc(32, 8)))).rejects.toMatchObject(unreadable);
    await sql`UPDATE hooks SET slot = 'post_hook'`.execute(database.db);
    await expect(complete(group)).rejects.toMatchObject(unreadable);
    await sql`UPDATE hooks SET slot = 'pre_hook', owner_id = ${host.id}`.execute(database.db);
    await expect(complete(group)).rejects.toMatchObject(unreadable);
  });

  it("of the largest size fit one frame with the largest group", async () => {
    const script = '"'.repeat(65_536);
    const includes = Array.from({ length: 59 }, (_, i) => `/${i}${'"'.repeat(5000)}`);
    const group = await addGroup({ includes, pre_hook: { script }, post_hook: { script } });
    const larger = addGroup({
      name: "larger",
      includes: [...includes, ...includes.map((path) => `${path}b`)],
    });
    await expect(larger).rejects.toMatchObject({ code: "sources.too_large" });
    const spec = await complete(group);
    const message = { type: "command.run", job_id: newId(1), attempt: 1, spec } as const;
    expect(Buffer.byteLength(encodeMessage(message))).toBeLessThan(maxFrameBytes);
  });

  it("go with their host", async () => {
    await addGroup({ pre_hook: ownHook });
    await setHooks({ preHook: fallback });
    const losses = async () => ({});
    await deleteHost({ ...deps, losses }, { hostId: host.id, typedName: "h", actor });
    expect((await sql`SELECT * FROM hooks`.execute(database.db)).rows).toEqual([]);
  });

  it("and caps are in no stored job, but in what is sent: the run's own limits win field by field", async () => {
    const group = await addGroup({ pre_hook: ownHook });
    await setBandwidth(deps, { hostId: host.id, caps: { uploadKib: 100, downloadKib: 200 }, actor });
    const spec = { ...specOfGroup(host, group), limits: { upload_kib: 5 } };
    const jobs = await createJobs({ db: database.db, clock, bus: deps.events }, [
      { hostId: host.id, spec, actor, sourceGroupId: group.id },
      { hostId: host.id, spec: { kind: "check" }, actor },
      { hostId: host.id, spec: { kind: "init", host_name: "h" }, actor },
    ]);
    expect(JSON.stringify(jobs)).not.toContain("own-secret");
    const sent = await Promise.all(jobs.map((job) => completeSpec(database.db, deps.box, job)));
    expect(sent).toEqual([
      { ...spec, pre_hook: ownHook, limits: { upload_kib: 5, download_kib: 200 } },
      { kind: "check", limits: { upload_kib: 100, download_kib: 200 } },
      { kind: "init", host_name: "h" },
    ]);
  });
});
