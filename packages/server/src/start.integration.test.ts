/** Starting and stopping: who is told, what still ends, and in which words a start is refused. */
import { copyFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  connectTestAgent,
  finishedOf,
  linesOf,
  logOf,
  startTestServer,
  type TestServer,
  watchJob,
} from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

let server: TestServer;
beforeEach(async () => {
  server = await startTestServer();
});
afterEach(() => server.stop());

describe("a server that stops", () => {
  it("tells its agents that they may come back soon", async () => {
    const agent = await connectTestAgent(server);
    await agent.hello();
    await server.halt();
    expect(await agent.nextMessage("goodbye")).toMatchObject({ code: "link.server_stopping", retry: true });
    expect((await agent.closed()).code).toBe(1001);
  });

  it("ends a download that is under way, whole", async () => {
    const agent = await connectTestAgent(server);
    await agent.hello();
    const run = await agent.nextMessage("command.run");
    for (let chunk = 0; chunk < 40; chunk++)
      agent.send(
        logOf(
          run,
          chunk + 1,
          linesOf(chunk * 500 + 1, chunk * 500 + 500, (n) => `${n} ${"x".repeat(400)}`),
        ),
      );
    agent.send(finishedOf(run, 41, { log_lines: 20_000 }));
    await agent.acknowledged(41);
    const answer = await server.admin.fetch(`/api/jobs/${run.job_id}/log.txt`);
    const { url } = server;
    const stopped = server.server.stop();
    const lines = (await answer.text()).trimEnd().split("\n");
    await server.halt();
    await stopped;
    expect(lines).toHaveLength(20_000);
    await expect(fetch(`${url}/healthz`)).rejects.toThrow("fetch failed");
  });

  it("is gone within 5 s though an agent and a browser answer nothing any more", async () => {
    const agent = await connectTestAgent(server);
    await agent.hello();
    const run = await agent.nextMessage("command.run");
    const browser = await watchJob(server, run.job_id);
    const strangers = await connectTestAgent(server);
    for (const { socket } of [agent, browser, strangers]) socket.pause();
    const before = server.clock.now();
    await server.halt();
    expect(server.clock.now() - before).toBeLessThanOrEqual(5000);
    for (const { socket } of [agent, browser, strangers]) socket.terminate();
  });

  it("stops once, however often it is asked", async () => {
    const { server: running } = server;
    await Promise.all([running.stop(), running.stop()]);
    await running.stop();
  });
});

describe("a start", () => {
  it("offers the first run until an admin exists", async () => {
    expect(server.server.setupUrl).toContain("/login?setup=");
    await server.restart();
    expect(server.server.setupUrl).toBeNull();
    expect((await server.admin.get("/api/auth/me")).body).toMatchObject({ username: "admin", role: "admin" });
  });

  it("continues with hosts that are enrolled: their bearer is still good", async () => {
    const agent = await connectTestAgent(server);
    await server.restart();
    await agent.connect();
    expect(agent.all("config.update")[0]?.repository?.password).toBe("repository password");
  });

  it("is refused with a sentence when the key is another one, and changes nothing", async () => {
    await server.halt();
    const key = join(server.dataDir, "secret.key");
    await copyFile(key, `${key}.kept`);
    await rm(key);
    await expect(server.start()).rejects.toMatchObject({ code: "secrets.key_missing" });
    const other = await startTestServer();
    await other.halt();
    await copyFile(join(other.dataDir, "secret.key"), key);
    await other.stop();
    await expect(server.start()).rejects.toMatchObject({
      code: "secrets.key_wrong",
      message: expect.stringContaining("Put the right one back"),
    });
    await copyFile(`${key}.kept`, key);
    await server.start();
  });

  it("is refused with a sentence when the database is of a newer version", async () => {
    await server.halt();
    await sql`INSERT INTO kysely_migration (name, timestamp) VALUES ('9999-future', '2030-01-01')`.execute(
      server.db,
    );
    await expect(server.start()).rejects.toMatchObject({
      code: "database.newer",
      message: expect.stringContaining("9999-future"),
    });
  });

  it("is refused with a sentence when the database is no database", async () => {
    await server.halt();
    for (const ending of ["", "-wal", "-shm"])
      await rm(join(server.dataDir, `restic-manager.db${ending}`), { force: true });
    await writeFile(
      join(server.dataDir, "restic-manager.db"),
      "this is no SQLite file, whatever its name says",
    );
    await expect(server.start()).rejects.toMatchObject({ code: "database.unusable" });
  });
});
