/** What can be wrong with a repository or with restic itself: each ends in a job that says what happened and what to do. */
import { execFile, spawn } from "node:child_process";
import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../../tools/demo/children.ts";
import { compareTrees } from "../lab/bytes.ts";
import { LabHost, writeScript } from "../lab/host.ts";
import { createSecret, Lab, plainEnvironment, writeRandomFiles } from "../lab/lab.ts";

const run = promisify(execFile);
const isRoot = process.getuid?.() === 0;

let lab: Lab;
let paths: string[];

beforeAll(async () => {
  lab = await Lab.create();
  paths = [await writeRandomFiles(join(lab.folder, "sources"), 3, 200_000)];
  await lab.startServer();
  await lab.signUp();
});

afterAll(() => lab?.close());

describe("a backup into a repository", () => {
  test("with the wrong password fails with restic's code 12, and works again once it is corrected", async () => {
    const host = await LabHost.add(lab, { name: "wrong-password", paths });
    await host.editRepository({ repo_password: "something else" });
    const failed = await host.backUp();
    expect(failed).toMatchObject({
      status: "failed",
      exit_code: 12,
      error: { code: "restic.wrong_password" },
    });
    expect(failed.error?.message).toMatch(/password is wrong\. Correct it/);
    await host.editRepository({ repo_password: host.password });
    expect(await host.backUp()).toMatchObject({ status: "succeeded" });
  });

  test("that is gone fails with code 10, and works again once it is back", async () => {
    const host = await LabHost.add(lab, { name: "gone", paths });
    await rename(host.repository, `${host.repository}-elsewhere`);
    const failed = await host.backUp();
    expect(failed).toMatchObject({
      status: "failed",
      exit_code: 10,
      error: { code: "restic.repository_missing" },
    });
    expect(failed.error?.message).toMatch(/There is no repository at this location/);
    await rename(`${host.repository}-elsewhere`, host.repository);
    expect(await host.backUp()).toMatchObject({ status: "succeeded" });
  });

  /** The agent waits ten minutes for a lock; the restic at its path waits two seconds, everything else is real. */
  test("that another restic has locked fails with code 11 and leaves the lock alone", async () => {
    const shorter = `for word in "$@"; do [ "$word" = 10m ] && word=2s; set -- "$@" "$word"; shift; done`;
    const resticPath = await writeScript(
      join(lab.folder, "impatient-restic"),
      `${shorter}\nexec '${lab.resticPath}' "$@"`,
    );
    const host = await LabHost.add(lab, { name: "locked", paths, resticPath });
    await host.backUp();
    const holder = await holdLock(host);
    try {
      const failed = await host.backUp();
      expect(failed).toMatchObject({
        status: "failed",
        exit_code: 11,
        error: { code: "restic.repository_locked" },
      });
      expect(failed.error?.message).toMatch(/holds the repository's lock/);
      expect(await listLocks(host)).toHaveLength(1);
    } finally {
      holder.end();
    }
    await until("the lock's end", 20_000, async () => (await listLocks(host)).length === 0);
    expect(await host.backUp()).toMatchObject({ status: "succeeded" });
  });

  test("whose disk is full fails, says so, and keeps what was saved before", async () => {
    const growing = await writeRandomFiles(join(lab.folder, "growing"), 1, 1000);
    const small = await makeSmallRepository("full", 3_000_000);
    const host = await LabHost.add(lab, { name: "full", paths: [growing], ...small });
    expect(await host.backUp()).toMatchObject({ status: "succeeded" });
    await writeRandomFiles(growing, 6, 1_000_000);
    const failed = await host.backUp();
    expect(failed).toMatchObject({ status: "failed", error: { code: "restic.repository_full" } });
    expect(failed.error?.message).toMatch(/storage is full\. Free space/);
    expect(JSON.parse(await host.restic("snapshots", "--json", "--no-lock"))).toHaveLength(1);
  });

  test("whose server refuses the name and password fails and says so", async () => {
    const user = { name: "refused", password: createSecret("rest") };
    const server = await lab.startRestServer(user);
    const host = await LabHost.add(lab, {
      name: "refused",
      paths,
      repository: server.repository,
      restUser: user,
    });
    await host.editRepository({ rest_password: "another" });
    const failed = await host.backUp();
    expect(failed).toMatchObject({ status: "failed", error: { code: "restic.unauthorised" } });
    expect(failed.error?.message).toMatch(/refused the credentials/);
  });
});

describe("a backup of paths", () => {
  test("of which one does not exist ends as a warning that names it", async () => {
    const missing = `${lab.folder}/no such <script>alert("1")</script>\nfolder`;
    const host = await LabHost.add(lab, { name: "missing-path", paths: [...paths, missing] });
    const job = await host.backUp();
    expect(job.status).toBe("warning");
    expect(job.error?.message).toContain("no such <script>");
    expect(job.summary?.snapshot_id).toMatch(/^[0-9a-f]{64}$/);
  });

  test("with newlines, quotes, markup and bytes that are no UTF-8 in their names gives them all back", async () => {
    const odd = await writeRandomFiles(join(lab.folder, "odd"), 1, 100);
    const names = [
      "two\nlines",
      "a \"quote\" and 'another'",
      "<script>alert(1)</script>".replace("/", "|"),
      "-rf",
      "$(id)",
      "*",
    ];
    for (const name of names) await mkdir(join(odd, name));
    await mkdir(Buffer.concat([Buffer.from(`${odd}/no-utf8-`), Buffer.from([0xff, 0xfe, 0x0a])]));
    const host = await LabHost.add(lab, { name: "odd-names", paths: [odd, join(odd, "two\nlines")] });
    expect(await host.backUp()).toMatchObject({ status: "succeeded" });
    const target = join(lab.folder, "odd-restored");
    await host.restic("restore", "latest", "--target", target);
    expect((await compareTrees(odd, join(target, odd))).differences).toEqual([]);
  });
});

describe("restic on the host", () => {
  test("is missing: the host's page says so and a run fails with the sentence", async () => {
    const resticPath = join(lab.folder, "nowhere", "restic");
    const host = await LabHost.add(lab, { name: "no-restic", paths, resticPath, awaitsInit: false });
    expect(await host.initJob()).toMatchObject({ status: "failed", error: { code: "restic.missing" } });
    const failed = await host.backUp();
    expect(failed.error?.message).toMatch(/There is no executable restic at .*\. Install restic/);
    expect(await lab.api.getText(`/hosts/${host.id}`)).toContain("There is no executable restic at");
  });

  test("is too old: the host's page says so and a run fails with the sentence", async () => {
    const resticPath = await writeScript(
      join(lab.folder, "old-restic"),
      "echo 'restic 0.14.0 compiled with go1.19 on linux/amd64'",
    );
    const host = await LabHost.add(lab, { name: "old-restic", paths, resticPath, awaitsInit: false });
    expect(await host.initJob()).toMatchObject({ status: "failed", error: { code: "restic.too_old" } });
    const failed = await host.backUp();
    expect(failed.error?.message).toMatch(/^restic 0\.14\.0 at .* is too old/);
    expect(await lab.api.getText(`/hosts/${host.id}`)).toContain("is too old");
  });
});

/** A `restic check` that has its exclusive lock and is then held still: alive, on this machine, so not stale. */
async function holdLock(host: LabHost): Promise<{ end(): void }> {
  const env = { ...plainEnvironment(), RESTIC_REPOSITORY: host.repository, RESTIC_PASSWORD: host.password };
  const check = spawn(lab.resticPath, ["check", "--read-data", "--no-cache", "--limit-download", "100"], {
    env,
    stdio: "ignore",
  });
  await until("the lock", 20_000, async () => (await listLocks(host)).length === 1);
  check.kill("SIGSTOP");
  return {
    end() {
      check.kill("SIGINT");
      check.kill("SIGCONT");
    },
  };
}

async function listLocks(host: LabHost): Promise<string[]> {
  return (await host.restic("list", "locks", "--no-lock")).split("\n").filter((line) => line !== "");
}

/**
 * A repository with little room. As root a small disk of its own; otherwise a rest-server with a quota, which
 * answers with the status of a full disk.
 */
async function makeSmallRepository(name: string, sizeBytes: number) {
  if (!isRoot) {
    const restUser = { name, password: createSecret("rest") };
    const server = await lab.startRestServer(restUser, ["--max-size", String(sizeBytes)]);
    return { repository: server.repository, restUser };
  }
  const disk = await lab.makeFolder(`disk-${name}`);
  await run("mount", ["-t", "tmpfs", "-o", `size=${sizeBytes}`, "tmpfs", disk]);
  // Whoever was killed there a moment ago may still keep it busy.
  lab.cleanups.push(() => run("umount", ["--lazy", disk]));
  return { repository: join(disk, "repository") };
}
