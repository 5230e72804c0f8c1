/** Maintenance through the whole server: the API, the orders that agents get, and what they tell afterwards. */
import type { JobResult, RepoStats } from "@restic-manager/protocol";
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

const ours = "a".repeat(64);
const foreign = "b".repeat(64);

let server: TestServer;
let agent: TestAgent;
let seq: number;
beforeEach(async () => {
  server = await startTestServer();
  agent = await connectTestAgent(server, { name: "db-01", initialPaths: ["/srv/data"] });
  await agent.hello();
  seq = 0;
  await answer(await agent.nextMessage("command.run"));
});
afterEach(() => server.stop());

const url = (path: string): string => `/api/hosts/${agent.hostId}/${path}`;
const run = (body: object) => server.admin.post(url("jobs"), body);
const repository = async () => (await server.admin.get(url("repository"))).body;
const job = async (id: string) => (await server.admin.get(`/api/jobs/${id}`)).body;

/** The agent runs a command to its end. */
async function answer(command: { job_id: string; attempt: number }, result?: JobResult): Promise<void> {
  agent.send(ackOf(command));
  agent.send(startedOf(command, ++seq));
  agent.send(finishedOf(command, ++seq, result ? { result } : {}));
  await agent.acknowledged(seq);
}

async function ran(body: object, result?: JobResult) {
  const accepted = await run(body);
  expect(accepted.status, accepted.text).toBe(202);
  const command = await agent.nextMessage("command.run");
  await answer(command, result);
  return command;
}

async function tell(more: Partial<RepoStats>): Promise<void> {
  const figures = { raw_bytes: null, uncompressed_bytes: null, snapshot_count: null, locks: null };
  const stats = { type: "repo.stats" as const, seq: ++seq, job_id: null, repository_id: ours, ...figures };
  agent.send({ ...stats, at: new Date(server.clock.now()).toISOString(), ...more });
  await agent.acknowledged(seq);
}

async function setRetention(): Promise<void> {
  const groups = (await server.admin.get(url("source-groups"))).body.source_groups as { id: string }[];
  const path = url(`source-groups/${groups[0]?.id}`);
  const {
    id: _id,
    host_id: _host,
    hooks: _hooks,
    created_at: _made,
    updated_at: _edited,
    ...edit
  } = (await server.admin.get(path)).body;
  const put = await server.admin.put(path, { ...edit, retention: { keep_daily: 7, keep_within: "1m" } });
  expect(put.status, put.text).toBe(200);
}

const addAdmin = () =>
  server.admin.put(url("repo-credentials/admin"), { repo_password: "the-admins-repository-password" });

describe("running maintenance now", () => {
  it("sends a forget with the policies of the groups, and stores what it did", async () => {
    await setRetention();
    const group = { source_group: "default", kept: 8, removed: 2, error: null };
    const command = await ran({ kind: "forget" }, { kind: "forget", groups: [group] });
    expect(command.spec).toEqual({
      ...{ kind: "forget", host_name: "db-01", max_removed_percent: 50, confirmed: false },
      groups: [{ source_group: "default", policy: { keep_daily: 7, keep_within: "1m" } }],
    });
    expect(await job(command.job_id)).toMatchObject({
      status: "succeeded",
      result: { kind: "forget", groups: [group] },
    });
    const page = await server.admin.get(`/jobs/${command.job_id}`);
    expect(page.text).toContain("job-groups");
  });

  it.each<{ body: object; spec: object }>([
    { body: { kind: "check" }, spec: { kind: "check" } },
    { body: { kind: "check", read_data: { percent: 2.5 } }, spec: { read_data: { percent: 2.5 } } },
    { body: { kind: "check", read_data: { slice: 2, of: 7 } }, spec: { read_data: { slice: 2, of: 7 } } },
    { body: { kind: "unlock" }, spec: { kind: "unlock", remove_all: false } },
    { body: { kind: "repair", what: "snapshots" }, spec: { kind: "repair", what: "snapshots" } },
  ])("sends $body", async ({ body, spec }) => {
    expect((await ran(body)).spec).toMatchObject(spec);
  });

  it.each<{ body: object; says: RegExp }>([
    { body: { kind: "check", read_data: { percent: 0 } }, says: /more than 0 and up to 100 percent/ },
    { body: { kind: "check", read_data: { percent: 101 } }, says: /more than 0 and up to 100 percent/ },
    { body: { kind: "check", read_data: { percent: "all" } }, says: /more than 0 and up to 100 percent/ },
    { body: { kind: "check", read_data: { slice: 8, of: 7 } }, says: /from 1 to the number of slices/ },
    { body: { kind: "check", read_data: { slice: 1 } }, says: /either percent, or slice and of/ },
    { body: { kind: "check", read_data: {} }, says: /either percent, or slice and of/ },
  ])("refuses $body with a sentence", async ({ body, says }) => {
    const refused = await run(body);
    expect([refused.status, refused.body.code]).toEqual([400, "request.invalid"]);
    expect(refused.body.message).toMatch(says);
  });

  it("says what is missing for a prune, or for a forget", async () => {
    const refused = await Promise.all([run({ kind: "prune" }), run({ kind: "forget" })]);
    expect(refused.map(({ status, body }) => [status, body.code])).toEqual([
      [409, "maintenance.no_admin_credential"],
      [409, "maintenance.nothing_to_forget"],
    ]);
  });

  it("runs a job again as it was, but not what is confirmed each time", async () => {
    const command = await ran({ kind: "check", read_data: { percent: 10 } });
    const again = await server.admin.post(`/jobs/${command.job_id}/run-again`, {});
    expect(again.status, again.text).toBe(303);
    expect((await agent.nextMessage("command.run")).spec).toEqual(command.spec);
  });
});

