/** What becomes of a planned time, on both engines: once, whoever fires, whatever is away, down, asleep or late. */
import type { ScheduleRan } from "@restic-manager/protocol";
import { jitterMs, scheduledJobId } from "@restic-manager/protocol";
import { engines, ScheduleLab } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inTransaction } from "../../platform/db/db.ts";
import { systemActor } from "../../platform/http/identity.ts";
import { listAudit } from "../audit/audit.ts";
import { type Host, setHostMode } from "../hosts/hosts.ts";
import { getJob, type Job } from "../jobs/jobs.ts";
import { listSourceGroups, specOfGroup } from "../sources/sources.ts";
import { listFires } from "./fires.store.ts";
import { recordRan } from "./fires.ts";
import { deleteSchedule, type Schedule, setSchedulePaused } from "./schedule.ts";
import { listPending } from "./schedules.store.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
/** The lab's day begins at 04:00; the schedule of these tests is due at 05:00. */
const planned = "2026-11-23T05:00:00.000Z";
const nextDay = "2026-11-24T05:00:00.000Z";

describe.each(engines)("a planned time on %s", (engine) => {
  let lab: ScheduleLab;
  let host: Host;
  let groupId: string;
  let schedule: Schedule;
  beforeEach(async () => {
    lab = await ScheduleLab.open(engine);
    ({ host, groupId } = await lab.addHost("db-01"));
    schedule = await lab.addSchedule(host.id, [groupId]);
  });
  afterEach(() => lab.close());

  const pending = () => listPending(lab.db, { scheduleId: schedule.id });
  const fires = async () =>
    (await listFires(lab.db, schedule.id, 100)).map(({ plannedAt, outcome, coversFrom }) => ({
      ...{ planned: new Date(plannedAt).toISOString(), outcome },
      covers: new Date(coversFrom).toISOString(),
    }));
  const jobsOf = async () =>
    (await lab.jobs(host.id)).map(({ status, plannedAt }) => ({ status, plannedAt }));
  const actions = async (action: string) => (await listAudit({ db: lab.db }, { action })).entries;
  const keyId = (instant: string, tries = 0) =>
    scheduledJobId({
      scheduleId: schedule.id,
      plannedAt: Date.parse(instant),
      sourceGroupId: groupId,
      tries,
    });

  async function ranEvent(instant: string, more: Partial<ScheduleRan> = {}): Promise<ScheduleRan> {
    const [group] = await listSourceGroups(lab.db, host.id);
    if (!group) throw new Error("the host has no group");
    return {
      ...{ type: "schedule.ran", seq: 1, job_id: keyId(instant), attempt: 1, schedule_id: schedule.id },
      ...{ planned_at: instant, source_group_id: groupId, at: instant, spec: specOfGroup(host, group) },
      ...more,
    };
  }
  const report = async (instant: string, more: Partial<ScheduleRan> = {}): Promise<Job> => {
    const event = await ranEvent(instant, more);
    return inTransaction(lab.db, (tx) => recordRan(tx, host, event, lab.clock.now()));
  };

  describe("that the host fires", () => {
    beforeEach(() => lab.passUntil(planned));

    it("makes one job for each group, by the schedule, with the id of its key", async () => {
      expect(await lab.fire(host, schedule, planned)).toMatchObject({
        type: "schedule.fired",
        outcome: "taken",
      });
      const [job, ...others] = await lab.jobs(host.id);
      expect(others).toEqual([]);
      expect(job).toMatchObject({
        ...{ id: keyId(planned), kind: "backup", sourceGroup: "default", sourceGroupId: groupId },
        ...{ scheduleId: schedule.id, plannedAt: Date.parse(planned) },
        actor: { kind: "schedule", id: schedule.id, name: "0 5 * * *" },
      });
      expect(await lab.schedule(schedule)).toMatchObject({ nextFireAt: Date.parse(nextDay) });
      expect(await fires()).toEqual([{ planned, outcome: "run", covers: planned }]);
    });

    it("happens once, however often and by however many it is fired", async () => {
      const other = lab.startWatch();
      const answers = await Promise.all([
        lab.fire(host, schedule, planned),
        lab.fire(host, schedule, planned, other),
        lab.fire(host, schedule, planned, other),
        lab.fire(host, schedule, planned),
      ]);
      expect(
        new Set(answers.map((answer) => (answer.type === "schedule.fired" ? answer.outcome : ""))),
      ).toEqual(new Set(["taken"]));
      await lab.pass(10 * minuteMs);
      expect(await jobsOf()).toHaveLength(1);
    });

    it.each<{ what: string; instant: string; code: string }>([
      {
        what: "that is none of its times",
        instant: "2026-11-23T05:01:00.000Z",
        code: "schedules.not_planned",
      },
      { what: "far in the future: a clock ahead", instant: nextDay, code: "schedules.clock_ahead" },
    ])("is refused when it is one $what", async ({ instant, code }) => {
      expect(await lab.fire(host, schedule, instant)).toMatchObject({ outcome: "refused", code });
      expect(await jobsOf()).toEqual([]);
    });

    it("is refused when it was paused or deleted, or is another host's", async () => {
      const other = await lab.addHost();
      expect(await lab.fire(other.host, schedule, planned)).toMatchObject({ code: "schedules.not_found" });
      const which = { hostId: host.id, scheduleId: schedule.id, actor: systemActor };
      await setSchedulePaused(lab.deps, { ...which, paused: true });
      expect(await lab.fire(host, schedule, planned)).toMatchObject({ code: "schedules.paused" });
      await deleteSchedule(lab.deps, which);
      expect(await lab.fire(host, schedule, planned)).toMatchObject({ code: "schedules.not_found" });
      expect(await jobsOf()).toEqual([]);
    });

    it("is skipped while the run before has not ended, and says so", async () => {
      await lab.fire(host, schedule, planned);
      await lab.passUntil(nextDay);
      await lab.fire(host, schedule, nextDay);
      expect(await jobsOf()).toHaveLength(1);
      expect(await fires()).toMatchObject([{ planned: nextDay, outcome: "skipped" }, { outcome: "run" }]);
    });
  });

  describe("that nobody fires", () => {
    it("is taken up by the server after a minute of grace, when the host is there", async () => {
      await lab.passUntil("2026-11-23T05:00:55.000Z");
      expect(await jobsOf()).toEqual([]);
      await lab.pass(10_000);
      expect(await jobsOf()).toMatchObject([{ status: "queued", plannedAt: Date.parse(planned) }]);
    });

    it("is taken up once by two servers", async () => {
      lab.startWatch();
      lab.startWatch();
      await lab.passUntil("2026-11-23T05:05:00.000Z");
      expect(await jobsOf()).toHaveLength(1);
    });

    it("waits for its spread first", async () => {
      const spread = await lab.addSchedule(host.id, [groupId], { cron: "30 5 * * *", jitterSeconds: 1800 });
      const at = Date.parse("2026-11-23T05:30:00Z");
      const due = at + jitterMs(spread.id, at, 1800);
      await lab.passUntil(planned);
      const [first] = [await lab.fire(host, schedule, planned), await lab.jobs(host.id)][1] as Job[];
      if (first) await lab.end(first, "succeeded");
      await lab.passUntil(new Date(due + minuteMs - 10_000).toISOString());
      expect(await jobsOf()).toHaveLength(1);
      await lab.pass(20_000);
      expect(await jobsOf()).toHaveLength(2);
    });

    it("does not happen while the schedule is paused", async () => {
      const pause = { hostId: host.id, scheduleId: schedule.id, paused: true, actor: systemActor };
      await setSchedulePaused(lab.deps, pause);
      await lab.passUntil("2026-11-23T05:10:00.000Z");
      expect(await jobsOf()).toEqual([]);
    });
  });

  describe("that comes while the host is away", () => {
    beforeEach(async () => {
      lab.disconnect(host.id);
      await lab.passUntil("2026-11-23T05:03:00.000Z");
    });

    it("waits as a pending run, and no try is counted however long it takes", async () => {
      expect(await jobsOf()).toEqual([]);
      await lab.leap(3 * hourMs);
      await lab.pass(2 * minuteMs);
      expect(await pending()).toMatchObject([
        { waits: "offline", tries: 0, missedSince: Date.parse(planned) },
      ]);
      const [run] = await pending();
      expect((run?.nextTryAt ?? 0) - lab.clock.now()).toBeLessThanOrEqual(30 * minuteMs);
    });

    it("is caught up exactly once, a settle delay after the host came back", async () => {
      await lab.leap(3 * hourMs);
      await lab.connect(host.id);
      await lab.pass(55_000);
      expect(await jobsOf()).toEqual([]);
      await lab.pass(minuteMs);
      expect(await jobsOf()).toMatchObject([{ plannedAt: Date.parse(planned) }]);
      await lab.pass(10 * minuteMs);
      expect(await jobsOf()).toHaveLength(1);
    });

    it("with others is caught up once: the newest stands for all of them", async () => {
      const hourly = await lab.addSchedule(host.id, [groupId], { cron: "0 * * * *" });
      await lab.leap(2 * hourMs);
      await lab.pass(minuteMs);
      await lab.leap(3 * hourMs);
      await lab.pass(minuteMs);
      await lab.connect(host.id);
      await lab.settle();
      const caughtUp = (await lab.jobs(host.id)).filter((job) => job.scheduleId === hourly.id);
      expect(caughtUp.map((job) => job.plannedAt)).toEqual([Date.parse("2026-11-23T10:00:00Z")]);
      expect(await listFires(lab.db, hourly.id, 9)).toMatchObject([
        { plannedAt: Date.parse("2026-11-23T10:00:00Z"), coversFrom: Date.parse("2026-11-23T06:00:00Z") },
      ]);
      expect(await lab.schedule(hourly)).toMatchObject({ nextFireAt: Date.parse("2026-11-23T11:00:00Z") });
    });

    it("but was run by the host itself is that run, and is not caught up", async () => {
      await lab.leap(hourMs);
      await lab.connect(host.id);
      const job = await report(planned);
      expect(job).toMatchObject({ id: keyId(planned), status: "dispatched", attempt: 1 });
      await lab.settle();
      expect(await jobsOf()).toHaveLength(1);
      await lab.end(job, "succeeded");
      await lab.settle();
      expect(await pending()).toEqual([]);
      expect(await jobsOf()).toMatchObject([{ status: "succeeded" }]);
    });

    it("is given up after a day as an expired job, with a trace, and the schedule goes on", async () => {
      await lab.leap(20 * hourMs);
      await lab.passUntil("2026-11-24T05:40:00.000Z");
      expect(await jobsOf()).toMatchObject([{ status: "expired" }]);
      const [entry] = await actions("schedule.abandon");
      expect(entry?.payload).toMatchObject({ why: "host_away", missed_since: planned });
      const [job] = await lab.jobs(host.id);
      expect(job?.error).toMatchObject({
        code: "jobs.never_ran",
        message: expect.stringContaining("db-01 was away"),
      });
      expect(await lab.schedule(schedule)).toMatchObject({ nextFireAt: Date.parse("2026-11-25T05:00:00Z") });
    });

    it("is given up after a week when the host is one that is away now and then", async () => {
      await setHostMode(lab.deps, { hostId: host.id, mode: "intermittent", actor: systemActor });
      await lab.leap(6 * 24 * hourMs);
      await lab.pass(minuteMs);
      await lab.leap(31 * minuteMs);
      await lab.pass(minuteMs);
      expect(await jobsOf()).toEqual([]);
      await lab.leap(25 * hourMs);
      await lab.pass(2 * minuteMs);
      expect(await jobsOf()).toMatchObject([{ status: "expired" }]);
    });

    it("was called expired, and ran on the host after all: then it ran", async () => {
      await lab.leap(20 * hourMs);
      await lab.passUntil("2026-11-24T05:40:00.000Z");
      const [expired] = await lab.jobs(host.id);
      const instant = new Date(expired?.plannedAt ?? 0).toISOString();
      await lab.connect(host.id);
      expect(await report(instant)).toMatchObject({ id: expired?.id, attempt: 1 });
      expect((await fires())[0]).toMatchObject({ planned: instant, outcome: "run" });
    });
  });

  describe("that comes while the server is down", () => {
    beforeEach(() => lab.stopWatches());

    it("and that the host ran by itself is not run again", async () => {
      await lab.leap(5 * hourMs);
      lab.startWatch();
      await lab.connect(host.id);
      await lab.pass(30_000);
      await lab.end(await report(planned), "succeeded");
      await lab.pass(10 * minuteMs);
      expect(await jobsOf()).toMatchObject([{ status: "succeeded", plannedAt: Date.parse(planned) }]);
    });

    it("and that nobody ran is caught up once, after the fleet had time to tell", async () => {
      await lab.leap(3 * 24 * hourMs);
      lab.startWatch();
      await lab.connect(host.id);
      await lab.pass(55_000);
      expect(await jobsOf()).toEqual([]);
      await lab.pass(2 * minuteMs);
      expect(await jobsOf()).toMatchObject([{ plannedAt: Date.parse("2026-11-25T05:00:00Z") }]);
      await lab.pass(10 * minuteMs);
      expect(await jobsOf()).toHaveLength(1);
    });

    it("and that the host reports piece by piece leaves each its own outcome", async () => {
      await lab.leap(3 * 24 * hourMs);
      lab.startWatch();
      await lab.connect(host.id);
      for (const day of [23, 24]) await lab.end(await report(`2026-11-${day}T05:00:00.000Z`), "succeeded");
      await lab.settle();
      expect(await fires()).toEqual([
        { planned: "2026-11-25T05:00:00.000Z", outcome: "run", covers: "2026-11-25T05:00:00.000Z" },
        { planned: "2026-11-24T05:00:00.000Z", outcome: "run", covers: "2026-11-24T05:00:00.000Z" },
        { planned, outcome: "run", covers: planned },
      ]);
    });
  });

  describe("that the host ran by itself", () => {
    beforeEach(() => lab.passUntil(planned));

    it("while the server made the same run: they are one job", async () => {
      await lab.fire(host, schedule, planned);
      const job = await report(planned);
      expect(job).toMatchObject({ id: keyId(planned), status: "dispatched", attempt: 1 });
      expect(await jobsOf()).toHaveLength(1);
    });

    it("after it was sent twice: what the host tells fits its own attempt", async () => {
      await lab.fire(host, schedule, planned);
      const [job] = await lab.jobs(host.id);
      if (!job) throw new Error("no job");
      await lab.end(job, "running");
      expect(await report(planned)).toMatchObject({ status: "running" });
    });

    it.each<{ what: string; more: Partial<ScheduleRan>; code: string }>([
      {
        what: "an id that is not its key's",
        more: { job_id: "01KB0000000000000000000999" },
        code: "schedules.key_mismatch",
      },
      {
        what: "a time between two minutes",
        more: { planned_at: "2026-11-23T05:00:00.500Z" },
        code: "schedules.key_mismatch",
      },
      { what: "a time that is to come", more: { planned_at: nextDay }, code: "schedules.clock_ahead" },
      {
        what: "no schedule of its own",
        more: { schedule_id: "01KB0000000000000000000999" },
        code: "schedules.not_found",
      },
    ])("is refused with $what", async ({ more, code }) => {
      await expect(report(planned, more)).rejects.toMatchObject({ code });
      expect(await jobsOf()).toEqual([]);
    });

    it("stores no hook, whatever the agent sent", async () => {
      const event = await ranEvent(planned);
      const hook = { script: "echo a-secret-of-the-hook", timeout_seconds: 1 };
      const job = await report(planned, { spec: { ...event.spec, pre_hook: hook } });
      expect(JSON.stringify((await getJob(lab.db, job.id)).spec)).not.toContain("a-secret-of-the-hook");
    });

    it("counts also when its schedule was deleted meanwhile", async () => {
      await deleteSchedule(lab.deps, { hostId: host.id, scheduleId: schedule.id, actor: systemActor });
      await lab.end(await report(planned), "failed");
      expect(await jobsOf()).toMatchObject([{ status: "failed" }]);
      expect(await pending()).toEqual([]);
    });
  });

  describe("whose backup fails", () => {
    let first: Job;
    beforeEach(async () => {
      await lab.passUntil(planned);
      await lab.fire(host, schedule, planned);
      const [job] = await lab.jobs(host.id);
      if (!job) throw new Error("no job");
      first = job;
      await lab.end(first, "failed");
    });

    it("is tried again after a pause that grows, as a job of its own with the same trigger", async () => {
      expect(await pending()).toMatchObject([
        { waits: "failed", tries: 1, nextTryAt: lab.clock.now() + minuteMs },
      ]);
      await lab.pass(2 * minuteMs);
      const [, second] = await lab.jobs(host.id);
      expect(second).toMatchObject({ id: keyId(planned, 1), actor: first.actor, plannedAt: first.plannedAt });
      if (second) await lab.end(second, "lost");
      expect(await pending()).toMatchObject([{ tries: 2, nextTryAt: lab.clock.now() + 2 * minuteMs }]);
    });

    it("is given up past the group's limit, with a trace", async () => {
      for (let tries = 1; tries <= 3; tries++) {
        await lab.pass(10 * minuteMs);
        const job = (await lab.jobs(host.id)).at(-1);
        if (job) await lab.end(job, "failed");
      }
      await lab.pass(40 * minuteMs);
      expect(await jobsOf()).toHaveLength(4);
      expect(await pending()).toEqual([]);
      const [entry] = await actions("schedule.abandon");
      expect(entry?.payload).toMatchObject({ why: "retries_exhausted", tries: 4 });
    });

    it.each(["succeeded", "warning", "cancelled"] as const)(
      "and then is %s is not tried again",
      async (status) => {
        await lab.pass(2 * minuteMs);
        const job = (await lab.jobs(host.id)).at(-1);
        if (job) await lab.end(job, status);
        await lab.pass(10 * minuteMs);
        expect(await jobsOf()).toHaveLength(2);
        expect(await pending()).toEqual([]);
      },
    );

    it("waits with its next try until the host is back, without counting tries", async () => {
      lab.disconnect(host.id);
      await lab.leap(2 * hourMs);
      await lab.pass(minuteMs);
      expect(await jobsOf()).toHaveLength(1);
      expect(await pending()).toMatchObject([{ waits: "failed", tries: 1 }]);
      await lab.connect(host.id);
      await lab.settle();
      expect(await jobsOf()).toHaveLength(2);
    });

    it("gives way to the next planned time", async () => {
      lab.disconnect(host.id);
      await lab.leap(24 * hourMs);
      await lab.connect(host.id);
      await lab.fire(host, schedule, nextDay);
      expect(await pending()).toMatchObject([{ waits: "running", tries: 0, plannedAt: Date.parse(nextDay) }]);
    });

    it("is found by the watch when its end was told to nobody", async () => {
      await lab.pass(2 * minuteMs);
      const job = (await lab.jobs(host.id)).at(-1);
      await lab.stopWatches();
      if (job) await lab.end(job, "failed");
      lab.startWatch();
      await lab.pass(7 * minuteMs);
      expect((await pending())[0]?.tries).toBe(2);
    });
  });

  describe("and a clock that jumps", () => {
    it("back: nothing happens twice", async () => {
      await lab.passUntil(planned);
      await lab.fire(host, schedule, planned);
      const [job] = await lab.jobs(host.id);
      if (job) await lab.end(job, "succeeded");
      lab.clock.jump(-3 * hourMs);
      await lab.pass(minuteMs);
      await lab.passUntil("2026-11-23T05:10:00.000Z");
      expect(await lab.fire(host, schedule, planned)).toMatchObject({ outcome: "taken" });
      expect(await jobsOf()).toHaveLength(1);
    });

    it("forward: the newest of what it jumped over is run, once", async () => {
      await lab.pass(minuteMs);
      lab.clock.jump(3 * 24 * hourMs);
      await lab.pass(5 * minuteMs);
      expect(await jobsOf()).toMatchObject([{ plannedAt: Date.parse("2026-11-25T05:00:00Z") }]);
    });
  });
});

