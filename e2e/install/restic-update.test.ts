/**
 * restic on a host, updated from the page of the server: the button, the signed list, the digest, the swap, and the way
 * that the new version is told. A real server, a real browser, and the agent under its unit with a real systemd.
 */
import { appendFile, cp } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../../tools/demo/children.ts";
import { Findings, launchBrowser, signInOn } from "../lab/browser.ts";
import type { LabHost } from "../lab/host.ts";
import { addBrokenAgent, addRestic } from "./release.ts";
import { Stage, unit } from "./stage.ts";

const better = "9.0.0";
const changed = "9.1.0";
const bin = "/opt/restic-manager/bin";

let stage: Stage;
let host: LabHost;
let browser: Browser;
const findings = new Findings();

beforeAll(async () => {
  stage = await Stage.set({ init: "systemd" });
  host = await stage.addHost("web-01", ["/etc/apt"]);
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  await stage?.close();
});

const shell = (line: string) => stage.machine.shell(line);
const versionAtServer = async () =>
  (await stage.lab.api.get<{ restic_version: string }>(`/api/hosts/${host.id}`)).restic_version;

/** Orders the update once the server has seen that there is one. */
const order = (program: string) =>
  until("the server's notice of its new files", 20_000, () =>
    stage.lab.api.post<{ job_id: string }>(`/api/hosts/${host.id}/update`, { program }).catch(() => null),
  );

async function openAgentsPage() {
  const context = await browser.newContext({ reducedMotion: "reduce" });
  findings.watch(context);
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  await signInOn(page, stage.lab.url);
  await page.goto(`${stage.lab.url}/settings/agents`);
  return page;
}

interface RunJson {
  id: string;
  state: string;
  program: string;
  version: string;
  hosts: { job_id: string | null; state: string; from_version: string | null }[];
}

test("the button of the page puts the served restic in the place of the old one, which is kept, and says so", async () => {
  const before = await versionAtServer();
  const digest = await shell(`sha256sum <${bin}/restic`);
  await addRestic(stage.release, better, stage.lab.resticPath);
  const page = await openAgentsPage();
  await until("the server's notice of its new files", 20_000, async () => {
    await page.reload();
    return (await page.locator("#program-restic").textContent())?.includes(`${better} served`);
  });
  await page.locator("#program-restic").getByRole("button", { name: "Update 1 host" }).click();
  const run = await until("the end of the update", 60_000, async () => {
    const { updates } = await stage.lab.api.get<{ updates: RunJson[] }>("/api/updates");
    return updates.find(({ state }) => state === "done");
  });
  const { hosts, ...whole } = await stage.lab.api.get<RunJson>(`/api/updates/${run.id}`);
  expect(whole).toMatchObject({ program: "restic", version: better });
  expect(hosts).toMatchObject([{ state: "done", from_version: before }]);
  const said = (await host.log(hosts[0]?.job_id ?? "")).map(({ text }) => text).join("\n");
  expect(said).toContain("The list of the release is signed.");
  expect(said).toContain(`restic is ${better}; it was ${before}.`);
  expect(await versionAtServer()).toBe(better);
  expect(await shell(`sha256sum <${bin}/restic.previous`)).toBe(digest);
  expect(await shell(`ls ${bin}`)).toBe("restic\nrestic-manager-agent\nrestic.previous\n");
  await until("the page's own notice", 20_000, async () =>
    (await page.locator("#program-restic").textContent())?.includes("as served"),
  );
  expect(await page.locator("#program-restic").textContent()).not.toContain("behind");
  expect(await host.backUp()).toMatchObject({ status: "succeeded", error: null });
  expect(findings.list).toEqual([]);
});

test("a restic that was changed on its way is refused, and the one from before goes on", async () => {
  const name = await addRestic(stage.release, changed, stage.lab.resticPath);
  const folder = await stage.lab.makeFolder("changed");
  await cp(stage.release, folder, { recursive: true });
  await appendFile(join(folder, name), "true\n");
  stage.front.folder = folder;
  const { job_id } = await order("restic");
  expect(await host.finished(job_id)).toMatchObject({
    status: "failed",
    error: { code: "update.digest_mismatch", message: expect.stringContaining("Nothing was changed.") },
  });
  stage.front.folder = null;
  expect(await versionAtServer()).toBe(better);
  expect(await shell(`ls ${bin} /var/lib/restic-manager/update`)).toBe(
    `${bin}:\nrestic\nrestic-manager-agent\nrestic.previous\n\n/var/lib/restic-manager/update:\n`,
  );
  expect(await host.backUp()).toMatchObject({ status: "succeeded", error: null });
});

test.each(["restic", "agent"])(
  "a disk without room for the new %s is told, and the old one goes on",
  async (program) => {
    const downloads = "/var/lib/restic-manager/update";
    const running = await shell(`sha256sum <${bin}/restic; sha256sum <${bin}/restic-manager-agent`);
    await addBrokenAgent(stage.release, "9.0.1");
    // The agent has mounts of its own: it sees what was there when it was started.
    await shell(
      `mkdir -p ${downloads} && mount -t tmpfs -o size=4m,mode=700 tmpfs ${downloads} && systemctl restart ${unit}`,
    );
    await host.untilOnline();
    const { job_id } = await order(program);
    const end = await host.finished(job_id);
    expect(end).toMatchObject({ status: "failed", error: { code: "update.disk_full" } });
    expect(end.error?.message).toMatch(
      /^The disk of \S+ has \d+ MiB free, and the update needs \d+ MiB\. Nothing was changed\. Free some space, then/,
    );
    expect(
      await shell(`ls -A ${downloads} && umount ${downloads} && systemctl restart ${unit} && ls ${bin}`),
    ).toBe("restic\nrestic-manager-agent\nrestic.previous\n");
    expect(await shell(`sha256sum <${bin}/restic; sha256sum <${bin}/restic-manager-agent`)).toBe(running);
    expect(await host.backUp()).toMatchObject({ status: "succeeded", error: null });
  },
);
