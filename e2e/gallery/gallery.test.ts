/** The live parts of pages in a real browser, over the gallery's canned data. */
import { type Browser, chromium, type Page, type Request } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ARGS } from "./pictures.ts";
import { type Gallery, serveGallery } from "./serve.ts";

let gallery: Gallery;
let browser: Browser;

beforeAll(async () => {
  gallery = await serveGallery();
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: [...ARGS] });
});

afterAll(async () => {
  await browser?.close();
  gallery?.close();
});

async function open(name: string, script = true): Promise<Page> {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    javaScriptEnabled: script,
  });
  const page = await context.newPage();
  await page.goto(`${gallery.origin}/${name}`);
  return page;
}

describe("a log of 100,000 lines", () => {
  it("is drawn by the rows in sight only, and scrolls to any of them", async () => {
    const page = await open("job-warning");
    await page.getByText("100,000 lines").waitFor();
    // Rows that come into sight are measured, and with them the end moves on.
    const last = async () => {
      await page.locator("#log").evaluate((log) => {
        log.scrollTop = log.scrollHeight;
      });
      return page.locator(".line-number", { hasText: /^100000$/ }).count();
    };
    await expect.poll(last).toBe(1);
    expect(await page.locator("#log .line").count()).toBeLessThan(150);
    await page.context().close();
  });

  it("finds words and steps through the hits", async () => {
    const page = await open("job-warning");
    await page.getByText("100,000 lines").waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("unable to SAVE");
    await page.locator("#log-hits", { hasText: "1/9,091" }).waitFor();
    expect(await page.locator(".current-hit mark").textContent()).toBe("unable to save");
    await page.keyboard.press("Shift+Enter");
    await page.locator("#log-hits", { hasText: "9,091/9,091" }).waitFor();
    await page.locator(".current-hit .line-number", { hasText: "99998" }).waitFor();
    await page.context().close();
  });

  it("shows only errors when asked, and wraps long lines", async () => {
    const page = await open("job-warning");
    await page.getByText("100,000 lines").waitFor();
    await page.getByRole("button", { name: /^Errors/ }).click();
    await page.locator("#log .line:not(.error)").first().waitFor({ state: "detached" });
    await page.getByRole("button", { name: /^Errors/ }).click();
    await page.getByRole("button", { name: "Wrap" }).click();
    const tall = page.locator(".line").filter({ hasText: "a-rather-deep" }).first();
    await expect.poll(async () => (await tall.boundingBox())?.height ?? 0).toBeGreaterThanOrEqual(40);
    await page.context().close();
  });
});

describe("a log of hostile texts", () => {
  it("has them as text, each on one row", async () => {
    const page = await open("job-failed");
    const line = page.locator(".line", { hasText: "a file called" });
    await line.waitFor();
    expect(await line.textContent()).toContain('<script>alert("x")</script> and one with a\\nline break');
    // A row that is drawn anew just then has no place.
    await expect.poll(async () => (await line.boundingBox())?.height).toBe(20);
    await page.context().close();
  });
});

describe("following", () => {
  it("lets go when one scrolls up and comes back by its button", async () => {
    const page = await open("job-running");
    const follow = page.getByRole("button", { name: "Follow", exact: true });
    await page.locator(".line").first().waitFor();
    expect(await follow.getAttribute("aria-pressed")).toBe("true");
    await page.setViewportSize({ width: 1440, height: 400 });
    await page.getByRole("button", { name: "Wrap" }).click();
    await page.locator("#log").hover();
    await page.mouse.wheel(0, -600);
    await expect.poll(() => follow.getAttribute("aria-pressed")).toBe("false");
    await follow.click();
    expect(await follow.getAttribute("aria-pressed")).toBe("true");
    await page.context().close();
  });
});

