/**
 * The whole path as a person walks it: the link in the log, the first admin, a host, its agent, a backup that is
 * watched while it runs, and every byte back with plain restic. Real programs, a real rest-server with a password,
 * a real browser. The tests are chapters: each goes on where the one before ended.
 */
import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startChild, until } from "../tools/demo/children.ts";
import { Findings, Gallery, launchBrowser } from "./lab/browser.ts";
import { compareTrees } from "./lab/bytes.ts";
import { writeScript } from "./lab/host.ts";
import { admin, agentProgram, createSecret, Lab, plainEnvironment, writeRandomFiles } from "./lab/lab.ts";

const run = promisify(execFile);
const hostName = "story-01";
const restUser = { name: "story", password: createSecret("rest") };
const repositoryPassword = createSecret("repo");
/** Slow enough to be watched, fast enough to be waited for: some ten seconds. */
const sourceBytes = 80_000_000;
const slowness = "--limit-upload 8000 --pack-size 4";

let lab: Lab;
let browser: Browser;
let page: Page;
let gallery: Gallery;
let sources: string;
let repository: string;
let installCommand = "";
let hostUrl = "";
const findings = new Findings();

beforeAll(async () => {
  lab = await Lab.create();
  sources = await makeSources();
  repository = (await lab.startRestServer(restUser)).repository;
  await lab.startServer();
  browser = await launchBrowser();
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    reducedMotion: "reduce",
  });
  findings.watch(context);
  gallery = await Gallery.open(findings);
  page = await context.newPage();
  page.setDefaultTimeout(20_000);
});

afterAll(async () => {
  await browser?.close();
  await lab?.close();
});

/** A chapter without the one before it would only wait for what can not come. */
let broken = "";
beforeEach(() => {
  if (broken !== "") throw new Error(`the story ended at "${broken}"`);
});
afterEach(({ task }) => {
  if (task.result?.state === "fail" && broken === "") broken = task.name;
});

async function makeSources(): Promise<string> {
  const folder = await writeRandomFiles(join(lab.folder, "sources"), 5, sourceBytes / 5);
  await mkdir(join(folder, "odd names"), { recursive: true });
  await writeFile(join(folder, "odd names", "<script>alert('1')</script>".replaceAll("/", "∕")), "text");
  await writeFile(join(folder, "odd names", 'a "quoted"\nname'), "two lines in the name");
  await writeFile(
    Buffer.concat([Buffer.from(`${folder}/odd names/bad-`), Buffer.from([0xff, 0xfe])]),
    "bytes",
  );
  await writeFile(join(folder, "empty"), "");
  return folder;
}

const fill = async (values: Record<string, string>): Promise<void> => {
  for (const [name, value] of Object.entries(values)) await page.fill(`[name="${name}"]`, value);
};

describe("the first day", () => {
  test("the link in the log opens the card that makes the first admin", async () => {
    await page.goto(await lab.setupUrl());
    expect(await page.inputValue('[name="token"]')).not.toBe("");
    await gallery.take(page, "first-run");
    await findings.refused(422, async () => {
      await fill({ username: admin.username, password: "short" });
      await page.getByRole("button", { name: "Create admin" }).click();
      await page.waitForSelector(".field-error");
    });
    expect(await page.inputValue('[name="username"]')).toBe(admin.username);
    await fill({ password: admin.password });
    await page.getByRole("button", { name: "Create admin" }).click();
    await page.waitForURL(`${lab.url}/`);
  });

  test("signing out and in again; a wrong password is told in words", async () => {
    await page.goto(`${lab.url}/settings/account`);
    await gallery.take(page, "account");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.waitForURL(/\/login/);
    await gallery.take(page, "sign-in");
    await findings.refused(422, async () => {
      await fill({ username: admin.username, password: "not the password" });
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.waitForSelector("[role=alert]");
    });
    expect(await page.textContent("[role=alert]")).toMatch(/name or the password is wrong/i);
    expect(await page.inputValue('[name="username"]')).toBe(admin.username);
    await gallery.take(page, "sign-in-refused");
    await fill({ password: admin.password });
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL(`${lab.url}/`);
    await gallery.take(page, "dashboard-empty");
    await lab.signIn();
  });
});

