/** A Windows under Wine with the agent's executable in its place, run and asked as an administrator would. */
import { spawn } from "node:child_process";
import { closeSync, copyFileSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { makeWindows } from "../../tools/test-windows/wine.ts";

/** Node starts in a second under Wine; a service is waited for by the agent itself. */
const commandTimeoutMs = 60_000;

export interface Answer {
  code: number | null;
  text: string;
}

/** Set by `make test-windows`. */
export function fromEnvironment(
  name: "RM_WINE" | "RM_WINDOWS_AGENT" | "RM_WINDOWS_RMCTL" | "RM_WINDOWS_RESTIC",
): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: run make test-windows`);
  return value;
}

const programFolder = "C:\\Program Files\\restic-manager";

export class WindowsHost {
  /** As this machine sees it. */
  readonly driveC: string;
  private readonly name: string;
  private readonly wine = fromEnvironment("RM_WINE");
  private readonly outputs: string;

  constructor(name: string, outputs: string) {
    this.name = `${name}-${process.pid}`;
    this.outputs = outputs;
    this.driveC = makeWindows(this.wine, this.name);
    const folder = this.path("Program Files/restic-manager");
    mkdirSync(folder, { recursive: true });
    copyFileSync(fromEnvironment("RM_WINDOWS_AGENT"), join(folder, "restic-manager-agent.exe"));
    copyFileSync(fromEnvironment("RM_WINDOWS_RMCTL"), join(folder, "rmctl.exe"));
    copyFileSync(fromEnvironment("RM_WINDOWS_RESTIC"), join(folder, "restic.exe"));
  }

  path(below: string): string {
    return join(this.driveC, below);
  }

  read(below: string): string {
    return existsSync(this.path(below)) ? readFileSync(this.path(below), "utf8") : "";
  }

  /** Runs the agent's program to its end. Output goes to files: Node can't write to Wine's pipes. */
  agent(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.run([`${programFolder}\\restic-manager-agent.exe`, ...args], environment);
  }

  rmctl(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.run([`${programFolder}\\rmctl.exe`, ...args], environment);
  }

  run(command: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const file = join(this.outputs, `answer-${process.hrtime.bigint()}`);
    const output = openSync(file, "a");
    return new Promise((resolve, reject) => {
      const child = spawn(join(this.wine, "launcher"), [this.name, "wine64", ...command], {
        stdio: ["ignore", output, output],
        env: { PATH: process.env.PATH, HOME: "/tmp", ...environment },
        timeout: commandTimeoutMs,
        killSignal: "SIGKILL",
      });
      closeSync(output);
      child.once("error", reject);
      child.once("exit", (code) => resolve({ code, text: withoutWine(readFileSync(file, "utf8")) }));
    });
  }

  /** Ends everything of this Windows and removes it. */
  async close(): Promise<void> {
    const launcher = join(this.wine, "launcher");
    await new Promise((done) =>
      spawn(launcher, [this.name, "wineserver64", "-k"], { stdio: "ignore" }).once("exit", done),
    );
    rmSync(join(this.driveC, ".."), { recursive: true, force: true });
  }
}

/** Wine speaks of fonts on the same stream. */
function withoutWine(text: string): string {
  return text.replace(/Wine cannot find the FreeType[\s\S]*?freetype\.org\n/g, "").trim();
}
