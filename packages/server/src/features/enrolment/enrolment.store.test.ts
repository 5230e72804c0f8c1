/** Enrolment on both engines: tokens good once and for an hour, races, all or nothing, no secret at rest. */
import { engines, FakeClock, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EventBus } from "../../platform/events.ts";
import { systemActor } from "../../platform/http/identity.ts";
import { createLog } from "../../platform/log.ts";
import { createSecretBox } from "../../platform/secrets.ts";
import {
  deleteHost,
  findHostByBearer,
  getHost,
  hostChanged,
  listHosts,
  recordHello,
} from "../hosts/hosts.ts";
import { findEverydayAccess } from "../repositories/repositories.ts";
import {
  createEnrolmentToken,
  type EnrolInput,
  type EnrolmentDeps,
  enrol,
  getEnrolmentStatus,
  type NewEnrolment,
  tokenLifetimeMs,
} from "./enrolment.ts";

const box = createSecretBox(Buffer.alloc(32, 7));
const repoPassword = "Encrypts-Everything-1";
const restPassword = "Opens-The-Server-1";

const agent = (token: string, more: Partial<EnrolInput> = {}): EnrolInput => ({
  token,
  hostname: "ip-10-0-0-7",
  os: "linux",
  arch: "x64",
  agentVersion: "0.1.0",
  resticVersion: "0.18.0",
  ...more,
});

const wanted = (more: Partial<NewEnrolment> = {}): NewEnrolment => ({
  hostName: "web-01",
  repoUrl: "rest:https://backup.example.org/web-01/",
  repoUsername: "web-01",
  repoPassword,
  restPassword,
  tags: ["Prod"],
  initialPaths: ["/etc", "/home"],
  actor: systemActor,
  ...more,
});

