/** Announcements on both engines: places, limits, races, and that nothing that opens a door is ever stored. */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { announceProof } from "@restic-manager/protocol";
import { engines, FakeClock, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EventBus } from "../../platform/events.ts";
import { systemActor } from "../../platform/http/identity.ts";
import { createLog } from "../../platform/log.ts";
import { createSecretBox } from "../../platform/secrets.ts";
import { listAudit } from "../audit/audit.ts";
import type { EnrolmentDeps } from "../enrolment/enrolment.ts";
import { deleteHost, findHostByBearer, getHost, listHosts, recordHello } from "../hosts/hosts.ts";
import { findEverydayAccess } from "../repositories/repositories.ts";
import { type AnnounceInput, announce, collect, type Proved, prove } from "./announce.ts";
import { acceptPendingHost, rejectPendingHost } from "./decisions.ts";
import { sweepExpired } from "./expiry.ts";
import { decide } from "./pending-hosts.store.ts";
import {
  announcementLifetimeMs,
  getPendingHost,
  listPendingHosts,
  maxPendingHosts,
  pendingHostChanged,
} from "./pending-hosts.ts";
import { burstEndsMs, RefusalTrail } from "./refusal-trail.ts";

const box = createSecretBox(Buffer.alloc(32, 7));
const ownName = "rm.example.org";
const address = "10.0.0.7";

interface Machine {
  name: string;
  key: KeyObject;
  publicKey: string;
}

function machine(name: string): Machine {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const spki = publicKey.export({ format: "der", type: "spki" });
  return { name, key: privateKey, publicKey: spki.toString("base64") };
}

