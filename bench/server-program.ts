/**
 * The built server (and the bare hub beside it) as a child program in a folder of its own, so that its memory and
 * CPU time are its alone and it can be killed like a real one. Needs `npm run build`. Linux only: reads /proc.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { listPrograms } from "../tools/package/programs.ts";
import { databaseUrl } from "./database.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
/** This checkout's build, unless BENCH_SERVER names the main.js of another one to compare with. */
const serverMain = process.env.BENCH_SERVER ?? join(root, "packages/server/dist/src/main.js");
/** sysconf(_SC_CLK_TCK), 100 on every Linux that we know. */
const ticksPerSecond = 100;

export interface Program {
  pid: number;
  url: string;
  port: number;
  /** From its start until it listened. */
  listeningMs: number;
  /** The first-run link of the log, once it was printed. */
  setupToken: string | null;
  /** kill -9. Resolves when the program is gone. */
  kill(): Promise<void>;
  /** SIGTERM. Resolves when the program has ended by itself. */
  stop(): Promise<void>;
}

/** An empty folder that is removed when the benchmark ends, however it ends. */
export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "rm-bench-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The database file of a server's folder. */
export const databaseFile = (dataDir: string): string => join(dataDir, "restic-manager.db");

/**
 * Starts the real server, with the flags of its executable, and waits until it listens. BENCH_NODE_FLAGS such as
 * `--cpu-prof` are for a profile by hand.
 * @param main the program; the built modules when it is absent
 */
export async function startServerProgram(
  input: { dataDir: string; port: number },
  main = serverMain,
): Promise<Program> {
  const env = {
    RM_LISTEN: `127.0.0.1:${input.port}`,
    RM_DATA_DIR: input.dataDir,
    RM_COOKIE_SECURE: "false",
    RM_LOG_LEVEL: "info",
    ...(databaseUrl() === undefined ? {} : { RM_DATABASE_URL: databaseUrl() }),
  };
  const ours = listPrograms(root).find(({ name }) => name === "restic-manager-server")?.nodeFlags ?? [];
  const added = process.env.BENCH_NODE_FLAGS?.split(" ") ?? [];
  return startProgram([...ours, ...added, main], env, input.port);
}

/** Starts a benchmark's own file again as its bare counterpart: `node FILE bare PORT …words`. */
export function startBareProgram(file: string, port: number, ...words: string[]): Promise<Program> {
  return startProgram([file, "bare", String(port), ...words], {}, port);
}

async function startProgram(args: string[], env: NodeJS.ProcessEnv, port: number): Promise<Program> {
  const since = performance.now();
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const killAtExit = () => child.kill("SIGKILL");
  process.once("exit", killAtExit);
  child.once("exit", () => process.removeListener("exit", killAtExit));
  const { token, at } = await listening(child);
  const end = async (signal: "SIGKILL" | "SIGTERM") => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  };
  return {
    pid: child.pid ?? 0,
    url: `http://127.0.0.1:${port}`,
    port,
    listeningMs: at - since,
    setupToken: token,
    kill: () => end("SIGKILL"),
    stop: () => end("SIGTERM"),
  };
}

/** Reads the log until the program listens; what follows is read and dropped, so that its pipe never fills. */
async function listening(child: ChildProcess): Promise<{ token: string | null; at: number }> {
  if (child.stdout === null) throw new Error("no output to read");
  const lines = createInterface({ input: child.stdout });
  const { promise, resolve, reject } = Promise.withResolvers<{ token: string | null; at: number }>();
  child.once("exit", (code) => reject(new Error(`the program ended with ${code} before it listened`)));
  let at: number | null = null;
  lines.on("line", (line) => {
    const token = /setup=([\w-]+)/.exec(line)?.[1];
    if (token !== undefined) resolve({ token, at: at ?? performance.now() });
    if (at === null && line.includes("listening")) {
      const listeningAt = performance.now();
      at = listeningAt;
      // The first-run link follows in the same breath, when there is one.
      setTimeout(() => resolve({ token: null, at: listeningAt }), 50);
    }
  });
  return promise;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  probe.listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** User and system time that the program has used until now, in milliseconds. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // Fields 14 and 15; the name in field 2 may hold blanks, so it is counted from its closing parenthesis.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
}

/** Resident memory of the program now, in MiB. */
export function residentMiB(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib) / 1024;
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
