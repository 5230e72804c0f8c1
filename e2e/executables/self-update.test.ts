/** The agent's executable updates itself under a supervisor that does what systemd does; a bad version goes back. */

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { LogLine } from "@restic-manager/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createGatedRestic, JOB, OTHER_JOB } from "../../packages/agent/fixtures/agent/lab.ts";
import { createRepository, until } from "../../packages/agent/fixtures/restic/lab.ts";
import { agentScript } from "../../packages/agent/fixtures/update/release.ts";
import { saveConfig } from "../../packages/agent/src/config.ts";
import {
  identifyProgram,
  readRecord,
  updatePaths,
  writeRecord,
} from "../../packages/agent/src/update/record.ts";
import { productVersion } from "../../packages/protocol/src/version.ts";
import { quickBuild } from "../../tools/package/quick.ts";
import { nextVersion, UpdatingHost } from "./updating-host.ts";

const run = promisify(execFile);

let newer: string;
let host: UpdatingHost;

beforeAll(async () => {
  newer = await quickBuild("restic-manager-agent", { version: nextVersion });
});
beforeEach(async () => {
  host = await UpdatingHost.create();
});
afterEach(() => host.remove());

const counting = (lines: readonly LogLine[]) => lines.map((_, index) => index + 1);

async function expectOldAgain(): Promise<void> {
  expect(await host.isOldAgain()).toBe(true);
  // It works as before: the next job is taken.
  host.send({ kind: "update", program: "agent", version: productVersion }, OTHER_JOB);
  await host.lab.server.until(() => host.ends().length > 1, "another job");
  expect(host.ends()[1]).toMatchObject({ job_id: OTHER_JOB, status: "succeeded" });
}

describe("the agent's executable updates itself", () => {
  it("to a newer one, which ends the job once it was welcomed", async () => {
    const supervisor = await host.start();
    const end = await host.update(await readFile(newer));
    expect(end).toMatchObject({
      ...{ job_id: JOB, status: "succeeded" },
      result: { kind: "update", program: "agent", from: productVersion, to: nextVersion },
    });
    expect(host.versions()).toEqual([productVersion, nextVersion]);
    expect(supervisor.ends).toEqual([4]);
    expect(host.linesOf(JOB).map(({ n }) => n)).toEqual(counting(host.linesOf(JOB)));
    expect(existsSync(`${host.program}.update.json`)).toBe(false);
    expect((await readFile(`${host.program}.previous`)).equals(await readFile(host.running))).toBe(true);
  });

  it("and goes back from one that ends at once", async () => {
    const supervisor = await host.start();
    const end = await host.update(agentScript(nextVersion, "exit 1"));
    expect(end).toMatchObject({ status: "failed", error: { code: "update.rolled_back" } });
    expect(end?.error?.message).toContain(`${nextVersion} was started 3 times`);
    expect(supervisor.ends).toEqual([4, 1, 1, 1]);
    expect(host.versions()).toEqual([productVersion]);
    await expectOldAgain();
  });

  it("and goes back from one that hangs at its start", async () => {
    // The limit is also the one that the good version's start is judged by.
    const supervisor = await host.start(12_000);
    const end = await host.update(agentScript(nextVersion, "exec sleep 300"), 120_000);
    expect(end).toMatchObject({ status: "failed", error: { code: "update.rolled_back" } });
    expect(supervisor.ends.slice(-4)).toEqual([4, "SIGKILL", "SIGKILL", "SIGKILL"]);
    await expectOldAgain();
  });
});

describe("where nobody calls the guard before a start", () => {
  it("a version that was started three times in vain puts the one before back itself, and ends to be started anew", async () => {
    const paths = updatePaths(host.program);
    await writeFile(paths.previous, "the version before");
    const update = { job: JOB, from: "0.0.1", to: productVersion, deadline: null, rolled_back: null };
    const on = (await identifyProgram(host.program)) ?? "";
    await writeRecord(paths.record, { ...update, program: on, starts: 2 });
    const start = () => run(host.program, ["run", "--config", join(host.lab.dir, "none.yaml")], { env: {} });
    await expect(start()).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining("none.yaml") });
    await expect(start()).rejects.toMatchObject({ code: 4 });
    expect(await readFile(host.program, "utf8")).toBe("the version before");
    expect((await readRecord(paths.record))?.rolled_back).toContain("3 times");
  });
});

describe("a backup that runs while the program is replaced under it", () => {
  it("is taken up by the new version and succeeds, with every line of its log once", async () => {
    const gate = await createGatedRestic(host.lab, 200);
    await saveConfig(host.configFile, { ...host.lab.config, restic_path: gate.path });
    await createRepository(host.lab);
    await copyFile(host.running, join(host.lab.source, "file"));
    const supervisor = await host.start();
    host.send({
      kind: "backup",
      host_name: "test-host",
      source_group: "default",
      includes: [host.lab.source],
      excludes: [],
    });
    await until("the backup has begun", () => existsSync(gate.reached));
    // As a package or a second run of the installer does it.
    await copyFile(newer, `${host.program}.new`);
    await rename(`${host.program}.new`, host.program);
    supervisor.restart();
    await host.lab.server.until(() => host.versions().includes(nextVersion), "the new version");
    expect(host.ends()).toEqual([]);
    await gate.open();
    await host.lab.server.until(() => host.ends().length > 0, "the end of the backup", 60_000);
    // restic itself succeeds; the unreadable files that the gate tells are what it reports.
    expect(host.ends()[0]).toMatchObject({ job_id: JOB, exit_code: 0 });
    const lines = host.linesOf(JOB);
    expect(lines.map(({ n }) => n)).toEqual(counting(lines));
    expect(host.ends()[0]?.log_lines).toBe(lines.length);
    for (const part of ["before", "after"])
      expect(lines.filter(({ text }) => text.includes(`/${part}/`))).toHaveLength(200);
  });
});
