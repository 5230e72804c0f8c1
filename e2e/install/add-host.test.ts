/**
 * What the page "Add host" gives to a person, done on a machine as it stands there, letter by letter: the line for a
 * shell, by a user who may sudo, and the installer as a file; and taken out again.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createQuickRepository } from "../../packages/testkit/src/quick-repository.ts";
import { Findings, launchBrowser, signInOn } from "../lab/browser.ts";
import { createSecret } from "../lab/lab.ts";
import { Stage, unit } from "./stage.ts";

const home = "/home/ann";

let stage: Stage;
let browser: Browser;
let page: Page;
const findings = new Findings();

beforeAll(async () => {
  stage = await Stage.set({ init: "systemd" });
  await stage.machine.shell(
    `useradd --create-home --home-dir ${home} ann && echo 'ann ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ann
grep -q "$(hostname)" /etc/hosts || echo "127.0.1.1 $(hostname)" >>/etc/hosts`,
  );
  browser = await launchBrowser();
  const context = await browser.newContext({ reducedMotion: "reduce", acceptDownloads: true });
  findings.watch(context);
  page = await context.newPage();
  page.setDefaultTimeout(20_000);
  await signInOn(page, stage.lab.url);
});
afterAll(async () => {
  await browser?.close();
  await stage?.close();
});

async function fill(values: Record<string, string>): Promise<void> {
  for (const [name, value] of Object.entries(values)) await page.fill(`[name="${name}"]`, value);
}

/** Fills the form of "Add host" for a repository that lies in the machine. */
async function addHost(hostname: string): Promise<void> {
  const [repository, password] = [`/srv/${hostname}`, createSecret("repo")];
  await createQuickRepository(join(stage.machine.root, repository), password);
  await page.goto(`${stage.lab.url}/hosts/new`);
  await page.getByRole("radio", { name: "Local path" }).check();
  await fill({ hostname, initial_paths: "/etc/apt", local_path: repository, repo_password: password });
  await page.getByRole("button", { name: "Create install command" }).click();
  await page.waitForSelector("#install-command");
}

/** What ann types, in her home. */
const typed = (line: string) =>
  stage.machine.run(["runuser", "-u", "ann", "--", "env", "-C", home, `HOME=${home}`, "sh", "-c", line]);

const isActive = async () => (await stage.machine.run(["systemctl", "is-active", unit])).output;

describe("the line for a shell", () => {
  test("makes the machine a host, by a user who may sudo and is not root", async () => {
    await addHost("web-01");
    const line = (await page.textContent("#install-command"))?.trim() ?? "";
    expect(line).toContain("sudo --preserve-env=RM_SERVER,RM_TOKEN sh");
    const { code, output } = await typed(line);
    expect(output).toContain("This machine is enrolled");
    expect(output).toMatch(/^Online: /m);
    expect(code).toBe(0);
    await page.waitForSelector("#enrolment-status.ok");
    expect(await page.textContent("#enrolment-status")).toContain("web-01 is connected");
    expect(await isActive()).toBe("active\n");
    expect(await stage.machine.shell("stat -c '%U %a' /etc/restic-manager/agent.yaml")).toBe("root 600\n");
  });

  test("is said to need root without its sudo, and changes nothing", async () => {
    const line = (await page.textContent("#install-command"))?.trim() ?? "";
    const { code, output } = await typed(line.replace(/sudo --preserve-env=\S+ /, ""));
    expect(output).toContain("Failed: this needs root.");
    expect(code).toBe(1);
    expect(await isActive()).toBe("active\n");
  });

  test("is undone by what the documentation says", async () => {
    const guide = await readFile(join(import.meta.dirname, "../../docs/install.md"), "utf8");
    const line = /\*\*Removing it\*\*: `([^`]+)`/.exec(guide)?.[1] ?? "";
    expect(line).toContain("uninstall");
    const here = `${line.replace(/https:\/\/[^/]+/, stage.lab.url)} --purge`;
    const { code, output } = await typed(here);
    expect(output).toContain("The host's entry and its backups stay at the server.");
    expect(code).toBe(0);
    expect(await stage.left()).toEqual([]);
    expect(await stage.machine.shell("pgrep -f '[r]estic-manager' || echo none")).toBe("none\n");
  });
});

describe("the installer as a file", () => {
  let file = "";

  test("makes the machine a host, run as the page says", async () => {
    await addHost("web-02");
    const downloading = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download installer install-web-02.sh" }).click();
    const download = await downloading;
    file = download.suggestedFilename();
    expect(file).toBe("install-web-02.sh");
    const text = await readFile(await download.path(), "utf8");
    await stage.machine.write(`${home}/${file}`, text, "600");
    await stage.machine.shell(`chown ann: ${home}/${file}`);
    const line = (await page.locator("form.actions code").first().textContent())?.trim() ?? "";
    expect(line).toBe(`sudo sh ${file}`);
    const { code, output } = await typed(line);
    expect(output).toContain("This machine is enrolled");
    expect(output).toMatch(/^Online: /m);
    expect(code).toBe(0);
    await page.waitForSelector("#enrolment-status.ok");
    expect(await page.textContent("#enrolment-status")).toContain("web-02 is connected");
  });

  test("run once more changes nothing", async () => {
    const { code, output } = await typed(`sudo sh ${file}`);
    expect(output).toContain("is installed already.");
    expect(output).toContain("This host stays enrolled");
    expect(code).toBe(0);
  });

  test("is undone by itself", async () => {
    const { code } = await typed(`sudo sh ${file} uninstall --purge && rm ${file}`);
    expect(code).toBe(0);
    expect(await stage.left()).toEqual([]);
    expect(await stage.machine.shell("pgrep -f '[r]estic-manager' || echo none")).toBe("none\n");
  });
});

test("nothing went wrong on any page", () => {
  expect(findings.list).toEqual([]);
});
