/** Restoring through the whole server: who may, what is refused, what reaches which agent, and the trail that it leaves. */
import {
  ackOf,
  enrolTestAgent,
  find,
  finishedOf,
  parseHtml,
  reportOf,
  snapshotOf,
  startedOf,
  startTestServer,
  type TestAgent,
  type TestServer,
  textOf,
} from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const SNAPSHOT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const RESULT = {
  ...{
    kind: "restore" as const,
    dry_run: false,
    complete: true,
    in_place: false,
    target: "/root/rm-restore/x",
  },
  ...{ restored: 3, restored_bytes: 10, replaced: 0, skipped: 0, skipped_bytes: 0, failed: 0 },
  ...{ failed_items: [], written: [], ownership: "agent" as const, verified: false },
};

let server: TestServer;
let web: TestAgent;
let db: TestAgent;
const sequences = new Map<TestAgent, number>();

beforeEach(async () => {
  server = await startTestServer();
  web = await arrive("web-01", [snapshotOf(SNAPSHOT, { hostname: "web-01" })]);
  db = await arrive("db-01", []);
});
afterEach(() => server.stop());

const nextSeq = (agent: TestAgent): number => {
  const seq = (sequences.get(agent) ?? 0) + 1;
  sequences.set(agent, seq);
  return seq;
};

async function arrive(name: string, snapshots: ReturnType<typeof snapshotOf>[]): Promise<TestAgent> {
  const agent = await enrolTestAgent(server, { name });
  await agent.connect();
  const init = await agent.nextMessage("command.run");
  agent.send(ackOf(init));
  agent.send(startedOf(init, nextSeq(agent)));
  agent.send(finishedOf(init, nextSeq(agent)));
  agent.send(reportOf(nextSeq(agent), snapshots));
  await agent.acknowledged(sequences.get(agent) ?? 0);
  return agent;
}

const wish = (changes: Record<string, unknown> = {}) => ({
  ...{ snapshot_id: SNAPSHOT, paths: ["/etc/nginx"], target: { kind: "directory" } },
  ...changes,
});
const ask = (changes: Record<string, unknown> = {}, agent = web) =>
  server.admin.post(`/api/hosts/${agent.hostId}/restore`, wish(changes));

interface AuditRow {
  target_id: string;
  action: string;
  payload: string;
}
async function trail(): Promise<{ host: string; payload: Record<string, unknown> }[]> {
  const rows = await sql<AuditRow>`SELECT target_id, action, payload FROM audit_entries`.execute(server.db);
  return rows.rows
    .filter(({ action }) => action === "host.restore")
    .map(({ target_id, payload }) => ({ host: target_id, payload: JSON.parse(payload) }));
}

describe("a restore", () => {
  it("reaches the host's agent with everything that was asked for, and leaves a trail", async () => {
    const answer = await ask({
      excludes: ["*.tmp"],
      verify: true,
      paths: ["/etc/nginx", "base64:L3Nydi9iYWT/"],
    });
    expect(answer.status).toBe(202);
    const run = await web.nextMessage("command.run");
    expect(run.job_id).toBe(answer.body.job_id);
    expect(run.access ?? null).toBeNull();
    expect(run.spec).toEqual({
      ...{ kind: "restore", snapshot_id: SNAPSHOT, paths: ["/etc/nginx", "base64:L3Nydi9iYWT/"] },
      ...{ target: { kind: "directory" }, keep_ownership: false, includes: [], excludes: ["*.tmp"] },
      ...{ dry_run: false, verify: true, path_map: [] },
    });
    const [entry, ...others] = await trail();
    expect(others).toEqual([]);
    expect(entry).toMatchObject({
      host: web.hostId,
      payload: {
        ...{ job_id: run.job_id, snapshot_id: SNAPSHOT, mode: "directory", path_count: 2, dry_run: false },
        ...{ paths: ["/etc/nginx", "base64:L3Nydi9iYWT/"], excludes: ["*.tmp"] },
      },
    });
  });

  it("takes the host's cap", async () => {
    await server.admin.put(`/api/hosts/${web.hostId}/bandwidth`, { upload_kib: null, download_kib: 700 });
    await ask();
    expect((await web.nextMessage("command.run")).spec).toMatchObject({ limits: { download_kib: 700 } });
  });

  it("shows on its page and on the host's what became of it", async () => {
    const { body } = await ask();
    const run = await web.nextMessage("command.run");
    web.send(ackOf(run));
    web.send(startedOf(run, nextSeq(web)));
    web.send(finishedOf(run, nextSeq(web), { result: RESULT }));
    await web.acknowledged(sequences.get(web) ?? 0);
    const page = parseHtml((await server.admin.get(`/jobs/${body.job_id}`)).text);
    expect(textOf(find(page, "#restore-summary"))).toContain("3 files and folders (10 B) were restored");
    expect(textOf(find(page, "#restore-wish"))).toContain("/etc/nginx");
    const host = parseHtml((await server.admin.get(`/hosts/${web.hostId}`)).text);
    expect(textOf(find(host, "#host-restore"))).toMatch(
      /Last restore .*succeeded.*3 items of snapshot 9f86d081 into a folder/i,
    );
    const json = await server.admin.get(`/api/jobs/${body.job_id}`);
    expect(json.body).toMatchObject({ kind: "restore", status: "succeeded", result: RESULT });
    expect((await server.admin.form(`/jobs/${body.job_id}/run-again`)).status).toBe(409);
  });
});

