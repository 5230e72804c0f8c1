/**
 * The demo: a real server, a real agent enrolled through the real API, real files in a real repository. All state
 * is below `.demo/`, and in the PostgreSQL database when one is named; a second run goes on with it.
 */
import { randomBytes } from "node:crypto";
import { access, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import { ApiClient } from "./api.ts";
import { type Child, findLogged, run, startChild, until } from "./children.ts";
import { pathsWithout } from "./files.ts";

export interface DemoSettings {
  /** The project's folder. */
  root: string;
  /** The port that was asked for; null for 8080 or the next free one. */
  port: number | null;
  /** More paths to back up. */
  paths: string[];
  /** The PostgreSQL database in place of a SQLite file; it may hold a password. */
  databaseUrl: string | undefined;
  resticPath: string;
  say(line: string): void;
}

interface Credentials {
  url: string;
  username: string;
  password: string;
}

interface HostJson {
  id: string;
  name: string;
  last_seen_at: string | null;
}

export interface JobJson {
  id: string;
  kind: string;
  status: string;
  summary: { snapshot_id: string | null; total_files: number; total_bytes: number } | null;
  error: { message: string } | null;
}

/** What holds no data of the project, or is the demo itself. */
const leftOut = new Set(["node_modules", ".git", ".demo", ".cache", "pictures"]);

export class Demo {
  readonly folder: string;
  /** The same from the project's folder, as it is told; agent and repository belong to one database. */
  readonly shownFolder: string;
  api = new ApiClient("");
  credentials: Credentials = { url: "", username: "admin", password: "" };
  host: HostJson = { id: "", name: "", last_seen_at: null };
  private readonly settings: DemoSettings;
  private server: Child | null = null;
  private agent: Child | null = null;

  constructor(settings: DemoSettings) {
    this.settings = settings;
    this.shownFolder = settings.databaseUrl === undefined ? ".demo" : ".demo/postgres";
    this.folder = join(settings.root, this.shownFolder);
  }

  /** The repository and what plain restic needs to open it; the password is the demo's own, kept 0600. */
  readonly repository = {
    location: () => join(this.folder, "repository"),
    passwordFile: () => join(this.folder, "repository-password"),
  };

  /** Starts or goes on; resolves when the agent is online and the repository exists. */
  async start(): Promise<void> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    await this.startServer();
    await this.signIn();
    await this.enrol();
    await this.startAgent();
  }

  /** Runs a backup of everything and resolves with its job when it is finished. */
  async backUp(limitMs: number): Promise<JobJson> {
    const { job_id } = await this.startBackup();
    return until("the backup", limitMs, async () => {
      const job = await this.api.get<JobJson>(`/api/jobs/${job_id}`);
      return isLive(job) ? null : job;
    });
  }

  startBackup(): Promise<{ job_id: string }> {
    return this.api.post(`/api/hosts/${this.host.id}/jobs`, { kind: "backup" });
  }

  /** What the host's source groups include. */
  async includedPaths(): Promise<string[]> {
    const path = `/api/hosts/${this.host.id}/source-groups`;
    const { source_groups } = await this.api.get<{ source_groups: { includes: string[] }[] }>(path);
    return source_groups.flatMap((group) => group.includes);
  }

  /** Cancels what runs, then stops agent and server. Never rejects: it is the end anyway. */
  async stop(): Promise<void> {
    await this.cancelJobs().catch(() => undefined);
    await this.agent?.stop(6000);
    await this.server?.stop(6000);
  }

  /** Resolves with a sentence when the server or the agent ends by itself. */
  async died(): Promise<string> {
    const wait = async (name: string, child: Child | null) => {
      const code = await child?.exited;
      return `the ${name} ended by itself with code ${code}; see ${join(this.folder, `${name}.log`)}`;
    };
    return Promise.race([wait("server", this.server), wait("agent", this.agent)]);
  }

  private async startServer(): Promise<void> {
    const { root, say, databaseUrl } = this.settings;
    const port = await this.choosePort();
    const logFile = join(this.folder, "server.log");
    const logStart = await stat(logFile)
      .then((file) => file.size)
      .catch(() => 0);
    const env = {
      PATH: process.env.PATH,
      RM_LISTEN: `127.0.0.1:${port}`,
      RM_DATA_DIR: join(this.folder, "server"),
      RM_COOKIE_SECURE: "false",
      ...(databaseUrl === undefined ? {} : { RM_DATABASE_URL: databaseUrl }),
    };
    const server = startChild(process.execPath, [join(root, "packages/server/dist/src/main.js")], {
      env,
      logFile,
    });
    this.server = server;
    const url = `http://127.0.0.1:${port}`;
    let ended = false;
    void server.exited
      .catch(() => null)
      .then(() => {
        ended = true;
      });
    await until("the server's start", 30_000, async () => {
      if (ended) throw new Error(`the server did not start; see ${logFile}`);
      return fetch(`${url}/readyz`).then(
        (response) => response.ok,
        () => false,
      );
    });
    if (databaseUrl !== undefined) say(`database ${withoutPassword(databaseUrl)}`);
    say(`server   ${url} (process ${server.pid}, log ${this.shownFolder}/server.log)`);
    this.api = new ApiClient(url);
    this.credentials.url = url;
    const setupUrl = await findLogged(logFile, logStart, "setupUrl");
    if (setupUrl) await this.createAdmin(setupUrl);
  }

  private async createAdmin(setupUrl: string): Promise<void> {
    const token = new URL(setupUrl).searchParams.get("setup");
    const { username } = this.credentials;
    this.credentials.password = randomBytes(12).toString("base64url");
    // Kept before it is used: a demo that is stopped right here can still be signed in to.
    await this.saveCredentials();
    await this.api.post("/api/bootstrap", { token, username, password: this.credentials.password });
    this.settings.say(
      `admin    created; name ${username}, password ${this.credentials.password} (shown once)`,
    );
  }

  private async signIn(): Promise<void> {
    const text = await readFile(this.credentialsFile(), "utf8").catch(() => {
      throw new Error("the database has an administrator whom this demo did not make: name an empty one");
    });
    const stored = JSON.parse(text) as Credentials;
    this.credentials = { ...stored, url: this.credentials.url };
    await this.saveCredentials();
    const { username, password } = this.credentials;
    await this.api.post("/api/auth/login", { username, password });
  }

  private async enrol(): Promise<void> {
    const configFile = join(this.folder, "agent", "agent.yaml");
    const enrolled = await access(configFile).then(
      () => true,
      () => false,
    );
    if (!enrolled) await this.enrolAgent(configFile);
    else if (this.settings.paths.length > 0) {
      this.settings.say("paths    PATHS= counts when the demo is made; remove .demo/ to begin anew");
    }
    const { hosts } = await this.api.get<{ hosts: HostJson[] }>("/api/hosts");
    const [host] = hosts;
    if (!host)
      throw new Error(
        `the server knows no host, but the agent is enrolled: remove ${this.shownFolder}/ and start again`,
      );
    this.host = host;
  }

  private async enrolAgent(configFile: string): Promise<void> {
    const { root, paths, resticPath, say } = this.settings;
    const password = randomBytes(24).toString("base64url");
    await writeFile(this.repository.passwordFile(), password, { mode: 0o600 });
    const { token } = await this.api.post<{ token: string }>("/api/enrollment-tokens", {
      hostname: hostname().replace(/[^A-Za-z0-9.-]/g, "-") || "demo",
      repo_url: this.repository.location(),
      repo_password: password,
      tags: ["demo"],
      initial_paths: [...(await pathsWithout(root, leftOut)), ...paths],
    });
    const args = ["enrol", "--server", this.credentials.url, "--config", configFile];
    const more = ["--data-dir", join(this.folder, "agent", "data"), "--restic", resticPath];
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, RM_TOKEN: token };
    await run(process.execPath, [join(root, "packages/agent/dist/main.js"), ...args, ...more], { env });
    say("host     enrolled through the API; the agent has a bearer of its own");
  }

  private async startAgent(): Promise<void> {
    const { root, say } = this.settings;
    const configFile = join(this.folder, "agent", "agent.yaml");
    const env = { PATH: process.env.PATH, HOME: process.env.HOME };
    await this.pointAgent(configFile);
    const startedAt = Date.now();
    const args = [join(root, "packages/agent/dist/main.js"), "run", "--config", configFile];
    this.agent = startChild(process.execPath, args, { env, logFile: join(this.folder, "agent.log") });
    await until("the agent's connection", 30_000, async () => {
      this.host = await this.api.get<HostJson>(`/api/hosts/${this.host.id}`);
      // A host counts as online for 90 s: the demo that ended a moment ago must not answer for this one.
      return Date.parse(this.host.last_seen_at ?? "") >= startedAt;
    });
    say(
      `agent    ${this.host.name} is online (process ${this.agent.pid}, log ${this.shownFolder}/agent.log)`,
    );
    const init = await until("the repository's initialisation", 60_000, async () => {
      const { jobs } = await this.api.get<{ jobs: JobJson[] }>(`/api/hosts/${this.host.id}/jobs?kind=init`);
      return jobs.find((job) => !isLive(job));
    });
    if (init.status !== "succeeded")
      throw new Error(`the repository could not be made: ${init.error?.message}`);
  }

  /** The port may be another one than last time. */
  private async pointAgent(configFile: string): Promise<void> {
    const config = await readFile(configFile, "utf8");
    const pointed = config.replace(/^server: .*$/m, `server: ${this.credentials.url}`);
    await writeFile(configFile, pointed, { mode: 0o600 });
  }

  private async cancelJobs(): Promise<void> {
    const list = async () => (await this.api.get<{ jobs: JobJson[] }>("/api/jobs")).jobs.filter(isLive);
    for (const job of await list()) await this.api.post(`/api/jobs/${job.id}/cancel`);
    await until("cancelling", 10_000, async () => (await list()).length === 0);
  }

  private async choosePort(): Promise<number> {
    const { port, say } = this.settings;
    const wanted = port ?? 8080;
    if (await isFree(wanted)) return wanted;
    for (let next = wanted + 1; next < wanted + 100; next++) {
      if (!(await isFree(next))) continue;
      say(`port     ${wanted} is taken, so this demo uses ${next}; choose one with PORT=`);
      return next;
    }
    throw new Error(`no port between ${wanted} and ${wanted + 99} is free`);
  }

  private credentialsFile = (): string => join(this.folder, "credentials.json");

  private saveCredentials(): Promise<void> {
    return writeFile(this.credentialsFile(), `${JSON.stringify(this.credentials, null, 2)}\n`, {
      mode: 0o600,
    });
  }
}

function withoutPassword(databaseUrl: string): string {
  const { protocol, host, pathname } = new URL(databaseUrl);
  return `${protocol}//${host}${pathname}`;
}

const isLive = (job: JobJson): boolean => ["queued", "dispatched", "running"].includes(job.status);

/** Whether nobody listens there yet. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
