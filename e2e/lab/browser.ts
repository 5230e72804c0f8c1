/**
 * Chromium for the tests: pages that remember everything that went wrong on them, their pictures at both sizes in
 * both themes, and axe. Nothing is ignored here: a test that expects a refusal says so.
 */
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { admin } from "./lab.ts";

const picturesFolder = resolve(import.meta.dirname, "../pictures");

const sizes = [
  { name: "wide", viewport: { width: 1440, height: 900 } },
  { name: "phone", viewport: { width: 390, height: 844 } },
] as const;
const themes = ["dark", "light"] as const;

const options = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];

export function launchBrowser(): Promise<Browser> {
  const executablePath = process.env.RM_CHROMIUM || "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: options });
}

/** Signs in as the laboratory's admin and waits for the dashboard. */
export async function signInOn(page: Page, url: string): Promise<void> {
  await page.goto(`${url}/login`);
  await page.fill('[name="username"]', admin.username);
  await page.fill('[name="password"]', admin.password);
  await page.click('button[type="submit"]:has-text("Sign in")');
  await page.waitForSelector("#dashboard-live");
}

/** What went wrong on the pages of one context, one sentence each. */
export class Findings {
  readonly list: string[] = [];
  private refusal: number | null = null;
  private refusals = 0;

  /**
   * Runs steps that provoke one refusal, whose status the browser reports as an error.
   * @throws Error when the refusal did not happen
   */
  async refused(status: number, steps: () => Promise<void>): Promise<void> {
    this.refusal = status;
    this.refusals = 0;
    try {
      await steps();
    } finally {
      this.refusal = null;
    }
    if (this.refusals === 0) throw new Error(`nothing was refused with ${status}`);
  }

  watch(context: BrowserContext): void {
    context.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning")
        this.add(`console ${message.type()} on ${message.page()?.url()}: ${message.text()}`);
    });
    context.on("weberror", (error) => this.add(`script error: ${error.error().message}`));
    context.on("requestfailed", (request) => {
      // A page that is left cuts what it was still asking for.
      const failure = request.failure()?.errorText ?? "";
      if (failure !== "net::ERR_ABORTED") this.add(`failed request ${request.url()}: ${failure}`);
    });
    context.on("response", (response) => {
      if (response.status() >= 400)
        this.add(`status ${response.status()} for ${response.request().method()} ${response.url()}`);
    });
  }

  add(text: string): void {
    const expected = this.refusal !== null && new RegExp(`status (of )?${this.refusal}\\b`).test(text);
    if (expected) this.refusals++;
    else this.list.push(text);
  }
}

/** Takes a page's picture at both sizes in both themes and looks for what no page may have. */
export class Gallery {
  private readonly findings: Findings;
  private readonly axe: string;

  private constructor(findings: Findings, axe: string) {
    this.findings = findings;
    this.axe = axe;
  }

  static async open(findings: Findings): Promise<Gallery> {
    await mkdir(picturesFolder, { recursive: true });
    const path = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
    return new Gallery(findings, await readFile(path, "utf8"));
  }

  /**
   * Shows the page as it stands, without loading it again, in all four ways. The theme is switched as the page's
   * own switch does it, by the attribute that the styles read.
   */
  async take(page: Page, name: string): Promise<void> {
    const before = await page.evaluate(() => document.documentElement.dataset.theme);
    for (const size of sizes) {
      await page.setViewportSize(size.viewport);
      for (const theme of themes) {
        await page.evaluate((chosen) => {
          document.documentElement.dataset.theme = chosen;
          return document.fonts.ready.then(() => true);
        }, theme);
        const label = `${name}-${size.name}-${theme}`;
        await page.screenshot({ path: join(picturesFolder, `story-${label}.png`) });
        await this.examine(page, label);
      }
    }
    await page.setViewportSize(sizes[0].viewport);
    await page.evaluate((theme) => {
      document.documentElement.dataset.theme = theme ?? "auto";
    }, before);
  }

  private async examine(page: Page, label: string): Promise<void> {
    const sideways = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (sideways > 0) this.findings.add(`${label} scrolls sideways by ${sideways} px`);
    // Evaluated by the debugger, not by the page: the policy stays in force.
    if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(this.axe);
    const violations: string[] = await page.evaluate(
      "axe.run().then((r) => r.violations.map((v) => v.id + ': ' + v.nodes.slice(0, 3).map((n) => n.target.join(' ') + ' ' + (n.any[0]?.message ?? '')).join(' | ')))",
    );
    for (const violation of violations) this.findings.add(`${label} axe ${violation}`);
  }
}
