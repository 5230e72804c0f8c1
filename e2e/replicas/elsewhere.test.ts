/**
 * The agent is connected to one replica, and everybody else is at the other: what a person does there has to reach the
 * agent, and what the agent tells has to reach them, as if there were one server.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../../tools/demo/children.ts";
import { testTimeout } from "../chaos/faults.ts";
import { ChaosHost } from "../chaos/host.ts";
import { expectTruth } from "../chaos/truth.ts";
import { Findings, launchBrowser } from "../lab/browser.ts";
import { admin } from "../lab/lab.ts";
import { type Replica, ReplicaLab } from "../lab/replicas.ts";

const spoken = 60;

let replicas: ReplicaLab;
/** Has the agent. */
let near: Replica;
/** Has everybody else. */
let far: Replica;
let host: ChaosHost;
let file: string;
let snapshotId: string;

beforeAll(async () => {
  replicas = await ReplicaLab.create();
  near = await replicas.add({ name: "near" });
  far = await replicas.add({ name: "far" });
  host = await ChaosHost.enrolled(replicas.lab, {
    name: "elsewhere",
    dials: near.url,
    spoken,
    restSeconds: 0.1,
  });
  host.startProgram();
  await host.untilInitialised();
  await replicas.untilAt(near, host.id);
  file = join(host.around, "source", "file");
}, testTimeout);
afterAll(() => replicas?.close());

/** Runs a backup through the far replica. */
async function backUp(): Promise<string> {
  const path = `/api/hosts/${host.id}/jobs`;
  return (await far.api.post<{ job_id: string }>(path, { kind: "backup" })).job_id;
}

describe("at the replica that does not have the agent", () => {
  test("the host is online, and a job runs there and back", async () => {
    expect(await far.api.get(`/api/hosts/${host.id}`)).toMatchObject({ online: true });
    const job = await host.finished(await backUp());
    expect(job).toMatchObject({ status: "succeeded" });
    snapshotId = job.summary?.snapshot_id ?? "";
    const listed = await until("the snapshot in the list", 10_000, async () => {
      const path = `/api/hosts/${host.id}/snapshots`;
      const { snapshots } = await far.api.get<{ snapshots: { id: string }[] }>(path);
      return snapshots.length > 0 && snapshots;
    });
    expect(listed.map(({ id }) => id)).toEqual([snapshotId]);
  });

  test("a job that runs is cancelled", async () => {
    await host.hold();
    const running = await backUp();
    await host.untilHeld();
    expect(await far.api.post(`/api/jobs/${running}/cancel`)).toMatchObject({ outcome: "requested" });
    expect(await host.finished(running)).toMatchObject({ status: "cancelled" });
    await host.release();
  });

  test("the agent's folders, a snapshot's folders and a file's bytes can be had", async () => {
    const folder = encodeURIComponent(join(host.around, "source"));
    const names = { entries: [{ name: "file", kind: "file" }] };
    expect(await far.api.get(`/api/hosts/${host.id}/files?path=${folder}`)).toMatchObject(names);
    const snapshot = `/api/hosts/${host.id}/snapshots/${snapshotId}`;
    expect(await far.api.get(`${snapshot}/tree?path=${folder}`)).toMatchObject(names);
    const bytes = await far.api.getText(`${snapshot}/download?path=${encodeURIComponent(file)}`);
    expect(bytes).toBe(await readFile(file, "utf8"));
  });

  test("the agent tries credentials, and says what is wrong with them", async () => {
    const path = `/api/hosts/${host.id}/repo-credentials/test`;
    expect(await far.api.post(path)).toMatchObject({ outcome: "ok" });
    expect(await far.api.post(path, { repo_password: "not the password" })).toMatchObject({
      outcome: "failed",
    });
  });

  test("an edit of the credentials is in force for the next job", async () => {
    const path = `/api/hosts/${host.id}/repo-credentials`;
    await far.api.put(path, { repo_password: "something else" });
    expect(await host.finished(await backUp())).toMatchObject({ error: { code: "restic.wrong_password" } });
    await far.api.put(path, { repo_password: host.password });
    expect(await host.finished(await backUp())).toMatchObject({ status: "succeeded" });
  });

  test("a new schedule is at the agent at once", async () => {
    const groups = `/api/hosts/${host.id}/source-groups`;
    const { source_groups } = await far.api.get<{ source_groups: { id: string }[] }>(groups);
    await far.api.post(`/api/hosts/${host.id}/schedules`, {
      ...{ cron: "0 4 29 2 *", time_zone: "UTC" },
      source_group_ids: source_groups.map(({ id }) => id),
    });
    await until("the agent's word for the schedules", 10_000, async () => {
      const path = `/api/hosts/${host.id}`;
      const shown = await far.api.get<{ schedule_version: number; applied_schedule_version: number | null }>(
        path,
      );
      return shown.schedule_version > 0 && shown.applied_schedule_version === shown.schedule_version;
    });
  });
});

describe("a browser at the replica that does not have the agent", () => {
  const findings = new Findings();
  let browser: Browser;
  let page: Page;
  /** The number of every line that came, in order of arrival. */
  const received: number[] = [];

  beforeAll(async () => {
    browser = await launchBrowser();
    const context = await browser.newContext({ reducedMotion: "reduce" });
    findings.watch(context);
    page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.on("websocket", (socket) =>
      socket.on("framereceived", ({ payload }) => {
        const message = JSON.parse(String(payload)) as { lines?: { n: number }[] };
        received.push(...(message.lines ?? []).map(({ n }) => n));
      }),
    );
    await page.goto(`${far.url}/login`);
    await page.fill('[name="username"]', admin.username);
    await page.fill('[name="password"]', admin.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL(`${far.url}/`);
  });
  afterAll(() => browser?.close());

  const drawn = async (): Promise<string[]> =>
    (await page.locator("#log .line-text").allInnerTexts()).filter((text) => /^said \d+ of/.test(text));

  test("starts a backup, and sees each line as it comes and the end", { timeout: testTimeout }, async () => {
    await host.hold();
    await page.goto(`${far.url}/hosts/${host.id}?tab=sources`);
    await page.getByRole("button", { name: "Run now: default" }).click();
    await page.waitForURL(/\/jobs\/[0-9A-Z]{26}$/);
    await host.untilHeld();
    await until("the first line in the browser", 10_000, async () => (await drawn()).length > 0);
    await page.waitForSelector("#job-head >> text=running");
    await host.release();
    await page.waitForSelector("#job-head >> text=succeeded", { timeout: 60_000 });
    const job = await host.job(page.url().split("/").at(-1) ?? "");
    expect(received).toEqual(Array.from({ length: job.log_lines ?? 0 }, (_, index) => index + 1));
    expect((await drawn()).at(-1)).toBe(`said ${spoken} of ${spoken}.`);
  });

  test("cancels one", { timeout: testTimeout }, async () => {
    await host.hold();
    const jobId = await backUp();
    await host.untilHeld();
    await page.goto(`${far.url}/jobs/${jobId}`);
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.waitForSelector("#job-head >> text=cancelled", { timeout: 30_000 });
    await host.release();
  });

  test("finds nothing wrong on its pages", () => {
    expect(findings.list).toEqual([]);
  });
});

test("in the end nothing was lost or doubled", { timeout: testTimeout }, async () => {
  expect((await replicas.placeOf(host.id))?.name).toBe("near");
  await expectTruth(replicas.lab, [host]);
});
