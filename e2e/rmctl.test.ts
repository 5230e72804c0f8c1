/**
 * rmctl as an operator and a script use it: the built program, a real server, agent and restic. It logs in, backs up and
 * follows to the end, through a restart of the server and through a proxy, is refused as a viewer, and cancels.
 */
import { spawn } from "node:child_process";
import { readFile, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../tools/demo/children.ts";
import { LabHost, writeScript } from "./lab/host.ts";
import { createSecret, Lab, plainEnvironment, writeRandomFiles } from "./lab/lab.ts";

const program = resolve(import.meta.dirname, "../packages/cli/dist/main.js");
const restUser = { name: "rmctl", password: createSecret("rest") };
const hostName = "rmctl-01";

let lab: Lab;
let host: LabHost;
const tokens: Record<string, string> = {};

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startServer();
  await lab.signUp();
  const paths = [await writeSources(12)];
  const { repository } = await lab.startRestServer(restUser);
  // Slow enough to be watched and to be cancelled: some four seconds for twelve megabytes.
  const resticPath = await writeScript(
    join(lab.folder, "slow-restic"),
    `[ "$1" = backup ] && set -- "$@" --limit-upload 3000 --pack-size 4\nexec '${lab.resticPath}' "$@"`,
  );
  host = await LabHost.add(lab, { name: hostName, paths, repository, restUser, resticPath });
  for (const role of ["operator", "viewer"]) {
    const made = await lab.api.post<{ token: string }>("/api/auth/tokens", { name: role, role });
    tokens[role] = made.token;
  }
});

afterAll(() => lab?.close());

/** New bytes in the folder that is backed up. */
const writeSources = (megabytes: number) =>
  writeRandomFiles(join(lab.folder, "sources"), megabytes, 1_000_000);

interface Running {
  pid: number;
  output: { out: string; err: string };
  ended: Promise<{ code: number | null; out: string; err: string }>;
}

/** Starts rmctl, with a home of its own and nothing of this environment. */
function start(argv: string[], env: NodeJS.ProcessEnv = {}, stdin = ""): Running {
  const own = { ...plainEnvironment(), HOME: lab.folder, XDG_CONFIG_HOME: join(lab.folder, "config") };
  const child = spawn(process.execPath, [program, ...argv], { env: { ...own, ...env }, stdio: "pipe" });
  const output = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output.out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output.err += text;
  });
  child.stdin.end(stdin);
  const ended = new Promise<number | null>((done, failed) => child.on("close", done).on("error", failed));
  return { pid: child.pid ?? 0, output, ended: ended.then((code) => ({ code, ...output })) };
}

const rmctl = (argv: string[], env?: NodeJS.ProcessEnv, stdin?: string) => start(argv, env, stdin).ended;
const environmentOf = (role: string) => ({ RM_SERVER: lab.url, RM_API_TOKEN: tokens[role] });

/** The lines of a followed log, without their times, as `jobs log` gives them too. */
const logLines = (text: string): string[] => text.split("\n").filter((line) => /^\d\d:\d\d:\d\d /.test(line));