describe("a dashboard that lives", () => {
  it("filters while one types, keeps the field, and puts it into the URL", async () => {
    const page = await open("dashboard");
    await page.keyboard.press("/");
    await page.keyboard.type("mail");
    // Slow keystrokes are answered one by one: only the whole word's answer counts.
    await expect.poll(() => new URL(page.url()).search).toBe("?search=mail");
    await page.locator("#host-rows tr").nth(1).waitFor({ state: "detached" });
    await expect.poll(() => page.locator("#host-rows .row-link").allTextContents()).toEqual(["mail"]);
    expect(await page.evaluate(() => document.activeElement?.getAttribute("name"))).toBe("search");
    await page.context().close();
  });

  it("patches the cell that changed and no other row, without moving anything", async () => {
    const page = await open("dashboard");
    const calm = await page.locator("#host-01JDWEB01").elementHandle();
    const before = await page.locator("#host-01JDMAIL").boundingBox();
    await page.locator("#host-01JDMAIL", { hasText: "running 90%" }).waitFor();
    const same = await page.evaluate((row) => row === document.getElementById("host-01JDWEB01"), calm);
    expect(same).toBe(true);
    expect(await page.locator("#host-01JDMAIL").boundingBox()).toEqual(before);
    await page.context().close();
  });
});

describe("a machine that waits", () => {
  it("has its fingerprint in larger letters than its name, below every line about the fleet", async () => {
    const page = await open("dashboard-pending");
    const size = (selector: string) =>
      page
        .locator(selector)
        .first()
        .evaluate((element) => Number.parseFloat(getComputedStyle(element).fontSize));
    const [name, fingerprint] = [await size(".pending-who .strong"), await size(".fingerprint code")];
    expect(fingerprint - name).toBeGreaterThanOrEqual(2);
    const line = await page.locator("#fleet-behind").boundingBox();
    const panel = await page.locator("#pending-hosts").boundingBox();
    expect((line?.y ?? 0) + (line?.height ?? 0)).toBeLessThanOrEqual(panel?.y ?? 0);
    await page.context().close();
  });
});

