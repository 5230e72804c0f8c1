/** Servers that start at once on one PostgreSQL, before it, and beside a newer one. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  ackOf,
  connectTestAgent,
  DatabaseProxy,
  FakeClock,
  finishedOf,
  openEmptyDatabase,
  startTestServer,
  type TestDatabase,
} from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { migrations } from "../migrations/index.ts";
import { parseConfig } from "./config.ts";
import type { Db } from "./platform/db/db.ts";
import { migrate } from "./platform/db/migrate.ts";
import { waitForDatabase } from "./platform/db/prepare.ts";
import { createLog } from "./platform/log.ts";
import { type RunningServer, startServer } from "./start.ts";

let folder: string;
let clock: FakeClock;
let log: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rm-together-"));
  // Once: a server that reads it must not find it half written for the next.
  mkdirSync(join(folder, "assets"));
  writeFileSync(join(folder, "assets", "manifest.json"), "{}");
  clock = new FakeClock();
  log = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

const logger = () => createLog("info", { write: (line) => log.push(line) });

async function start(databaseUrl: string, name: string): Promise<RunningServer> {
  const assetsDir = join(folder, "assets");
  const config = parseConfig({
    RM_LISTEN: "127.0.0.1:0",
    RM_DATA_DIR: join(folder, name),
    RM_DATABASE_URL: databaseUrl,
    RM_SECRET_KEY_FILE: join(folder, "secret.key"),
  });
  return startServer(config, { log: logger(), clock, assetsDir, releaseDir: folder });
}

/** Waits for what happens in its own time, letting the clock go on. */
async function until(what: string, wanted: () => boolean | Promise<boolean>): Promise<void> {
  for (let looks = 0; !(await wanted()); looks++) {
    expect(looks, what).toBeLessThan(2_000);
    await clock.advance(50);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe("servers on one PostgreSQL", () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await openEmptyDatabase("postgres");
  });
  afterEach(() => database.close());

  it("all come up when they start at once on an empty database, and each one's first link is good", async () => {
    const servers = await Promise.all(["a", "b", "c"].map((name) => start(database.url, name)));
    const statuses = await Promise.all(servers.map(async ({ url }) => (await fetch(`${url}/readyz`)).status));
    expect(statuses).toEqual([200, 200, 200]);
    const applied = log.filter((line) => line.includes("brought to this version's schema"));
    expect(applied).toHaveLength(1);
    const tokens = await sql`SELECT token_hash FROM setup_tokens`.execute(database.db);
    expect(tokens.rows).toHaveLength(3);
    const used: number[] = [];
    for (const { url, setupUrl } of servers) {
      const token = new URL(setupUrl ?? "").searchParams.get("setup");
      const answer = await fetch(`${url}/api/bootstrap`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ token, username: "admin", password: "correct horse battery" }),
      });
      used.push(answer.status);
    }
    expect(used).toEqual([200, 403, 403]);
    for (const server of servers) await server.stop();
    const { rows } = await sql`SELECT id FROM replicas UNION SELECT holder FROM leases`.execute(database.db);
    expect(rows).toEqual([]);
  });

  it("wait for a PostgreSQL that starts later, and say so", async () => {
    const proxy = new DatabaseProxy(database.url);
    await proxy.start();
    const { url } = proxy;
    await proxy.stop();
    let server: RunningServer | null = null;
    const starting = start(url, "a").then((started) => {
      server = started;
    });
    await until("it says that it waits", () => log.join().includes("waiting for PostgreSQL"));
    await proxy.start();
    await until("it has started", () => server !== null);
    await starting;
    expect(log.join()).toContain("ECONNREFUSED");
    await (server as RunningServer | null)?.stop();
    await proxy.stop();
  });

  it("leave no connection behind when they can't start", async () => {
    const sessions = async () => {
      const { rows } = await sql<{ pid: number }>`SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend'`.execute(database.db);
      return rows.map(({ pid }) => pid);
    };
    const own = await sessions();
    const areOwn = async () => (await sessions()).every((pid) => own.includes(pid));
    const server = await start(database.url, "a");
    expect(await areOwn()).toBe(false);
    await server.stop();
    await until("the first one's are gone", areOwn);
    await writeFile(join(folder, "secret.key"), `${Buffer.alloc(32).toString("base64")}\n`);
    await expect(start(database.url, "a")).rejects.toMatchObject({ code: "secrets.key_wrong" });
    await until("the second one's are gone", areOwn);
  });

  it("don't wait for a database that refuses them", async () => {
    const url = new URL(database.url);
    url.pathname = "/nowhere";
    await expect(start(url.href, "a")).rejects.toMatchObject({
      code: "database.refused",
      message: expect.stringContaining('database "nowhere" does not exist'),
    });
  });

  it("say while the database is away that they are not ready, and are ready again by themselves", async () => {
    const proxy = new DatabaseProxy(database.url);
    await proxy.start();
    const server = await start(proxy.url, "a");
    const ask = async (path: string) => {
      const answer = await fetch(`${server.url}${path}`);
      return [answer.status, ((await answer.json()) as { code?: string }).code];
    };
    await proxy.stop();
    // A request needs the database to know who asks.
    const signedIn = await fetch(`${server.url}/api/hosts`, {
      headers: { cookie: `rm_session=${"x".repeat(43)}` },
    });
    expect([signedIn.status, ((await signedIn.json()) as { code: string }).code]).toEqual([
      503,
      "database.away",
    ]);
    await until("it is unhealthy", () => log.join().includes("agents are sent to other replicas"));
    // Nobody answers from here on, not even with a refusal, and it does not wait for that.
    await proxy.start();
    proxy.freeze();
    expect(await ask("/readyz")).toEqual([503, "database.unreachable"]);
    expect(await ask("/healthz")).toEqual([200, undefined]);
    proxy.thaw();
    await until("it is healthy again", () => log.join().includes("the database answers again"));
    expect(await ask("/readyz")).toEqual([200, undefined]);
    await server.stop();
    await proxy.stop();
  });

  it("give up after a minute, in a sentence without the password", async () => {
    const failing = start("postgres://rm:hunter2@127.0.0.1:1/rm", "a").catch((error: unknown) => error);
    let failure: unknown;
    void failing.then((error) => {
      failure = error;
    });
    await until("it gives up", () => failure !== undefined);
    expect(failure).toMatchObject({
      code: "database.away",
      message: expect.stringMatching(/^PostgreSQL does not answer: .*ECONNREFUSED/),
    });
    expect(JSON.stringify([log, String(failure)])).not.toContain("hunter2");
  });
});

