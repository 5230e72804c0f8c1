/**
 * A whole fleet in this program: the real server, real agents, real restic for every operation, and one repository for
 * all of them behind two real rest-servers on the same folder: the everyday one is append-only, the other may delete.
 *
 * Each host's restic is a script that gives a snapshot the time of the fleet's clock, does not wait for locks, and is
 * slow when it is told to, so that it can be killed at its work; then it becomes the real one.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getResticPath, runRestic } from "../../packages/agent/fixtures/restic/lab.ts";
import { type RestServer, startRestServer } from "../../packages/agent/fixtures/restic/rest-server.ts";
import { createLog } from "../../packages/agent/src/platform/log.ts";
import { systemRandom } from "../../packages/agent/src/platform/random.ts";
import { toolEnv } from "../../packages/agent/src/restic/env.ts";
import { type RunningAgent, startAgent } from "../../packages/agent/src/start.ts";
import { createQuickRepository } from "../../packages/testkit/src/quick-repository.ts";
import type { TestAnswer, TestClient } from "../../packages/testkit/src/server-client.ts";
import { startTestServer, type TestServer } from "../../packages/testkit/src/server-start.ts";
import { writeScript } from "../lab/host.ts";
import { agentProgram, createSecret } from "../lab/lab.ts";
import { endLeftovers, isRunning } from "../lab/leftovers.ts";
import { FleetClock } from "./fleet-clock.ts";

/** So long before something is due a leap ends, for the hosts to come back. */
const comeBackMs = 10_000;
/** While nobody runs anything, time goes so much between two looks. */
const stepMs = 1000;
/** Two heartbeats: who was heard since is connected. */
const heardLatelyMs = 50_000;
/** An agent dials again after up to a second. */
const comingBackStepMs = 20;
/** A session of the API does not last for ever. */
const sessionMs = 12 * 60 * 60_000;

export interface FleetJob {
  id: string;
  host_id: string;
  kind: string;
  status: string;
  source_group: string | null;
  planned_at: string | null;
  created_at: string;
  summary: { snapshot_id: string | null } | null;
  result: Record<string, unknown> | null;
  error: { code: string; message: string; last_lines: string[] } | null;
}

export interface FleetHost {
  id: string;
  name: string;
  folder: string;
  /** What it backs up. */
  sources: string;
}

/** What is looked at in the server's database. */
type Tables = {
  jobs: { id: string; kind: string; status: string; created_at: number };
  hosts: { last_seen_at: number | null };
  schedule_fires: { planned_at: number; covers_from: number; outcome: string };
  maintenance_fires: { operation: string; outcome: string };
};

interface Parts {
  clock: FleetClock;
  server: TestServer;
  folder: string;
  passwords: { repository: string; everyday: string; admin: string };
  /** The first may only add, the second may delete. */
  storages: { everyday: RestServer; admin: RestServer };
}

/** An empty fleet at that time. @param startMs epoch milliseconds */
export async function createFleet(startMs: number): Promise<Fleet> {
  const clock = new FleetClock(startMs);
  const folder = await mkdtemp(join(tmpdir(), "rm-fleet-"));
  const [repository, everyday, admin] = ["repository", "everyday", "admin"].map(createSecret);
  const passwords = { repository: repository ?? "", everyday: everyday ?? "", admin: admin ?? "" };
  const disk = join(folder, "disk");
  await createQuickRepository(join(disk, "fleet", "shared"), passwords.repository);
  const storages = {
    everyday: await startRestServer({
      folder: disk,
      users: { fleet: passwords.everyday },
      flags: ["--append-only"],
    }),
    admin: await startRestServer({ folder: disk, users: { fleet: passwords.admin } }),
  };
  const server = await startTestServer({ clock });
  return new Fleet({ clock, server, folder, passwords, storages });
}

export class Fleet {
  readonly clock: FleetClock;
  readonly server: TestServer;
  readonly folder: string;
  readonly hosts: FleetHost[] = [];
  private readonly parts: Parts;
  private readonly agents: RunningAgent[] = [];
  private session: { client: TestClient; untilMs: number } | null = null;

  constructor(parts: Parts) {
    this.parts = parts;
    this.clock = parts.clock;
    this.server = parts.server;
    this.folder = parts.folder;
  }

