/**
 * From a folder of the host to a snapshot that nobody asked for: a group made with the browser of folders, a schedule
 * that fires at its minute, a hook around it, and the snapshot with the group's name; then the server is away while its
 * time comes again. Real programs, a real browser, the clock on the wall: most of it is waiting.
 */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../../tools/demo/children.ts";
import { Findings, Gallery, launchBrowser } from "../lab/browser.ts";
import { LabHost } from "../lab/host.ts";
import { admin, Lab, writeRandomFiles } from "../lab/lab.ts";

let lab: Lab;
let host: LabHost;
let browser: Browser;
let page: Page;
let gallery: Gallery;
let folder: string;
const findings = new Findings();

beforeAll(async () => {
  lab = await Lab.create();
  folder = join(lab.folder, "sources");
  await writeRandomFiles(join(folder, "photos"), 3, 100_000);
  await mkdir(join(folder, "odd\nname"));
  await lab.startServer();
  await lab.signUp();
  host = await LabHost.add(lab, { name: "scheduled", paths: [join(folder, "photos")] });
  browser = await launchBrowser();
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    reducedMotion: "reduce",
  });
  findings.watch(context);
  gallery = await Gallery.open(findings);
  page = await context.newPage();
  page.setDefaultTimeout(20_000);
  await page.goto(`${lab.url}/login`);
  await page.fill('[name="username"]', admin.username);
  await page.fill('[name="password"]', admin.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(`${lab.url}/`);
});

afterAll(async () => {
  await browser?.close();
  await lab?.close();
});

interface ScheduledJob {
  status: string;
  planned_at: string;
  actor: { kind: string };
  summary: { snapshot_id: string } | null;
}

async function scheduledJobs(): Promise<ScheduledJob[]> {
  const { jobs } = await lab.api.get<{ jobs: ScheduledJob[] }>(`/api/hosts/${host.id}/jobs?kind=backup`);
  return jobs.filter((job) => job.actor.kind === "schedule");
}

/** What the repository itself has, asked with plain restic. */
async function snapshots(): Promise<{ id: string; time: string; tags?: string[] }[]> {
  return JSON.parse(await host.restic("snapshots", "--json", "--no-lock")) as [];
}

/** Opens the folders on the way to the sources, one after the other. */
async function browseToSources(): Promise<void> {
  await page.getByRole("button", { name: "Browse the host" }).click();
  let path = "";
  for (const name of folder.split("/").filter(Boolean)) {
    path += `/${name}`;
    const open = page.getByRole("button", { name: `Open ${path}`, exact: true });
    const more = page.getByRole("button", { name: "Show more" });
    await open.or(more).first().waitFor();
    while (!(await open.isVisible())) await more.click();
    await open.click();
  }
}

describe("a schedule", () => {
  test("begins with a group whose paths are chosen in the host's folders", async () => {
    await page.goto(`${lab.url}/hosts/${host.id}/sources/new`);
    await browseToSources();
    await page.getByLabel(`Back up ${join(folder, "photos")}`, { exact: true }).check();
    expect(await page.inputValue('[name="includes"]')).toBe(join(folder, "photos"));
    // A name with a line break would be two lines, and so two other paths.
    expect(await page.locator(".browse-list input:disabled").count()).toBe(1);
    await page.fill('[name="keep_hourly"]', "24");
    await page.fill(
      '[name="pre_hook"]',
      `echo "before $RM_SOURCE_GROUP" > '${join(lab.folder, "hook.txt")}'`,
    );
    await gallery.take(page, "group-new");
    await findings.refused(422, async () => {
      await page.getByRole("button", { name: "Create group" }).click();
      await page.waitForSelector("#field-name-error");
    });
    expect(await page.inputValue('[name="includes"]')).toBe(join(folder, "photos"));
    await page.fill('[name="name"]', "photos");
    await page.getByRole("button", { name: "Create group" }).click();
    await page.waitForURL(/tab=sources/);
    await page.locator("#source-rows", { hasText: "photos" }).waitFor();
    await gallery.take(page, "host-sources-two");
  });

  test("shows its next runs while it is typed, and is in force at once", async () => {
    await page.goto(`${lab.url}/hosts/${host.id}/schedules/new`);
    await page.locator("label", { hasText: "default" }).getByRole("checkbox").uncheck();
    await page.fill('[name="cron"]', "* * * *");
    await page.locator(".cron-problem", { hasText: "five fields" }).waitFor();
    await page.fill('[name="cron"]', "* * * * *");
    await page.locator("#cron-preview", { hasText: "Every minute" }).waitFor();
    await gallery.take(page, "schedule-new");
    await page.getByRole("button", { name: "Create schedule" }).click();
    await page.waitForURL(/tab=schedules/);
    await page.locator("#host-head", { hasText: "in sync" }).waitFor();
  });

  test("fires at its minute, with its hook, and the snapshot has the group's name", async () => {
    const [job] = await until("a run of the schedule", 100_000, async () => {
      const ended = (await scheduledJobs()).filter(({ status }) => status === "succeeded");
      return ended.length > 0 && ended;
    });
    expect(await readFile(join(lab.folder, "hook.txt"), "utf8")).toBe("before photos\n");
    const [snapshot] = await snapshots();
    expect(snapshot).toMatchObject({ id: job?.summary?.snapshot_id, tags: ["photos"] });
    // The agent fired it: the server itself looks only a minute after the time.
    expect(Date.parse(snapshot?.time ?? "") - Date.parse(job?.planned_at ?? "")).toBeLessThan(30_000);
    await page.locator("#schedule-rows", { hasText: "succeeded" }).waitFor();
    await gallery.take(page, "host-schedules-fired");
  });

  test("while the server is away is run by the host itself, and each time has exactly one job", async () => {
    // A page that looks for news of a server that is away would count as a failed one.
    await page.goto("about:blank");
    await lab.server?.stop(8000);
    const before = (await snapshots()).length;
    await until("a backup without the server", 150_000, async () => (await snapshots()).length > before);
    await lab.startServer();
    await host.untilOnline();
    const jobs = await until("the reports of the host's own runs", 60_000, async () => {
      const all = await scheduledJobs();
      const told = new Set(all.map((job) => job.summary?.snapshot_id));
      return (await snapshots()).every(({ id }) => told.has(id)) && all;
    });
    const times = jobs.map((job) => job.planned_at);
    expect(times.length).toBeGreaterThanOrEqual(2);
    expect([...new Set(times)]).toEqual(times);
  });

  test("that is paused fires no more, and is run after a question", async () => {
    await page.goto(`${lab.url}/hosts/${host.id}?tab=schedules`);
    await page.getByRole("button", { name: "Pause: * * * * *" }).click();
    await page.locator("#schedule-rows", { hasText: "paused" }).waitFor();
    await page.getByRole("link", { name: "Run now: * * * * *" }).click();
    await gallery.take(page, "schedule-run-paused");
    await page.getByRole("button", { name: "Run once" }).click();
    await page.waitForURL(/\/jobs\/[0-9A-Z]{26}$/);
    await page.waitForSelector("#job-head >> text=succeeded", { timeout: 60_000 });
  });

  test("leaves no page with an error, a violation of the policy or of accessibility", () => {
    expect(findings.list).toEqual([]);
  });
});
