/**
 * The only importer of node:child_process, and the only place that sends signals or reads another program's
 * identity. Invariant: output of a child goes to files or nowhere, never to a pipe: a program whose reader
 * goes away dies of SIGPIPE, and restic then leaves its lock behind. The one exception, `spawnPiped`, is for commands
 * that hold no lock.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename, win32 } from "node:path";
import type { Readable } from "node:stream";
import { readProgramPath, readStartTime } from "./windows/running-program.ts";

export type Command = { file: string; args: readonly string[] };

export type SpawnOptions = {
  command: Command;
  /** The complete environment: nothing is inherited. */
  env: Readonly<Record<string, string>>;
  cwd: string;
  /** Files to append to (created 0600); absent = thrown away. */
  stdoutPath?: string;
  stderrPath?: string;
  /** True: this program waits for the child, its event loop does not end before. Default false. */
  keepsAlive?: boolean;
};

export type ChildEnd = { code: number | null; signal: string | null };

export type Child = {
  pid: number;
  /** Resolves once, when the child has ended. Never rejects. */
  ended: Promise<ChildEnd>;
};

/** Who a pid was when we saw it. A pid alone is no identity: numbers are reused, certainly after a reboot. */
export type PidIdentity = {
  pid: number;
  /** Field 22 of /proc/PID/stat, or when it began by Windows' count; null where neither is told. */
  startTicks: string | null;
  /** The kernel's boot id; null where there is no /proc. */
  bootId: string | null;
};

/**
 * Starts a program in a session and process group of its own, so that no signal meant for us reaches it.
 * stdin is the null device. Rejects with the system's error when the program cannot be started.
 */
export async function spawnOwnSession(options: SpawnOptions): Promise<Child> {
  const opened: number[] = [];
  const target = (path: string | undefined): number | "ignore" => {
    if (path === undefined) return "ignore";
    const descriptor = openSync(path, "a", 0o600);
    opened.push(descriptor);
    return descriptor;
  };
  try {
    const child = spawn(options.command.file, [...options.command.args], {
      cwd: options.cwd,
      env: { ...options.env },
      detached: true,
      windowsHide: true,
      stdio: ["ignore", target(options.stdoutPath), target(options.stderrPath)],
    });
    return await started(child, options.keepsAlive ?? false);
  } finally {
    for (const descriptor of opened) closeSync(descriptor);
  }
}

/**
 * As `spawnOwnSession`, with stdout to be read by us. Only for what takes no lock and writes nothing, so that dying of
 * SIGPIPE harms nobody. Then a pipe is better than a file: whoever reads slowly makes the program wait, and gigabytes
 * never touch the disk.
 */
export async function spawnPiped(
  options: Omit<SpawnOptions, "stdoutPath" | "keepsAlive"> & { stderrPath: string },
): Promise<Child & { stdout: Readable }> {
  const stderr = openSync(options.stderrPath, "a", 0o600);
  try {
    const child = spawn(options.command.file, [...options.command.args], {
      cwd: options.cwd,
      env: { ...options.env },
      detached: true,
      windowsHide: true,
      stdio: ["ignore", "pipe", stderr],
    });
    const { stdout } = child;
    if (stdout === null) throw new Error("a pipe was asked for and none was made");
    return { ...(await started(child, true)), stdout };
  } finally {
    closeSync(stderr);
  }
}

function started(child: ChildProcess, keepsAlive: boolean): Promise<Child> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("spawn", () => {
      const ended = new Promise<ChildEnd>((done) => {
        child.once("exit", (code, signal) => done({ code, signal }));
      });
      if (!keepsAlive) child.unref();
      resolve({ pid: child.pid ?? 0, ended });
    });
  });
}

/**
 * The same command with core dumps switched off. Limits are inherited, so one wrapper covers the runner and
 * restic: a core image would hold the passwords of their environments. `exec` keeps the pid.
 */
export function withoutCoreDumps(command: Command): Command {
  if (process.platform === "win32") return command;
  return { file: "/bin/sh", args: ["-c", 'ulimit -c 0; exec "$0" "$@"', command.file, ...command.args] };
}

/** Every byte in octal is what all shells' printf know, and the letter keeps newlines at the end from being dropped. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: the braces are the shell's
const RAW_ARGUMENT = 'raw=$(printf "%b" "$0"; printf x); exec "$@" "${raw%x}"';

/**
 * The same command with one argument more, of bytes that need not be UTF-8: Node's own arguments are text.
 * @throws RangeError on Windows, where arguments are text
 */
