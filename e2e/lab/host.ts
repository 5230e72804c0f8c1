/** One host of a laboratory: its enrolment, its agent program and its jobs, as the API shows them. */
import { execFile } from "node:child_process";
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { createQuickRepository } from "../../packages/testkit/src/quick-repository.ts";
import { type Child, startChild, until } from "../../tools/demo/children.ts";
import { agentProgram, createSecret, killAtOnce, type Lab, plainEnvironment } from "./lab.ts";

const run = promisify(execFile);

export interface JobJson {
  id: string;
  kind: string;
  status: string;
  exit_code: number | null;
  log_lines: number | null;
  created_at: string;
  finished_at: string | null;
  progress: { bytes_done: number } | null;
  summary: {
    snapshot_id: string | null;
    total_files: number;
    total_bytes: number;
    duration_ms: number;
  } | null;
  error: { code: string; message: string; last_lines: string[] } | null;
}

export interface LineJson {
  n: number;
  at: string;
  level: string;
  text: string;
}

export interface HostWishes {
  name: string;
  paths: string[];
  /** restic's location; a folder of the laboratory when left out. */
  repository?: string;
  /** Of a repository that is there already; a new one when left out. */
  password?: string;
  restUser?: { name: string; password: string };
  /** What the agent takes for restic; the real one when left out. */
  resticPath?: string;
  /** Its repository is there already, with a key that is cheap to derive: for stories with many calls of restic. */
  isQuick?: boolean;
  /** The agent as an executable; the built files that Node runs when left out. */
  executable?: string;
  /** By which address and whose authority it reaches the server; directly when left out. */
  way?: { server: string; caFile: string };
  /** False for a host whose first job is not expected to succeed. */
  awaitsInit?: boolean;
}

const live = ["queued", "dispatched", "running"];

export class LabHost {
  readonly name: string;
  readonly password: string;
  readonly repository: string;
  readonly folder: string;
  id = "";
  agent: Child | null = null;
  private readonly lab: Lab;
  private readonly wishes: HostWishes;

  constructor(lab: Lab, wishes: HostWishes) {
    this.lab = lab;
    this.wishes = wishes;
    this.name = wishes.name;
    this.password = wishes.password ?? createSecret("repo");
    this.folder = join(lab.folder, `host-${wishes.name}`);
    this.repository = wishes.repository ?? join(lab.folder, `repository-${wishes.name}`);
  }

  /** Token, enrolment, agent, first connection and, unless told otherwise, a repository. */
  static async add(lab: Lab, wishes: HostWishes): Promise<LabHost> {
    const host = new LabHost(lab, wishes);
    if (wishes.isQuick) await createQuickRepository(host.repository, host.password);
    await host.enrol();
    await host.startAgent();
    if (wishes.awaitsInit === false) return host;
    const init = await host.initJob();
    if (init.status !== "succeeded") throw new Error(`init ${init.status}: ${init.error?.message}`);
    return host;
  }

  async createToken(): Promise<string> {
    const { restUser } = this.wishes;
    const rest = restUser ? { repo_username: restUser.name, rest_password: restUser.password } : {};
    const { token } = await this.lab.api.post<{ token: string }>("/api/enrollment-tokens", {
      hostname: this.name,
      repo_url: this.repository,
      repo_password: this.password,
      initial_paths: this.wishes.paths,
      ...rest,
    });
    return token;
  }

  async enrol(): Promise<void> {
    const token = await this.createToken();
    await mkdir(this.folder, { recursive: true });
    const { way } = this.wishes;
    const ca = way === undefined ? {} : { RM_CA_FILE: way.caFile };
    const env = { ...plainEnvironment(), RM_TOKEN: token, RM_SERVER: way?.server ?? this.lab.url, ...ca };
    const { file, args } = this.agentCommand(["enrol", ...this.enrolOptions()]);
    await run(file, args, { env });
    const { hosts } = await this.lab.api.get<{ hosts: { id: string; name: string }[] }>("/api/hosts");
    this.id = hosts.find((host) => host.name === this.name)?.id ?? "";
  }

  agentCommand(args: string[]): { file: string; args: string[] } {
    const { executable } = this.wishes;
    return executable === undefined
      ? { file: process.execPath, args: [agentProgram, ...args] }
      : { file: executable, args };
  }