describe("a host is added", () => {
  test("a refused form keeps what was typed", async () => {
    await page.locator('main a[href="/hosts/new"]').first().click();
    await page.waitForURL(/\/hosts\/new$/);
    await gallery.take(page, "add-host");
    await findings.refused(422, async () => {
      await fill({
        hostname: hostName,
        tags: "story, web",
        initial_paths: sources,
        repo_url: "backup.example.com",
      });
      await page.getByRole("button", { name: "Create install command" }).click();
      await page.waitForSelector(".field-error");
    });
    expect(await page.inputValue('[name="hostname"]')).toBe(hostName);
    expect(await page.inputValue('[name="tags"]')).toBe("story, web");
    expect(await page.inputValue('[name="initial_paths"]')).toBe(sources);
    await gallery.take(page, "add-host-refused");
  });

  test("the result page carries the command, and its panel turns green by itself", async () => {
    await fill({ repo_url: repository, repo_username: restUser.name });
    await fill({ rest_password: restUser.password, repo_password: repositoryPassword });
    await page.getByRole("button", { name: "Create install command" }).click();
    const shown = (await page.textContent("#install-command"))?.trim() ?? "";
    expect(shown).toContain(`RM_SERVER=${lab.url} RM_TOKEN=`);
    // The installer has stories of its own (e2e/install); here the agent is there already.
    installCommand = `${/RM_SERVER=\S+ RM_TOKEN=\S+/.exec(shown)?.[0]} restic-manager-agent enrol`;
    expect(await page.textContent("#enrolment-status")).toContain("Waiting for the agent");
    await gallery.take(page, "add-host-waiting");
    await enrolByCommand();
    await page.waitForSelector("#enrolment-status.ok", { timeout: 30_000 });
    expect(await page.textContent("#enrolment-status")).toContain(`${hostName} is connected`);
    await gallery.take(page, "add-host-green");
    await page.getByRole("link", { name: "Open host" }).click();
    await page.waitForURL(/\/hosts\/[0-9A-Z]{26}$/);
    hostUrl = page.url();
  });

  test("the repository is made by itself", async () => {
    await page.goto(`${hostUrl}?tab=jobs`);
    await page.waitForSelector("text=succeeded", { timeout: 30_000 });
    await gallery.take(page, "host-new-jobs");
  });
});

describe("a backup", () => {
  test("is started from the dashboard and watched while it runs", async () => {
    await page.goto(`${lab.url}/`);
    await gallery.take(page, "dashboard-new-host");
    // No schedule covers its groups yet: the sources tab asks which one is meant.
    await page.getByRole("link", { name: `Run now: ${hostName}` }).click();
    await page.getByRole("button", { name: "Run now: default" }).click();
    await page.waitForURL(/\/jobs\/[0-9A-Z]{26}$/);
    await page.waitForSelector("#progress-bar[value]", { timeout: 30_000 });
    const share = () => page.locator("#progress-bar").evaluate((bar) => Number(bar.getAttribute("value")));
    const first = await share();
    await page.waitForSelector("#log .line");
    await until("progress", 20_000, async () => (await share()) > first);
    await gallery.take(page, "job-running");
  });

  test("ends in green, with its log and figures", async () => {
    await page.waitForSelector("#job-head >> text=succeeded", { timeout: 60_000 });
    const lines = await page.locator("#log .line-text").allInnerTexts();
    expect(lines.join("\n")).toMatch(/backs up/);
    expect(await page.textContent("#log-count")).toBe(`${lines.length} lines`);
    await gallery.take(page, "job-succeeded");
  });

  test("is listed as a snapshot, and plain restic gives every byte back", async () => {
    await page.goto(hostUrl);
    const row = page.locator("table.rows tbody tr");
    await row.first().waitFor();
    expect(await row.count()).toBe(1);
    await gallery.take(page, "host-snapshots");
    const target = join(lab.folder, "restored");
    await plainRestic("restore", "latest", "--target", target);
    expect(await compareTrees(sources, join(target, sources))).toEqual({ files: 9, differences: [] });
  });
});

