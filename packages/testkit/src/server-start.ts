/**
 * The whole server in the test's own event loop: real HTTP and WebSocket on loopback, a real database in a
 * temporary folder, a clock that stands still, and an admin who is signed in. Tests look into the database
 * through a connection of their own, as an operator's tool would.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "kysely";
import type { Config } from "../../server/src/config.ts";
import { insertSession, insertUser } from "../../server/src/features/users/users.store.ts";
import type { Db, Engine } from "../../server/src/platform/db/db.ts";
import { openPostgres } from "../../server/src/platform/db/postgres.ts";
import { openSqlite } from "../../server/src/platform/db/sqlite.ts";
import type { Role } from "../../server/src/platform/http/identity.ts";
import { createLog } from "../../server/src/platform/log.ts";
import { hashToken, newId, newToken } from "../../server/src/platform/random.ts";
import type { RunningServer } from "../../server/src/start.ts";
import { FakeClock } from "./clock.ts";
import { DatabaseProxy } from "./database-proxy.ts";
import { ownDatabaseUrl } from "./databases.ts";
import { TestClient } from "./server-client.ts";

export interface TestServerOptions {
  clock?: FakeClock;
  /** PostgreSQL needs the vitest project `stores`. */
  engine?: Engine;
  /** Another server on PostgreSQL: this one is its replica, on the same database and with the same key file. */
  beside?: TestServer;
  /** Its way to PostgreSQL leads through `proxy`, where a test can cut it. */
  proxied?: boolean;
  /** Default true. */
  downloads?: boolean;
  /** RM_BASE_URL; unset by default. */
  baseUrl?: string;
  /** RM_TRUSTED_PROXY; none by default. */
  trustedProxies?: string[];
}

/** One line of the server's log. */
export interface LogEntry {
  level: number;
  msg: string;
  [field: string]: unknown;
}

/** How long a condition may take to become true before the test fails. */
const untilMs = 15_000;

export class TestServer {
  readonly clock: FakeClock;
  readonly engine: Engine;
  private readonly options: TestServerOptions;
  readonly dataDir: string;
  /** Everything that the server logged, over all its restarts. */
  readonly log: LogEntry[] = [];
  private readonly schema: string;
  /** With this server's schema as its search path; empty on SQLite. */
  private databaseUrl = "";
  private way: DatabaseProxy | null = null;
  private running: RunningServer | null = null;
  private database: Db | null = null;
  private signedIn: TestClient | null = null;

  constructor(options: TestServerOptions) {
    const { beside } = options;
    this.clock = options.clock ?? beside?.clock ?? new FakeClock();
    this.engine = options.engine ?? beside?.engine ?? "sqlite";
    this.schema = beside?.schema ?? `s${randomBytes(8).toString("hex")}`;
    this.options = options;
    this.dataDir = mkdtempSync(join(tmpdir(), "rm-server-"));
  }

  /** Between the server and PostgreSQL, of one that is `proxied`. */
  get proxy(): DatabaseProxy {
    if (!this.way) throw new Error("the test server was not started with a proxy");
    return this.way;
  }

  /** The server as it runs now. */
  get server(): RunningServer {
    if (!this.running) throw new Error("the test server does not run");
    return this.running;
  }

  get url(): string {
    return this.server.url;
  }

  /** The test's own connection to the server's database. */
  get db(): Db {
    if (!this.database) throw new Error("the test server was never started");
    return this.database;
  }

  /** Signed in as the admin. */
  get admin(): TestClient {
    if (!this.signedIn) throw new Error("the test server was never started");
    return this.signedIn;
  }

  /** A client that nobody signed in. */
  anonymous(): TestClient {
    return new TestClient(() => this.url);
  }

  /** Signed in as a new user of that role, written straight into the database. */
  async signIn(role: Role): Promise<TestClient> {
    const createdAt = this.clock.now();
    const token = newToken();
    const user = { id: newId(createdAt), username: `${role}-${token.slice(0, 8).toLowerCase()}`, role };
    await insertUser(this.db, { ...user, disabledAt: null, passwordHash: "none", createdAt });
    const expiresAt = createdAt + 24 * 60 * 60_000;
    await insertSession(this.db, { tokenHash: hashToken(token), userId: user.id, createdAt, expiresAt });
    const client = this.anonymous();
    client.cookie = `rm_session=${token}`;
    return client;
  }

