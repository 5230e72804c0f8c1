/**
 * A host whose agent is an executable under a supervisor, on a server that serves releases of this checkout. For tests of
 * the agent's own update.
 */
import { existsSync } from "node:fs";
import { copyFile, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { DurableEvent, JobSpec, LogLine } from "@restic-manager/protocol";
import { type AgentLab, createAgentLab, homeOf, JOB } from "../../packages/agent/fixtures/agent/lab.ts";
import {
  nameOf,
  type ReleaseLab,
  serve,
  signRelease,
  updateTo,
} from "../../packages/agent/fixtures/update/release.ts";
import { saveConfig } from "../../packages/agent/src/config.ts";
import { quickBuild } from "../../tools/package/quick.ts";
import { openSigningKey } from "../../tools/package/signing.ts";
import { Supervisor } from "./supervisor.ts";

/** The version that hosts of these tests are updated to. */
export const nextVersion = "9.0.0";

type JobEnd = Extract<DurableEvent, { type: "job.finished" }>;

export class UpdatingHost {
  readonly lab: AgentLab;
  readonly program: string;
  /** The executable of this checkout. */
  readonly running: string;
  #supervisor: Supervisor | undefined;

  private constructor(lab: AgentLab, running: string) {
    this.lab = lab;
    this.running = running;
    this.program = join(lab.dir, "restic-manager-agent");
  }

  static async create(): Promise<UpdatingHost> {
    const running = await quickBuild("restic-manager-agent");
    const host = new UpdatingHost(await createAgentLab(), running);
    await copyFile(running, host.program);
    await saveConfig(host.configFile, host.lab.config);
    return host;
  }

  get configFile(): string {
    return join(this.lab.dir, "agent.yaml");
  }

  /**
   * Starts the agent and waits for its hello. `startLimitMs` is 90 s in our unit; a machine with other work may need most
   * of it for a good version, too.
   */
  async start(startLimitMs = 60_000): Promise<Supervisor> {
    const { lab, program, configFile } = this;
    const supervisor = new Supervisor({
      ...{ program, configFile, folder: join(lab.dir, "supervisor"), startLimitMs },
      env: { PATH: process.env.PATH ?? "", HOME: homeOf(lab) },
      onOutput: (text) => lab.logLines.push(text),
    });
    this.#supervisor = supervisor;
    await supervisor.start();
    await lab.server.until(() => lab.server.hellos.length > 0, "hello");
    return supervisor;
  }

  /** The server has a release whose agent of the next version is `data`. */
  offer(data: Buffer): ReleaseLab {
    const key = openSigningKey(resolve(import.meta.dirname, "../.."), process.env);
    const files = { [nameOf("restic-manager-agent", nextVersion)]: data };
    const release = signRelease(files, (sums) => key.sign(Buffer.from(sums)));
    this.lab.server.onHttp = serve(release).answer;
    return release;
  }

  send(spec: JobSpec, jobId = JOB): void {
    this.lab.server.send({ type: "command.run", job_id: jobId, attempt: 1, spec });
  }

  /** Sends the update to what is offered and waits for its end. */
  async update(data: Buffer, limitMs = 60_000): Promise<JobEnd | undefined> {
    this.send(updateTo(this.offer(data), nextVersion));
    await this.lab.server.until(() => this.ends().length > 0, "the end of the update", limitMs);
    return this.ends()[0];
  }

  ends(): JobEnd[] {
    return this.lab.server.committed.filter((event) => event.type === "job.finished");
  }

  linesOf(jobId: string): LogLine[] {
    return this.lab.server.committed.flatMap((event) =>
      event.type === "log.stream" && event.job_id === jobId ? event.lines : [],
    );
  }

  /** The versions that have said hello, in their order. */
  versions(): string[] {
    return [...new Set(this.lab.server.hellos.map((hello) => hello.agent_version))];
  }

  /** The old program lies in place as it was, without anything of an update that the guard would look at. */
  async isOldAgain(): Promise<boolean> {
    const [is, was] = await Promise.all([readFile(this.program), readFile(this.running)]);
    return is.equals(was) && !existsSync(`${this.program}.previous`);
  }

  async remove(): Promise<void> {
    await this.#supervisor?.stop();
    await this.lab.remove();
  }
}
