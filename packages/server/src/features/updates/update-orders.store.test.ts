/** What an update's jobs are made of and what they tell, updates of one host, and the view of the fleet; on both engines. */
import { engines, UpdatesLab } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inTransaction } from "../../platform/db/db.ts";
import type { Release } from "../artefacts/artefacts.ts";
import { getHost, type Host } from "../hosts/hosts.ts";
import type { Job } from "../jobs/jobs.ts";
import { updateHost } from "./update-edits.ts";
import { completeUpdateOrder, onUpdateFinished } from "./update-orders.ts";
import { getAgentsView, type UpdateViewDeps } from "./update-view.ts";

const minuteMs = 60_000;

describe.each(engines)("an update on %s", (engine) => {
  let lab: UpdatesLab;
  beforeEach(async () => {
    lab = await UpdatesLab.open(engine);
  });
  afterEach(() => lab.close());

  it("of restic is known by the job's result, before the agent connects again", async () => {
    const [host] = await lab.addHosts(1);
    const id = await lab.start({ program: "restic" });
    const [job] = await lab.live();
    expect(job?.spec).toEqual({ kind: "update", program: "restic", version: "0.19.1" });
    const result = { kind: "update" as const, program: "restic" as const, from: "0.18.0", to: "0.19.1" };
    const event = {
      ...{
        type: "job.finished" as const,
        seq: 1,
        job_id: job?.id ?? "",
        attempt: 1,
        at: "2026-11-23T04:13:00.000Z",
      },
      ...{ status: "succeeded" as const, error: null, exit_code: null, summary: null, result, log_lines: 0 },
    };
    await inTransaction(lab.db, (tx) => onUpdateFinished(tx, host as Host, event));
    await lab.end(job as Job, "succeeded");
    expect((await getHost(lab.db, host?.id ?? "")).resticVersion).toBe("0.19.1");
    expect((await lab.view(id)).run.state).toBe("done");
    await expect(lab.start({ program: "restic" })).rejects.toMatchObject({ code: "updates.none_behind" });
  });

  it("sends the signed list as it is now, and refuses a version that is not served any more", async () => {
    const [host] = await lab.addHosts(1);
    const job = await updateHost(lab.deps, { hostId: host?.id ?? "", program: "agent", actor: lab.actor });
    const release = await lab.deps.shelf.current();
    if (release.kind !== "whole") throw new Error("no release");
    const { spec } = await completeUpdateOrder(lab.deps, job);
    expect(spec).toEqual({ kind: "update", program: "agent", version: "0.2.0", ...release.signed });
    await lab.serve("0.3.0");
    await expect(completeUpdateOrder(lab.deps, job)).rejects.toMatchObject({
      code: "updates.release_changed",
    });
  });

  it("of one host is refused where it can't be done, with what to do", async () => {
    const [host] = await lab.addHosts(1);
    const update = (hostId: string) => updateHost(lab.deps, { hostId, program: "agent", actor: lab.actor });
    const old = await lab.addHost("old", { kinds: ["backup"] });
    await expect(update(old.id)).rejects.toMatchObject({ code: "agent.too_old" });
    const mips = await lab.addHost("mips", { arch: "mips" });
    await expect(update(mips.id)).rejects.toMatchObject({ code: "update.no_artefact" });
    const current = await lab.addHost("current", { agentVersion: "0.2.0" });
    await expect(update(current.id)).rejects.toMatchObject({ code: "updates.up_to_date" });
    await update(host?.id ?? "");
    await expect(update(host?.id ?? "")).rejects.toMatchObject({ code: "updates.host_busy" });
    await lab.clock.advance(10 * minuteMs);
    const away = await lab.addHost("away");
    await lab.clock.advance(10 * minuteMs);
    await expect(update(away.id)).rejects.toMatchObject({ code: "hosts.offline" });
    await expect(update("nobody")).rejects.toMatchObject({ code: "hosts.not_found" });
  });

  it("is seen with the versions of the fleet", async () => {
    await lab.addHosts(2);
    await lab.addHost("new", { agentVersion: "0.2.0" });
    await lab.addHost("own", { agentVersion: "built here" });
    await lab.addHost("old", { agentVersion: "0.0.9", kinds: null, os: "windows" });
    await lab.addHost("pc", { os: "windows" });
    const { programs, run } = await getAgentsView(lab.deps);
    expect(run).toBeNull();
    expect(programs[0]).toMatchObject({
      program: "agent",
      served: "0.2.0",
      behind: 4,
      byHand: 1,
      onWindows: 1,
    });
    expect(programs[0]?.versions).toEqual([
      { version: "0.2.0", count: 1, drift: "current" },
      { version: "0.1.0", count: 3, drift: "behind" },
      { version: "0.0.9", count: 1, drift: "behind" },
      { version: "built here", count: 1, drift: "unknown" },
    ]);
    expect(programs[1]).toMatchObject({ program: "restic", served: "0.19.1", behind: 6, unserved: [] });
  });

  it("tells the systems of hosts that nothing is served for", async () => {
    await lab.addHosts(1);
    for (const name of ["pi-1", "pi-2"]) await lab.addHost(name, { arch: "arm" });
    const unserved = async (deps: UpdateViewDeps) =>
      (await getAgentsView(deps)).programs.map((program) => program.unserved);
    const none = [{ system: "linux/arm", count: 2 }];
    expect(await unserved(lab.deps)).toEqual([none, none]);
    const empty: Release = { kind: "none", dataFolder: "/data/release" };
    expect(await unserved({ ...lab.deps, shelf: { current: async () => empty } })).toEqual([[], []]);
  });
});
