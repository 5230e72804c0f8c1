/**
 * When the server must not start, it says why in one sentence, ends with code 1 and leaves the data as it was; and
 * nothing secret lies about in clear while everything runs.
 */
import { execFile } from "node:child_process";
import type { Dirent } from "node:fs";
import { chmod, cp, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LabHost, writeScript } from "./lab/host.ts";
import { admin, createSecret, Lab, serverProgram, writeRandomFiles } from "./lab/lab.ts";
import { listPrograms, listProgramsOf } from "./lab/leftovers.ts";

const run = promisify(execFile);
const isRoot = process.getuid?.() === 0;

interface Ended {
  code: number;
  stderr: string;
}

/** Runs the server program to its end, which is expected within seconds where nothing else works. */
async function startInVain(lab: Lab, settings: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const env = { ...lab.serverEnvironment(), ...settings };
  return run(process.execPath, [serverProgram], { env, timeout: 60_000 }).then(
    () => ({ code: 0, stderr: "" }),
    ({ code, stderr }: Ended) => ({ code, stderr }),
  );
}

describe("the server does not start", () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await Lab.create();
    await lab.startServer();
    await lab.signUp();
    await lab.server?.stop(6000);
  });

  afterAll(() => lab?.close());

  /** A copy of the data of a server that has run. */
  async function copyData(name: string): Promise<string> {
    const folder = join(lab.folder, name);
    await cp(lab.dataFolder, folder, { recursive: true });
    return folder;
  }

  test.each(["the file", "the whole folder"])("on a database that is read-only: %s", async (what) => {
    const folder = await copyData(`read-only ${what}`);
    await makeReadOnly(lab, what === "the file" ? join(folder, "restic-manager.db") : folder);
    const ended = await startInVain(lab, { RM_DATA_DIR: folder });
    expect(ended.code).toBe(1);
    expect(ended.stderr.trim()).toBe(
      "The database is read-only. Give the server's user write access to the file and its folder.",
    );
  });

  test("with another secret key than the one that sealed the database", async () => {
    const folder = await copyData("other-key");
    const key = join(folder, "secret.key");
    await chmod(key, 0o600);
    await writeFile(key, `${Buffer.alloc(32, 7).toString("base64")}\n`);
    const ended = await startInVain(lab, { RM_DATA_DIR: folder });
    expect(ended.code).toBe(1);
    expect(ended.stderr.trim()).toBe(
      `The key file ${key} is not the one that this database was sealed with. Put the right one back; nothing was changed.`,
    );
  });

  test("without the secret key, and makes no new one", async () => {
    const folder = await copyData("no-key");
    const key = join(folder, "secret.key");
    await rename(key, `${key}.away`);
    const ended = await startInVain(lab, { RM_DATA_DIR: folder });
    expect(ended.code).toBe(1);
    expect(ended.stderr).toMatch(
      /^The key file .* is missing, but the database holds secrets sealed with it\. Restore/,
    );
    expect(await readdir(folder)).not.toContain("secret.key");
    await rename(`${key}.away`, key);
  });

  test("with a key file that is damaged", async () => {
    const folder = await copyData("damaged-key");
    await writeFile(join(folder, "secret.key"), "half a k");
    const ended = await startInVain(lab, { RM_DATA_DIR: folder });
    expect(ended.code).toBe(1);
    expect(ended.stderr).toMatch(/^The key file .* is damaged: .* Restore it from your backup\.\n$/);
  });

  test("on a port that is taken", async () => {
    const taken = createServer();
    await new Promise<void>((listening) => taken.listen(0, "127.0.0.1", listening));
    const address = taken.address();
    const port = typeof address === "object" && address ? address.port : 0;
    const ended = await startInVain(lab, {
      RM_DATA_DIR: await copyData("port"),
      RM_LISTEN: `127.0.0.1:${port}`,
    });
    taken.close();
    expect(ended.code).toBe(1);
    expect(ended.stderr.trim().split("\n")).toHaveLength(1);
    expect(ended.stderr).toMatch(
      new RegExp(`^Another program already listens on 127\\.0\\.0\\.1:${port}\\. Stop it`),
    );
  });

  test("on a setting that makes no sense", async () => {
    const ended = await startInVain(lab, { RM_LISTEN: "everywhere" });
    expect(ended).toEqual({
      code: 1,
      stderr: 'RM_LISTEN is "everywhere", but must be ADDRESS:PORT, such as 127.0.0.1:8080.\n',
    });
  });
});

