/**
 * A log of 100,000 lines in the browser: followed, scrolled, searched, cut off and taken up again, by two readers
 * at once and beside readers that never read. The lines come from a scripted agent over the real protocol.
 */
import { readFile } from "node:fs/promises";
import type { LogLine } from "@restic-manager/protocol";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { until } from "../tools/demo/children.ts";
import { launchBrowser } from "./lab/browser.ts";
import { killAtOnce, Lab } from "./lab/lab.ts";
import { ScriptedAgent } from "./lab/scripted-agent.ts";

const lineCount = 100_000;
const batch = 1000;
/** Where the server is killed; the agent has told more than that by then. */
const cutAt = 60_000;
const markup =
  "<img src=x onerror=window.pwned=1><script>window.pwned=2</script> 'single' \"double\"\u001b[31m";

let lab: Lab;
let agent: ScriptedAgent;
let browser: Browser;
let first: Reader;
let second: Reader;
let jobId = "";
const silent: WebSocket[] = [];
const scriptErrors: string[] = [];

interface Reader {
  context: BrowserContext;
  page: Page;
  /** The number of every line that ever came over the page's streams, in order of arrival. */
  received: number[];
}

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startServer();
  await lab.signUp();
  agent = new ScriptedAgent(lab);
  await agent.enrol("long-log");
  await agent.connect();
  await agent.begin("init");
  await agent.finish(0);
  await lab.api.post(`/api/hosts/${agent.hostId}/jobs`, { kind: "backup" });
  jobId = await agent.begin("backup");
  browser = await launchBrowser();
});

afterAll(async () => {
  for (const socket of silent) socket.terminate();
  agent?.disconnect();
  await browser?.close();
  await lab?.close();
});

function makeLine(n: number): LogLine {
  const text = n % 1000 === 7 ? `${n} ${markup}` : `${n} of ${lineCount}: /srv/data/${n % 97}/file-${n}.bin`;
  const level = n % 5000 === 0 ? "error" : "info";
  return { n, at: new Date(1_700_000_000_000 + n).toISOString(), level, stream: "stdout", text };
}

/** Tells the lines from..to in batches and waits until the server has them. */
async function tell(from: number, to: number): Promise<void> {
  for (let start = from; start <= to; start += batch) {
    const size = Math.min(batch, to - start + 1);
    agent.log(Array.from({ length: size }, (_, index) => makeLine(start + index)));
  }
  await agent.settled();
}

async function openReader(): Promise<Reader> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const [name = "", value = ""] = lab.api.cookie.split(/=(.*)/s);
  await context.addCookies([{ name, value, url: lab.url }]);
  context.on("weberror", (error) => scriptErrors.push(error.error().message));
  const page = await context.newPage();
  const received: number[] = [];
  page.on("websocket", (socket) =>
    socket.on("framereceived", ({ payload }) => {
      const message = JSON.parse(String(payload)) as { type: string; lines?: { n: number }[] };
      for (const line of message.lines ?? []) received.push(line.n);
    }),
  );
  await page.goto(`${lab.url}/jobs/${jobId}`);
  return { context, page, received };
}

/** The lines that are drawn now, as number and text. */
const drawn = (page: Page): Promise<{ n: number; text: string }[]> =>
  page.$$eval("#log .line", (rows) =>
    rows.map((row) => ({
      n: Number(row.querySelector(".line-number")?.textContent?.replaceAll(/\D/g, "")),
      text: row.querySelector(".line-text")?.textContent ?? "",
    })),
  );

const lastDrawn = async (page: Page): Promise<number> => (await drawn(page)).at(-1)?.n ?? 0;

const untilLast = (reader: Reader, n: number): Promise<boolean> =>
  until(`line ${n}`, 60_000, async () => (await lastDrawn(reader.page)) === n);

const isPressed = (page: Page, selector: string): Promise<string | null> =>
  page.getAttribute(selector, "aria-pressed");

/** Scrolls the log to a share of its height and gives the page two frames to draw. */
const scrollTo = (page: Page, share: number): Promise<void> =>
  page.$eval(
    "#log",
    (box, part) =>
      new Promise<void>((done) => {
        box.scrollTop = (box.scrollHeight - box.clientHeight) * part;
        requestAnimationFrame(() => requestAnimationFrame(() => done()));
      }),
    share,
  );

/** A stream whose socket is never read. */
async function openSilentReader(): Promise<void> {
  const url = `${lab.url.replace("http", "ws")}/api/jobs/${jobId}/stream?from=1`;
  const socket = new WebSocket(url, { headers: { cookie: lab.api.cookie } });
  socket.on("error", () => undefined);
  silent.push(socket);
  await new Promise((opened) => socket.once("open", opened));
  socket.pause();
}

