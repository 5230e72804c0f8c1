/** Schedules through the whole server: the API, the set on its way to the agent, fires, and restarts in between. */

import { type BackupSpec, type ScheduleRan, scheduledJobId } from "@restic-manager/protocol";
import {
  ackOf,
  connectTestAgent,
  finishedOf,
  startedOf,
  startTestServer,
  type TestAgent,
  type TestServer,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const minuteMs = 60_000;
const planned = "2026-11-23T05:00:00.000Z";

let server: TestServer;
let agent: TestAgent;
let groupId: string;
beforeEach(async () => {
  server = await startTestServer();
  agent = await connectTestAgent(server, { name: "db-01", initialPaths: ["/srv/data"] });
  await agent.hello({ schedule_version: 0, hooks_allowed: true });
  const init = await agent.nextMessage("command.run");
  agent.send(finishedOf(init, 1));
  await agent.acknowledged(1);
  const groups = (await server.admin.get(url("source-groups"))).body.source_groups as { id: string }[];
  groupId = groups[0]?.id ?? "";
});
afterEach(() => server.stop());

const url = (path: string): string => `/api/hosts/${agent.hostId}/${path}`;
const draft = (more: object = {}) => ({
  ...{ cron: "0 5 * * *", time_zone: "UTC", source_group_ids: [groupId] },
  ...more,
});
const fireOf = (scheduleId: string) =>
  ({ type: "schedule.fire", schedule_id: scheduleId, planned_at: planned }) as const;
const keyOf = (scheduleId: string) =>
  scheduledJobId({ scheduleId, plannedAt: Date.parse(planned), sourceGroupId: groupId, tries: 0 });

async function addSchedule(more: object = {}): Promise<string> {
  const made = await server.admin.post(url("schedules"), draft(more));
  expect(made.status, made.text).toBe(201);
  return String(made.body.id);
}

/** The newest set that came, whole. */
async function nextSet(version: number) {
  for (;;) {
    const set = await agent.nextMessage("schedule.set");
    if (set.version >= version) return set;
  }
}

/** Time passes with heartbeats, so that the host stays online. */
async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= minuteMs) {
    const beat = server.clock.now();
    agent.send({ type: "heartbeat", sent_at: new Date(beat).toISOString() });
    // Presence is written every 5 s.
    await server.until("the heartbeat is written", async () => lastSeenMs(await hostOf()) >= beat, 1000);
    await server.clock.advance(minuteMs - (server.clock.now() - beat));
  }
}
const lastSeenMs = (host: Record<string, unknown>): number => Date.parse(String(host.last_seen_at));

const jobs = async () => {
  const list = (await server.admin.get(url("jobs?kind=backup"))).body.jobs;
  return list as { id: string; status: string; schedule_id: string; planned_at: string; actor: object }[];
};
const hostOf = async () => (await server.admin.get(`/api/hosts/${agent.hostId}`)).body;

describe("the set of schedules", () => {
  it("reaches a connected agent with every change, and its acknowledgement is shown", async () => {
    const id = await addSchedule({ jitter_seconds: 60 });
    const set = await nextSet(1);
    expect(set).toMatchObject({
      ...{ part: 1, parts: 1 },
      groups: [{ source_group_id: groupId, spec: { kind: "backup", includes: ["/srv/data"] } }],
      schedules: [{ schedule_id: id, cron: "0 5 * * *", jitter_seconds: 60, first_planned_at: planned }],
    });
    expect(await hostOf()).toMatchObject({ schedule_version: 1, applied_schedule_version: 0 });
    agent.send({ type: "schedule.ack", version: set.version });
    await server.until("the version is shown", async () => (await hostOf()).applied_schedule_version === 1);
  });

  it("carries what changed in the groups too: hooks, caps of the host", async () => {
    await addSchedule();
    const {
      id: _id,
      host_id: _host,
      hooks: _hooks,
      created_at: _made,
      updated_at: _edited,
      ...edit
    } = (await server.admin.get(url(`source-groups/${groupId}`))).body;
    const hook = { script: "pg_dumpall", timeout_seconds: 30 };
    const put = await server.admin.put(url(`source-groups/${groupId}`), { ...edit, pre_hook: hook });
    expect(put.status, put.text).toBe(200);
    await server.admin.put(url("bandwidth"), { upload_kib: 512, download_kib: null });
    const set = await nextSet(3);
    expect(set.groups[0]?.spec).toMatchObject({ pre_hook: hook, limits: { upload_kib: 512 } });
  });

  it("of a host that was away reaches it when it is back, before any command", async () => {
    await agent.drop();
    await addSchedule();
    await agent.connect({ schedule_version: 0 });
    expect(await nextSet(1)).toMatchObject({ version: 1, schedules: [{ cron: "0 5 * * *" }] });
    expect(agent.received.map((message) => message.type).slice(0, 3)).toEqual([
      "welcome",
      "config.update",
      "schedule.set",
    ]);
  });

  it("leaves out what is paused", async () => {
    const id = await addSchedule();
    await server.admin.put(url(`schedules/${id}`), { ...draft({ enabled: false }), version: 1 });
    expect((await nextSet(2)).schedules).toEqual([]);
  });
});