describe("what may delete", () => {
  it("is sent with the jobs that need it, and is in no job, log, page or answer", async () => {
    const set = await addAdmin();
    expect(set.body).toMatchObject({ repo_url: "/srv/repo", repo_password_set: true, version: 1 });
    const pruned = await ran({ kind: "prune" }, { kind: "prune", freed_bytes: 4096 });
    expect(pruned).toMatchObject({
      spec: { kind: "prune" },
      access: { location: "/srv/repo", password: "the-admins-repository-password" },
    });
    expect((await ran({ kind: "check" })).access?.password).toBe("the-admins-repository-password");
    expect((await ran({ kind: "backup" })).access).toBeUndefined();
    expect((await ran({ kind: "unlock" })).access).toBeUndefined();
    const seen = await Promise.all(
      [
        `/api/jobs/${pruned.job_id}`,
        `/jobs/${pruned.job_id}`,
        url("repository"),
        url("repo-credentials/admin"),
        "/api/audit",
      ].map(async (path) => (await server.admin.get(path)).text),
    );
    const rows = await server.db.withTables<{ jobs: object }>().selectFrom("jobs").selectAll().execute();
    expect(JSON.stringify([seen, rows, server.log])).not.toContain("the-admins-repository-password");
    expect(seen[0]).toContain('"freed_bytes":4096');
  });

  it("is audited by its fields, read without secrets, and gone when removed", async () => {
    await addAdmin();
    const viewer = await server.signIn("viewer");
    expect((await viewer.get(url("repo-credentials/admin"))).body).toMatchObject({ repo_password_set: true });
    expect((await viewer.put(url("repo-credentials/admin"), {})).status).toBe(403);
    await server.clock.advance(1);
    expect((await server.admin.delete(url("repo-credentials/admin"))).status).toBe(204);
    expect((await server.admin.get(url("repo-credentials/admin"))).body).toMatchObject({
      code: "repositories.no_admin_credentials",
    });
    const audit = (await server.admin.get("/api/audit")).body.entries as {
      action: string;
      payload: object;
    }[];
    expect(audit.filter(({ action }) => action.startsWith("repository.admin"))).toMatchObject([
      { action: "repository.admin_credentials_remove" },
      { action: "repository.admin_credentials_edit", payload: { fields: ["repo_url", "repo_password"] } },
    ]);
    expect((await run({ kind: "prune" })).status).toBe(409);
  });

  it("goes when the host moves to another repository", async () => {
    await addAdmin();
    await server.admin.put(url("repo-credentials"), { repo_url: "/srv/other" });
    expect((await repository()).admin_credentials_set).toBe(false);
  });
});

