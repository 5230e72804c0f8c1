/** Update runs through their rows, on both engines: in waves, with failures, absences and restarts. */
import { engines, UpdatesLab } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { deleteHost, getHost, touchHosts } from "../hosts/hosts.ts";
import { type Job, moveJob } from "../jobs/jobs.ts";
import { cancelUpdate, pauseUpdate, resumeUpdate } from "./update-edits.ts";
import { getAgentsView, shownTargets } from "./update-view.ts";

const minuteMs = 60_000;
const rolledBack = { code: "update.rolled_back", message: "It could not say hello.", last_lines: [] };

describe.each(engines)("an update of the fleet on %s", (engine) => {
  let lab: UpdatesLab;
  beforeEach(async () => {
    lab = await UpdatesLab.open(engine);
  });
  afterEach(() => lab.close());

  it("takes one host first, then a tenth, then the rest, and ends", async () => {
    await lab.addHosts(25);
    const id = await lab.start();
    const sizes: number[] = [];
    for (let jobs = await lab.live(); jobs.length > 0; jobs = await lab.live()) {
      sizes.push(jobs.length);
      for (const job of jobs) await lab.succeed(job);
    }
    expect(sizes).toEqual([1, 3, 20, 1]);
    const { run, counts, targets } = await lab.view(id);
    expect(run).toMatchObject({ state: "done", version: "0.2.0", pause: null });
    expect(run.endedAt).not.toBeNull();
    expect(counts).toEqual({ waiting: 0, updating: 0, done: 25, failed: 0, skipped: 0 });
    expect([1, 2, 3].map((wave) => targets.filter((target) => target.wave === wave).length)).toEqual([
      1, 3, 21,
    ]);
    expect(targets.every(({ fromVersion }) => fromVersion === "0.1.0")).toBe(true);
    expect(await lab.actions()).toEqual(["update.done", "update.start"]);
  });

  it("is on its page with as many hosts as fit, those that need somebody first", async () => {
    await lab.addHosts(80);
    const id = await lab.start();
    await lab.succeed(await lab.next());
    const [bad, ...others] = await lab.live();
    for (const job of others) await lab.begin(job);
    await lab.end(bad as Job, "failed", rolledBack);
    const { counts, wave, targets } = await lab.view(id);
    const { run: shown } = await getAgentsView(lab.deps);
    expect(counts).toMatchObject({
      done: 1,
      failed: 1,
      updating: others.length,
      waiting: 78 - others.length,
    });
    expect(targets.map(({ state }) => state)).toEqual([
      "failed",
      ...others.map(() => "updating"),
      ...Array.from({ length: 78 - others.length }, () => "waiting"),
      "done",
    ]);
    expect(shown).toMatchObject({ counts, wave, targets: targets.slice(0, shownTargets) });
    expect(shown?.targets).toHaveLength(shownTargets);
  });

  it("begins no host of the next wave before the last one of this wave ended well", async () => {
    await lab.addHosts(25);
    await lab.start();
    await lab.succeed(await lab.next());
    const second = await lab.live();
    await lab.succeed(second[0] as Job);
    await lab.succeed(second[1] as Job);
    expect(await lab.live()).toHaveLength(1);
    await lab.succeed(second[2] as Job);
    expect(await lab.live()).toHaveLength(20);
  });

  it("stands still after a failure, says where and why, and goes on after it when somebody says so", async () => {
    await lab.addHosts(25);
    const id = await lab.start();
    await lab.succeed(await lab.next());
    const [bad, ...others] = await lab.live();
    for (const job of others) await lab.begin(job);
    await lab.end(bad as Job, "failed", rolledBack);
    const paused = await lab.view(id);
    const { name } = await getHost(lab.db, bad?.hostId ?? "");
    expect(paused.run).toMatchObject({
      state: "paused",
      pause: {
        hostId: bad?.hostId,
        hostName: name,
        code: "update.rolled_back",
        message: rolledBack.message,
      },
    });
    expect(paused.targets[0]).toMatchObject({
      name,
      state: "failed",
      problem: { code: "update.rolled_back" },
    });
    for (const job of others) {
      await lab.hello(job.hostId, { agentVersion: "0.2.0" });
      await lab.end(job, "succeeded");
    }
    await lab.tick();
    expect(await lab.live()).toEqual([]);
    await resumeUpdate(lab.deps, { runId: id, actor: lab.actor });
    await lab.watch.idle();
    // The wave wants one more that ends well, and the one that failed is left alone.
    const next = await lab.live();
    expect(next.map(({ hostId }) => hostId)).not.toContain(bad?.hostId);
    expect(next).toHaveLength(1);
    for (let jobs = next; jobs.length > 0; jobs = await lab.live())
      for (const job of jobs) await lab.succeed(job);
    expect((await lab.view(id)).run.state).toBe("done");
    expect((await lab.view(id)).counts).toMatchObject({ done: 24, failed: 1 });
    expect(await lab.actions()).toEqual(["update.done", "update.pause", "update.resume", "update.start"]);
  });

  it.each([["lost"], ["cancelled"], ["expired"]] as const)(
    "stands still when a job is %s half-way",
    async (status) => {
      await lab.addHosts(3);
      const id = await lab.start();
      await lab.end(await lab.begin(await lab.next()), status);
      expect((await lab.view(id)).run.state).toBe("paused");
    },
  );

  it("passes over a host that is away, and takes it when it is back", async () => {
    const [first, second, third] = await lab.addHosts(3);
    await lab.leave(first?.id ?? "");
    const id = await lab.start();
    expect((await lab.live()).map(({ hostId }) => hostId)).toEqual([second?.id]);
    await lab.succeed(await lab.next());
    expect((await lab.live()).map(({ hostId }) => hostId)).toEqual([third?.id]);
    await lab.succeed(await lab.next());
    await lab.tick();
    expect((await lab.view(id)).run.state).toBe("running");
    expect(await lab.states(id)).toEqual({ h001: "waiting", h002: "done", h003: "done" });
    await lab.hello(first?.id ?? "");
    await lab.succeed(await lab.next());
    expect((await lab.view(id)).run.state).toBe("done");
  });

  it("takes a job back that waits for a host that went away, and gives the turn to another", async () => {
    const [first] = await lab.addHosts(2);
    const id = await lab.start();
    await lab.leave(first?.id ?? "");
    expect(await lab.states(id)).toEqual({ h001: "waiting", h002: "updating" });
    expect((await lab.allJobs()).map(({ status }) => status).toSorted()).toEqual(["cancelled", "queued"]);
    await lab.succeed(await lab.next());
    await lab.hello(first?.id ?? "");
    expect((await lab.live()).map(({ hostId }) => hostId)).toEqual([first?.id]);
  });

  it("counts a host that was updated by hand, also after it failed", async () => {
    const [first, second] = await lab.addHosts(2);
    const id = await lab.start();
    await lab.end(await lab.next(), "failed", rolledBack);
    await lab.hello(first?.id ?? "", { agentVersion: "0.2.0" });
    await lab.hello(second?.id ?? "", { agentVersion: "0.3.0" });
    expect(await lab.states(id)).toEqual({ h001: "done", h002: "done" });
    expect((await lab.view(id)).run.state).toBe("paused");
    await resumeUpdate(lab.deps, { runId: id, actor: lab.actor });
    await lab.watch.idle();
    expect((await lab.view(id)).run.state).toBe("done");
  });

  it("leaves a host to a person whose agent is too old, until it can be taken; one whose system has no files is not behind", async () => {
    const old = await lab.addHost("old", { kinds: null });
    await lab.addHost("mips", { arch: "mips" });
    await lab.addHost("plain");
    const id = await lab.start();
    expect(await lab.states(id)).toEqual({ old: "skipped", plain: "updating" });
    expect((await lab.view(id)).targets.find(({ name }) => name === "old")?.problem?.code).toBe(
      "agent.too_old",
    );
    await lab.hello(old.id, { agentVersion: "0.1.5" });
    await lab.succeed(await lab.next());
    expect(await lab.states(id)).toEqual({ old: "updating", plain: "done" });
    await lab.succeed(await lab.next());
    expect((await lab.view(id)).run.state).toBe("done");
  });

  it("stands still while a person wants it to: what runs goes on, what waits is taken back", async () => {
    await lab.addHosts(25);
    const id = await lab.start();
    await lab.succeed(await lab.next());
    const [runs] = await lab.live();
    await lab.begin(runs as Job);
    await pauseUpdate(lab.deps, { runId: id, actor: lab.actor });
    await lab.watch.idle();
    expect((await lab.live()).map((job) => job.id)).toEqual([runs?.id]);
    await lab.hello(runs?.hostId ?? "", { agentVersion: "0.2.0" });
    await lab.end(runs as Job, "succeeded");
    expect((await lab.view(id)).counts).toMatchObject({ done: 2, updating: 0, waiting: 23 });
    await expect(pauseUpdate(lab.deps, { runId: id, actor: lab.actor })).rejects.toMatchObject({
      code: "updates.not_running",
    });
    await resumeUpdate(lab.deps, { runId: id, actor: lab.actor });
    await expect(resumeUpdate(lab.deps, { runId: id, actor: lab.actor })).rejects.toMatchObject({
      code: "updates.not_paused",
    });
    await lab.watch.idle();
    expect(await lab.live()).toHaveLength(2);
  });

  it("that is cancelled ends with its last job, and makes room for another", async () => {
    await lab.addHosts(2);
    const id = await lab.start();
    const [runs] = await lab.live();
    await lab.begin(runs as Job);
    await cancelUpdate(lab.deps, { runId: id, actor: lab.actor });
    await lab.watch.idle();
    expect((await lab.view(id)).run).toMatchObject({ state: "cancelled", endedAt: null });
    await expect(lab.start()).rejects.toMatchObject({ code: "updates.running" });
    await expect(cancelUpdate(lab.deps, { runId: id, actor: lab.actor })).rejects.toMatchObject({
      code: "updates.not_running",
    });
    await lab.end(runs as Job, "failed", rolledBack);
    expect((await lab.view(id)).run.endedAt).not.toBeNull();
    await lab.start();
    expect(await lab.live()).toHaveLength(1);
    expect(await lab.actions()).toEqual(["update.cancel", "update.start", "update.start"]);
  });

  it("stands still when a host does not come back from its update, and counts it when it does so late", async () => {
    const [first] = await lab.addHosts(2);
    const id = await lab.start();
    await lab.begin(await lab.next());
    await lab.leave(first?.id ?? "");
    await lab.clock.advance(9 * minuteMs);
    await lab.watch.idle();
    expect((await lab.view(id)).run.state).toBe("running");
    await lab.clock.advance(2 * minuteMs);
    await lab.watch.idle();
    expect((await lab.view(id)).run.pause).toMatchObject({ code: "updates.host_silent", hostName: "h001" });
    await lab.hello(first?.id ?? "", { agentVersion: "0.2.0" });
    expect(await lab.states(id)).toEqual({ h001: "done", h002: "waiting" });
  });

  it("does not blame a host for a time when the server was away", async () => {
    const [first] = await lab.addHosts(2);
    const id = await lab.start();
    await lab.begin(await lab.next());
    await lab.watch.stop();
    lab.connected.clear();
    await lab.clock.advance(60 * minuteMs);
    lab.watch = lab.startWatch();
    await lab.watch.idle();
    expect((await lab.view(id)).run.state).toBe("running");
    await lab.hello(first?.id ?? "", { agentVersion: "0.2.0" });
    await touchHosts(lab.db, new Map([[first?.id ?? "", lab.clock.now()]]), lab.clock.now());
    await lab.tick();
    expect((await lab.view(id)).run.state).toBe("running");
  });

  it("survives a restart of the server before every single step", async () => {
    await lab.addHosts(12);
    const id = await lab.start();
    let steps = 0;
    for (let jobs = await lab.live(); jobs.length > 0; jobs = await lab.live()) {
      await lab.restart();
      const job = await lab.next();
      const begun = await lab.begin(job);
      await lab.restart();
      await lab.hello(job.hostId, { agentVersion: "0.2.0" });
      await lab.restart();
      // Its end comes while nobody listens.
      await lab.watch.stop();
      await moveJob(lab.db, begun, "succeeded", { finishedAt: lab.clock.now() });
      lab.watch = lab.startWatch();
      await lab.restart();
      steps += 1;
    }
    expect(steps).toBe(12);
    expect((await lab.view(id)).run.state).toBe("done");
    const ended = (await lab.allJobs()).filter(({ status }) => status === "succeeded");
    expect(new Set(ended.map(({ hostId }) => hostId)).size).toBe(12);
    expect(ended).toHaveLength(12);
  });

  it("begins a host once, however many servers look at the same moment", async () => {
    await lab.addHosts(25);
    const others = [lab.startWatch(), lab.startWatch()];
    const id = await lab.start();
    await Promise.all(others.map((other) => other.idle()));
    expect(await lab.live()).toHaveLength(1);
    await lab.succeed(await lab.next());
    await Promise.all(others.map((other) => other.idle()));
    expect(await lab.live()).toHaveLength(3);
    for (const other of others) await other.stop();
    expect((await lab.view(id)).counts).toMatchObject({ done: 1, updating: 3 });
  });

  it("goes on without a host that was removed", async () => {
    const [first] = await lab.addHosts(2);
    const id = await lab.start();
    const removal = { ...lab.deps, events: lab.bus, losses: async () => ({}) };
    await deleteHost(removal, { hostId: first?.id ?? "", typedName: "h001", actor: lab.actor });
    await lab.watch.idle();
    expect(await lab.states(id)).toEqual({ h002: "updating" });
  });

  it("is of those with a tag, or of those that are named, and of none that is not behind", async () => {
    const web = await lab.addHost("web", { tags: ["web"] });
    const db = await lab.addHost("db");
    await lab.addHost("new", { agentVersion: "0.2.0", tags: ["web"] });
    await lab.addHost("own", { agentVersion: "built here" });
    const tagged = await lab.start({ tag: " WEB " });
    expect(await lab.states(tagged)).toEqual({ web: "updating" });
    await cancelUpdate(lab.deps, { runId: tagged, actor: lab.actor });
    await lab.watch.idle();
    const named = await lab.start({ hostIds: [db.id, db.id] });
    expect(await lab.states(named)).toEqual({ db: "updating" });
    await cancelUpdate(lab.deps, { runId: named, actor: lab.actor });
    await lab.watch.idle();
    await lab.hello(web.id, { agentVersion: "0.2.0" });
    await expect(lab.start({ tag: "web" })).rejects.toMatchObject({ code: "updates.none_behind" });
    await expect(lab.start({ hostIds: ["nobody"] })).rejects.toMatchObject({ code: "hosts.not_found" });
    await expect(lab.start({ tag: "none" })).rejects.toMatchObject({ code: "updates.none_behind" });
  });
});