describe("in place", () => {
  const inPlace = (confirm_name: string) => ({ target: { kind: "in_place", confirm_name } });

  it("wants the host's name typed", async () => {
    const refused = await ask(inPlace("web-02"));
    expect(refused).toMatchObject({ status: 422, body: { code: "restore.invalid" } });
    expect(refused.body.details).toEqual([
      { path: "target.confirm_name", message: "That is not the host's name. Type exactly web-01." },
    ]);
    expect((await ask(inPlace("web-01"))).status).toBe(202);
    expect((await web.nextMessage("command.run")).spec).toMatchObject({
      target: { kind: "in_place", overwrite: "always" },
    });
  });
});

describe("to another host", () => {
  const to = (confirm_name: string, agent = db) => ({ to: { host_id: agent.hostId, confirm_name } });

  it("goes with the access of the snapshot's host, for this job alone, and stands in both trails", async () => {
    const { status, body } = await ask(to("db-01"));
    expect(status).toBe(202);
    const run = await db.nextMessage("command.run");
    expect(run).toMatchObject({
      job_id: body.job_id,
      spec: { kind: "restore", from: { host_id: web.hostId, host_name: "web-01" } },
      access: { location: "/srv/repo", password: "repository password" },
    });
    expect(web.all("command.run")).toHaveLength(1);
    expect((await trail()).map(({ host, payload }) => [host, payload.from_host, payload.to_host])).toEqual([
      [web.hostId, "web-01", "db-01"],
      [db.hostId, "web-01", "db-01"],
    ]);
    const kept = JSON.stringify([
      (await sql`SELECT * FROM jobs`.execute(server.db)).rows,
      (await sql`SELECT * FROM audit_entries`.execute(server.db)).rows,
      (await server.admin.get(`/api/jobs/${body.job_id}`)).body,
      server.log,
    ]);
    expect(kept).not.toContain("repository password");
  });

  it("wants that host's name, and another host", async () => {
    expect(await ask(to("web-01"))).toMatchObject({ status: 422, body: { code: "restore.invalid" } });
    expect(await ask(to("web-01", web))).toMatchObject({ status: 422, body: { code: "restore.same_host" } });
    const unknown = { to: { host_id: "01KAQ2XK3M5N7P9Q1R3S5T7V9W", confirm_name: "x" } };
    expect(await ask(unknown)).toMatchObject({ status: 404, body: { code: "hosts.not_found" } });
    expect(await trail()).toEqual([]);
  });

  it("ends as failed when the snapshot's host is gone by then", async () => {
    await server.admin.post(`/api/hosts/${db.hostId}/jobs`, { kind: "backup" });
    const running = await db.nextMessage("command.run");
    const { body } = await ask(to("db-01"));
    await server.admin.delete(`/api/hosts/${web.hostId}`, { confirm_name: "web-01" });
    db.send(ackOf(running));
    db.send(startedOf(running, nextSeq(db)));
    db.send(finishedOf(running, nextSeq(db)));
    await server.until("the job failed", async () => {
      return (await server.admin.get(`/api/jobs/${body.job_id}`)).body.status === "failed";
    });
    expect((await server.admin.get(`/api/jobs/${body.job_id}`)).body).toMatchObject({
      error: { code: "restore.source_gone" },
    });
  });
});

