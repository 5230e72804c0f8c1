/**
 * Does with an agent what systemd does under our unit: the guard before every start, `Type=notify` with a limit for the
 * start, and another start whenever it ends. What it is told comes through a `systemd-notify` of its own.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export interface SupervisorWishes {
  readonly program: string;
  readonly configFile: string;
  /** For what it writes down. */
  readonly folder: string;
  readonly env: Readonly<{ PATH: string; HOME: string }>;
  /** `TimeoutStartSec`: 90 s in our unit, which no test has. */
  readonly startLimitMs: number;
  /** Gets everything that the agent and its guard say. */
  readonly onOutput: (text: string) => void;
}

/** The host's agent has come to an end that its unit does not restart. */
const removedCode = 3;
const restartMs = 50;

export class Supervisor {
  readonly #wishes: SupervisorWishes;
  readonly #stopping = new AbortController();
  /** Exit codes and signals of the agent, one for each start that is over. */
  readonly ends: (number | string | null)[] = [];
  #agent: ChildProcess | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(wishes: SupervisorWishes) {
    this.#wishes = wishes;
  }

  async start(): Promise<void> {
    const notifier = join(this.#wishes.folder, "bin", "systemd-notify");
    await mkdir(dirname(notifier), { recursive: true });
    await writeFile(notifier, `#!/bin/sh\necho "$*" >> '${this.#notified}'\n`);
    await chmod(notifier, 0o755);
    this.#running = this.#superviseAll();
  }

  /** Ends the agent as `systemctl restart` does; it comes back. */
  restart(): void {
    this.#agent?.kill("SIGTERM");
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#agent?.kill("SIGKILL");
    await this.#running;
  }

  get #notified(): string {
    return join(this.#wishes.folder, "notified");
  }

  async #superviseAll(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await this.#guard();
      if (this.#stopping.signal.aborted || (await this.#runOnce()) === removedCode) return;
      await sleep(restartMs);
    }
  }

  /** `ExecStartPre=-…`: neither its absence nor its failure keeps the agent from starting. */
  async #guard(): Promise<void> {
    const { program, onOutput } = this.#wishes;
    const previous = `${program}.previous`;
    if (!existsSync(previous)) return;
    await new Promise<void>((resolve) => {
      execFile(previous, ["update-guard"], { timeout: 20_000 }, (_error, stdout, stderr) => {
        onOutput(stdout + stderr);
        resolve();
      });
    });
  }

  async #runOnce(): Promise<number | string | null> {
    const { program, configFile, env, onOutput, startLimitMs } = this.#wishes;
    await rm(this.#notified, { force: true });
    const path = `${dirname(this.#notified)}/bin:${env.PATH}`;
    const agent = spawn(program, ["run", "--config", configFile], {
      env: { ...env, PATH: path, NOTIFY_SOCKET: "/run/systemd/notify" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#agent = agent;
    for (const stream of [agent.stdout, agent.stderr]) stream.setEncoding("utf8").on("data", onOutput);
    const ended = once(agent, "exit") as Promise<[number | null, string | null]>;
    const over = new AbortController();
    void this.#limitStart(agent, startLimitMs, over.signal);
    const [code, signal] = await ended;
    over.abort();
    this.ends.push(signal ?? code);
    return code;
  }

  async #limitStart(agent: ChildProcess, limitMs: number, over: AbortSignal): Promise<void> {
    await sleep(limitMs, undefined, { signal: over }).catch(() => undefined);
    if (over.aborted) return;
    const said = await readFile(this.#notified, "utf8").catch(() => "");
    if (!said.includes("READY=1")) agent.kill("SIGKILL");
  }
}