export function withRawArgument(command: Command, argument: Uint8Array): Command {
  if (process.platform === "win32") throw new RangeError("Windows has no arguments of raw bytes");
  const octal = [...argument].map((byte) => `\\0${byte.toString(8).padStart(3, "0")}`).join("");
  return { file: "/bin/sh", args: ["-c", RAW_ARGUMENT, octal, command.file, ...command.args] };
}

/** The identity of a living pid, or undefined when nothing (or only a zombie) has that number. */
export function identifyPid(pid: number): PidIdentity | undefined {
  if (process.platform === "win32") {
    const startTicks = readStartTime(pid);
    return startTicks === undefined ? undefined : { pid, startTicks, bootId: null };
  }
  if (process.platform !== "linux") {
    return respondsToSignals(pid) ? { pid, startTicks: null, bootId: null } : undefined;
  }
  const stat = readStat(pid);
  if (stat === undefined || stat.state === "Z" || stat.state === "X") return undefined;
  return { pid, startTicks: stat.startTicks, bootId: readBootId() };
}

/** The file name of the program that a living pid runs; null where that can't be told. */
export function findProgramName(pid: number): string | null {
  if (process.platform === "win32") {
    const path = readProgramPath(pid);
    return path === undefined ? null : win32.basename(path);
  }
  try {
    // A program whose file was replaced since has this mark behind its name.
    return basename(readlinkSync(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, ""));
  } catch {
    return readCommandName(pid);
  }
}

/** What a program calls itself, in 15 characters; of another user's program nothing more is told. */
function readCommandName(pid: number): string | null {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return null;
  }
}

/** True while exactly that program still runs: same number, same start, same boot. */
export function isAlive(identity: PidIdentity): boolean {
  const now = identifyPid(identity.pid);
  return now !== undefined && now.startTicks === identity.startTicks && now.bootId === identity.bootId;
}

/** Asks a process group to end (SIGTERM). Windows has no such request: the tree is ended at once. */
export async function terminateGroup(identity: PidIdentity): Promise<void> {
  if (!isAlive(identity)) return;
  if (process.platform === "win32") await taskkill(identity.pid);
  else sendSignal(-identity.pid, "SIGTERM");
}

/**
 * Ends a program and everything it started, at once. By session, not only by group: restic moves the programs
 * of its backends (rclone, ssh) into groups of their own, but nobody leaves the session by accident.
 */
export async function killTree(identity: PidIdentity): Promise<void> {
  if (process.platform === "win32") {
    // By now the number may be somebody else's, and of a program that is gone Windows finds no tree any more.
    if (isAlive(identity)) await taskkill(identity.pid);
    return;
  }
  // Of another boot nothing is left, and its numbers are somebody else's.
  if (identity.bootId !== null && identity.bootId !== readBootId()) return;
  const now = identifyPid(identity.pid);
  // The number belongs to somebody else by now. (It cannot, while a member of our session is left.)
  if (now !== undefined && now.startTicks !== identity.startTicks) return;
  sendSignal(-identity.pid, "SIGKILL");
  for (const pid of sessionMembers(identity.pid)) sendSignal(pid, "SIGKILL");
}

type Stat = { state: string; sessionId: number; startTicks: string };

function readStat(pid: number): Stat | undefined {
  let line: string;
  try {
    line = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  // The second field is the program's name in parentheses and may hold spaces and parentheses itself.
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "X", sessionId: Number(fields[3]), startTicks: fields[19] ?? "" };
}

function readBootId(): string | null {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return null;
  }
}

function sessionMembers(sessionId: number): number[] {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => readStat(pid)?.sessionId === sessionId);
}

function respondsToSignals(pid: number): boolean {
  return sendSignal(pid, 0);
}

/** False when nobody is there any more: for every caller that is the state it wanted. */
function sendSignal(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

async function taskkill(pid: number): Promise<void> {
  const root = process.env.SystemRoot ?? "C:\\Windows";
  const system = win32.join(root, "System32");
  const { ended } = await spawnOwnSession({
    command: { file: win32.join(system, "taskkill.exe"), args: ["/T", "/F", "/PID", String(pid)] },
    env: { SystemRoot: root, PATH: system },
    cwd: system,
  });
  await ended;
}