describe("is refused, with nothing queued,", () => {
  const paths = (...given: string[]) => ({ paths: given });

  it.each([
    ["a relative path", paths("/etc", "etc/nginx"), "paths.1", "not absolute"],
    ["a path that leads upward", paths("/etc/../root"), "paths.0", "leads upward"],
    ["a path with an empty name", paths("/etc//x"), "paths.0", "empty name"],
    ["a path with a NUL", paths("/etc/\0"), "paths.0", "NUL"],
    ["bytes that are none", paths("base64:%%"), "paths.0", "not the base64"],
    ["bytes that lead upward", paths(`base64:${btoa("/a/../\xff")}`), "paths.0", "not the base64"],
    [
      "a target that leads upward",
      { target: { kind: "directory", path: "/srv/../etc" } },
      "target.path",
      "upward",
    ],
    [
      "a target that is relative",
      { target: { kind: "directory", path: "srv" } },
      "target.path",
      "not absolute",
    ],
    [
      "a target of another variable",
      { target: { kind: "directory", path: "$PATH/x" } },
      "target.path",
      "not absolute",
    ],
    ["a pattern from the root", { includes: ["/etc/*.conf"] }, "includes.0", "begins at the root"],
    ["a pattern of two lines", { excludes: ["a\nb"] }, "excludes.0", "spans lines"],
    ["patterns of both sorts", { includes: ["a"], excludes: ["b"] }, "excludes", "not both"],
    [
      "a map of nothing",
      { path_map: [{ from: "/srv", to: "/data" }] },
      "path_map.0.from",
      "Nothing that is selected",
    ],
    ["a map to nowhere", { path_map: [{ from: "/etc", to: "data" }] }, "path_map.0.to", "slash"],
    [
      "paths that no frame holds",
      paths(...Array.from({ length: 900 }, (_, i) => `/${i}${"x".repeat(900)}`)),
      "paths",
      "too long",
    ],
  ])("%s", async (_, changes, path, words) => {
    const answer = await ask(changes);
    expect(answer).toMatchObject({ status: 422, body: { code: "restore.invalid" } });
    const problem = (answer.body.details as { path: string; message: string }[])[0];
    expect(problem?.path).toBe(path);
    expect(problem?.message).toContain(words);
    expect(await trail()).toEqual([]);
  });

  it.each([
    ["no path", paths()],
    ["an unknown field", { sudo: true }],
    ["an unknown policy", { target: { kind: "in_place", overwrite: "sometimes", confirm_name: "web-01" } }],
    ["too many paths", paths(...Array.from({ length: 1001 }, (_, i) => `/${i}`))],
  ])("%s", async (_, changes) => {
    expect(await ask(changes)).toMatchObject({ status: 400, body: { code: "request.invalid" } });
  });

  it("a snapshot that the host does not have", async () => {
    expect(await ask({ snapshot_id: "0".repeat(64) })).toMatchObject({
      ...{ status: 404, body: { code: "snapshots.not_found" } },
    });
    expect(await ask({ snapshot_id: SNAPSHOT.slice(0, 8) })).toMatchObject({ status: 404 });
    expect(await ask({}, db)).toMatchObject({ status: 404, body: { code: "snapshots.not_found" } });
  });

  it("a host that is away", async () => {
    await web.drop();
    await server.until("the server sees it", async () => (await ask()).status === 409);
    const before = (await trail()).length;
    expect(await ask()).toMatchObject({ status: 409, body: { code: "hosts.offline" } });
    const { body } = await server.admin.get(`/api/hosts/${web.hostId}/jobs?kind=restore`);
    expect([body.total, await trail()]).toMatchObject([before, { length: before }]);
  });

  it("a viewer", async () => {
    const viewer = await server.signIn("viewer");
    const answer = await viewer.post(`/api/hosts/${web.hostId}/restore`, wish());
    expect(answer).toMatchObject({ status: 403, body: { code: "auth.role_too_low" } });
  });
});

describe("while something else runs on the host", () => {
  it("is next, whatever waits longer, says what it waits for, and can end that", async () => {
    const backup = () => server.admin.post(`/api/hosts/${web.hostId}/jobs`, { kind: "backup" });
    await backup();
    const running = await web.nextMessage("command.run");
    web.send(ackOf(running));
    web.send(startedOf(running, nextSeq(web)));
    await web.acknowledged(sequences.get(web) ?? 0);
    await backup();
    const { body } = await ask();
    const jobId = String(body.job_id);
    expect((await server.admin.get(`/api/jobs/${jobId}`)).body.waits_for).toEqual({
      ...{ reason: "host", job_id: running.job_id },
      message: "Waiting for the backup of default before it on this host.",
    });
    const page = parseHtml((await server.admin.get(`/jobs/${jobId}`)).text);
    const cancel = `/jobs/${running.job_id}/cancel?for=${jobId}`;
    expect(textOf(find(page, `form[action="${cancel}"] button`))).toBe("Cancel that backup");
    const answer = await server.admin.form(cancel);
    expect([answer.status, answer.headers.get("location")]).toEqual([303, `/jobs/${jobId}`]);
    expect((await web.nextMessage("command.cancel")).job_id).toBe(running.job_id);
    web.send(finishedOf(running, nextSeq(web), { status: "cancelled" }));
    expect((await web.nextMessage("command.run")).job_id).toBe(jobId);
    expect((await server.admin.get(`/api/jobs/${jobId}`)).body.waits_for).toBeNull();
  });

  it("does not wait for what waits for the repository itself", async () => {
    await server.admin.post(`/api/hosts/${db.hostId}/jobs`, { kind: "backup" });
    const running = await db.nextMessage("command.run");
    db.send(ackOf(running));
    db.send(startedOf(running, nextSeq(db)));
    await db.acknowledged(sequences.get(db) ?? 0);
    await server.admin.post(`/api/hosts/${db.hostId}/jobs`, { kind: "check" });
    const { body } = await ask();
    expect((await web.nextMessage("command.run")).job_id).toBe(body.job_id);
  });
});
