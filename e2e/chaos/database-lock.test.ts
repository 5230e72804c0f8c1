/**
 * Another program holds the database's write lock for ten seconds, as a copy or a curious sqlite3 does, while jobs run
 * and people look. Nothing may fail, nothing may get lost, and the server must stay alive for whoever needs no write.
 */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Lab } from "../lab/lab.ts";
import { pause, report, sized, testTimeout } from "./faults.ts";
import { ChaosHost } from "./host.ts";
import { expectTruth } from "./truth.ts";

const lockedMs = 10_000;
/** The lock lasts longer from there on: whoever answers within it did not wait for the lock. */
const promptMs = 6_000;

let lab: Lab;
let hosts: ChaosHost[];

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startServer();
  await lab.signUp();
  hosts = [];
  for (let index = 1; index <= sized(2, 6); index++) {
    const host = await ChaosHost.enrolled(lab, { name: `locked-${index}`, spoken: 100, restSeconds: 0.1 });
    lab.cleanups.push(() => host.stopInTest());
    await host.startInTest();
    await host.untilInitialised();
    hosts.push(host);
  }
});
afterAll(() => lab?.close());

test("a database that is locked for 10 s fails no job, loses no event and refuses nobody", {
  timeout: testTimeout,
}, async () => {
  const before = await Promise.all(hosts.map((host) => host.startBackup()));
  const other = new DatabaseSync(join(lab.dataFolder, "restic-manager.db"), { timeout: 5000 });
  other.exec("BEGIN IMMEDIATE");
  const lockedAt = performance.now();
  const waiting = hosts.map((host) => host.startBackup());
  await pause(1_000);
  const askedAt = performance.now();
  expect((await fetch(`${lab.url}/healthz`)).status).toBe(200);
  expect(performance.now() - askedAt).toBeLessThan(promptMs);
  const read = lab.api.get<{ hosts: unknown[] }>("/api/hosts");
  await pause(lockedMs - (performance.now() - lockedAt));
  other.exec("ROLLBACK");
  other.close();
  expect((await read).hosts).toHaveLength(hosts.length);
  const after = await Promise.all(waiting);
  for (const [index, host] of hosts.entries())
    for (const jobId of [before[index], after[index]])
      expect(await host.finished(jobId ?? "")).toMatchObject({ status: "succeeded" });
  const jobs = await expectTruth(lab, hosts);
  report(`database locked for ${lockedMs / 1000} s: ${jobs} jobs`);
});