/** For root no permission binds, so the path is mounted read-only over itself; for others the permissions do. */
async function makeReadOnly(lab: Lab, path: string): Promise<void> {
  if (isRoot) {
    await run("mount", ["--bind", path, path]);
    lab.cleanups.push(() => run("umount", [path]));
    await run("mount", ["-o", "remount,ro,bind", path]);
    return;
  }
  await run("chmod", ["-R", "a-w", path]);
  lab.cleanups.push(() => run("chmod", ["-R", "u+w", path]));
}

describe("secrets", () => {
  let lab: Lab;
  let host: LabHost;
  const restUser = { name: "secretive", password: createSecret("rest") };
  const secrets = new Map<string, string>();

  beforeAll(async () => {
    lab = await Lab.create();
    await lab.startServer();
    await lab.signUp();
    const paths = [await writeRandomFiles(join(lab.folder, "sources"), 1, 1_000_000)];
    const { repository } = await lab.startRestServer(restUser);
    const resticPath = await writeScript(
      join(lab.folder, "slow-restic"),
      `[ "$1" = backup ] && set -- "$@" --limit-upload 300\nexec '${lab.resticPath}' "$@"`,
    );
    host = await LabHost.add(lab, { name: "secretive", paths, repository, restUser, resticPath });
    secrets.set("the repository's password", host.password);
    secrets.set("the rest-server's password", restUser.password);
    secrets.set("the admin's password", admin.password);
    secrets.set("the session", lab.api.cookie.split("=")[1] ?? "");
  });

  afterAll(() => lab?.close());

  test("are in no program's arguments while a backup runs", async () => {
    const jobId = await host.startBackup();
    const { resticPid } = await host.findRun(jobId);
    const programs = await listPrograms();
    expect(programs.map((program) => program.pid)).toContain(resticPid);
    for (const [name, secret] of secrets)
      expect({ name, pids: programs.filter(({ argv }) => argv.join(" ").includes(secret)) }).toEqual({
        name,
        pids: [],
      });
    // The runner, restic and the agent: what is looked at is really there.
    expect((await listProgramsOf(host.folder)).length).toBeGreaterThanOrEqual(3);
    expect(await filesWithSecrets(lab.folder, secrets)).toEqual([]);
    expect(await host.finished(jobId)).toMatchObject({ status: "succeeded" });
  });

  test("are in no file, log or database in clear, nor in the answers about the host", async () => {
    await host.editRepository({ repo_password: "a wrong one, typed by hand" });
    expect((await host.backUp()).status).toBe("failed");
    secrets.set("the mistyped password", "a wrong one, typed by hand");
    expect(await filesWithSecrets(lab.folder, secrets)).toEqual([]);
    const { jobs } = await lab.api.get<{ jobs: { id: string }[] }>("/api/jobs");
    const logs = jobs.map((job) => `/api/jobs/${job.id}/log.ndjson`);
    const pages = ["", "?tab=repository", "?tab=jobs"].map((query) => `/hosts/${host.id}${query}`);
    const more = [`/api/hosts/${host.id}/repo-credentials`, "/api/jobs", "/api/audit", "/audit"];
    for (const path of [...logs, ...pages, ...more])
      expect({ path, found: namesIn(await lab.api.getText(path), secrets) }).toEqual({ path, found: [] });
  });

  test("lie in files that only their owner can read", async () => {
    // restic's own cache is made by restic, in a folder that nobody else can enter.
    const places = [lab.dataFolder, host.dataFolder, host.configFile];
    const wanted = ["-perm", "/077", "-not", "-path", "*/cache/*"];
    // What the agent takes away meanwhile is no failure.
    const { stdout } = await run("find", [...places, "-ignore_readdir_race", ...wanted]);
    expect(stdout.split("\n").filter((line) => line !== "")).toEqual([]);
  });
});

const namesIn = (text: string, secrets: Map<string, string>): string[] =>
  [...secrets].filter(([, secret]) => text.includes(secret)).map(([name]) => name);

/** What was taken away since it was listed, as agents do with their work, is read as if it were empty. */
async function unlessGone<T>(read: Promise<T>, nothing: T): Promise<T> {
  try {
    return await read;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return nothing;
    throw error;
  }
}

/** Every file below the folder that holds one of the secrets, with its name. */
async function filesWithSecrets(folder: string, secrets: Map<string, string>): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await unlessGone<Dirent[]>(readdir(folder, { withFileTypes: true }), [])) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) found.push(...(await filesWithSecrets(path, secrets)));
    if (!entry.isFile()) continue;
    const bytes = await unlessGone<Buffer>(readFile(path), Buffer.alloc(0));
    for (const name of namesIn(bytes.toString("latin1"), secrets)) found.push(`${name} in ${path}`);
  }
  return found;
}