describe.each(engines)("enrolment on %s", (engine) => {
  let database: TestDatabase;
  let clock: FakeClock;
  let deps: EnrolmentDeps;
  let enrolled: { name: string; paths: string[] }[];
  let changed: string[];

  beforeEach(async () => {
    database = await openTestDatabase(engine);
    clock = new FakeClock();
    enrolled = [];
    changed = [];
    const events = new EventBus(createLog("silent"));
    events.on(hostChanged, ({ hostId }) => changed.push(hostId));
    deps = {
      db: database.db,
      box,
      clock,
      events,
      async onEnrolled(_tx, { host, initialPaths }) {
        enrolled.push({ name: host.name, paths: initialPaths });
      },
    };
  });
  afterEach(() => database.close());

  /** Every text of every table, as somebody with a copy of the database reads it. */
  async function everyStoredText(): Promise<string> {
    const tables = await database.db.introspection.getTables();
    const all = tables.map(
      async ({ name }) => (await sql`SELECT * FROM ${sql.table(name)}`.execute(database.db)).rows,
    );
    return JSON.stringify(await Promise.all(all));
  }

  const auditOf = async (action: string) => {
    const { rows } = await sql<{
      payload: string;
      actor_kind: string;
      actor_id: string;
      target_name: string;
    }>`
      SELECT * FROM audit_entries WHERE action = ${action}`.execute(database.db);
    return rows.map((row) => ({ ...row, payload: JSON.parse(row.payload) as unknown }));
  };

  it("makes a host of a token, with everything that the token promised", async () => {
    const { token, tags } = await createEnrolmentToken(deps, wanted());
    expect(tags).toEqual(["prod"]);
    const { hostId, bearer } = await enrol(deps, agent(token));
    const host = await getHost(database.db, hostId);
    expect(host).toMatchObject({
      name: "web-01",
      tags: ["prod"],
      os: "linux",
      arch: "x64",
      resticVersion: "0.18.0",
    });
    expect(host.repositoryId).not.toBeNull();
    expect(await findHostByBearer(database.db, bearer)).toEqual(host);
    expect(await findEverydayAccess(database.db, box, hostId)).toMatchObject({
      version: 1,
      access: {
        location: "rest:https://backup.example.org/web-01",
        password: repoPassword,
        rest_username: "web-01",
        rest_password: restPassword,
      },
    });
    expect(enrolled).toEqual([{ name: "web-01", paths: ["/etc", "/home"] }]);
    expect(changed).toEqual([hostId]);
  });

  it("records both steps, and the machine's own name only where it differs", async () => {
    const { id, token } = await createEnrolmentToken(deps, wanted());
    const { hostId } = await enrol(deps, agent(token));
    const payload = { repository: "rest:https://backup.example.org/web-01", tags: ["prod"], path_count: 2 };
    expect(await auditOf("enrolment.token_create")).toMatchObject([{ target_name: "web-01", payload }]);
    const facts = { enrolment_id: id, os: "linux", arch: "x64" };
    expect(await auditOf("host.enrol")).toMatchObject([
      {
        actor_kind: "agent",
        actor_id: hostId,
        target_name: "web-01",
        payload: { ...facts, reported_hostname: "ip-10-0-0-7" },
      },
    ]);
    const second = await createEnrolmentToken(deps, wanted({ hostName: "db-01" }));
    await enrol(deps, agent(second.token, { hostname: "db-01" }));
    expect((await auditOf("host.enrol"))[1]?.payload).toEqual({ ...facts, enrolment_id: second.id });
  });

  it("stores no token, bearer or password that could be read, before or after", async () => {
    const { token, repoPassword: minted } = await createEnrolmentToken(
      deps,
      wanted({ repoPassword: undefined }),
    );
    const secrets = [token, minted ?? "none was minted", restPassword];
    const before = await everyStoredText();
    for (const secret of secrets) expect(before).not.toContain(secret);
    const { bearer } = await enrol(deps, agent(token));
    const after = await everyStoredText();
    expect(after).toContain("web-01");
    for (const secret of [...secrets, bearer]) expect(after).not.toContain(secret);
    const { rows } = await sql`SELECT sealed FROM enrolment_tokens`.execute(database.db);
    expect(rows).toEqual([{ sealed: null }]);
  });

  it("knows a wrong, a used and an expired token apart", async () => {
    const { token } = await createEnrolmentToken(deps, wanted());
    await expect(enrol(deps, agent("wrong"))).rejects.toMatchObject({ code: "enrolment.token_invalid" });
    await enrol(deps, agent(token));
    await expect(enrol(deps, agent(token))).rejects.toMatchObject({ code: "enrolment.token_used" });
    const late = await createEnrolmentToken(deps, wanted({ hostName: "db-01" }));
    await clock.advance(tokenLifetimeMs);
    await expect(enrol(deps, agent(late.token))).rejects.toMatchObject({ code: "enrolment.token_expired" });
    await expect(enrol(deps, agent(token))).rejects.toMatchObject({ code: "enrolment.token_used" });
    expect((await listHosts(database.db)).map(({ name }) => name)).toEqual(["web-01"]);
  });

  it("is good until its last millisecond", async () => {
    const { token, expiresAt } = await createEnrolmentToken(deps, wanted());
    expect(expiresAt).toBe(clock.now() + tokenLifetimeMs);
    await clock.advance(tokenLifetimeMs - 1);
    await expect(enrol(deps, agent(token))).resolves.toHaveProperty("bearer");
  });

  it("lets exactly one of several racing agents win", async () => {
    const { token } = await createEnrolmentToken(deps, wanted());
    const racers = Array.from({ length: 5 }, (_, i) => enrol(deps, agent(token, { hostname: `racer-${i}` })));
    const outcomes = await Promise.allSettled(racers);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === "rejected")
        expect(outcome.reason).toMatchObject({ code: "enrolment.token_used" });
    }
    expect(await listHosts(database.db)).toHaveLength(1);
    expect(await auditOf("host.enrol")).toHaveLength(1);
  });

  it("happens whole or not at all, and a failed attempt leaves the token good", async () => {
    const { token } = await createEnrolmentToken(deps, wanted());
    const broken = { ...deps, onEnrolled: () => Promise.reject(new Error("no group today")) };
    await expect(enrol(broken, agent(token))).rejects.toThrow("no group today");
    expect(await listHosts(database.db)).toEqual([]);
    expect(await auditOf("host.enrol")).toEqual([]);
    expect(changed).toEqual([]);
    await expect(enrol(deps, agent(token))).resolves.toHaveProperty("bearer");
  });

  it("refuses a name that a host has, when the token is made and when it is used", async () => {
    const first = await createEnrolmentToken(deps, wanted());
    const second = await createEnrolmentToken(deps, wanted({ hostName: "WEB-01" }));
    await enrol(deps, agent(first.token));
    const taken = { kind: "conflict", code: "hosts.name_taken" };
    await expect(createEnrolmentToken(deps, wanted({ hostName: "Web-01" }))).rejects.toMatchObject(taken);
    await expect(enrol(deps, agent(second.token))).rejects.toMatchObject(taken);
    const { id } = second;
    expect(await getEnrolmentStatus(deps, id)).toMatchObject({ state: "waiting", host: null });
  });

  it("shares one repository between the hosts that name the same place", async () => {
    const ids = [];
    for (const hostName of ["a", "b"]) {
      const { token } = await createEnrolmentToken(deps, wanted({ hostName }));
      ids.push((await enrol(deps, agent(token))).hostId);
    }
    const [a, b] = await Promise.all(ids.map((id) => getHost(database.db, id)));
    expect(a?.repositoryId).toBe(b?.repositoryId);
  });

  it("makes one token of a form that is sent twice", async () => {
    const id = "01JDBQ0000000000000000F0RM";
    await createEnrolmentToken(deps, wanted({ id }));
    await expect(createEnrolmentToken(deps, wanted({ id }))).rejects.toMatchObject({
      code: "enrolment.already_created",
    });
  });

  it("tells what became of a token", async () => {
    const { id, token } = await createEnrolmentToken(deps, wanted());
    const stateOf = async () => (await getEnrolmentStatus(deps, id)).state;
    expect(await stateOf()).toBe("waiting");
    await clock.advance(tokenLifetimeMs - 1);
    const { hostId } = await enrol(deps, agent(token));
    await clock.advance(1);
    expect(await getEnrolmentStatus(deps, id)).toMatchObject({ state: "enrolled", host: { id: hostId } });
    const facts = {
      agentVersion: "0.1.0",
      resticVersion: null,
      resticProblem: null,
      os: "linux",
      arch: "x64",
    };
    const identity = {
      machineId: null,
      bootId: null,
      appliedScheduleVersion: null,
      hooksAllowed: null,
      backendKinds: null,
      jobKinds: null,
      clockSkewMs: 0,
      at: clock.now(),
    };
    await recordHello(database.db, hostId, { ...facts, ...identity });
    expect(await stateOf()).toBe("connected");
    const losses = async () => ({});
    await deleteHost({ ...deps, losses }, { hostId, typedName: "web-01", actor: systemActor });
    await expect(stateOf()).rejects.toMatchObject({ code: "enrolment.not_found" });
    await expect(getEnrolmentStatus(deps, "unknown")).rejects.toMatchObject({ code: "enrolment.not_found" });
  });

  it("empties the secrets of tokens that expired unused when the next is made, and forgets them after a month", async () => {
    const { id } = await createEnrolmentToken(deps, wanted());
    await clock.advance(tokenLifetimeMs);
    expect(await getEnrolmentStatus(deps, id)).toMatchObject({ state: "expired" });
    await createEnrolmentToken(deps, wanted());
    const { rows } = await sql`SELECT id FROM enrolment_tokens WHERE sealed IS NULL`.execute(database.db);
    expect(rows).toEqual([{ id }]);
    await clock.advance(31 * 24 * 3_600_000);
    await createEnrolmentToken(deps, wanted());
    await expect(getEnrolmentStatus(deps, id)).rejects.toMatchObject({ code: "enrolment.not_found" });
  });
});
