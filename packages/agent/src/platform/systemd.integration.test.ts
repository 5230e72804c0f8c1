/** What systemd is told by a program that stands in for `systemd-notify`. */
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AgentFakeClock } from "../../../testkit/src/agent-clock.ts";
import { removeFolder } from "../../../testkit/src/remove-folder.ts";
import { until } from "../../fixtures/restic/lab.ts";
import { isSupervised, keepNotified, watchdogIntervalMs } from "./systemd.ts";

let folder: string;
let clock: AgentFakeClock;
let warnings: string[];
let over: AbortController;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "agent-systemd-"));
  clock = new AgentFakeClock();
  warnings = [];
  over = new AbortController();
});
afterEach(async () => {
  over.abort();
  await removeFolder(folder);
});

const told = () => readFile(join(folder, "told"), "utf8").catch(() => "");

async function notifyWith(script: string, env: Record<string, string>): Promise<void> {
  const path = join(folder, "systemd-notify");
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  const warn = (sentence: string) => void warnings.push(sentence);
  const deps = { clock, env: { PATH: `${folder}:/usr/bin:/bin`, ...env }, pid: 4711, warn };
  return keepNotified(deps, () => "1.0.0, connected", over.signal);
}

const NOTIFY = { NOTIFY_SOCKET: "/run/systemd/notify" };
const noteDown = () => `echo "$NOTIFY_SOCKET $*" >> '${folder}/told'`;

describe("the agent under systemd", () => {
  test("says that it runs, and that it lives at every half of the watchdog's time", async () => {
    const notified = notifyWith(noteDown(), { ...NOTIFY, WATCHDOG_USEC: "300000000", WATCHDOG_PID: "4711" });
    await until("ready", () => clock.sleeping === 1);
    expect(await told()).toBe("/run/systemd/notify READY=1 STATUS=1.0.0, connected\n");
    await clock.advance(149_999);
    expect((await told()).split("\n")).toHaveLength(2);
    await clock.advance(1);
    await until("a sign of life", async () => (await told()).includes("WATCHDOG=1 STATUS=1.0.0"));
    over.abort();
    await notified;
    expect(warnings).toEqual([]);
  });

  test("says nothing more when no watchdog waits for it", async () => {
    await notifyWith(noteDown(), { ...NOTIFY, WATCHDOG_USEC: "300000000", WATCHDOG_PID: "1" });
    expect((await told()).split("\n")).toHaveLength(2);
  });

  test("warns, and works on, when the word could not be said", async () => {
    await notifyWith("exit 3", NOTIFY);
    expect(warnings).toEqual([expect.stringContaining("ended with 3")]);
    const deps = { clock, pid: 1, warn: (sentence: string) => void warnings.push(sentence) };
    await keepNotified({ ...deps, env: { ...NOTIFY, PATH: join(folder, "none") } }, () => "", over.signal);
    expect(warnings[1]).toContain("can't be started");
  });
});

test("without systemd nothing is said", async () => {
  await notifyWith(noteDown(), {});
  expect(existsSync(join(folder, "told"))).toBe(false);
});

test("somebody starts the agent again under systemd, or where RM_SUPERVISED says so", () => {
  expect(isSupervised({ NOTIFY_SOCKET: "@x" })).toBe(true);
  expect(isSupervised({ RM_SUPERVISED: "1" })).toBe(true);
  expect(isSupervised({ INVOCATION_ID: "0", NOTIFY_SOCKET: "", RM_SUPERVISED: "0" })).toBe(false);
});

test.each([
  [{}, undefined],
  [{ WATCHDOG_USEC: "no number" }, undefined],
  [{ WATCHDOG_USEC: "0" }, undefined],
  [{ WATCHDOG_USEC: "60000000" }, 30_000],
  [{ WATCHDOG_USEC: "60000000", WATCHDOG_PID: "7" }, 30_000],
  [{ WATCHDOG_USEC: "60000000", WATCHDOG_PID: "8" }, undefined],
])("of %j the interval is %s", (env, interval) => {
  expect(watchdogIntervalMs(env, 7)).toBe(interval);
});