  async close(): Promise<void> {
    for (const agent of this.agents) await agent.stop();
    await endLeftovers(this.folder);
    await this.server.stop();
    await this.parts.storages.everyday.stop();
    await this.parts.storages.admin.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** The server's rows, as an operator's tool sees them. */
  get rows() {
    return this.server.db.withTables<Tables>();
  }

  /** The repository in its folder, as whoever has the disk sees it. */
  get repository(): string {
    return join(this.folder, "disk", "fleet", "shared");
  }

  /** A host with both credentials and a running agent; its first init has found the repository. */
  async addHost(name: string): Promise<FleetHost> {
    const { passwords, storages } = this.parts;
    const folder = join(this.folder, name);
    const sources = join(folder, "sources");
    await mkdir(sources, { recursive: true });
    const api = await this.api();
    const token = await api.post("/api/enrollment-tokens", {
      ...{ hostname: name, initial_paths: [sources], repo_url: storages.everyday.urlOf("fleet/shared") },
      ...{ repo_password: passwords.repository, repo_username: "fleet", rest_password: passwords.everyday },
    });
    const platform = { os: "linux", arch: "x64", agent_version: "0.1.0-test" };
    const enrolled = await this.server
      .anonymous()
      .post("/api/agents/enroll", { token: token.body.token, hostname: name, ...platform });
    const host = { id: String(enrolled.body.host_id), name, folder, sources };
    await this.startAgent(host, String(enrolled.body.bearer));
    this.hosts.push(host);
    await this.clock.until(
      "its first init",
      async () => (await this.jobs("&kind=init")).length === this.hosts.length,
    );
    const admin = {
      ...{ repo_url: storages.admin.urlOf("fleet/shared") },
      ...{ repo_username: "fleet", rest_password: passwords.admin },
    };
    expectStatus(200, await api.put(`/api/hosts/${host.id}/repo-credentials/admin`, admin));
    await this.untilIdle();
    return host;
  }

  private async startAgent(host: FleetHost, bearer: string): Promise<void> {
    const config = {
      ...{ server: this.server.url, host_id: host.id, bearer, cert_pin: null, ca_file: null },
      secrets_key: Buffer.alloc(32, this.agents.length + 1).toString("base64"),
      ...{ data_dir: join(host.folder, "data"), restic_path: await writeRestic(host.folder) },
      ...{ allow_hooks: false, log_level: "info" as const },
    };
    const agent = await startAgent(config, {
      ...{ clock: this.clock.ofAgents, random: systemRandom() },
      // The built one starts twice as fast as its source, and there are hundreds.
      runnerCommand: { file: process.execPath, args: [agentProgram, "runner"] },
      machine: { hostname: host.name, os: "linux", arch: "x64", machineId: host.name, bootId: null },
      createLog: (redact) => createLog({ level: "silent", redact }),
      ...{ executablePath: process.execPath, env: { PATH: process.env.PATH }, platform: process.platform },
    });
    this.agents.push(agent);
  }

  /** An operator's API, signed in anew when the last session is old. */
  async api(): Promise<TestClient> {
    if (this.session === null || this.clock.now() > this.session.untilMs)
      this.session = { client: await this.server.signIn("operator"), untilMs: this.clock.now() + sessionMs };
    return this.session.client;
  }

  /** @throws Error with the answer when it is not 200 */
  async get<T>(path: string): Promise<T> {
    const answer = await (await this.api()).get(path);
    return expectStatus(200, answer).body as T;
  }

  /** Asks for a job now, as an operator does, and waits for its end. */
  async runNow(host: FleetHost, request: Record<string, unknown>): Promise<FleetJob> {
    const answer = await (await this.api()).post(`/api/hosts/${host.id}/jobs`, request);
    const { job_id: id } = expectStatus(202, answer).body;
    await this.untilIdle();
    return this.get<FleetJob>(`/api/jobs/${String(id)}`);
  }

  /** Every job there ever was, the newest first. */
  async jobs(filter = ""): Promise<FleetJob[]> {
    const all: FleetJob[] = [];
    for (let page = 1; ; page++) {
      const { jobs, total } = await this.get<{ jobs: FleetJob[]; total: number }>(
        `/api/jobs?page=${page}${filter}`,
      );
      all.push(...jobs);
      if (all.length >= total || jobs.length === 0) return all;
    }
  }

  /** Leaps to shortly before something is due, brings everybody back, and lets time pass until it has begun. */
  async passTo(dueMs: number, what: string, begun: () => Promise<boolean>): Promise<void> {
    const sinceMs = Math.max(dueMs - comeBackMs, this.clock.now() - heardLatelyMs);
    await this.clock.leapTo(dueMs - comeBackMs);
    await this.clock.until("all hosts are back", () => this.allBack(sinceMs), comingBackStepMs);
    await this.clock.until(what, begun, stepMs);
  }

  /** As `passTo`, until what has begun has ended. @returns the jobs that it made, in their order */
  async pass(dueMs: number, kind: string, count: number): Promise<FleetJob[]> {
    const sinceMs = this.clock.now();
    const made = async () => {
      const rows = this.rows.selectFrom("jobs").select("id").where("kind", "=", kind);
      return (await rows.where("created_at", ">=", sinceMs).execute()).map(({ id }) => id);
    };
    await this.passTo(dueMs, `${count} × ${kind}`, async () => (await made()).length >= count);
    await this.untilIdle();
    return Promise.all((await made()).sort().map((id) => this.get<FleetJob>(`/api/jobs/${id}`)));
  }

  /** Nothing is queued or runs, and no agent reads a list or figures that it tells after its job. */
  async untilIdle(): Promise<void> {
    let quiet = 0;
    await this.clock.until("all jobs have ended", async () => {
      const isQuiet = (await this.countUnfinished()) === 0 && (await this.countShort()) === 0;
      quiet = isQuiet ? quiet + 1 : 0;
      return quiet > 2;
    });
  }

  private async countShort(): Promise<number> {
    const names = await Promise.all(this.hosts.map(({ folder }) => readdir(join(folder, "data", "work"))));
    return names.flat().length;
  }

  async countUnfinished(): Promise<number> {
    const live = ["queued", "dispatched", "running"];
    const rows = await this.rows.selectFrom("jobs").select("id").where("status", "in", live).execute();
    return rows.length;
  }

  private async allBack(sinceMs: number): Promise<boolean> {
    const hosts = await this.rows.selectFrom("hosts").select("last_seen_at").execute();
    return hosts.every(({ last_seen_at: at }) => Number(at ?? 0) >= sinceMs);
  }

  /** The time that its next snapshots get, in restic's spelling. */
  async setSnapshotTime(atMs: number): Promise<void> {
    const text = new Date(atMs).toISOString().slice(0, 19).replace("T", " ");
    for (const { folder } of this.hosts) await writeFile(join(folder, "time"), `${text}\n`);
  }

  /** From now on the storage gives this host's restic a few bytes a second, or all again. */
  async setSlow(host: FleetHost, isSlow: boolean): Promise<void> {
    const file = join(host.folder, "slow");
    await (isSlow ? writeFile(file, "") : rm(file, { force: true }));
  }

  /** Kills this host's restic and whatever it started, as soon as `when` holds. The runner stays and tells. */
  async killRestic(host: FleetHost, when: () => Promise<boolean>): Promise<void> {
    let pids: number[] = [];
    await this.clock.until("restic at its work", async () => {
      pids = (await when()) ? await this.listRunning(host) : [];
      return pids.length > 0;
    });
    // Each has a session of its own: its group is restic and what it started.
    for (const pid of pids) process.kill(-pid, "SIGKILL");
  }

  private async listRunning(host: FleetHost): Promise<number[]> {
    const jobs = join(host.folder, "data", "jobs");
    // A job that ends at this moment takes its folder away: the next look finds what is left.
    const names: string[] = await readdir(jobs, { recursive: true }).catch(() => []);
    const records = names.filter((path) => path.endsWith("runner.json"));
    const texts = await Promise.all(
      records.map((path) => readFile(join(jobs, path), "utf8").catch(() => "{}")),
    );
    const pids = texts.flatMap(
      (text) => (JSON.parse(text) as { restic?: { pid: number } }).restic?.pid ?? [],
    );
    const running = await Promise.all(pids.map(isRunning));
    return pids.filter((_, index) => running[index]);
  }

  /** Files in one folder of the repository. */
  async listFiles(name: "locks" | "data" | "snapshots"): Promise<string[]> {
    const entries = await readdir(join(this.repository, name), { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
  }

  /** Plain restic on the repository's folder, without us. @returns stdout; rejects when restic fails */
  restic(...args: string[]): Promise<string> {
    const env = {
      ...toolEnv({ PATH: process.env.PATH }, process.platform),
      ...{ RESTIC_REPOSITORY: this.repository, RESTIC_PASSWORD: this.parts.passwords.repository },
      RESTIC_CACHE_DIR: join(this.folder, "plain-cache"),
    };
    return runRestic(args, env);
  }
}

/** @returns the answer when it has this status */
export function expectStatus(status: number, answer: TestAnswer): TestAnswer {
  if (answer.status !== status) throw new Error(`${answer.status} instead of ${status}: ${answer.text}`);
  return answer;
}

/** See the head of this file. */
async function writeRestic(folder: string): Promise<string> {
  const [time, slow] = [join(folder, "time"), join(folder, "slow")];
  return writeScript(
    join(folder, "restic-of-host"),
    `for word in "$@"; do
  case "$word" in 10m|30m) word=1s;; esac
  set -- "$@" "$word"
  shift
done
command=$1
if [ "$command" = backup ]; then
  shift
  read -r time < '${time}'
  set -- backup --time "$time" "$@"
fi
if [ -e '${slow}' ]; then
  case "$command" in backup|prune) set -- --limit-upload 1 "$@";; esac
fi
exec '${getResticPath()}' "$@"`,
  );
}