describe("a repository", () => {
  it("shows figures, locks, the last runs and their coverage", async () => {
    const lock = {
      ...{ id: "c".repeat(64), hostname: "db-01", username: "root", pid: 7, exclusive: true, alive: false },
      created_at: "2026-11-23T03:00:00.000Z",
    };
    await tell({ raw_bytes: 1000, uncompressed_bytes: 2500, snapshot_count: 3, locks: [lock] });
    const damage = { error_count: 0, broken_packs: 0, suggest_repair_index: false, suggest_prune: true };
    await ran({ kind: "check", read_data: { percent: 100 } }, { kind: "check", ...damage });
    expect(await repository()).toMatchObject({
      ...{ location: "/srv/repo", restic_id: ours, foreign_id: null },
      statistics: { raw_bytes: 1000, uncompressed_bytes: 2500, snapshot_count: 3 },
      locks: [{ hostname: "db-01", alive: false, host: { name: "db-01" }, ours: false, job_alive: null }],
      hosts: [{ name: "db-01", owner: true, admin_credentials_set: false }],
      maintenance: { version: 0, forget_cron: "0 3 * * *", prune_cron: "0 4 * * 0", check_percent: 5 },
      cadences: [
        { operation: "forget", last_run: null },
        { operation: "prune", last_run: null },
        {
          operation: "check",
          last_run: { status: "succeeded", read_data: { percent: 100 }, result: { suggest_prune: true } },
        },
        { operation: "verify", last_run: null },
      ],
      coverage: { since: expect.stringMatching(/^2026-11-23T04:00/) },
    });
    const history = await server.admin.get(url("repository/history?days=90"));
    expect(history.body.days).toEqual([
      { at: "2026-11-23T00:00:00.000Z", raw_bytes: 1000, snapshot_count: 3 },
    ]);
    expect((await server.admin.get(url("repository/history?days=5"))).status).toBe(400);
  });

  it("that was swapped is left alone until somebody confirms it with the host's name", async () => {
    await tell({});
    await tell({ repository_id: foreign });
    expect(await repository()).toMatchObject({ restic_id: ours, foreign_id: foreign });
    const refused = await run({ kind: "backup" });
    expect([refused.status, refused.body.code]).toEqual([409, "repositories.swapped"]);
    const accept = (confirm_name: string) => server.admin.post(url("repository/accept-id"), { confirm_name });
    expect((await accept("db-02")).body).toMatchObject({ code: "hosts.name_mismatch" });
    expect((await accept("db-01")).status).toBe(204);
    expect(await repository()).toMatchObject({ restic_id: foreign, foreign_id: null });
    expect((await run({ kind: "backup" })).status).toBe(202);
    const actions = (await server.admin.get("/api/audit")).body.entries as { action: string }[];
    expect(actions.map(({ action }) => action)).toEqual(
      expect.arrayContaining(["repository.swapped", "repository.accept_id"]),
    );
  });

  it("that a connected host was moved to is the one that its figures are of", async () => {
    await tell({});
    await server.admin.put(url("repo-credentials"), { repo_url: "/srv/other" });
    await server.clock.advance(1000);
    await tell({ repository_id: foreign });
    expect(await repository()).toMatchObject({
      location: "/srv/other",
      restic_id: foreign,
      foreign_id: null,
    });
    const actions = (await server.admin.get("/api/audit")).body.entries as { action: string }[];
    expect(actions.map(({ action }) => action)).not.toContain("repository.swapped");
  });

  it("that is swapped while a job waits is not touched by it", async () => {
    await tell({});
    const first = (await run({ kind: "check" })).body.job_id;
    const second = String((await run({ kind: "check" })).body.job_id);
    const command = await agent.nextMessage("command.run");
    expect(command.job_id).toBe(first);
    await tell({ repository_id: foreign });
    await answer(command);
    await server.until("the waiting job ends", async () => (await job(second)).status === "failed");
    expect(await job(second)).toMatchObject({ error: { code: "repositories.swapped" } });
  });

  it("takes no figures for a job of another host", async () => {
    const other = await connectTestAgent(server, { name: "web-01" });
    await other.hello();
    const theirs = await other.nextMessage("command.run");
    await tell({ job_id: theirs.job_id, raw_bytes: 1 });
    expect((await repository()).statistics).toMatchObject({ raw_bytes: null });
  });
});

describe("the API of maintenance", () => {
  const draft = { forget_cron: "0 1 * * *", prune_cron: null, check_cron: "0 5 1 * *", check_slices: 30 };

  it("is read with its defaults, replaced, and refuses an old version", async () => {
    const read = (await server.admin.get(url("repo-maintenance"))).body;
    expect(read).toMatchObject({ version: 0, time_zone: "UTC", max_removed_percent: 50, updated_at: null });
    const put = (version: number) => server.admin.put(url("repo-maintenance"), { ...draft, version });
    expect((await put(0)).body).toMatchObject({ version: 1, prune_cron: null, check_slices: 30 });
    const late = await server.admin.put(url("repo-maintenance"), { ...draft, check_slices: 9, version: 0 });
    expect(late.status).toBe(409);
    expect(late.body).toMatchObject({
      code: "maintenance.edit_conflict",
      details: { current: { version: 1, check_slices: 30 }, changed: ["check_slices"] },
    });
  });

  it("says by field what is wrong", async () => {
    const wrong = { ...draft, forget_cron: "daily", check_percent: 101, check_slices: null, version: 0 };
    const refused = await server.admin.put(url("repo-maintenance"), wrong);
    expect(refused.body).toMatchObject({
      code: "maintenance.invalid",
      details: [{ path: "forget_cron" }, { path: "check_percent" }],
    });
    const text = await server.admin.put(url("repo-maintenance"), {
      ...draft,
      check_percent: "5",
      version: 0,
    });
    expect(text.body.message).toMatch(/percentage is a number/);
  });
});
