/**
 * A laboratory for the browser stories, the fault tests and the benchmark: the built server program, agents and
 * rest-servers as child processes in a temporary folder of their own. Everything that was started here is ended by
 * its process id when the laboratory closes, restic and its runners included.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { freePort } from "../../packages/testkit/src/free-port.ts";
import type { PostgresCluster } from "../../packages/testkit/src/postgres-cluster.ts";
import { removeFolder } from "../../packages/testkit/src/remove-folder.ts";
import { type Child, findLogged, startChild, until } from "../../tools/demo/children.ts";
import { getTool, toolCacheFolder } from "../../tools/get-restic/get-tool.ts";
import { type ToolName, tools } from "../../tools/get-restic/tools.ts";
import { LabApi } from "./api.ts";
import { endLeftovers } from "./leftovers.ts";

const root = resolve(import.meta.dirname, "../..");
export const serverProgram = join(root, "packages/server/dist/src/main.js");
export const agentProgram = join(root, "packages/agent/dist/main.js");

/** The name and password of the laboratory's admin. */
export const admin = { username: "admin", password: "correct horse battery staple" } as const;

const searchPlaces = { environment: process.env, cacheFolder: toolCacheFolder, say: () => undefined };

/** The path of a usable program of tools/get-restic. @throws Error with one sentence when there is none to be had */
export async function findProgram(name: ToolName): Promise<string> {
  return (await getTool(tools[name], searchPlaces)).path;
}

/** What a program needs of the environment to start, and nothing that could choose something for it. */
export const plainEnvironment = (): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH,
  HOME: process.env.HOME ?? "/",
});

export class Lab {
  readonly folder: string;
  readonly resticPath: string;
  readonly port: number;
  readonly url: string;
  readonly api: LabApi;
  server: Child | null = null;
  /** The server as an executable; the built files that Node runs when left out. */
  serverExecutable: string | undefined;
  /** Settings of the server beside those that a laboratory needs; set before it starts. */
  settings: Record<string, string> = {};
  /** In place of the SQLite file. */
  postgres: PostgresCluster | null = null;
  /** Run after all programs have ended and before the folder goes. */
  readonly cleanups: (() => Promise<unknown>)[] = [];
  private readonly children: Child[] = [];

  private constructor(folder: string, resticPath: string, port: number) {
    this.folder = folder;
    this.resticPath = resticPath;
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.api = new LabApi(this.url);
  }

  static async create(): Promise<Lab> {
    const folder = await mkdtemp(join(tmpdir(), "rm-lab-"));
    return new Lab(folder, await findProgram("restic"), await freePort());
  }

  /** Starts, or starts again on the same data and port; resolves when the server is ready. */
  async startServer(): Promise<void> {
    const [file, args] = this.serverExecutable
      ? [this.serverExecutable, []]
      : [process.execPath, [serverProgram]];
    const child = startChild(file, args, {
      env: this.serverEnvironment(),
      logFile: this.serverLog,
    });
    this.server = this.keep(child);
    let ended = false;
    void child.exited.then(() => {
      ended = true;
    });
    await until("the server's start", 30_000, async () => {
      if (ended) throw new Error(`the server did not start; see ${this.serverLog}`);
      const ready = await fetch(`${this.url}/readyz`).catch(() => null);
      return ready?.ok;
    });
  }

  serverEnvironment(): NodeJS.ProcessEnv {
    const settings = {
      RM_LISTEN: `127.0.0.1:${this.port}`,
      RM_DATA_DIR: this.dataFolder,
      RM_COOKIE_SECURE: "false",
    };
    return { ...plainEnvironment(), ...settings, ...this.settings };
  }

  get dataFolder(): string {
    return join(this.folder, "server");
  }

  get serverLog(): string {
    return join(this.folder, "server.log");
  }

  /** The first-run link, as an operator finds it in the log. */
  async setupUrl(logFile = this.serverLog): Promise<string> {
    return until("the first-run link", 10_000, () => findLogged(logFile, 0, "setupUrl"));
  }

  /** Makes the admin through the API and signs the API client in. */
  async signUp(logFile = this.serverLog): Promise<void> {
    const token = new URL(await this.setupUrl(logFile)).searchParams.get("setup");
    await this.api.post("/api/bootstrap", { token, ...admin });
    await this.signIn();
  }

  async signIn(): Promise<void> {
    await this.api.post("/api/auth/login", admin);
  }

  /** A rest-server that asks for name and password. @returns the URL below which each user has a repository */
  async startRestServer(user: { name: string; password: string }, args: string[] = []): Promise<RestServer> {
    const [program, port] = [await findProgram("rest-server"), await freePort()];
    const folder = await this.makeFolder(`rest-${user.name}`);
    const hash = createHash("sha1").update(user.password).digest("base64");
    await writeFile(join(folder, ".htpasswd"), `${user.name}:{SHA}${hash}\n`, { mode: 0o600 });
    const fixed = ["--path", folder, "--listen", `127.0.0.1:${port}`, "--private-repos"];
    const logFile = join(this.folder, `rest-${user.name}.log`);
    const child = this.keep(startChild(program, [...fixed, ...args], { env: plainEnvironment(), logFile }));
    const url = `http://127.0.0.1:${port}/${user.name}/`;
    await until("the rest-server's start", 15_000, () =>
      fetch(url).then(
        () => true,
        () => false,
      ),
    );
    return { repository: `rest:${url}`, child };
  }

  async makeFolder(name: string): Promise<string> {
    const folder = join(this.folder, name);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return folder;
  }

  /** Registers a child to be ended when the laboratory closes. */
  keep(child: Child): Child {
    child.exited.catch(() => null);
    this.children.push(child);
    return child;
  }

  /** Ends everything by process id and removes the folder; RM_LAB_KEEP=1 keeps it to be looked at. */
  async close(): Promise<void> {
    for (const child of this.children.reverse()) await child.stop(3000).catch(() => undefined);
    await endLeftovers(this.folder);
    for (const cleanup of this.cleanups.reverse()) await cleanup();
    if (process.env.RM_LAB_KEEP) return;
    // A program that was killed a moment ago may still be making its last file.
    await removeFolder(this.folder);
  }
}

export interface RestServer {
  /** restic's location of the user's repository. */
  repository: string;
  child: Child;
}

/** Ends a program as a power cut would. */
export async function killAtOnce(child: Child | null): Promise<void> {
  if (child === null) throw new Error("there is no such program to kill");
  process.kill(child.pid, "SIGKILL");
  await child.exited;
}

/** Files that no compression shortens. @returns the folder */
export async function writeRandomFiles(folder: string, count: number, sizeBytes: number): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (let number = 1; number <= count; number++)
    await writeFile(join(folder, `file-${number}.bin`), randomBytes(sizeBytes));
  return folder;
}

/** A password that appears nowhere else by chance. */
export const createSecret = (name: string): string => `${name}-${randomBytes(18).toString("base64url")}`;