it("a start is not delayed by a mistake of ours", async () => {
  const broken = waitForDatabase(() => Promise.reject(new TypeError("ours")), { log: logger(), clock });
  await expect(broken).rejects.toThrow("ours");
});

it("an older server goes on while a newer one has brought the database one version further", async () => {
  const server = await startTestServer({ engine: "postgres" });
  const agent = await connectTestAgent(server, { name: "db-01" });
  await agent.hello();
  agent.send(finishedOf(await agent.nextMessage("command.run"), 1));
  await agent.acknowledged(1);
  const newer = {
    ...migrations("postgres"),
    "9000-adds": {
      async up({ schema }: Db) {
        for (const table of ["hosts", "jobs", "users", "replicas"])
          await schema.alterTable(table).addColumn("of_the_future", "text").execute();
        await schema.createTable("futures").addColumn("id", "text").execute();
      },
    },
  };
  expect((await migrate({ db: server.db, engine: "postgres", migrations: newer })).applied).toEqual([
    "9000-adds",
  ]);
  const backup = await server.admin.post(`/api/hosts/${agent.hostId}/jobs`, { kind: "backup" });
  expect(backup.status).toBe(202);
  const run = await agent.nextMessage("command.run");
  agent.send(ackOf(run));
  agent.send(finishedOf(run, 2));
  await agent.acknowledged(2);
  expect((await server.admin.get(`/api/jobs/${run.job_id}`)).body).toMatchObject({ status: "succeeded" });
  expect((await server.admin.get("/")).status).toBe(200);
  await server.stop();
});
