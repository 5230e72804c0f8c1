/** The whole server on both engines: one path through every layer, and again after a restart. */
import {
  ackOf,
  connectTestAgent,
  engines,
  finishedOf,
  linesOf,
  logOf,
  reportOf,
  snapshotOf,
  startedOf,
  startTestServer,
  type TestServer,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

describe.each(engines)("the server on %s", (engine) => {
  let server: TestServer;
  beforeEach(async () => {
    server = await startTestServer({ engine });
  });
  afterEach(() => server.stop());

  it("takes a host from its token to a listed snapshot, and still knows all of it after a restart", async () => {
    const agent = await connectTestAgent(server, { name: "db-01", tags: ["prod"] });
    await agent.hello();
    const init = await agent.nextMessage("command.run");
    agent.send(finishedOf(init, 1));
    await agent.acknowledged(1);
    const backup = await server.admin.post(`/api/hosts/${agent.hostId}/jobs`, { kind: "backup" });
    const run = await agent.nextMessage("command.run");
    expect(run.job_id).toBe(backup.body.job_id);
    agent.send(ackOf(run));
    agent.send(startedOf(run, 2));
    agent.send(logOf(run, 3, linesOf(1, 30)));
    agent.send(reportOf(4, [snapshotOf("aaaaaaaa"), snapshotOf("bbbbbbbb", { tags: ["other"] })]));
    agent.send(finishedOf(run, 5, { log_lines: 30 }));
    await agent.acknowledged(5);

    await server.restart();
    expect((await agent.connect()).acked_seq).toBe(5);
    const job = (await server.admin.get(`/api/jobs/${run.job_id}`)).body;
    expect(job).toMatchObject({ status: "succeeded", source_group: "default", log_lines: 30 });
    const log = (await server.admin.get(`/api/jobs/${run.job_id}/log.ndjson`)).text.trimEnd().split("\n");
    expect(log.map((line) => JSON.parse(line) as unknown)).toEqual(linesOf(1, 30));
    const fleet = (await server.admin.get("/api/fleet/summary")).body;
    expect(fleet).toMatchObject({
      hosts: 1,
      online: 1,
      snapshots: 2,
      protected_bytes: 2000,
      repositories: 1,
    });
    expect((await server.admin.get("/")).text).toContain("db-01");
  });

  it("takes a NUL in a text, or refuses it in a sentence where the database can't", async () => {
    const isRefused = engine === "postgres";
    const refused = { status: 400, body: { code: "request.invalid" } };
    const found = await server.admin.get("/api/hosts?q=%00");
    expect(found).toMatchObject(isRefused ? refused : { status: 200, body: { hosts: [] } });
    const account = { username: "ad\u0000min", password: "correct horse battery" };
    const signedIn = await server.anonymous().post("/api/auth/login", account);
    expect(signedIn).toMatchObject(isRefused ? refused : { status: 401 });
    expect((await server.admin.get("/hosts/%00")).status).toBe(isRefused ? 400 : 404);
    expect((await server.admin.get("/api/hosts?q=a")).status).toBe(200);
  });

  it("writes no secret into its log", async () => {
    const agent = await connectTestAgent(server);
    await agent.hello();
    agent.sendRaw('{"type":"error","code":"x.y","message":"repository password"}');
    agent.sendRaw("repository password");
    await agent.nextMessage("error");
    const written = JSON.stringify(server.log);
    expect(written).toContain("agent connected");
    for (const secret of ["repository password", agent.bearer, server.admin.cookie.split("=")[1] ?? "?"])
      expect(written).not.toContain(secret);
  });
});
