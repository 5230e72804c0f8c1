/** Opens pages in Chromium at both sizes and in both themes, writes their pictures, and collects what is wrong. */
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";

const SIZES = [
  { name: "wide", viewport: { width: 1440, height: 900 } },
  { name: "phone", viewport: { width: 390, height: 844 } },
] as const;
const THEMES = ["dark", "light"] as const;

/** How Chromium is started: no sandbox (tests run as root), nothing that calls home. */
export const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Takes the pictures; answers with one line per finding (axe, console, sideways scrolling). */
export async function takePictures(
  origin: string,
  names: readonly string[],
  folder: string,
): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGS });
  const findings: string[] = [];
  try {
    for (const size of SIZES) {
      for (const theme of THEMES)
        findings.push(...(await takeSet(browser, { origin, names, folder, axe, size, theme })));
    }
  } finally {
    await browser.close();
  }
  return findings;
}

interface PictureSet {
  origin: string;
  names: readonly string[];
  folder: string;
  axe: string;
  size: (typeof SIZES)[number];
  theme: (typeof THEMES)[number];
}

async function takeSet(browser: Browser, set: PictureSet): Promise<string[]> {
  // The policy forbids injected scripts; axe is injected by the test only, hence bypassCSP for its pages.
  const context = await browser.newContext({
    viewport: set.size.viewport,
    bypassCSP: false,
    reducedMotion: "reduce",
  });
  const findings: string[] = [];
  for (const name of set.names) {
    const page = await context.newPage();
    const label = `${name} ${set.size.name} ${set.theme}`;
    page.on(
      "console",
      (message) => message.type() === "error" && findings.push(`${label}: console: ${message.text()}`),
    );
    page.on("pageerror", (error) => findings.push(`${label}: error: ${error.message}`));
    await page.goto(`${set.origin}/${name}?theme=${set.theme}`, { waitUntil: "load" });
    await page.evaluate(() => document.fonts.ready.then(() => true));
    if (/^(job|wizard)-/.test(name)) await page.waitForTimeout(250);
    await page.screenshot({ path: join(set.folder, `${name}-${set.size.name}-${set.theme}.png`) });
    findings.push(...(await examine(page, label, name === "dashboard-1000" ? "" : set.axe)));
    await page.close();
  }
  await context.close();
  return findings;
}

async function examine(page: Page, label: string, axe: string): Promise<string[]> {
  const sideways = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  const findings = sideways > 0 ? [`${label}: the page scrolls sideways by ${sideways} px`] : [];
  if (axe === "") return findings;
  await page.evaluate(axe);
  const violations: { id: string; help: string; targets: string[] }[] = await page.evaluate(
    "axe.run().then((r) => r.violations.map((v) => ({ id: v.id, help: v.help, targets: v.nodes.slice(0, 4).map((n) => n.target.join(' ') + ' ' + (n.any[0]?.message ?? '')) })))",
  );
  return [
    ...findings,
    ...violations.map((found) => `${label}: axe ${found.id}: ${found.targets.join(" | ")}`),
  ];
}
