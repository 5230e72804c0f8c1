/**
 * What a host tells late, on both engines: runs of its own and fires that reach the server when the times around them
 * were missed, caught up or given up already. Each planned time still has exactly one outcome, and runs at most once.
 */
import { type ScheduleRan, scheduledJobId } from "@restic-manager/protocol";
import { engines, ScheduleLab } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inTransaction } from "../../platform/db/db.ts";
import { type Host, setHostRepository } from "../hosts/hosts.ts";
import { announce, type Job } from "../jobs/jobs.ts";
import { ensureRepository } from "../repositories/repositories.ts";
import { listSourceGroups, specOfGroup } from "../sources/sources.ts";
import { listFires } from "./fires.store.ts";
import { recordRan } from "./fires.ts";
import type { Schedule } from "./schedule.ts";
import { hastenPending, listPending, narrowPending, postponePending } from "./schedules.store.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayOf = (hour: string) => `2026-11-23T${hour}:00:00.000Z`;

describe.each(engines)("what a host tells late on %s", (engine) => {
  let lab: ScheduleLab;
  let host: Host;
  let groupId: string;
  let schedule: Schedule;
  beforeEach(async () => {
    lab = await ScheduleLab.open(engine);
    ({ host, groupId } = await lab.addHost("db-01"));
    schedule = await lab.addSchedule(host.id, [groupId], { cron: "0 * * * *" });
  });
  afterEach(() => lab.close());

  const pending = () => listPending(lab.db, { scheduleId: schedule.id });
  const planned = async () => (await lab.jobs(host.id)).map((job) => job.plannedAt && hourOf(job.plannedAt));
  const hourOf = (at: number): string => new Date(at).toISOString().slice(11, 13);
  /** Each outcome with the first and the last planned time that it stands for. */
  const fires = async () =>
    (await listFires(lab.db, schedule.id, 100))
      .map(({ plannedAt, coversFrom, outcome }) => `${hourOf(coversFrom)}-${hourOf(plannedAt)} ${outcome}`)
      .toSorted();

  async function report(instant: string): Promise<Job> {
    const [group] = await listSourceGroups(lab.db, host.id);
    if (!group) throw new Error("the host has no group");
    const key = { scheduleId: schedule.id, plannedAt: Date.parse(instant), sourceGroupId: groupId, tries: 0 };
    const event: ScheduleRan = {
      ...{ type: "schedule.ran", seq: 1, job_id: scheduledJobId(key), attempt: 1, schedule_id: schedule.id },
      ...{ planned_at: instant, source_group_id: groupId, at: instant, spec: specOfGroup(host, group) },
    };
    const job = await inTransaction(lab.db, (tx) => recordRan(tx, host, event, lab.clock.now()));
    announce(lab.bus, job);
    await lab.settled();
    return job;
  }

  /** The host is away at 05:00 and, seen by the server, at every hour until then. */
  async function missUntil(hour: number): Promise<void> {
    lab.disconnect(host.id);
    for (let at = 5; at <= hour; at++)
      await lab.passUntil(`2026-11-23T${String(at).padStart(2, "0")}:03:00.000Z`);
  }

  it.each([
    ["a fire", () => lab.fire(host, schedule, dayOf("05"))],
    ["a run of the host's own", () => report(dayOf("05"))],
  ])("makes %s a job on the repository that the host uses now, whatever it used before", async (_, tell) => {
    await lab.passUntil(dayOf("05"));
    const { id } = await ensureRepository(lab.db, "/srv/other", lab.clock.now());
    await setHostRepository(lab.db, host.id, id);
    await tell();
    expect((await lab.jobs(host.id)).map(({ repositoryId }) => repositoryId)).toEqual([id]);
  });

  it("splits the missed times around a run of its own, and the newest is still caught up", async () => {
    await missUntil(9);
    await lab.connect(host.id);
    await lab.end(await report(dayOf("07")), "succeeded");
    await lab.settle();
    expect(await fires()).toEqual(["05-07 run", "08-09 run"]);
    expect(await planned()).toEqual(["07", "09"]);
  });

  it("looks soon at what waits, though whoever put it off or split it read it before its host was back", async () => {
    await missUntil(9);
    const [read] = await pending();
    if (!read) throw new Error("nothing waits");
    for (const soon of [read.nextTryAt - minuteMs, read.nextTryAt + minuteMs]) {
      const [before] = await pending();
      await hastenPending(lab.db, host.id, soon);
      await postponePending(lab.db, before ?? read, soon + hourMs);
      await narrowPending(lab.db, before ?? read, Date.parse(dayOf("08")));
      expect(await pending()).toEqual([{ ...read, missedSince: Date.parse(dayOf("08")), nextTryAt: soon }]);
    }
  });

  it("settles what was missed before, when the newest ran there", async () => {
    await missUntil(7);
    await lab.connect(host.id);
    await lab.end(await report(dayOf("07")), "succeeded");
    await lab.settle();
    expect(await fires()).toEqual(["05-07 run"]);
    expect(await planned()).toEqual(["07"]);
    expect(await pending()).toEqual([]);
  });

  it("splits what a catch-up stands for, too", async () => {
    await missUntil(8);
    await lab.connect(host.id);
    await lab.settle();
    expect(await fires()).toEqual(["05-08 run"]);
    await report(dayOf("06"));
    expect(await fires()).toEqual(["05-06 run", "07-08 run"]);
  });

  it("makes no job of a fire whose time was caught up by a later one", async () => {
    await missUntil(8);
    await lab.connect(host.id);
    await lab.settle();
    expect(await lab.fire(host, schedule, dayOf("06"))).toMatchObject({ outcome: "taken" });
    expect(await fires()).toEqual(["05-08 run"]);
    expect(await planned()).toEqual(["08"]);
  });

  it("takes a fire for the newest missed time, so that one run stands for all", async () => {
    await missUntil(8);
    await lab.connect(host.id);
    expect(await lab.fire(host, schedule, dayOf("06"))).toMatchObject({ outcome: "taken" });
    expect(await lab.fire(host, schedule, dayOf("08"))).toMatchObject({ outcome: "taken" });
    await lab.settle();
    expect(await fires()).toEqual(["05-08 run"]);
    expect(await planned()).toEqual(["08"]);
  });

  it("does not try a run again that was given up and then turns out to go on there", async () => {
    schedule = await lab.addSchedule(host.id, [groupId], { cron: "0 5 * * *" });
    lab.disconnect(host.id);
    await lab.passUntil("2026-11-23T05:03:00.000Z");
    await lab.leap(20 * hourMs);
    await lab.passUntil("2026-11-24T05:40:00.000Z");
    await lab.connect(host.id);
    const job = await report("2026-11-24T05:00:00.000Z");
    expect(job.status).toBe("expired");
    await lab.settle();
    await lab.pass(5 * minuteMs);
    const jobs = (await lab.jobs(host.id)).filter(({ scheduleId }) => scheduleId === schedule.id);
    expect(jobs.filter(({ plannedAt }) => plannedAt === job.plannedAt)).toMatchObject([{ id: job.id }]);
  });
});