  /** Where this host's agent keeps its files, and its restic. */
  enrolOptions(): string[] {
    const restic = this.wishes.resticPath ?? this.lab.resticPath;
    return ["--config", this.configFile, "--data-dir", this.dataFolder, "--restic", restic];
  }

  get configFile(): string {
    return join(this.folder, "agent.yaml");
  }

  get dataFolder(): string {
    return join(this.folder, "data");
  }

  get agentLog(): string {
    return join(this.folder, "agent.log");
  }

  async startAgent(): Promise<void> {
    const { file, args } = this.agentCommand(["run", "--config", this.configFile]);
    this.agent = this.lab.keep(startChild(file, args, { env: plainEnvironment(), logFile: this.agentLog }));
    await this.untilOnline();
  }

  async untilOnline(): Promise<void> {
    await until("the agent's connection", 30_000, async () => {
      if (this.id === "") return true;
      const host = await this.lab.api.get<{ online: boolean }>(`/api/hosts/${this.id}`);
      return host.online;
    });
  }

  async killAgent(): Promise<void> {
    await killAtOnce(this.agent);
  }

  async initJob(): Promise<JobJson> {
    return until("the first init", 60_000, async () => {
      const { jobs } = await this.lab.api.get<{ jobs: JobJson[] }>(`/api/hosts/${this.id}/jobs?kind=init`);
      return jobs.find((job) => !live.includes(job.status));
    });
  }

  async startBackup(): Promise<string> {
    const path = `/api/hosts/${this.id}/jobs`;
    return (await this.lab.api.post<{ job_id: string }>(path, { kind: "backup" })).job_id;
  }

  job = (jobId: string): Promise<JobJson> => this.lab.api.get<JobJson>(`/api/jobs/${jobId}`);

  /** The job once it is finished. */
  async finished(jobId: string, limitMs = 60_000): Promise<JobJson> {
    return until(`job ${jobId}`, limitMs, async () => {
      const job = await this.job(jobId);
      return live.includes(job.status) ? null : job;
    });
  }

  async backUp(limitMs?: number): Promise<JobJson> {
    return this.finished(await this.startBackup(), limitMs);
  }

  /** Every line of a job's log, as the download gives it. */
  async log(jobId: string): Promise<LineJson[]> {
    const text = await this.lab.api.getText(`/api/jobs/${jobId}/log.ndjson`);
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as LineJson);
  }

  async editRepository(edit: Record<string, string>): Promise<void> {
    await this.lab.api.put(`/api/hosts/${this.id}/repo-credentials`, edit);
  }

  /** restic's process and output of a job that runs now. */
  async findRun(jobId: string): Promise<{ resticPid: number; stderrPath: string }> {
    return until("restic's start", 20_000, async () => {
      const folder = join(this.dataFolder, "jobs", jobId);
      const text = await readFile(join(folder, "runner.json"), "utf8").catch(() => "");
      if (text === "") return null;
      const { restic } = JSON.parse(text) as { restic: { pid: number } | null };
      return restic && { resticPid: restic.pid, stderrPath: join(folder, "stderr") };
    });
  }

  /** Plain restic on this host's repository, with the password by the environment. @returns stdout */
  async restic(...args: string[]): Promise<string> {
    const { restUser } = this.wishes;
    const rest = restUser && {
      RESTIC_REST_USERNAME: restUser.name,
      RESTIC_REST_PASSWORD: restUser.password,
    };
    const env = {
      ...plainEnvironment(),
      ...rest,
      RESTIC_REPOSITORY: this.repository,
      RESTIC_PASSWORD: this.password,
      RESTIC_CACHE_DIR: await this.lab.makeFolder("plain-cache"),
    };
    return (await run(this.lab.resticPath, args, { env, maxBuffer: 64 * 1024 * 1024 })).stdout;
  }
}

/** A program that stands in for restic at its path; `script` is the shell text after the first line. */
export async function writeScript(path: string, script: string): Promise<string> {
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return path;
}

/** Waits until a file has at least so many bytes. */
export async function untilFileHolds(path: string, text: string): Promise<void> {
  await until(`"${text}" in ${path}`, 60_000, async () => {
    const size = await stat(path).catch(() => null);
    return size !== null && (await readFile(path, "utf8")).includes(text);
  });
}
