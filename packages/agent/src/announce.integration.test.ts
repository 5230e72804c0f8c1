/** The agent's program announces itself to the real server: accepted, rejected, too late, and everything in the way. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  AnnouncedMachine,
  startTestServer,
  type TestServer,
  type TestServerOptions,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { removeFolder } from "../../testkit/src/remove-folder.ts";
import { loadConfig } from "./config.ts";

const mainPath = fileURLToPath(new URL("./main.ts", import.meta.url));

let dir: string;
let server: TestServer;
/** Not every test needs one. */
let running: TestServer | undefined;
let programs: Program[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "agent-announce-"));
  programs = [];
});
afterEach(async () => {
  for (const program of programs) await program.kill();
  await running?.stop();
  running = undefined;
  await removeFolder(dir);
});

const start = async (options: TestServerOptions = {}) => {
  server = await startTestServer(options);
  running = server;
};

/** The agent as a program of its own. */
class Program {
  said = "";
  readonly #child: ChildProcess;

  constructor(args: string[]) {
    this.#child = spawn(process.execPath, ["--conditions=source", mainPath, ...args], {
      env: { PATH: "", HOME: dir },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.said += text;
      });
    }
    programs.push(this);
  }

  async ended(): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, "close");
    return this.#child.exitCode;
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill(signal);
    await this.ended();
  }
}

const config = () => join(dir, "etc", "agent.yaml");
const announce = (...more: string[]) =>
  new Program([
    ...["announce", "--server", server.url, "--hostname", "web-01", "--config", config()],
    ...["--data-dir", join(dir, "data"), ...more],
  ]);

async function list(): Promise<Record<string, unknown>[]> {
  return (await server.admin.get("/api/pending-hosts")).body.pending_hosts as Record<string, unknown>[];
}

/** The one machine that waits, its key proved. */
async function untilWaiting(program: Program): Promise<{ id: string; fingerprint: string }> {
  await server.until("the machine waits", async () => {
    if ((await list()).some(({ connected }) => connected)) return true;
    if (programs.includes(program) && /refused/.test(program.said)) throw new Error(program.said);
    return false;
  });
  const [one] = await list();
  return { id: String(one?.id), fingerprint: String(one?.fingerprint) };
}

const accept = (one: { id: string; fingerprint: string }) =>
  server.admin.post(`/api/pending-hosts/${one.id}/accept`, {
    ...{ fingerprint: one.fingerprint, hostname: "web-01" },
    ...{ repo_url: join(dir, "repository"), repo_password: "Encrypts-Everything-1", initial_paths: ["/etc"] },
  });

describe("announcing", () => {
  test("prints the fingerprint on a line of its own, waits, and ends enrolled once it is accepted", async () => {
    await start();
    const program = announce("--note", "in the basement");
    const waiting = await untilWaiting(program);
    await server.until("it says so", () => program.said.includes("Waiting to be accepted"));
    expect(program.said.split("\n")).toContain(waiting.fingerprint);
    expect(await list()).toMatchObject([{ hostname: "web-01", note: "in the basement", duplicates: [] }]);
    const answer = await accept(waiting);
    expect(answer.status, answer.text).toBe(201);
    expect(await program.ended(), program.said).toBe(0);
    const { config: written, warnings } = await loadConfig(config());
    expect(written).toMatchObject({ server: server.url, host_id: answer.body.host_id, cert_pin: null });
    expect(written.data_dir).toBe(join(dir, "data"));
    expect(warnings).toEqual([]);
    expect(program.said).toContain("accepted as web-01");
    expect(program.said).not.toContain(written.bearer);
    for (const file of [config(), join(dir, "data", "announce.key")])
      expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await announce().ended()).toBe(1);
  });

  test("goes on as the agent with --run, and takes itself for the same machine after it was killed", async () => {
    await start();
    const first = announce();
    const before = await untilWaiting(first);
    await first.kill();
    await server.until("it is away", async () => (await list())[0]?.connected === false);
    const second = announce("--run");
    expect(await untilWaiting(second)).toEqual(before);
    await server.until("it says so", () => second.said.includes(before.fingerprint));
    const { host_id } = (await accept(before)).body;
    await server.until("the host is online", async () => {
      return (await server.admin.get(`/api/hosts/${host_id}`)).body.online === true;
    });
    await second.kill("SIGTERM");
    expect(await second.ended()).toBe(0);
  });

  test("collects its bearer later when it was away as somebody accepted it", async () => {
    await start();
    const first = announce();
    const waiting = await untilWaiting(first);
    await first.kill();
    const { host_id } = (await accept(waiting)).body;
    expect(await announce().ended()).toBe(0);
    expect((await loadConfig(config())).config.host_id).toBe(host_id);
  });

  test("two at once on one machine don't take each other's place", async () => {
    await start();
    await untilWaiting(announce());
    const second = announce();
    expect(await second.ended()).toBe(1);
    expect(second.said).toContain("Another agent");
  });
});