describe("an operator", () => {
  test("logs in with a token from stdin, which only this user can read afterwards", async () => {
    const login = await rmctl(["login", lab.url], {}, `${tokens.operator}\n`);
    expect(login).toMatchObject({ code: 0, out: expect.stringMatching(/as admin \(operator\)/) });
    expect(login.out + login.err).not.toContain(tokens.operator);
    const file = join(lab.folder, "config/restic-manager/rmctl.json");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readFile(file, "utf8")).toContain(tokens.operator);
    expect((await rmctl(["whoami"])).out).toContain(lab.url);
  });

  test("backs up and follows to the end: every line once, the exit code of the job", async () => {
    const run = await rmctl(["jobs", "run", hostName, "backup", "--follow"]);
    expect(run, run.err).toMatchObject({ code: 0, err: "" });
    expect(run.out).toMatch(/backup succeeded in .*, snapshot [0-9a-f]{8}\n$/);
    const jobId = /job ([0-9A-Z]{26})/.exec(run.out)?.[1] ?? "";
    const stored = await rmctl(["jobs", "log", jobId]);
    expect(logLines(run.out)).toEqual(logLines(stored.out));
    expect(logLines(run.out).length).toBeGreaterThan(1);
    const list = await rmctl(["snapshots", "list", hostName]);
    expect(list.out).toContain(/snapshot ([0-9a-f]{8})/.exec(run.out)?.[1]);
  });

  test("follows through a restart of the server without a gap or a double", async () => {
    await writeSources(12);
    const running = start(["groups", "run", hostName, "default", "--follow", "--json"]);
    await until("the first progress", 30_000, async () => running.output.out.includes('"progress"'));
    await lab.server?.stop(6000);
    await lab.startServer();
    const { code, out, err } = await running.ended;
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const documents = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const lines = documents.flatMap((document) => (document.type === "log" ? document.lines : []));
    expect(lines.map(({ n }: { n: number }) => n)).toEqual(
      lines.map((_: unknown, index: number) => index + 1),
    );
    const stored = await host.log(documents[0].job_id);
    expect(lines.map(({ text }: { text: string }) => text)).toEqual(stored.map(({ text }) => text));
    expect(documents.at(-1)).toEqual({ type: "end" });
    await lab.signIn();
  });

  test("looks into the snapshot and gets a file back", async () => {
    const folder = join(lab.folder, "sources");
    const tree = await rmctl(["snapshots", "tree", hostName, "latest", folder]);
    expect(tree.out, tree.err).toMatch(/^-rw.* file-1\.bin$/m);
    const target = join(lab.folder, "restored");
    const restore = [
      "restore",
      "run",
      hostName,
      "latest",
      join(folder, "file-1.bin"),
      "--target",
      target,
      "--follow",
    ];
    const restored = await rmctl(restore);
    expect(restored, restored.out).toMatchObject({ code: 0, err: "" });
    const [back, kept] = await Promise.all(
      [join(target, folder, "file-1.bin"), join(folder, "file-1.bin")].map((path) => readFile(path)),
    );
    expect(back?.equals(kept ?? Buffer.alloc(0))).toBe(true);
  });

  test("cancels a backup while it is followed", async () => {
    await writeSources(40);
    const started = JSON.parse((await rmctl(["jobs", "run", hostName, "backup", "--json"])).out);
    const following = start(["jobs", "follow", started.job_id]);
    await host.findRun(started.job_id);
    expect((await rmctl(["jobs", "cancel", started.job_id])).code).toBe(0);
    const { code, out } = await following.ended;
    expect({
      code,
      last: out
        .trimEnd()
        .split("\n")
        .find((line) => line.startsWith("backup ")),
    }).toEqual({
      code: 4,
      last: expect.stringMatching(/^backup cancelled/),
    });
    expect((await host.job(started.job_id)).status).toBe("cancelled");
  });
});

describe("a viewer", () => {
  test("sees, and is refused to run: the server's code, the exit code 12", async () => {
    const env = environmentOf("viewer");
    expect((await rmctl(["hosts", "list"], env)).out).toContain(hostName);
    const refused = await rmctl(["jobs", "run", hostName, "backup"], env);
    expect(refused).toMatchObject({ code: 12, out: "" });
    expect(refused.err).toContain("(auth.role_too_low, request ");
  });
});

describe("the program", () => {
  test("tells its version, and starts without a server", async () => {
    expect(await rmctl(["--version"])).toMatchObject({ code: 0, out: "rmctl 0.1.0\n" });
    expect((await rmctl(["nonsense"])).code).toBe(2);
  });

  test("ends quietly when its reader goes away", async () => {
    const shell = spawn("sh", ["-c", `"$0" "$1" jobs list | head -n 1`, process.execPath, program], {
      env: { ...plainEnvironment(), ...environmentOf("viewer") },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [out, err] = ["", ""];
    shell.stdout.on("data", (text) => (out += text));
    shell.stderr.on("data", (text) => (err += text));
    await new Promise((closed) => shell.on("close", closed));
    expect([out.split(/ +/)[0], err]).toEqual(["JOB", ""]);
  });

  test("goes through a proxy that the environment names, also to follow", async () => {
    const proxy = await startProxy();
    const env = { ...environmentOf("operator"), HTTP_PROXY: proxy.url };
    const run = await rmctl(["jobs", "run", hostName, "check", "--follow"], env);
    proxy.close();
    expect(run, run.err).toMatchObject({ code: 0, out: expect.stringMatching(/check succeeded/) });
    // Requests and the WebSocket, each with a tunnel of its own.
    expect(proxy.asked.length).toBeGreaterThan(1);
    expect(new Set(proxy.asked)).toEqual(new Set([`127.0.0.1:${lab.port}`]));
    expect((await rmctl(["hosts", "list"], env)).code).toBe(17);
    const direct = await rmctl(["hosts", "list"], { ...env, NO_PROXY: "127.0.0.1" });
    expect(direct.code).toBe(0);
  });
});

/** A proxy as a company has one: it opens tunnels, and remembers where to. */
async function startProxy(): Promise<{ url: string; asked: string[]; close(): void }> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((_request, reply) => void reply.writeHead(405).end());
  server.on("connect", (request, near: Socket, head) => {
    asked.push(request.url ?? "");
    const { hostname, port } = new URL(`http://${request.url}`);
    const far = connect(Number(port), hostname, () => {
      near.write("HTTP/1.1 200 Connection established\r\n\r\n");
      far.write(head);
      near.pipe(far).pipe(near);
    });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
    }
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const close = () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, close };
}