describe.each(engines)("pending hosts on %s", (engine) => {
  let database: TestDatabase;
  let clock: FakeClock;
  let deps: EnrolmentDeps;
  let enrolled: string[];
  let changed: string[];

  beforeEach(async () => {
    database = await openTestDatabase(engine);
    clock = new FakeClock();
    enrolled = [];
    changed = [];
    const events = new EventBus(createLog("silent"));
    events.on(pendingHostChanged, ({ pendingId }) => changed.push(pendingId));
    const onEnrolled: EnrolmentDeps["onEnrolled"] = async (_tx, { host }) => {
      enrolled.push(host.name);
    };
    deps = { db: database.db, box, clock, events, onEnrolled };
  });
  afterEach(() => database.close());

  const say = ({ name, publicKey }: Machine, more: Partial<AnnounceInput> = {}) =>
    announce(deps, {
      ...{ hostname: name, os: "linux", arch: "x64", agentVersion: "0.1.0", resticVersion: null },
      ...{ machineId: null, note: null, address, publicKey, pendingId: null },
      ...more,
    });

  function proofOf({ key }: Machine, announced: { pendingId: string; nonce: string }) {
    const { pendingId } = announced;
    const text = announceProof({ ...announced, serverName: ownName });
    const signature = sign(null, Buffer.from(text), key).toString("base64");
    return { pendingId, serverName: ownName, signature, ownName, address };
  }

  /** Announces and proves. */
  async function wait(one: Machine) {
    const announced = await say(one);
    const proved = await prove(deps, proofOf(one, announced));
    if (proved.state !== "waiting") throw new Error(JSON.stringify(proved));
    const { fingerprint } = await getPendingHost(deps, announced.pendingId);
    return { id: announced.pendingId, proof: proved.proof, fingerprint };
  }

  const accept = (one: { id: string; fingerprint: string }, hostName = "web-01", with_ = deps) =>
    acceptPendingHost(with_, {
      ...{ id: one.id, fingerprint: one.fingerprint, hostName, ownName, actor: systemActor },
      ...{ repoUrl: "/srv/repo", repoPassword: "Encrypts-Everything-1", tags: ["Prod"] },
    });

  async function everyStoredText(): Promise<string> {
    const tables = await database.db.introspection.getTables();
    const rows = tables.map(
      async ({ name }) => (await sql`SELECT * FROM ${sql.table(name)}`.execute(database.db)).rows,
    );
    return JSON.stringify(await Promise.all(rows));
  }

  const codeOf = (proved: Proved) => (proved.state === "refused" ? proved.error.code : proved.state);

  it("becomes a host with everything that was decided, once its key collects the bearer", async () => {
    const one = machine("WEB-01");
    const { id, proof, fingerprint } = await wait(one);
    expect(fingerprint).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
    const { hostId, tags, location } = await accept({ id, fingerprint });
    expect({ tags, location, enrolled }).toEqual({
      tags: ["prod"],
      location: "/srv/repo",
      enrolled: ["web-01"],
    });
    const given = await collect(deps, { pendingId: id, proof });
    if (given.state !== "accepted") throw new Error(codeOf(given));
    expect(await findHostByBearer(database.db, given.bearer)).toEqual(await getHost(database.db, hostId));
    expect(await getHost(database.db, hostId)).toMatchObject({ name: "web-01", os: "linux", tags: ["prod"] });
    expect((await findEverydayAccess(database.db, box, hostId))?.access.location).toBe("/srv/repo");
    expect(changed).toContain(id);
    const stored = await everyStoredText();
    expect(stored).toContain(fingerprint);
    for (const secret of [given.bearer, "Encrypts-Everything-1"]) expect(stored).not.toContain(secret);
  });

  it("tells only the last proof, and each bearer voids the one before, until the host has connected", async () => {
    const one = machine("web-01");
    const first = await wait(one);
    const second = await wait(one);
    const { hostId } = await accept(second);
    const asked = (proof: string) => collect(deps, { pendingId: second.id, proof });
    expect(codeOf(await asked(first.proof))).toBe("pending.replaced");
    const [a, b] = [await asked(second.proof), await asked(second.proof)];
    if (a.state !== "accepted" || b.state !== "accepted") throw new Error("not accepted");
    expect(await findHostByBearer(database.db, a.bearer)).toBeNull();
    expect(await findHostByBearer(database.db, b.bearer)).not.toBeNull();
    await recordHello(database.db, hostId, {
      ...{ agentVersion: "0.1.0", resticVersion: null, resticProblem: null, os: "linux", arch: "x64" },
      ...{ machineId: null, bootId: null, clockSkewMs: 0, at: clock.now() },
      ...{ appliedScheduleVersion: null, hooksAllowed: null, backendKinds: null, jobKinds: null },
    });
    expect(codeOf(await asked(second.proof))).toBe("pending.collected_already");
    expect(await findHostByBearer(database.db, b.bearer)).not.toBeNull();
    expect((await say(one)).pendingId).not.toBe(second.id);
  });

  it("is accepted whole or not at all, and then still waits", async () => {
    const waiting = await wait(machine("web-01"));
    const broken = { ...deps, onEnrolled: () => Promise.reject(new Error("no group today")) };
    await expect(accept(waiting, "web-01", broken)).rejects.toThrow("no group today");
    expect(await listHosts(database.db)).toEqual([]);
    expect((await getPendingHost(deps, waiting.id)).state).toBe("pending");
    await expect(accept(waiting)).resolves.toHaveProperty("hostId");
  });

  it("is decided about once, however many decide at once", async () => {
    const waiting = await wait(machine("web-01"));
    const decisions = [
      accept(waiting, "a"),
      rejectPendingHost(deps, { id: waiting.id, reason: "", actor: systemActor }),
      accept(waiting, "b"),
    ];
    const outcomes = await Promise.allSettled(decisions);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const outcome of outcomes)
      if (outcome.status === "rejected")
        expect(outcome.reason.code).toMatch(/^pending\.(already_accepted|rejected)$/);
    expect((await listHosts(database.db)).length).toBeLessThan(2);
  });

  it("has one place also when its key is announced twice in one moment", async () => {
    const one = machine("web-01");
    const announced = await Promise.all([say(one), say(one), say(one)]);
    expect(new Set(announced.map(({ pendingId }) => pendingId)).size).toBe(1);
    expect(await listPendingHosts(deps)).toHaveLength(1);
  });

  it("is not accepted when it proved itself for another name than the one that was looked at", async () => {
    const { id } = await wait(machine("web-01"));
    const at = clock.now();
    const decideFor = (serverName: string | null) =>
      decide(database.db, { id, at, state: "accepted", serverName });
    expect([await decideFor("evil.example"), await decideFor(null)]).toEqual([false, false]);
    expect(await decideFor(ownName)).toBe(true);
  });

  it("fills no audit trail: what it says anew, and proofs that are refused, are written once a minute", async () => {
    const one = machine("web-01");
    const actions = async () =>
      (await listAudit(deps, {})).entries.map(({ action }) => action.replace("pending_host.", "")).reverse();
    const tryAgain = async (note: string) => {
      const announced = await say(one, { note });
      await clock.advance(1);
      const forged = { ...proofOf(one, announced), signature: "AAAA" };
      expect(codeOf(await prove(deps, forged))).toBe("pending.signature_invalid");
    };
    for (const note of ["a", "b", "c"]) await tryAgain(note);
    expect(await actions()).toEqual(["announce", "proof_refused"]);
    await say(machine("web-02"));
    expect(await actions()).toHaveLength(3);
    await clock.advance(60_000);
    for (const note of ["d", "e"]) await tryAgain(note);
    expect((await actions()).slice(3)).toEqual(["announce", "proof_refused"]);
  });

  it("one nonce is good for one proof, also when two come at once", async () => {
    const one = machine("web-01");
    const proof = proofOf(one, await say(one));
    const states = (await Promise.all([prove(deps, proof), prove(deps, proof)])).map(codeOf);
    expect(states.sort()).toEqual(["pending.nonce_used", "waiting"]);
  });

  it("has one place for each key: the 101st machine is refused, none is pushed out, and the places come free", async () => {
    const machines = Array.from({ length: maxPendingHosts + 1 }, (_, i) => machine(`m-${i}`));
    const last = machines[maxPendingHosts] as Machine;
    for (const one of machines.slice(0, maxPendingHosts)) await say(one);
    await expect(say(last)).rejects.toMatchObject({ code: "pending.list_full" });
    for (const one of machines.slice(0, 3)) await say(one);
    const listed = await listPendingHosts(deps);
    expect(listed.map(({ hostname }) => hostname).sort()).toEqual(
      machines
        .slice(0, maxPendingHosts)
        .map(({ name }) => name)
        .sort(),
    );
    await clock.advance(announcementLifetimeMs);
    await expect(say(last)).resolves.toHaveProperty("nonce");
    expect(await listPendingHosts(deps)).toHaveLength(1);
  });

  it("expires to the millisecond; its key may announce itself anew, and after a month it is forgotten", async () => {
    const one = machine("web-01");
    const waiting = await wait(one);
    await clock.advance(announcementLifetimeMs - 1);
    expect(await listPendingHosts(deps)).toHaveLength(1);
    await clock.advance(1);
    await expect(accept(waiting)).rejects.toMatchObject({ code: "pending.expired" });
    expect(codeOf(await collect(deps, { pendingId: waiting.id, proof: waiting.proof }))).toBe(
      "pending.expired",
    );
    expect((await say(one)).pendingId).not.toBe(waiting.id);
    expect((await getPendingHost(deps, waiting.id)).state).toBe("pending");
    await clock.advance(32 * 24 * 3_600_000);
    await say(machine("other"));
    await expect(getPendingHost(deps, waiting.id)).rejects.toMatchObject({ code: "pending.not_found" });
  });

  it("leaves one entry when its hour is over, whoever looks first and however often; none when it was decided", async () => {
    const [one, other] = [machine("web-01"), machine("web-02")];
    const waiting = await wait(one);
    await rejectPendingHost(deps, { ...{ id: (await wait(other)).id, reason: "" }, actor: systemActor });
    const expired = async () => (await listAudit(deps, { action: "pending_host.expire" })).entries;
    await clock.advance(announcementLifetimeMs - 1);
    await sweepExpired(deps);
    expect(await expired()).toEqual([]);
    await clock.advance(1);
    await Promise.all([sweepExpired(deps), sweepExpired(deps), say(one)]);
    await sweepExpired(deps);
    const { id, fingerprint } = waiting;
    expect(await expired()).toMatchObject([
      {
        ...{ actor: systemActor, target: { kind: "pending_host", id, name: "web-01" } },
        payload: { fingerprint, address, expired_at: new Date(clock.now()).toISOString() },
      },
    ]);
  });

  it("is refused in one entry for each burst and reason, whoever comes and for however long", async () => {
    const trail = new RefusalTrail({ ...deps, log: createLog("silent") });
    const written = async () =>
      (await listAudit(deps, { action: "pending_host.refuse" })).entries
        .map(({ payload }) => payload)
        .reverse();
    const full = (from: string) => trail.record("pending.list_full", from);
    for (let times = 0; times < 100; times++) {
      await full(`10.0.0.${times}`);
      await clock.advance(burstEndsMs - 1);
    }
    expect(await written()).toEqual([{ code: "pending.list_full", address: "10.0.0.0" }]);
    await Promise.all([trail.record("request.rate_exceeded", "10.0.1.1"), full("10.0.1.2")]);
    expect(await written()).toHaveLength(2);
    await clock.advance(burstEndsMs);
    await Promise.all([full("10.0.2.1"), full("10.0.2.2")]);
    expect((await written()).slice(1)).toEqual([
      { code: "request.rate_exceeded", address: "10.0.1.1" },
      { code: "pending.list_full", address: "10.0.2.1" },
    ]);
  });

  it("goes with the host that came of it, and its key may announce itself anew", async () => {
    const one = machine("web-01");
    const waiting = await wait(one);
    const { hostId } = await accept(waiting);
    const losses = async () => ({});
    await deleteHost({ ...deps, losses }, { hostId, typedName: "web-01", actor: systemActor });
    await expect(getPendingHost(deps, waiting.id)).rejects.toMatchObject({ code: "pending.not_found" });
    expect((await say(one)).pendingId).not.toBe(waiting.id);
  });

  it.each([
    ["one of another kind", `MCowBQYDK2VuAyEA${"A".repeat(43)}=`],
    ["one that is written in two ways", `MCowBQYDK2VwAyEA${"A".repeat(42)}B=`],
    ["no key at all", "A".repeat(60)],
  ])("takes no key that is %s", async (_what, publicKey) => {
    await expect(say({ ...machine("x"), publicKey })).rejects.toMatchObject({ code: "pending.key_invalid" });
  });

  it("is rejected with one line, or with none", async () => {
    const waiting = await wait(machine("web-01"));
    const reject = (reason: string) =>
      rejectPendingHost(deps, { id: waiting.id, reason, actor: systemActor });
    await expect(reject("two\nlines")).rejects.toMatchObject({ code: "pending.reason_invalid" });
    await expect(reject("x".repeat(201))).rejects.toMatchObject({ code: "pending.reason_invalid" });
    await reject("  ");
    expect(await getPendingHost(deps, waiting.id)).toMatchObject({ state: "rejected", reason: null });
    expect(codeOf(await collect(deps, { pendingId: waiting.id, proof: waiting.proof }))).toBe(
      "pending.rejected",
    );
  });
});