describe("the end without a host", () => {
  afterEach(async () => {
    await expect(loadConfig(config())).rejects.toMatchObject({ code: "config.missing" });
  });

  test("is a rejection with its reason, and code 1", async () => {
    await start();
    const program = announce();
    const { id } = await untilWaiting(program);
    await server.admin.post(`/api/pending-hosts/${id}/reject`, { reason: "not one of ours" });
    expect(await program.ended()).toBe(1);
    expect(program.said).toMatch(/The server refused: This machine was rejected: not one of ours\n$/);
  });

  test("is an hour without a decision, and code 1", async () => {
    await start();
    const program = announce();
    await untilWaiting(program);
    // At once: step by step the program would have to answer an hour's pings in a moment.
    await server.clock.suspend(3_600_000);
    expect(await program.ended()).toBe(1);
    expect(program.said).toContain("has expired");
  });

  test("is a server that goes by another name", async () => {
    await start({ baseUrl: "https://rm.example.org" });
    const program = announce();
    expect(await program.ended()).toBe(1);
    expect(program.said).toContain("this server goes by rm.example.org");
  });

  test("is a list that is full", async () => {
    await start({ trustedProxies: ["127.0.0.1"] });
    for (let i = 0; i < 100; i++) {
      const machine = new AnnouncedMachine(server, `m-${i}`);
      expect((await machine.tryAnnounce({}, { "x-forwarded-for": `10.0.0.${i}` })).status).toBe(200);
    }
    const program = announce();
    expect(await program.ended()).toBe(1);
    expect(program.said).toContain("100 machines wait to be accepted already");
  });

  test("is a key that can't be read, which stays as it is", async () => {
    await start();
    const first = announce();
    await untilWaiting(first);
    await first.kill();
    const path = join(dir, "data", "announce.key");
    await writeFile(path, "damaged");
    const program = announce();
    expect(await program.ended()).toBe(1);
    expect(program.said).toContain(`The key of this machine in ${path} can't be read.`);
    expect(await readFile(path, "utf8")).toBe("damaged");
  });

  test("is a server that is not there, or a wrong word, at once", async () => {
    const wrong: [string[], number, string][] = [
      [["announce", "--server", "http://127.0.0.1:1"], 1, "127.0.0.1:1"],
      [["announce"], 2, "--server"],
      [["announce", "--server", "ftp://x"], 1, "must begin with https://"],
      [["announce", "--server", "http://127.0.0.1:1", "--hostname", "no name"], 1, "hostname is not valid"],
      [["announce", "--server", "http://127.0.0.1:1", "--note", "\u001b[2J"], 1, "note is not valid"],
    ];
    const ends = wrong.map(async ([args, code, reason], index) => {
      const own = ["--config", config(), "--data-dir", join(dir, `data-${index}`)];
      const program = new Program([...args, ...own]);
      expect([await program.ended(), program.said]).toEqual([code, expect.stringContaining(reason)]);
    });
    await Promise.all(ends);
  });
});