describe("the connection of a host", () => {
  test("is tried with what is typed, without leaving the page, and what was typed stays", async () => {
    await page.goto(`${hostUrl}?tab=repository`);
    const form = page.getByRole("form", { name: "Credentials", exact: true });
    const result = form.locator("[data-test-result]");
    const tryIt = () => form.getByRole("button", { name: "Test connection" }).click();
    await tryIt();
    await result.getByText("Connected.", { exact: true }).waitFor({ timeout: 30_000 });
    await form.locator("[name=rest_password]").fill("not the password");
    await tryIt();
    await result.getByText("The storage refused the credentials").waitFor({ timeout: 30_000 });
    expect(await form.locator("[name=rest_password]").inputValue()).toBe("not the password");
    await gallery.take(page, "connection-refused");
    await form.getByText("Local path").click();
    await form.locator("[name=local_path]").fill("relative");
    await tryIt();
    await result.getByText("Nothing was tested.").waitFor({ timeout: 30_000 });
    expect(await form.locator("[name=repo_url]").isVisible()).toBe(false);
  });
});

describe("every other page", () => {
  test("a job that fails says why and what to do", async () => {
    const id = hostUrl.split("/").at(-1);
    const credentials = `/api/hosts/${id}/repo-credentials`;
    await lab.api.put(credentials, { repo_password: "a wrong password" });
    await page.goto(hostUrl);
    await page.locator("#host-head").getByRole("button", { name: "Run now" }).click();
    await page.waitForSelector("#job-head >> text=failed", { timeout: 60_000 });
    expect(await page.textContent("#job-failure")).toContain("password");
    await gallery.take(page, "job-failed");
    await lab.api.put(credentials, { repo_password: repositoryPassword });
  });

  test.each(["jobs", "sources", "schedules", "repository", "settings"])("the host's tab %s", async (tab) => {
    await page.goto(`${hostUrl}?tab=${tab}`);
    expect(await page.textContent(".tabs [aria-current=page]")).toMatch(new RegExp(tab, "i"));
    await gallery.take(page, `host-${tab}`);
  });

  test.each([
    ["dashboard", "/"],
    ["jobs", "/jobs"],
    ["audit", "/audit"],
  ])("%s", async (name, path) => {
    await page.goto(lab.url + path);
    expect(await page.locator("h1").count()).toBe(1);
    await gallery.take(page, name);
  });

  test("an address that leads nowhere", async () => {
    await findings.refused(404, async () => {
      await page.goto(`${lab.url}/no/such/page`);
    });
    await gallery.take(page, "not-found");
  });

  test("no page had an error, a failed request, a violation of the policy or of accessibility", () => {
    expect(findings.list).toEqual([]);
  });
});

/** Runs the page's command in a shell, with a `restic-manager-agent` on the PATH that is the built program. */
async function enrolByCommand(): Promise<void> {
  const bin = await lab.makeFolder("bin");
  const slow = await writeScript(
    join(bin, "slow-restic"),
    `[ "$1" = backup ] && exec '${lab.resticPath}' "$@" ${slowness}\nexec '${lab.resticPath}' "$@"`,
  );
  const config = join(lab.folder, "agent", "agent.yaml");
  const places = `--config '${config}' --data-dir '${join(lab.folder, "agent", "data")}' --restic '${slow}'`;
  const program = `exec '${process.execPath}' '${agentProgram}' "$@" ${places}`;
  await writeScript(join(bin, "restic-manager-agent"), program);
  const env = { ...plainEnvironment(), PATH: `${bin}:${process.env.PATH}` };
  await run("/bin/sh", ["-c", installCommand], { env });
  const args = [agentProgram, "run", "--config", config];
  lab.keep(startChild(process.execPath, args, { env, logFile: join(lab.folder, "agent.log") }));
}

async function plainRestic(...args: string[]): Promise<void> {
  const env = {
    ...plainEnvironment(),
    RESTIC_REPOSITORY: repository,
    RESTIC_PASSWORD: repositoryPassword,
    RESTIC_REST_USERNAME: restUser.name,
    RESTIC_REST_PASSWORD: restUser.password,
    RESTIC_CACHE_DIR: await lab.makeFolder("plain-cache"),
  };
  await run(lab.resticPath, args, { env });
}