  async start(): Promise<void> {
    if (this.engine === "postgres" && !this.database) await this.createSchema();
    if (this.options.proxied && !this.way) {
      this.way = new DatabaseProxy(this.databaseUrl);
      await this.way.start();
    }
    const log = createLog("info", { write: (line) => this.log.push(JSON.parse(line) as LogEntry) });
    const assetsDir = join(this.dataDir, "assets");
    await mkdir(assetsDir, { recursive: true });
    await writeFile(join(assetsDir, "manifest.json"), JSON.stringify(assets));
    // Loaded only here, so that tests of a single slice do not load the whole server.
    const { startServer } = await import("../../server/src/start.ts");
    const releaseDir = join(this.dataDir, "built-in");
    this.running = await startServer(this.config(), { log, clock: this.clock, assetsDir, releaseDir });
    this.database ??= this.engine === "sqlite" ? openSqlite(join(this.dataDir, "restic-manager.db")) : null;
    this.signedIn ??= await this.bootstrap();
  }

  /** Stops the server; its data stays for another start. Whoever does not go by itself is cut by the clock. */
  async halt(): Promise<void> {
    let ended = this.running === null;
    const stopped = this.running?.stop().finally(() => {
      ended = true;
    });
    await this.until("the server stops", () => ended, 10);
    this.running = null;
    await stopped;
  }

  /** Stops the server and starts it again on the same data, on another port. */
  async restart(): Promise<void> {
    await this.halt();
    await this.start();
  }

  /** Stops the server and removes its data. */
  async stop(): Promise<void> {
    this.way?.thaw();
    await this.halt();
    await this.way?.stop();
    if (this.engine === "postgres" && !this.options.beside)
      await sql`DROP SCHEMA ${sql.id(this.schema)} CASCADE`.execute(this.db);
    await this.database?.destroy();
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  /**
   * Waits until `wanted` holds, letting the event loop run and the clock go on by `stepMs` between two looks.
   * @throws Error after 15 real seconds, with `what`
   */
  async until(what: string, wanted: () => boolean | Promise<boolean>, stepMs = 0): Promise<void> {
    const end = performance.now() + untilMs;
    while (!(await wanted())) {
      if (performance.now() > end) throw new Error(`never happened: ${what}`);
      if (stepMs > 0) await this.clock.advance(stepMs);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  private config(): Config {
    return {
      listenHost: "127.0.0.1",
      listenPort: 0,
      dataDir: this.dataDir,
      databaseUrl: this.engine === "postgres" ? (this.way?.url ?? this.databaseUrl) : undefined,
      databasePool: 10,
      replicaUrl: undefined,
      baseUrl: this.options.baseUrl,
      trustedProxies: this.options.trustedProxies ?? [],
      cookieSecure: false,
      secretKeyFile: join(this.options.beside?.dataDir ?? this.dataDir, "secret.key"),
      jobLogDays: 0,
      downloads: this.options.downloads ?? true,
      logLevel: "info",
    };
  }

  private async createSchema(): Promise<void> {
    const own = await ownDatabaseUrl();
    this.databaseUrl = `${own}&options=${encodeURIComponent(`-c search_path=${this.schema}`)}`;
    this.database = openPostgres(own, { schema: this.schema });
    if (this.options.beside) return;
    await sql`CREATE SCHEMA ${sql.id(this.schema)}`.execute(this.database);
  }

  private async bootstrap(): Promise<TestClient> {
    const client = this.anonymous();
    const { beside } = this.options;
    if (beside) {
      client.cookie = beside.admin.cookie;
      return client;
    }
    const token = new URL(this.server.setupUrl ?? "").searchParams.get("setup");
    const body = { token, username: "admin", password: "correct horse battery" };
    const answer = await client.post("/api/bootstrap", body);
    if (answer.status !== 200) throw new Error(`no admin: ${answer.text}`);
    return client;
  }
}

/** The names that pages ask for; the files themselves are not there. */
const assets = {
  "styles.css": "styles.css",
  "app.js": "app.js",
  "job.js": "job.js",
  "group-form.js": "group-form.js",
  "retention-preview.js": "retention-preview.js",
  "access-test.js": "access-test.js",
  "restore.js": "restore.js",
  "schedule-form.js": "schedule-form.js",
  "favicon.svg": "favicon.svg",
  "inter.woff2": "inter.woff2",
};

/** Starts a server with an empty database and a signed-in admin. The caller stops it. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const server = new TestServer(options);
  await server.start();
  return server;
}
