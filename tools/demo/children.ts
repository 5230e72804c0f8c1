/**
 * The programs that the demo starts. Each gets a process group of its own, so that Ctrl-C reaches the demo alone
 * and the demo decides in which order the others end.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createReadStream, openSync } from "node:fs";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

export const run = promisify(execFile);

export interface Child {
  readonly pid: number;
  /** Resolves with the exit code, or null after a signal. */
  readonly exited: Promise<number | null>;
  stop(withinMs: number): Promise<void>;
}

/** Starts a program whose output goes to a file, appended. */
export function startChild(
  command: string,
  args: string[],
  options: { env: NodeJS.ProcessEnv; logFile: string },
): Child {
  const log = openSync(options.logFile, "a", 0o600);
  const child = spawn(command, args, { env: options.env, stdio: ["ignore", log, log], detached: true });
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once("exit", resolve);
    child.once("error", reject);
  });
  return { pid: child.pid ?? 0, exited, stop: (withinMs) => stopChild(child, exited, withinMs) };
}

async function stopChild(
  child: ChildProcess,
  exited: Promise<number | null>,
  withinMs: number,
): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGTERM");
  const kill = setTimeout(() => child.kill("SIGKILL"), withinMs);
  await exited.catch(() => null);
  clearTimeout(kill);
}

/** The last line of a log of JSON lines that has the field, since `fromByte`. */
export async function findLogged(
  logFile: string,
  fromByte: number,
  field: string,
): Promise<string | undefined> {
  let found: string | undefined;
  for await (const line of createInterface({ input: createReadStream(logFile, { start: fromByte }) })) {
    try {
      const value = (JSON.parse(line) as Record<string, unknown>)[field];
      if (typeof value === "string") found = value;
    } catch {
      // Not every line of a log is JSON: a crash is printed as text.
    }
  }
  return found;
}

/** Asks again until there is an answer. @throws Error with `what` when there is none in time */
export async function until<T>(
  what: string,
  limitMs: number,
  ask: () => Promise<T | undefined | null | false>,
): Promise<T> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`${what} took longer than ${Math.round(limitMs / 1000)} s`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