describe("a fire", () => {
  it("is answered, and its job comes as a command whose secrets are stored with no job", async () => {
    const id = await addSchedule();
    await server.admin.put(url("hooks"), { pre_hook: { script: "echo a-secret-of-the-hook" } });
    await pass(60 * minuteMs);
    agent.send(fireOf(id));
    expect(await agent.nextMessage("schedule.fired")).toMatchObject({ schedule_id: id, outcome: "taken" });
    const run = await agent.nextMessage("command.run");
    expect(run).toMatchObject({
      job_id: keyOf(id),
      spec: { pre_hook: { script: "echo a-secret-of-the-hook" } },
    });
    const job = await server.admin.get(`/api/jobs/${run.job_id}`);
    expect(job.body).toMatchObject({ schedule_id: id, planned_at: planned, actor: { kind: "schedule" } });
    expect(job.text).not.toContain("a-secret-of-the-hook");
    expect(JSON.stringify(server.log)).not.toContain("a-secret-of-the-hook");
  });

  it("over a connection that drops before the answer is asked again, and makes one job", async () => {
    const id = await addSchedule();
    await pass(60 * minuteMs);
    agent.send(fireOf(id));
    await agent.drop();
    await agent.connect({ schedule_version: 1 });
    agent.send(fireOf(id));
    expect(await agent.nextMessage("schedule.fired")).toMatchObject({ outcome: "taken" });
    expect(await jobs()).toHaveLength(1);
  });

  it("before a restart of the server and again after it makes one job", async () => {
    const id = await addSchedule();
    await pass(60 * minuteMs);
    agent.send(fireOf(id));
    await agent.nextMessage("schedule.fired");
    await server.restart();
    await agent.connect({ schedule_version: 1 });
    agent.send(fireOf(id));
    await agent.nextMessage("schedule.fired");
    expect(await jobs()).toHaveLength(1);
  });
});

describe("a run of the host's own", () => {
  const ranOf = (id: string, seq: number, spec: BackupSpec): ScheduleRan => ({
    ...{ type: "schedule.ran", seq, job_id: keyOf(id), attempt: 1, schedule_id: id },
    ...{ planned_at: planned, source_group_id: groupId, at: planned, spec },
  });

  it("while the server was down arrives with its log and end, and nothing is run twice", async () => {
    const id = await addSchedule();
    const spec = (await nextSet(1)).groups[0]?.spec;
    if (!spec) throw new Error("no group came");
    await server.halt();
    await server.clock.advance(3 * 60 * minuteMs);
    await server.start();
    const own = { job_id: keyOf(id), attempt: 1 };
    await agent.connect({ schedule_version: 1, jobs: [{ ...own, state: "finished" }] });
    agent.send(ranOf(id, 2, spec));
    agent.send(startedOf(own, 3));
    agent.send(finishedOf(own, 4));
    await agent.acknowledged(4);
    await pass(4 * minuteMs);
    expect(await jobs()).toMatchObject([{ id: own.job_id, status: "succeeded", planned_at: planned }]);
    const shown = (await server.admin.get(url(`schedules/${id}`))).body;
    expect(shown).toMatchObject({
      next_at: "2026-11-24T05:00:00.000Z",
      pending: null,
      last: { status: "succeeded" },
    });
  });

  it("that the server made too, its command lost, goes on as the one that runs", async () => {
    const id = await addSchedule();
    const spec = (await nextSet(1)).groups[0]?.spec;
    if (!spec) throw new Error("no group came");
    await pass(60 * minuteMs);
    agent.send(fireOf(id));
    const run = await agent.nextMessage("command.run");
    await agent.drop();
    await agent.connect({
      schedule_version: 1,
      jobs: [{ job_id: run.job_id, attempt: 1, state: "running" }],
    });
    agent.send(ranOf(id, 2, spec));
    agent.send(startedOf(run, 3));
    agent.send(finishedOf(run, 4));
    await agent.acknowledged(4);
    expect(await jobs()).toMatchObject([{ id: run.job_id, status: "succeeded" }]);
  });
});

