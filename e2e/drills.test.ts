/**
 * Trusting backups, as a person does it in the browser: what changed between two of them, and a restore that is proven;
 * then a byte of the storage rots, and the next drill says so. Real programs, real restic.
 */
import { chmod, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../tools/demo/children.ts";
import { launchBrowser } from "./lab/browser.ts";
import { LabHost } from "./lab/host.ts";
import { admin, Lab, writeRandomFiles } from "./lab/lab.ts";

let lab: Lab;
let host: LabHost;
let browser: Browser;
let page: Page;
let sources: string;

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startServer();
  await lab.signUp();
  sources = await writeRandomFiles(join(lab.folder, "sources"), 5, 200_000);
  host = await LabHost.add(lab, { isQuick: true, name: "trust-01", paths: [sources] });
  expect((await host.backUp()).status).toBe("succeeded");
  await writeFile(join(sources, "added <script>"), "fresh");
  await rm(join(sources, (await readdir(sources)).find((name) => !name.startsWith("added")) ?? ""));
  expect((await host.backUp()).status).toBe("succeeded");
  browser = await launchBrowser();
  page = await (await browser.newContext({ reducedMotion: "reduce" })).newPage();
  page.setDefaultTimeout(20_000);
  await page.goto(`${lab.url}/login`);
  await page.fill('[name="username"]', admin.username);
  await page.fill('[name="password"]', admin.password);
  await page.click('button[type="submit"]:has-text("Sign in")');
  await page.waitForSelector("#hosts");
}, 120_000);

afterAll(async () => {
  await browser?.close();
  await lab?.close();
});

const openHost = () => page.goto(`${lab.url}/hosts/${host.id}`);

test("what changed between two backups is found by three clicks, and filtered", async () => {
  await openHost();
  await page.click("text=Compare two…");
  await page.click('button:has-text("Compare")');
  await page.waitForSelector("table.differences");
  const rows = async () => (await page.locator("table.differences tbody tr").allInnerTexts()).join("\n");
  expect(await rows()).toMatch(/added\s+.*\/added <script>\s+5 B/);
  expect(await rows()).toMatch(/removed\s+.*\.bin\s+–\s+none\s+195\.3 KiB/);
  await page.click('.chips >> text="Removed"');
  await page.waitForURL(/kind=removed/);
  expect(await page.locator("table.differences tbody tr").count()).toBe(1);
  await page.fill('input[name="text"]', "nowhere");
  await page.click('button:has-text("Find")');
  await page.waitForSelector("text=No change matches");
}, 60_000);

/** Starts a drill from the host's page. @returns how its job ended */
async function drill(): Promise<string> {
  await openHost();
  await page.click('#host-drill button:has-text("Drill now")');
  await page.waitForURL(/\/jobs\//);
  return (await host.finished(new URL(page.url()).pathname.split("/").at(-1) ?? "")).status;
}

test("a restore is proven by one click, and nothing of it stays on the host", async () => {
  expect(await drill()).toBe("succeeded");
  await openHost();
  await page.waitForSelector('#host-drill a:has-text("ago"), #host-drill a:has-text("now")');
  expect(await page.textContent("#host-drill")).toContain("5 files with the source");
  await page.goto(lab.url);
  expect(await page.textContent("#fleet-drills")).toContain("Restore proven on 1 of 1 host");
  expect(await readdir(join(host.dataFolder, "drills"))).toEqual([]);
}, 60_000);

test("a byte that rots in the storage is found by the next drill, and named where people look", async () => {
  const data = join(host.repository, "data");
  const packs = (await readdir(data, { recursive: true })).map((name) => join(data, name));
  const sizes = await Promise.all(packs.map(async (pack) => ({ pack, info: await stat(pack) })));
  const [largest] = sizes.filter(({ info }) => info.isFile()).sort((a, b) => b.info.size - a.info.size);
  const pack = largest?.pack ?? "";
  const bytes = await readFile(pack);
  for (let at = 1000; at < bytes.length - 5000; at += 20_000) bytes[at] = (bytes[at] ?? 0) ^ 0xff;
  await chmod(pack, 0o600);
  await writeFile(pack, bytes);
  expect(await drill()).toBe("failed");
  await page.reload();
  await page.waitForSelector("#job-mismatches");
  expect(await page.textContent("#job-failure")).toContain("did not come back as they should");
  await openHost();
  await until("the bad drill on the host's page", 10_000, async () =>
    (await page.textContent("#host-drill"))?.includes("files are wrong"),
  );
}, 60_000);
