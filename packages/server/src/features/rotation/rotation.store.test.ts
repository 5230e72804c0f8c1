/**
 * A rotation's way through its rows, on both engines, with agents that are a set of passwords: what really opens the
 * repository is known, and after every change of state each host's stored password must be among it.
 */
import type { JobError, JobResult, RepositoryKey } from "@restic-manager/protocol";
import { engines, MaintenanceLab } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemActor } from "../../platform/http/identity.ts";
import { listAudit } from "../audit/audit.ts";
import { deleteHost, getHost, type Host } from "../hosts/hosts.ts";
import { announce, getJob, isFinal, type Job } from "../jobs/jobs.ts";
import { credentialsChanged, editCredentials, findAccess, type Slot } from "../repositories/repositories.ts";
import { completeKeyOrder } from "./key-orders.ts";
import {
  refuseRotationEdit,
  removeOldKeys,
  retryRotation,
  startRotation,
  stopRotation,
} from "./rotation-edits.ts";
import { getRotationView, rotationPhaseOf } from "./rotation-view.ts";
import { RotationWatch } from "./rotation-watch.ts";

const OLD = "everyday-secret";
const NEW = "the new password";
const actor = { kind: "user" as const, id: "U1", name: "anna" };

describe.each(engines)("a rotation on %s", (engine) => {
  let lab: MaintenanceLab;
  let watch: RotationWatch;
  let hosts: Host[];
  /** Passwords that open the repository, each with its key's id. */
  let keys: Map<string, string>;
  /** To whom a configuration was delivered, in order. */
  let delivered: string[];
  /** Whose replica can't be asked. */
  let unreachable: Set<string>;

  beforeEach(async () => {
    lab = await MaintenanceLab.open(engine);
    keys = new Map([[OLD, "a".repeat(64)]]);
    delivered = [];
    unreachable = new Set();
    hosts = [await lab.addHost("alpha")];
    await lab.clock.advance(1000);
    hosts.push(await lab.addHost("beta"));
    await lab.clock.advance(1000);
    watch = startWatch();
  });
  afterEach(async () => {
    await watch.stop();
    await lab.close();
  });

  const deps = () => ({ ...lab.deps, isConnected: (id: string) => lab.alive.has(id) });
  const repositories = () => ({ ...lab.repositories, refuseEdit: refuseRotationEdit });

  function startWatch(): RotationWatch {
    const made = new RotationWatch({
      ...deps(),
      isLeader: () => true,
      async deliver(hostId) {
        if (unreachable.has(hostId)) throw new Error("the other replica is silent");
        delivered.push(hostId);
      },
    });
    made.start();
    return made;
  }

  const [first, second] = [() => hosts[0] as Host, () => hosts[1] as Host];
  const view = async () => (await getRotationView(lab.deps, first().id)) ?? null;
  const state = async () => (await view()).rotation?.state;
  const start = (password = NEW) => startRotation(lab.deps, { hostId: first().id, password, actor });
  const remove = (confirmed = true) => removeOldKeys(lab.deps, { hostId: first().id, confirmed, actor });
  const stored = async (host: Host, slot: Slot = "everyday") =>
    (await findAccess(lab.db, lab.box, host.id, slot))?.access;
  const actions = async () =>
    (await listAudit(lab.deps, {})).entries
      .map(({ action }) => action)
      .filter((action) => action.startsWith("repository.rotation"))
      .toSorted();

  const listed = (): RepositoryKey[] =>
    [...keys.values()].map((id) => ({ id, username: "root", hostname: "alpha", created_at: null }));
  const found = (current: string | null, next: string | null): JobResult => ({
    ...{ kind: "key", current_key_id: current, new_key_id: next, keys: listed() },
  });

  async function queued(): Promise<Job[]> {
    await watch.idle();
    const jobs = await lab.jobs();
    return jobs.filter(({ kind, status }) => kind === "key" && !isFinal(status));
  }

  async function over(job: Job, status: Job["status"], told: { error?: JobError; result?: JobResult } = {}) {
    await lab.end(job, status, told);
    announce(lab.bus, await getJob(lab.db, job.id));
    await watch.idle();
    await expectWorkingKeys();
  }

  /** The invariant: whatever happens, no host is left with a password that opens nothing. */
  async function expectWorkingKeys(): Promise<void> {
    for (const host of hosts)
      for (const slot of ["everyday", "admin"] as const) {
        const access = await stored(host, slot);
        if (access) expect([...keys.keys()], `${host.name} ${slot}`).toContain(access.password);
      }
  }

  /** What a real agent would find, with what it is sent. */
  async function run(job: Job): Promise<void> {
    const order = await completeKeyOrder(lab.deps, job).catch((error: Error & { code: string }) => error);
    if (order instanceof Error) {
      const error = { code: order.code, message: order.message, last_lines: [] };
      return over(job, "failed", { error });
    }
    if (order.spec.kind !== "key") throw new Error("not a key job");
    const everyday = await stored(await getHost(lab.db, job.hostId));
    const access = order.access ?? everyday;
    const current = keys.get(access?.password ?? "") ?? null;
    const { step, key_ids: ids } = order.spec;
    if (step === "add" && !keys.has(order.new_password ?? ""))
      keys.set(order.new_password ?? "", String(keys.size).repeat(64));
    if (step === "remove") for (const [password, id] of keys) if (ids?.includes(id)) keys.delete(password);
    const next = order.new_password === undefined ? null : (keys.get(order.new_password) ?? null);
    return over(job, "succeeded", { result: found(current, next) });
  }

  /** Until nobody has anything to do. */
  async function runAll(): Promise<string[]> {
    const steps: string[] = [];
    for (let jobs = await queued(); jobs[0]; jobs = await queued()) {
      const { spec, hostId } = jobs[0];
      steps.push(`${spec.kind === "key" ? spec.step : "?"} ${hosts.find(({ id }) => id === hostId)?.name}`);
      await run(jobs[0]);
    }
    return steps;
  }

  const locked: JobError = { code: "restic.repository_locked", message: "Locked.", last_lines: [] };
  const refused: JobError = { code: "key.refused", message: "May not delete.", last_lines: [] };

  it("tells every replica of a new password when the one that has the agent can't be asked, and goes on with the others", async () => {
    unreachable.add(first().id);
    const edited: string[] = [];
    lab.bus.on(credentialsChanged, ({ hostId }) => edited.push(hostId));
    await start();
    await runAll();
    expect([edited, delivered]).toEqual([[first().id], [second().id]]);
    expect(await state()).toBe("ready");
  });

  it("adds, switches every host after it has opened the repository, waits for a person, and removes", async () => {
    await lab.addAdmin(first());
    expect(await start()).toEqual({ password: null });
    const steps = await runAll();
    expect(steps[0]).toBe("add alpha");
    expect(steps.slice(1).toSorted()).toEqual(
      ["adopt alpha", "adopt alpha", "adopt beta", "verify alpha", "verify beta"].toSorted(),
    );
    expect(await state()).toBe("ready");
    for (const host of hosts) expect(await stored(host)).toMatchObject({ password: NEW });
    expect(await stored(first(), "admin")).toMatchObject({ password: NEW, rest_username: "admin" });
    expect(delivered.toSorted()).toEqual(hosts.map(({ id }) => id).toSorted());
    expect([...keys.keys()]).toEqual([OLD, NEW]);
    await remove();
    expect(await runAll()).toEqual(["remove alpha"]);
    expect([...keys.keys()]).toEqual([NEW]);
    const { rotation } = await view();
    expect(rotation).toMatchObject({ state: "done", problem: null });
    const roles = rotation?.keys.map(
      ({ role, removedAt }) => `${role} ${removedAt === null ? "" : "removed"}`,
    );
    expect(roles?.toSorted()).toEqual(["new ", "old removed"]);
    expect(await actions()).toEqual([
      "repository.rotation_done",
      ...["repository.rotation_host", "repository.rotation_host", "repository.rotation_host"],
      "repository.rotation_ready",
      "repository.rotation_remove",
      "repository.rotation_start",
    ]);
  });

  it("makes a password when none is given, tells it once, and keeps it sealed only while it runs", async () => {
    const { password } = await startRotation(lab.deps, { hostId: first().id, actor });
    expect(password).toMatch(/^[\w]{24}$/);
    await runAll();
    await remove();
    await runAll();
    expect((await stored(second()))?.password).toBe(password);
    expect(JSON.stringify([await view(), await listAudit(lab.deps, {}), lab.lines])).not.toContain(password);
  });

  it.each(["", " blank before", "blank after ", "line\nbreak", "x".repeat(1025)])(
    "refuses %j as a password with a sentence",
    async (password) => {
      await expect(start(password)).rejects.toMatchObject({ code: "rotation.invalid" });
      expect(await rotationPhaseOf(lab.db, first().repositoryId ?? "")).toBeNull();
    },
  );

  it("refuses the password that every host has, and a second rotation beside the first", async () => {
    await expect(start(OLD)).rejects.toMatchObject({ code: "rotation.invalid" });
    await start();
    const again = startRotation(lab.deps, { hostId: second().id, password: "another", actor });
    await expect(again).rejects.toMatchObject({ code: "rotation.running" });
  });

  it("removes nothing without a confirmation, nor before every host is switched", async () => {
    await start();
    await expect(remove()).rejects.toMatchObject({ code: "rotation.not_ready" });
    await runAll();
    await expect(remove(false)).rejects.toMatchObject({ code: "rotation.not_confirmed" });
    expect(await queued()).toEqual([]);
    expect([...keys.keys()]).toEqual([OLD, NEW]);
  });

  it("waits for a host that is away, and goes on when it is back", async () => {
    lab.alive.delete(second().id);
    await start();
    await runAll();
    expect(await state()).toBe("switching");
    await expect(remove()).rejects.toMatchObject({ code: "rotation.not_ready" });
    lab.alive.add(second().id);
    await lab.clock.advance(15_000);
    expect(await runAll()).toEqual(["adopt beta", "verify beta"]);
    expect(await state()).toBe("ready");
  });

  it("goes on after a restart of the server at every step", async () => {
    await start();
    for (let steps = 0; steps < 20; steps++) {
      await watch.stop();
      watch = startWatch();
      const [job] = await queued();
      if (!job && (await state()) === "ready") await remove();
      else if (job) await run(job);
    }
    expect(await state()).toBe("done");
    expect((await actions()).filter((action) => action.endsWith("_host"))).toHaveLength(2);
  });

  it("claims each step once with two servers on one database", async () => {
    const other = startWatch();
    await start();
    const steps = await runAll();
    await other.idle();
    expect(steps).toHaveLength(5);
    expect((await lab.jobs()).filter(({ kind }) => kind === "key")).toHaveLength(5);
    await other.stop();
  });

  it("tries again by itself what may pass, and what needs a person when one says so", async () => {
    await start();
    const [add] = await queued();
    if (add) await over(add, "failed", { error: locked });
    const problem = { code: locked.code, message: "On alpha: Locked." };
    expect((await view()).rotation).toMatchObject({ state: "adding", problem });
    expect(await queued()).toEqual([]);
    await lab.clock.advance(75_000);
    const [again] = await queued();
    if (again) await run(again);
    const [adopt] = await queued();
    const unauthorised = { ...locked, code: "restic.unauthorised" };
    if (adopt) await over(adopt, "failed", { error: unauthorised });
    await runAll();
    await lab.clock.advance(300_000);
    expect(await queued()).toEqual([]);
    expect(await state()).toBe("switching");
    await retryRotation(lab.deps, { hostId: second().id, actor });
    await runAll();
    expect(await state()).toBe("ready");
  });

  it("asks a person again when the storage refuses to delete, and then removes with what may", async () => {
    await start();
    await runAll();
    await remove();
    const [job] = await queued();
    if (job) await over(job, "failed", { error: refused, result: found(keys.get(NEW) ?? null, null) });
    expect((await view()).rotation).toMatchObject({ state: "ready", problem: { code: "key.refused" } });
    await lab.addAdmin(second());
    await lab.clock.advance(15_000);
    await runAll();
    expect(await state()).toBe("ready");
    await remove();
    expect(await runAll()).toEqual(["remove beta"]);
    expect(await state()).toBe("done");
  });

  it("lets a host that was edited by hand begin anew, and removes nothing before that is done", async () => {
    await start();
    await runAll();
    keys.set("by hand", "c".repeat(64));
    await editCredentials(repositories(), { hostId: second().id, password: "by hand", actor });
    await watch.idle();
    expect(await state()).toBe("switching");
    await expect(remove()).rejects.toMatchObject({ code: "rotation.not_ready" });
    expect(await runAll()).toEqual(["adopt beta", "verify beta"]);
    expect(await stored(second())).toMatchObject({ password: NEW });
    await remove();
    await runAll();
    expect([...keys.keys()]).toEqual([NEW]);
  });

  it("takes no finding about credentials that were edited while it was made", async () => {
    await start();
    const [add] = await queued();
    if (add) await run(add);
    const adopt = (await queued()).find(({ hostId }) => hostId === second().id);
    if (!adopt) throw new Error("no step for beta");
    await editCredentials(repositories(), {
      hostId: second().id,
      location: undefined,
      restUsername: "web",
      actor,
    });
    await over(adopt, "succeeded", { result: found(keys.get(OLD) ?? null, keys.get(NEW) ?? null) });
    expect(await stored(second())).toMatchObject({ password: OLD, rest_username: "web" });
    await runAll();
    expect(await stored(second())).toMatchObject({ password: NEW, rest_username: "web" });
  });

  it("refuses an edit while old keys are being removed, and asks anew of a host that comes then", async () => {
    await start();
    await runAll();
    await remove();
    const [job] = await queued();
    const edit = editCredentials(repositories(), { hostId: second().id, password: OLD, actor });
    await expect(edit).rejects.toMatchObject({ code: "rotation.removing" });
    hosts.push(await lab.addHost("gamma"));
    if (job) await run(job);
    expect([...keys.keys()]).toEqual([OLD, NEW]);
    await lab.clock.advance(15_000);
    expect((await runAll()).filter((step) => step.endsWith("gamma"))).toEqual([
      "adopt gamma",
      "verify gamma",
    ]);
    expect(await state()).toBe("ready");
  });

  it("switches a host, too, that came with the old password in the seconds in which it went", async () => {
    await start();
    await runAll();
    await remove();
    const [job] = await queued();
    if (job) expect(await completeKeyOrder(lab.deps, job)).toMatchObject({ access: { password: NEW } });
    const gamma = await lab.addHost("gamma");
    keys.delete(OLD);
    if (job) await over(job, "succeeded", { result: found(keys.get(NEW) ?? null, null) });
    hosts.push(gamma);
    expect(await runAll()).toEqual(["adopt gamma", "verify gamma"]);
    expect(await stored(gamma)).toMatchObject({ password: NEW });
    expect(await state()).toBe("done");
  });

  it("goes on without a host that was removed, and with one that joined", async () => {
    lab.alive.delete(second().id);
    hosts.push(await lab.addHost("gamma"));
    await start();
    await runAll();
    expect(await state()).toBe("switching");
    const beta = second();
    hosts = hosts.filter(({ id }) => id !== beta.id);
    const removal = { ...lab.deps, events: lab.bus, losses: async () => ({}) };
    await deleteHost(removal, { hostId: beta.id, typedName: beta.name, actor: systemActor });
    await watch.idle();
    expect(await state()).toBe("ready");
    expect((await view()).hosts.map(({ name }) => name)).toEqual(["alpha", "gamma"]);
  });

  it("stopped, leaves both passwords in the repository, and a later one begins anew", async () => {
    lab.alive.delete(second().id);
    await start();
    await runAll();
    await stopRotation(lab.deps, { hostId: first().id, actor });
    expect((await view()).rotation).toMatchObject({ state: "stopped" });
    expect([(await stored(first()))?.password, (await stored(second()))?.password]).toEqual([NEW, OLD]);
    lab.alive.add(second().id);
    await start("a third password");
    await runAll();
    await remove();
    await runAll();
    expect([...keys.keys()]).toEqual(["a third password"]);
    await expect(stopRotation(lab.deps, { hostId: first().id, actor })).rejects.toMatchObject({
      code: "rotation.not_running",
    });
  });

  it("removes, too, what an earlier rotation left that was stopped after every host was switched", async () => {
    await start();
    await runAll();
    await stopRotation(lab.deps, { hostId: first().id, actor });
    await start("a third password");
    await runAll();
    await remove();
    await runAll();
    expect([...keys.keys()]).toEqual(["a third password"]);
  });

  it("takes the password of a stopped rotation again and goes on with it", async () => {
    lab.alive.delete(second().id);
    await start();
    await runAll();
    await stopRotation(lab.deps, { hostId: first().id, actor });
    lab.alive.add(second().id);
    await start();
    await runAll();
    await remove();
    await runAll();
    expect([...keys.keys()]).toEqual([NEW]);
    expect(await state()).toBe("done");
  });

  it("leaves keys alone that none of our hosts used", async () => {
    keys.set("somebody's own", "d".repeat(64));
    await start();
    await runAll();
    await remove();
    await runAll();
    expect([...keys.keys()]).toEqual([OLD, "somebody's own", NEW].slice(1));
    expect((await view()).rotation?.keys.filter(({ role }) => role === "other")).toHaveLength(1);
  });

  it("sends no password with a step whose rotation is over", async () => {
    await start();
    const [add] = await queued();
    await stopRotation(lab.deps, { hostId: first().id, actor });
    if (add) await expect(completeKeyOrder(lab.deps, add)).rejects.toMatchObject({ code: "rotation.over" });
    expect(add).toBeDefined();
  });
});