describe("running a schedule now", () => {
  it("makes a job for each group by the person who asked; a paused one must be confirmed", async () => {
    const id = await addSchedule({ enabled: false });
    const refused = await server.admin.post(url(`schedules/${id}/run`), {});
    expect(refused.body).toMatchObject({ code: "schedules.paused" });
    const ran = await server.admin.post(url(`schedules/${id}/run`), { confirm_paused: true });
    expect(ran.status).toBe(202);
    const command = await agent.nextMessage("command.run");
    expect([command.job_id]).toEqual(ran.body.job_ids);
    agent.send(ackOf(command));
    expect(await jobs()).toMatchObject([{ actor: { kind: "user" }, schedule_id: null }]);
  });

  it("of a host that is away is refused and queues nothing", async () => {
    const id = await addSchedule();
    await agent.drop();
    await server.clock.advance(5 * minuteMs);
    const refused = await server.admin.post(url(`schedules/${id}/run`), {});
    expect([refused.status, refused.body.code]).toEqual([409, "hosts.offline"]);
    expect(await jobs()).toEqual([]);
  });
});

describe("the API of schedules", () => {
  it("says by field what is wrong", async () => {
    const wrong = { cron: "0 0 31 2 *", time_zone: "UTC", source_group_ids: [] };
    const refused = await server.admin.post(url("schedules"), wrong);
    expect(refused.status).toBe(400);
    expect(refused.body).toMatchObject({
      code: "schedules.invalid",
      details: [{ path: "cron" }, { path: "source_group_ids" }],
    });
  });

  it("answers an edit of an old version with what it is now", async () => {
    const id = await addSchedule();
    const put = (cron: string) =>
      server.admin.put(url(`schedules/${id}`), { ...draft({ cron }), version: 1 });
    expect((await put("0 6 * * *")).body).toMatchObject({ cron: "0 6 * * *", version: 2 });
    expect((await put("0 7 * * *")).body).toMatchObject({
      code: "schedules.edit_conflict",
      details: { current: { cron: "0 6 * * *", version: 2 }, changed: ["cron"] },
    });
  });

  it("protects a group that a schedule uses", async () => {
    await addSchedule();
    const more = { name: "other", includes: ["/etc"] };
    await server.admin.post(url("source-groups"), more);
    const refused = await server.admin.delete(url(`source-groups/${groupId}`));
    expect([refused.status, refused.body.code]).toEqual([409, "sources.in_use"]);
  });

  it("deletes, and keeps the jobs", async () => {
    const id = await addSchedule();
    await pass(60 * minuteMs);
    agent.send(fireOf(id));
    await agent.nextMessage("schedule.fired");
    expect((await server.admin.delete(url(`schedules/${id}`))).status).toBe(204);
    expect((await server.admin.get(url(`schedules/${id}`))).status).toBe(404);
    expect(await jobs()).toHaveLength(1);
  });

  it("tells a cron's next times, or what is wrong with it", async () => {
    const ask = (cron: string, zone: string) =>
      server.admin.get(`/api/cron?cron=${encodeURIComponent(cron)}&time_zone=${encodeURIComponent(zone)}`);
    expect((await ask("0 5 * * *", "UTC")).body.next).toHaveLength(5);
    expect((await ask("5/15 * * * *", "UTC")).body).toMatchObject({
      code: "cron.syntax",
      details: [{ path: "cron" }],
    });
    expect((await ask("0 5 * * *", "Mars/X")).body).toMatchObject({ code: "cron.zone" });
  });
});
