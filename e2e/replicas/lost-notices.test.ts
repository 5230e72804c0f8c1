/**
 * What PostgreSQL's NOTIFY carries only wakes; so it may get lost. One replica hears nothing for a while, or its listening
 * connection is ended, and what it would have been woken for still happens, with the next heartbeat.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { heartbeatMs } from "../../packages/server/src/platform/replicas/replicas.ts";
import { TestBrowser } from "../../packages/testkit/src/server-browser.ts";
import { testTimeout, untilSoon } from "../chaos/faults.ts";
import { ChaosHost } from "../chaos/host.ts";
import { expectTruth } from "../chaos/truth.ts";
import type { PostgresWire } from "../lab/postgres-wire.ts";
import { type Replica, ReplicaLab } from "../lab/replicas.ts";

/** A frame that never came is noticed by the one after it; then the rows are read, on a machine that may have other work. */
const noticedWithinMs = 2 * heartbeatMs + 30_000;
/** Long enough for a whole job, so that only the heartbeat after it tells; shorter than a heartbeat. */
const momentMs = 4_500;
const counting = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

let replicas: ReplicaLab;
let wire: PostgresWire;
let speaking: Replica;
let deaf: Replica;
/** Its agent is at the replica that can be made deaf. */
let atDeaf: ChaosHost;
let atSpeaking: ChaosHost;

beforeAll(async () => {
  replicas = await ReplicaLab.create();
  const { lab } = replicas;
  const way = await replicas.addWire();
  wire = way.wire;
  speaking = await replicas.add({ name: "speaking" });
  deaf = await replicas.add({ name: "deaf", database: way.database });
  const wishes = { spoken: 10, restSeconds: 0.2 };
  atDeaf = await ChaosHost.enrolled(lab, { name: "at-deaf", dials: deaf.url, ...wishes });
  atSpeaking = await ChaosHost.enrolled(lab, { name: "at-speaking", dials: speaking.url, ...wishes });
  for (const host of [atDeaf, atSpeaking]) host.startProgram();
  for (const host of [atDeaf, atSpeaking]) await host.untilInitialised();
  await replicas.untilAt(deaf, atDeaf.id);
  await replicas.untilAt(speaking, atSpeaking.id);
}, testTimeout);
afterAll(() => replicas?.close());
afterEach(() => {
  wire.deaf = false;
});

function watch(replica: Replica, jobId: string): TestBrowser {
  const url = `${replica.url.replace("http", "ws")}/api/jobs/${jobId}/stream?from=1`;
  return new TestBrowser(
    new WebSocket(url, { headers: { cookie: replica.api.cookie }, origin: replica.url }),
  );
}

/** Ends every replica's listening connection, also of one that is just about to make itself a new one. */
async function endListeners(): Promise<void> {
  const query = `select application_name as name, pg_terminate_backend(pid) from pg_stat_activity
    where application_name like 'restic-manager replica %' and not application_name = any($1)`;
  const ended = new Set<string>();
  await untilSoon("the end of every listening connection", noticedWithinMs, async () => {
    const rows = await replicas.postgres.query<{ name: string }>(query, [[...ended]]);
    for (const { name } of rows) ended.add(name);
    return ended.size === replicas.replicas.length;
  });
}

const makesDeaf: [string, () => Promise<void>][] = [
  [
    "all notifications are lost",
    async () => {
      wire.deaf = true;
    },
  ],
  [
    "what comes in one moment is lost",
    async () => {
      wire.deaf = true;
      setTimeout(() => {
        wire.deaf = false;
      }, momentMs);
    },
  ],
  ["the listening connections are ended", endListeners],
];

describe.each(makesDeaf)("%s", (_how, makeDeaf) => {
  test("a job is still dispatched by the replica that has the agent", { timeout: testTimeout }, async () => {
    await makeDeaf();
    const path = `/api/hosts/${atDeaf.id}/jobs`;
    const { job_id } = await speaking.api.post<{ job_id: string }>(path, { kind: "backup" });
    await untilSoon(
      "the job's start",
      noticedWithinMs,
      async () => (await atDeaf.job(job_id)).status !== "queued",
    );
    expect(await atDeaf.finished(job_id)).toMatchObject({ status: "succeeded" });
    await expectTruth(replicas.lab, [atDeaf]);
  });

  test("a live log still grows, and comes to its end", { timeout: testTimeout }, async () => {
    await atSpeaking.hold();
    const jobId = await atSpeaking.startBackup();
    await atSpeaking.untilHeld();
    const browser = watch(deaf, jobId);
    await untilSoon("the first lines", noticedWithinMs, () => browser.lineNumbers.length > 0);
    await makeDeaf();
    const seen = browser.lineNumbers.length;
    await atSpeaking.release();
    await untilSoon("more lines", noticedWithinMs, () => browser.lineNumbers.length > seen);
    const job = await atSpeaking.finished(jobId);
    await untilSoon("the end", noticedWithinMs, () => browser.ended);
    expect(browser.lineNumbers).toEqual(counting(job.log_lines ?? 0));
    await expectTruth(replicas.lab, [atSpeaking]);
  });
});

test("notifications were there to be lost", () => {
  expect(wire.swallowed).toBeGreaterThan(0);
});
