/**
 * The disk under the agent's state is full, or the one under the server's data. Whoever asks for something that needs
 * space is told so in a sentence; what runs is not harmed; and once there is space again, everything is as if nothing
 * had been.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { fillDisk, freeDisk, mountSmallDisk } from "../../packages/testkit/src/small-disk.ts";
import { until } from "../../tools/demo/children.ts";
import { Refused } from "../lab/api.ts";
import type { JobJson } from "../lab/host.ts";
import { Lab } from "../lab/lab.ts";
import { report, testTimeout, untilSoon } from "./faults.ts";
import { ChaosHost } from "./host.ts";
import { expectTruth } from "./truth.ts";

const agentDiskBytes = 4 * 1024 * 1024;
const serverDiskBytes = 8 * 1024 * 1024;

let lab: Lab;

beforeAll(async () => {
  lab = await Lab.create();
  lab.cleanups.push(await mountSmallDisk(lab.dataFolder, serverDiskBytes));
  await lab.startServer();
  await lab.signUp();
});
afterEach(() => freeDisk(lab.dataFolder));
afterAll(() => lab?.close());

async function addHost(name: string): Promise<ChaosHost> {
  const host = await ChaosHost.enrolled(
    lab,
    { name, spoken: 20, restSeconds: 0.05 },
    async ({ dataFolder }) => {
      lab.cleanups.push(await mountSmallDisk(dataFolder, agentDiskBytes));
    },
  );
  lab.cleanups.push(() => host.stopInTest());
  await host.startInTest();
  await host.untilInitialised();
  // The figures after the init are read in files of the agent's: with those the disk would not stay full.
  await until("the repository's figures", 30_000, async () => {
    const path = `/api/hosts/${host.id}/repository`;
    return (await lab.api.get<{ statistics: { at: string | null } }>(path)).statistics.at;
  });
  // Once the server has acknowledged them, the outbox makes itself smaller, which is another story on a full disk.
  await untilSoon("the agent's outbox is empty", 20_000, async () => (await outboxBytes(host)) === 0);
  return host;
}

async function outboxBytes(host: ChaosHost): Promise<number> {
  const folder = join(host.dataFolder, "outbox");
  const names = (await readdir(folder)).filter((name) => /^events-.*\.ndjson$/.test(name));
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

const untilRestic = (host: ChaosHost, jobId: string, ended: boolean) =>
  until(`restic's ${ended ? "end" : "start"}`, 30_000, async () =>
    (await host.readLedger()).some((entry) => entry.jobId === jobId && (entry.code !== null) === ended),
  );

describe("the disk under the agent's state is full", () => {
  test("before a job: it fails at once, with a sentence that says what to do", {
    timeout: testTimeout,
  }, async () => {
    const host = await addHost("full-before");
    await fillDisk(host.dataFolder);
    const job = await host.backUp();
    expect(job).toMatchObject({ status: "failed", error: { code: "agent.journal_failed" } });
    expect(job.error?.message).toContain("Free space");
    report(`agent's disk full before a job: ${job.error?.code}: ${job.error?.message}`);
    await freeDisk(host.dataFolder);
    expect(await host.backUp()).toMatchObject({ status: "succeeded" });
    await expectTruth(lab, [host]);
    await host.stopInTest();
  });

  test("while restic works, and restic gives up: its exit code is told once there is space", {
    timeout: testTimeout,
  }, async () => {
    const host = await addHost("full-cache");
    const job = await backUpWithFullDisk(host);
    report(`agent's disk full, restic gives up: ${job.status} ${job.error?.code}: ${job.error?.message}`);
    expect(job).toMatchObject({ status: "failed", exit_code: 1 });
    expect(await host.backUp()).toMatchObject({ status: "succeeded" });
    await expectTruth(lab, [host], { wordsLost: true });
    await host.stopInTest();
  });

  test("while restic works, and restic does not care: the snapshot counts, though restic's words are lost", {
    timeout: testTimeout,
  }, async () => {
    const host = await addHost("full-output");
    await host.moveCacheAway();
    const job = await backUpWithFullDisk(host);
    expect(job).toMatchObject({ status: "succeeded", exit_code: 0, error: null });
    const log = await host.log(job.id);
    expect(log.map(({ text }) => text).join()).toContain("The snapshot was found in the repository");
    await expectTruth(lab, [host], { wordsLost: true });
    await host.stopInTest();
  });
});

/** The disk is full from restic's start to its end, and then there is space again. */
async function backUpWithFullDisk(host: ChaosHost): Promise<JobJson> {
  await host.hold();
  const jobId = await host.startBackup();
  await host.untilHeldAndTold(jobId);
  await fillDisk(host.dataFolder);
  await host.release();
  await untilRestic(host, jobId, true);
  expect((await host.job(jobId)).status).toBe("running");
  await freeDisk(host.dataFolder);
  return host.finished(jobId);
}

describe("the disk under the server's data is full", () => {
  test("nothing is lost, and whoever wants to write is told why it does not work", {
    timeout: testTimeout,
  }, async () => {
    const host = await addHost("server-full");
    await host.hold();
    const jobId = await host.startBackup();
    await host.untilHeldAndTold(jobId);
    await emptyWriteAheadLog();
    await fillDisk(lab.dataFolder);
    await host.release();
    await untilRestic(host, jobId, true);
    const refusal = await untilRefused(host);
    report(`server's disk full: HTTP ${refusal.status} ${refusal.code}: ${refusal.message}`);
    expect(refusal).toMatchObject({ status: 503, code: "database.full" });
    expect((await host.job(jobId)).status).toBe("running");
    await freeDisk(lab.dataFolder);
    expect(await host.finished(jobId)).toMatchObject({ status: "succeeded" });
    expect(await host.backUp()).toMatchObject({ status: "succeeded" });
    await expectTruth(lab, [host]);
    await host.stopInTest();
  });
});

/** SQLite writes into the room that its log has already: megabytes of it would take every wish in, full disk or not. */
async function emptyWriteAheadLog(): Promise<void> {
  const database = new DatabaseSync(join(lab.dataFolder, "restic-manager.db"), { timeout: 5000 });
  try {
    // Who reads or writes just then keeps it from it.
    await untilSoon("an empty log of the database", 20_000, () => {
      return database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get()?.busy === 0;
    });
  } finally {
    database.close();
  }
}

/** The database may have some room left in its file: the first wishes can still be granted. */
async function untilRefused(host: ChaosHost): Promise<Refused> {
  return until("a refusal", 20_000, async () => {
    try {
      await host.startBackup();
      return null;
    } catch (error) {
      if (error instanceof Refused) return error;
      throw error;
    }
  });
}