async function serverMemoryMib(): Promise<number> {
  const status = await readFile(`/proc/${lab.server?.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

describe("a log of 100,000 lines", () => {
  test("arrives at two browsers that follow it, and readers that never read cost nobody anything", async () => {
    await tell(1, 20_000);
    [first, second] = await Promise.all([openReader(), openReader()]);
    await Promise.all([untilLast(first, 20_000), untilLast(second, 20_000)]);
    const before = await serverMemoryMib();
    for (let count = 0; count < 60; count++) await openSilentReader();
    await tell(20_001, cutAt);
    await Promise.all([untilLast(first, cutAt), untilLast(second, cutAt)]);
    expect(await isPressed(first.page, "#log-follow")).toBe("true");
    // Sixty whole logs of this length are some 700 MiB; what waits for one reader is about a MiB.
    expect((await serverMemoryMib()) - before).toBeLessThan(400);
  });

  test("goes on without a gap and without a double after the server was killed and started again", async () => {
    await killAtOnce(lab.server);
    await until("the note", 20_000, async () =>
      /Connection lost/.test((await first.page.textContent("#log-note")) ?? ""),
    );
    await lab.startServer();
    await agent.connect();
    await tell(cutAt + 1, lineCount - batch);
    await Promise.all([untilLast(first, lineCount - batch), untilLast(second, lineCount - batch)]);
    for (const { received } of [first, second])
      expect(received).toEqual(Array.from({ length: lineCount - batch }, (_, index) => index + 1));
    await scrollTo(first.page, cutAt / (lineCount - batch));
    const around = await drawn(first.page);
    expect(around[0]?.n).toBeLessThan(cutAt);
    expect(around.at(-1)?.n).toBeGreaterThan(cutAt);
    expect(around).toEqual(around.map((_, index) => shown((around[0]?.n ?? 0) + index)));
  });

  test("lets go when the reader scrolls up, and follows again when asked to", async () => {
    expect(await isPressed(first.page, "#log-follow")).toBe("false");
    const top = () => first.page.$eval("#log", (box) => box.scrollTop);
    const before = await top();
    await tell(lineCount - batch + 1, lineCount - 10);
    await untilLast(second, lineCount - 10);
    await until(
      "the count",
      20_000,
      async () => (await first.page.textContent("#log-count")) === "99,990 lines",
    );
    expect(await top()).toBe(before);
    await first.page.click("#log-follow");
    await untilLast(first, lineCount - 10);
  });

  test("scrolls: at every place the box is full and only what is near is drawn", async () => {
    for (let step = 0; step <= 50; step++) {
      await scrollTo(first.page, step / 50);
      const rows = await drawn(first.page);
      expect(rows.length).toBeGreaterThan(20);
      expect(rows.length).toBeLessThan(200);
      expect(rows).toEqual(rows.map((_, index) => shown((rows[0]?.n ?? 0) + index)));
    }
  });

  test("is searched in whole", async () => {
    await first.page.fill("#log-find", "file-77777.bin");
    await until("the hit", 20_000, async () => (await first.page.textContent("#log-hits")) === "1/1");
    await until("the line", 20_000, async () => (await drawn(first.page)).some((row) => row.n === 77_777));
    await first.page.fill("#log-find", "");
  });

  test("is filtered by level", async () => {
    expect(await first.page.textContent("#log-errors")).toBe("19");
    await first.page.click('[data-log-level="error"]');
    // The page draws in its next frame.
    await until("the errors alone", 20_000, async () => (await drawn(first.page)).length === 19);
    const rows = await drawn(first.page);
    expect(rows.map((row) => row.n)).toEqual(Array.from({ length: 19 }, (_, index) => (index + 1) * 5000));
    await first.page.click('[data-log-level="error"]');
    await until("all lines again", 20_000, async () => (await drawn(first.page)).length > 19);
  });

  test("shows markup as text and runs none of it", async () => {
    await first.page.fill("#log-find", "50007 <img");
    await until("the hit", 20_000, async () => (await first.page.textContent("#log-hits")) === "1/1");
    const row = await until("the line", 20_000, async () =>
      (await drawn(first.page)).find((line) => line.n === 50_007),
    );
    expect(row.text).toContain(
      "<img src=x onerror=window.pwned=1><script>window.pwned=2</script> 'single' \"double\"",
    );
    expect(await first.page.$$("#log img, #log script")).toEqual([]);
    expect(await first.page.evaluate(() => "pwned" in window)).toBe(false);
    await first.page.fill("#log-find", "");
  });

  test("ends on both pages with the job, at the same last line", async () => {
    await first.page.click("#log-follow");
    await tell(lineCount - 9, lineCount);
    await agent.finish(lineCount);
    for (const reader of [first, second]) {
      await reader.page.waitForSelector("#job-head >> text=succeeded");
      await untilLast(reader, lineCount);
      expect(await reader.page.textContent("#log-count")).toBe("100,000 lines");
    }
    expect(scriptErrors).toEqual([]);
  });

  test("is downloaded in whole", async () => {
    const lines = (await lab.api.getText(`/api/jobs/${jobId}/log.ndjson`)).trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as LogLine).n)).toEqual(
      Array.from({ length: lineCount }, (_, index) => index + 1),
    );
  });
});

/** A line as the page shows it: control characters in the picture of themselves. */
function shown(n: number): { n: number; text: string } {
  return { n, text: expect.stringMatching(new RegExp(`^${n} `)) as unknown as string };
}