describe("small controls", () => {
  it("the theme changes at once", async () => {
    const page = await open("dashboard");
    await page.getByRole("button", { name: "Light" }).click();
    await expect.poll(() => page.locator("html").getAttribute("data-theme")).toBe("light");
    await page.context().close();
  });

  it("? opens the shortcuts, Esc closes them", async () => {
    const page = await open("dashboard");
    await page.keyboard.press("?");
    await page.getByRole("heading", { name: "Keyboard shortcuts" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("heading", { name: "Keyboard shortcuts" }).waitFor({ state: "hidden" });
    await page.context().close();
  });

  it("what needs scripts is not offered without them", async () => {
    const page = await open("add-host-result", false);
    expect(await page.getByRole("button", { name: "Copy install command" }).count()).toBe(0);
    const dashboard = await open("dashboard", false);
    expect(await dashboard.getByRole("button", { name: "Apply" }).count()).toBe(1);
    await page.context().close();
    await dashboard.context().close();
  });
});

describe("every view", () => {
  it("obeys the security policy: no inline style, no inline script", async () => {
    for (const name of gallery.names) {
      const html = await (await fetch(`${gallery.origin}/${name}`)).text();
      expect(html, name).not.toMatch(/<[^>]+\sstyle=/);
      expect(html, name).not.toMatch(/<script(?![^>]*\ssrc=)[^>]*>/);
      expect(html, name).not.toMatch(/<[^>]+\son[a-z]+="/);
    }
  });
});

describe("the form of a source group", () => {
  it("puts folders of the host into the list of paths, and takes them out again", async () => {
    const page = await open("group-new");
    const paths = page.locator("#field-includes");
    await page.getByRole("button", { name: "Browse the host" }).click();
    await page.getByLabel("Back up /etc").check();
    await page.getByRole("button", { name: "Open /srv" }).click();
    await page.getByLabel("Back up /srv/a b").check();
    expect(await paths.inputValue()).toBe("/etc\n/srv/a b");
    await page.getByRole("button", { name: "Where the host begins" }).click();
    expect(await page.getByLabel("Back up /etc").isChecked()).toBe(true);
    await page.getByLabel("Back up /etc").uncheck();
    expect(await paths.inputValue()).toBe("/srv/a b");
    await page.context().close();
  });

  it("shows hostile names as the text they are, and offers what follows a page", async () => {
    const page = await open("group-new");
    await page.getByRole("button", { name: "Browse the host" }).click();
    await page.getByRole("button", { name: "Open /srv" }).click();
    await page.locator(".browse-name", { hasText: '<script>alert("x")</script>' }).waitFor();
    await page.getByRole("button", { name: "Show more" }).click();
    await expect.poll(() => page.locator(".browse-list li:not(.browse-more)").count()).toBe(8);
    await page.context().close();
  });

  it("says in words what is kept while one types", async () => {
    const page = await open("group-new");
    await page.locator("#field-keep_monthly").fill("12");
    await page.locator("#field-keep_within").fill("1y6m");
    expect(await page.locator("#keep-sentence").textContent()).toBe(
      "Keeps the last 7 daily, 4 weekly and 12 monthly snapshots, and all of the last 1 year and 6 months.",
    );
    await page.locator("#field-keep_daily").fill("x");
    expect(await page.locator("#keep-sentence").textContent()).toBe("Whole numbers, or nothing.");
    await page.context().close();
  });
});

describe("what a retention would keep", () => {
  it("stands in the group's form when it is opened, and is asked for anew while one types", async () => {
    const page = await open("group-edit");
    await page.getByText("Would be removed", { exact: true }).waitFor();
    expect(await page.locator(".retention-rows tbody tr").count()).toBe(27);
    const asked = page.waitForRequest((request) => request.url().includes("keep_daily=70"));
    await page.locator("#field-keep_daily").fill("70");
    expect((await asked).url()).toContain("keep_hourly=24");
    await page.context().close();
  });

  it("is a page of its own without scripts", async () => {
    const page = await open("group-edit", false);
    expect(await page.locator("[data-retention-src] a").getAttribute("href")).toMatch(/\/retention$/);
    await page.context().close();
  });
});

describe("a repository's history", () => {
  it("says each day's values under the pointer, and as a table that the keyboard opens", async () => {
    const page = await open("repository-year");
    const last = page.locator(".chart-day").last();
    expect(await last.locator("title").textContent()).toMatch(/^2026-11-23: .* GiB, [\d,]+ snapshots$/);
    await page.locator("#repository-history summary").focus();
    await page.keyboard.press("Enter");
    await page.locator(".chart-values tbody tr").first().waitFor();
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.className)).toBe("chart-values");
    await page.context().close();
  });
});

describe("the form of a schedule", () => {
  it("shows the next runs while one types, and what is wrong", async () => {
    const page = await open("schedule-new");
    await page.locator("#field-cron").fill("30 4 * * 1-5");
    await page.locator("#cron-preview", { hasText: "At 04:30, Monday through Friday" }).waitFor();
    expect(await page.locator(".cron-times li").count()).toBe(5);
    await page.locator("#field-cron").fill("30 4 * *");
    await page.locator(".cron-problem", { hasText: "five fields" }).waitFor();
    await page.getByRole("button", { name: "Hourly" }).click();
    await page.locator("#cron-preview", { hasText: "Every hour" }).waitFor();
    expect(await page.locator("#field-cron").inputValue()).toBe("0 * * * *");
    expect(await page.getByRole("button", { name: "Hourly" }).getAttribute("aria-pressed")).toBe("true");
    await page.context().close();
  });

  it("offers no chip without scripts, and works without them", async () => {
    const page = await open("schedule-new", false);
    expect(await page.locator(".cron-chips").isVisible()).toBe(false);
    expect(await page.locator(".cron-times li").count()).toBe(5);
    expect(await page.getByRole("button", { name: "Create schedule" }).isVisible()).toBe(true);
    await page.context().close();
  });
});

describe("the restore wizard", () => {
  const row = (page: Page, name: string) =>
    page.locator(".tree-row", { has: page.locator(".tree-name", { hasText: name }) }).first();
  const check = (page: Page, name: string) => row(page, name).getAttribute("aria-checked");
  const focused = (page: Page) =>
    page.evaluate(() => document.activeElement?.querySelector(".tree-name")?.textContent);

  it("opens a step when the one before is complete, and says why not", async () => {
    const page = await open("wizard");
    expect(await page.locator('[data-step="files"] [data-step-body]').isVisible()).toBe(false);
    await page.locator(".snapshot-choice").nth(1).click();
    await row(page, "etc/").waitFor();
    expect(await page.locator('[data-step="snapshot"] [data-step-chosen]').textContent()).toContain(
      "system-configuration",
    );
    await page.locator('[data-step="files"] [data-step-next]').click();
    await page.getByText("Choose at least one file or folder.").waitFor();
    await row(page, "etc/").locator(".tree-check").click();
    await page.locator('[data-step="files"] [data-step-next]').click();
    await page.getByText("A new folder", { exact: true }).waitFor();
    await page.locator('[data-step="snapshot"] [data-step-change]').click();
    expect(await page.locator(".snapshot-choice").first().isVisible()).toBe(true);
    await page.context().close();
  });

  it("is walked with the keyboard: arrows move and open, Space chooses", async () => {
    const page = await open("wizard-files");
    await row(page, "etc/").waitFor();
    await row(page, "etc/").focus();
    await page.keyboard.press("ArrowRight");
    await row(page, "nginx/").waitFor();
    await page.keyboard.press("ArrowRight");
    expect(await focused(page)).toBe("nginx/");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    expect(await focused(page)).toBe("hosts");
    await page.keyboard.press("Space");
    expect([await check(page, "hosts"), await check(page, "etc/")]).toEqual(["true", "mixed"]);
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("Space");
    expect([await check(page, "etc/"), await check(page, "nginx/")]).toEqual(["true", "true"]);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Space");
    expect([await check(page, "nginx/"), await check(page, "etc/")]).toEqual(["false", "mixed"]);
    await page.keyboard.press("Home");
    expect(await focused(page)).toContain("everything");
    await page.context().close();
  });

  it("loads a large folder page by page, and takes none out of more than a restore holds", async () => {
    const page = await open("wizard-files");
    await row(page, "srv/").locator(".tree-name").click();
    await row(page, "many/").locator(".tree-name").click();
    await page.getByRole("button", { name: "Show more" }).click();
    await row(page, "file-0999").waitFor();
    await row(page, "many/").locator(".tree-check").click();
    await row(page, "file-0007").locator(".tree-check").click();
    // Its last page is asked for first.
    await page.locator('.tree-row[aria-checked="mixed"] .tree-name', { hasText: "many/" }).waitFor();
    expect([await check(page, "file-0007"), await check(page, "many/")]).toEqual(["false", "mixed"]);
    await page.locator('[data-step="files"] [data-step-next]').click();
    await page.getByText("Choose at most 1000 at once: a folder counts as one.").waitFor();
    await page.context().close();
  });

  it("shows names as text, whatever they are made of", async () => {
    const page = await open("wizard-files");
    await row(page, "srv/").locator(".tree-name").click();
    await row(page, "<script>").waitFor();
    expect(await page.locator(".tree script").count()).toBe(0);
    expect(await row(page, "a name with").locator(".tree-name").textContent()).toBe(
      "a name with\\na newline",
    );
    await row(page, "bad").locator(".tree-check").click();
    const values = page.locator("[data-paths] input");
    expect(await values.first().inputValue()).toBe("base64:L3Nydi9iYWT/LmJpbg==");
    await page.context().close();
  });

  it("waits for the index of a search, and says so", async () => {
    const page = await open("wizard-files");
    await row(page, "etc/").waitFor();
    await page.fill("#tree-pattern", "slow");
    await page.getByText("40,211 entries so far").waitFor();
    await page.locator(".tree-matches .tree-row").first().waitFor();
    await page.locator(".tree-matches input").first().check();
    await page.getByRole("button", { name: "Back to the folders" }).click();
    expect(await page.locator("[data-tree-chosen]").textContent()).toMatch(/^Chosen: 1 /);
    await page.context().close();
  });

  it("says that the session has ended, where to sign in, and keeps what was chosen over a reload", async () => {
    const page = await open("wizard-files");
    await row(page, "etc/").locator(".tree-check").click();
    await page.route("**/tree?*", (route) =>
      route.fulfill({ status: 401, json: { message: "Sign in first." } }),
    );
    await row(page, "var/").locator(".tree-name").click();
    const link = page.getByRole("link", { name: "Sign in again" });
    expect(await link.getAttribute("href")).toBe("/login?next=%2Fwizard-files");
    await page.unroute("**/tree?*");
    await page.reload();
    // Everything was complete: it goes on at the last step.
    await page.locator('[data-step="files"] [data-step-chosen]', { hasText: "1 folder: /etc" }).waitFor();
    await page.context().close();
  });

  it("offers another host's eyes while this one is away, and no button that can't work", async () => {
    const page = await open("wizard-offline");
    await page.getByText("Choose a host above that looks into its snapshot.").waitFor();
    const asked = page.waitForRequest((request) => request.url().includes("via=01JDWEB"));
    await page.getByLabel("Look into the snapshot with").fill("WEB-01");
    await asked;
    await row(page, "etc/").locator(".tree-check").click();
    await page.locator('[data-step="files"] [data-step-next]').click();
    await page.locator('[data-step="target"] [data-step-next]').click();
    expect(await page.getByRole("button", { name: "Restore", exact: true }).isDisabled()).toBe(true);
    await page.locator('[data-step="target"] [data-step-change]').click();
    await page.getByLabel("Onto host").fill("web-01");
    await page.locator('[data-step="target"] [data-step-next]').click();
    await page.locator("[data-restore-words]", { hasText: "on web-01" }).waitFor();
    expect(await page.getByRole("button", { name: "Restore", exact: true }).isEnabled()).toBe(true);
    await page.context().close();
  });

  it("proposes hosts while one types, and goes on with none that nobody is called", async () => {
    const page = await open("wizard-files");
    await row(page, "etc/").locator(".tree-check").click();
    await page.locator('[data-step="files"] [data-step-next]').click();
    const proposed = () =>
      page.locator("#hosts-to option").evaluateAll((all) => all.map((one) => one.getAttribute("value")));
    expect(await proposed()).toHaveLength(3);
    await page.getByLabel("Onto host").fill("office");
    await page.waitForFunction(() => document.querySelectorAll("#hosts-to option").length === 1);
    expect(await proposed()).toEqual(["office-pc"]);
    await page.locator('[data-step="target"] [data-step-next]').click();
    await page.locator(".field-error", { hasText: "There is no host called office." }).waitFor();
    expect(await page.getByLabel("Onto host").getAttribute("aria-invalid")).toBe("true");
    expect(await page.getByRole("button", { name: "Restore", exact: true }).isVisible()).toBe(false);
    await page.getByLabel("Onto host").fill("office-pc");
    await page.locator(".field-error", { hasText: "There is no host" }).waitFor({ state: "hidden" });
    await page.locator('[data-step="target"] [data-step-next]').click();
    await page.locator("[data-restore-words]", { hasText: "on office-pc" }).waitFor();
    await page.context().close();
  });

  it("goes on with Enter and never starts a restore with it", async () => {
    const page = await open("wizard-files");
    await row(page, "etc/").locator(".tree-check").click();
    await page.locator('[data-step="files"] [data-step-next]').click();
    const posted: string[] = [];
    // What a selection holds is counted by a question that no address has room for.
    const note = (request: Request) =>
      request.method() === "POST" && !request.url().endsWith("/count") && posted.push(request.url());
    page.on("request", note);
    await page.locator("[name=directory]").fill("/mnt/back");
    await page.keyboard.press("Enter");
    await page.locator("[data-restore-words]", { hasText: "goes into /mnt/back" }).waitFor();
    await page.locator('[data-step="target"] [data-step-change]').click();
    await page.getByText("In place", { exact: true }).click();
    await page.locator('[data-step="target"] [data-step-next]').click();
    await page.locator("[name=confirm_name]").fill("db-primary");
    await page.keyboard.press("Enter");
    await page.context().close();
    const plain = await open("wizard-files", false);
    plain.on("request", note);
    await plain.locator("[name=directory]").fill("/mnt/back");
    await plain.keyboard.press("Enter");
    expect(await plain.locator("[name=directory]").inputValue()).toBe("/mnt/back");
    expect(posted).toEqual([]);
    await plain.context().close();
  });

  it("is one open form without scripts, in which paths are typed", async () => {
    const page = await open("wizard-files", false);
    expect(await page.locator("[name=lines]").isVisible()).toBe(true);
    expect(await page.locator(".tree-frame").isVisible()).toBe(false);
    expect(await page.getByRole("button", { name: "Restore", exact: true }).isVisible()).toBe(true);
    expect(await page.getByRole("button", { name: "Continue" }).first().isVisible()).toBe(false);
    await page.context().close();
  });
});