describe.each(engines)("both edges of summer time on %s", (engine) => {
  it.each([
    [
      "Europe/Berlin",
      "30 2 * * *",
      "2026-03-27T12:00:00Z",
      ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"],
    ],
    [
      "Europe/Berlin",
      "30 2 * * *",
      "2026-10-23T12:00:00Z",
      ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"],
    ],
    [
      "America/New_York",
      "30 2 * * *",
      "2026-03-06T12:00:00Z",
      ["2026-03-07T07:30", "2026-03-08T07:00", "2026-03-09T06:30"],
    ],
    [
      "America/New_York",
      "30 1 * * *",
      "2026-10-30T12:00:00Z",
      ["2026-10-31T05:30", "2026-11-01T05:30", "2026-11-02T06:30"],
    ],
  ])("in %s run %s once a day (from %s)", async (timeZone, cron, from, expected) => {
    const lab = await ScheduleLab.open(engine, Date.parse(from));
    const { host, groupId } = await lab.addHost();
    await lab.addSchedule(host.id, [groupId], { cron, timeZone });
    for (const instant of expected) {
      await lab.passUntil(`${instant}:00Z`);
      await lab.pass(3 * minuteMs);
      const open = (await lab.jobs(host.id)).filter((job) => job.finishedAt === null);
      for (const job of open) await lab.end(job, "succeeded");
    }
    await lab.leap(2 * hourMs);
    await lab.pass(minuteMs);
    const ran = (await lab.jobs(host.id)).map((job) =>
      new Date(job.plannedAt ?? 0).toISOString().slice(0, 16),
    );
    expect(ran).toEqual(expected);
    await lab.close();
  });
});
