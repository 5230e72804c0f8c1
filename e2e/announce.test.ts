/**
 * A machine without a token, as two people walk it: one starts the agent and reads a fingerprint, the other sees the
 * same one come up on the dashboard, accepts, and has a first backup. Real programs, real restic, a real browser.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createQuickRepository } from "../packages/testkit/src/quick-repository.ts";
import { type Child, startChild, until } from "../tools/demo/children.ts";
import { Findings, Gallery, launchBrowser, signInOn } from "./lab/browser.ts";
import { agentProgram, createSecret, Lab, plainEnvironment, writeRandomFiles } from "./lab/lab.ts";

const password = createSecret("repo");
const findings = new Findings();
let lab: Lab;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let gallery: Gallery;

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startServer();
  await lab.signUp();
  await createQuickRepository(join(lab.folder, "repository"), password);
  browser = await launchBrowser();
  context = await browser.newContext({ reducedMotion: "reduce" });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  findings.watch(context);
  gallery = await Gallery.open(findings);
  page = await context.newPage();
  page.setDefaultTimeout(20_000);
  await signInOn(page, lab.url);
}, 120_000);

afterAll(async () => {
  await browser?.close();
  await lab?.close();
});

/** The agent on one machine: its program and what it printed. */
function announce(name: string): { child: Child; said(): Promise<string> } {
  const logFile = join(lab.folder, `${name}.log`);
  const folder = join(lab.folder, name);
  const child = lab.keep(
    startChild(
      process.execPath,
      [
        ...[agentProgram, "announce", "--server", lab.url, "--hostname", name, "--run"],
        ...["--config", join(folder, "agent.yaml"), "--data-dir", join(folder, "data")],
        ...["--restic", lab.resticPath],
      ],
      { env: plainEnvironment(), logFile },
    ),
  );
  return { child, said: () => readFile(logFile, "utf8") };
}

const fingerprintIn = (said: string) => /^SHA256:[A-Za-z0-9+/]{43}$/m.exec(said)?.[0];

test("it comes up on the dashboard by itself, with the fingerprint that it printed, to be copied by one click", async () => {
  expect(await page.locator("#pending-hosts").count()).toBe(0);
  const machine = announce("announced-01");
  const printed = await until("the fingerprint", 30_000, async () => fingerprintIn(await machine.said()));
  await page.waitForSelector("#pending-hosts");
  expect(await page.locator("#pending-hosts code").textContent()).toBe(printed);
  await gallery.take(page, "announced-dashboard");
  await page.getByRole("button", { name: "Copy fingerprint of announced-01" }).click();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(printed);
  await page.getByRole("link", { name: "Compare and accept announced-01" }).click();
  await page.waitForURL(/\/pending-hosts\//);
  expect(await page.locator("#fingerprint").textContent()).toBe(printed);
});

test("a refused form keeps what was typed; accepted, the host goes online and is backed up", async () => {
  const sources = await writeRandomFiles(join(lab.folder, "sources"), 3, 50_000);
  await gallery.take(page, "announced-compare");
  await page.getByRole("radio", { name: "Local path" }).check();
  await page.fill('[name="local_path"]', "relative");
  await page.fill('[name="initial_paths"]', sources);
  await page.fill('[name="repo_password"]', password);
  const accept = page.getByRole("button", { name: "The fingerprint is the same: accept" });
  await findings.refused(422, async () => {
    await accept.click();
    await page.waitForSelector(".field-error");
  });
  expect(await page.inputValue('[name="initial_paths"]')).toBe(sources);
  await page.fill('[name="local_path"]', join(lab.folder, "repository"));
  await page.fill('[name="repo_password"]', password);
  await accept.click();
  await page.waitForSelector("#enrolment-status.ok");
  await gallery.take(page, "announced-online");
  await page.getByRole("link", { name: "Open host" }).click();
  await page.waitForURL(/\/hosts\//);
  const hostId = new URL(page.url()).pathname.split("/").at(-1);
  type Job = { id: string; kind: string; status: string };
  const ended = (kind: string) =>
    until(`the ${kind}`, 60_000, async () => {
      const { jobs } = await lab.api.get<{ jobs: Job[] }>(`/api/hosts/${hostId}/jobs?kind=${kind}`);
      return jobs.find(({ status }) => !["queued", "dispatched", "running"].includes(status));
    });
  expect((await ended("init")).status).toBe("succeeded");
  await lab.api.post(`/api/hosts/${hostId}/jobs`, { kind: "backup" });
  expect((await ended("backup")).status).toBe("succeeded");
});

test("without scripts another is rejected with a reason, which its program prints before it ends", async () => {
  const machine = announce("announced-02");
  await until("the proof", 30_000, async () => (await machine.said()).includes("Waiting to be accepted"));
  const cookies = await context.cookies();
  const plain = await browser.newContext({ javaScriptEnabled: false });
  await plain.addCookies(cookies);
  const quiet = await plain.newPage();
  await quiet.goto(`${lab.url}/`);
  await quiet.getByRole("link", { name: "Compare and accept announced-02" }).click();
  await quiet.fill('[name="reason"]', "not one of ours");
  await quiet.getByRole("button", { name: "Reject this machine" }).click();
  await quiet.waitForSelector("#hosts");
  expect(await quiet.locator("#pending-hosts").count()).toBe(0);
  expect(await machine.child.exited).toBe(1);
  expect(await machine.said()).toContain("This machine was rejected: not one of ours");
  await plain.close();
});

test("nothing went wrong on any page, and axe finds nothing", () => {
  expect(findings.list).toEqual([]);
});
