/**
 * What is needed to get everything back, as docs/user/recovery.md states it: with a copy of the database and its key
 * file the server goes on; with nothing but a repository and its password no snapshot is lost.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../tools/demo/children.ts";
import { compareTrees } from "./lab/bytes.ts";
import { LabHost } from "./lab/host.ts";
import { createSecret, Lab, serverProgram, writeRandomFiles } from "./lab/lab.ts";

const run = promisify(execFile);

interface SnapshotsJson {
  total: number;
  snapshots: { id: string; tags: string[]; username: string | null }[];
}

const snapshotsOf = (lab: Lab, host: LabHost) =>
  lab.api.get<SnapshotsJson>(`/api/hosts/${host.id}/snapshots`);

describe("when only the repository and its password survive", () => {
  let kept: string;
  let source: string;
  let repository: string;
  const password = createSecret("repo");
  let before: SnapshotsJson;
  let lab: Lab;

  beforeAll(async () => {
    kept = await mkdtemp(join(tmpdir(), "rm-kept-"));
    source = join(kept, "files");
    repository = join(kept, "repository");
    await mkdir(source);
    await writeRandomFiles(source, 5, 200_000);
    const lost = await Lab.create();
    await lost.startServer();
    await lost.signUp();
    const host = await LabHost.add(lost, { name: "web-01", paths: [source], repository, password });
    await host.finished(await host.startBackup());
    // The new snapshot is shown as the backup told it; the list as restic tells it, with the user, comes a moment later.
    before = await until("restic's own list", 20_000, async () => {
      const list = await snapshotsOf(lost, host);
      return list.snapshots[0]?.username ? list : null;
    });
    // Server, database, key file, agent and its state are gone with this folder.
    await lost.close();
    lab = await Lab.create();
    await lab.startServer();
    await lab.signUp();
  });

  afterAll(async () => {
    await lab?.close();
    await rm(kept, { recursive: true, force: true });
  });

  test("plain restic restores every byte, without us", async () => {
    const target = await lab.makeFolder("restored");
    const env = { ...process.env, RESTIC_REPOSITORY: repository, RESTIC_PASSWORD: password };
    await run(lab.resticPath, ["restore", before.snapshots[0]?.id ?? "", "--target", target], { env });
    expect((await compareTrees(source, join(target, source))).differences).toEqual([]);
  });

  test("a new server shows the host's snapshots again as soon as the host is enrolled under its old name", async () => {
    const host = await LabHost.add(lab, { name: "web-01", paths: [source], repository, password });
    expect(await snapshotsOf(lab, host)).toEqual(before);
    const job = await host.finished(await host.startBackup());
    expect(job.status).toBe("succeeded");
    expect((await snapshotsOf(lab, host)).total).toBe(before.total + 1);
  });
});

describe("with a copy of the database and the key file", () => {
  let lab: Lab;
  let host: LabHost;
  let copy: string;

  beforeAll(async () => {
    lab = await Lab.create();
    await lab.startServer();
    await lab.signUp();
    const source = await lab.makeFolder("files");
    await writeRandomFiles(source, 3, 50_000);
    host = await LabHost.add(lab, { name: "web-01", paths: [source] });
    await host.finished(await host.startBackup());
    copy = join(lab.folder, "copy.db");
    const { stdout } = await run(process.execPath, [serverProgram, "backup-database", copy], {
      env: lab.serverEnvironment(),
    });
    expect(stdout).toContain("secret.key");
  });

  afterAll(() => lab?.close());

  test("the copy is made while the server runs, and only its owner may read it", async () => {
    expect((await stat(copy)).mode & 0o777).toBe(0o600);
    expect((await fetch(`${lab.url}/readyz`)).ok).toBe(true);
  });

  test("a server that lost its data folder goes on: agents come back, history and credentials are there", async () => {
    const key = join(lab.folder, "kept.key");
    await cp(join(lab.dataFolder, "secret.key"), key);
    // A job after the copy: the agent knows more of its stream than the restored database does.
    await host.finished(await host.startBackup());
    await lab.server?.stop(6000);
    await rm(lab.dataFolder, { recursive: true });
    await mkdir(lab.dataFolder, { mode: 0o700 });
    await cp(copy, join(lab.dataFolder, "restic-manager.db"));
    await cp(key, join(lab.dataFolder, "secret.key"));
    await lab.startServer();
    await lab.signIn();
    const { jobs } = await lab.api.get<{ jobs: { status: string }[] }>(
      `/api/hosts/${host.id}/jobs?kind=backup`,
    );
    expect(jobs.map((job) => job.status)).toEqual(["succeeded"]);
    await host.untilOnline();
    const job = await host.finished(await host.startBackup());
    expect(job.status).toBe("succeeded");
    // Also the snapshot that the restored database never heard of is shown again, by a listing that may come after the job.
    await expect.poll(async () => (await snapshotsOf(lab, host)).total).toBe(3);
  });
});
