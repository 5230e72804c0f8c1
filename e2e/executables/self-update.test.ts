/** The agent's executable updates itself under a supervisor that does what systemd does; a bad version goes back. */
import { existsSync } from "node:fs";
import { copyFile, cp, readFile, rename } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { JobSpec, LogLine } from "@restic-manager/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  type AgentLab,
  createAgentLab,
  createGatedRestic,
  homeOf,
  JOB,
  OTHER_JOB,
} from "../../packages/agent/fixtures/agent/lab.ts";
import { createRepository, until } from "../../packages/agent/fixtures/restic/lab.ts";
import {
  agentScript,
  nameOf,
  type ReleaseLab,
  serve,
  signRelease,
  updateTo,
} from "../../packages/agent/fixtures/update/release.ts";
import { saveConfig } from "../../packages/agent/src/config.ts";
import { productVersion } from "../../packages/protocol/src/version.ts";
import { quickBuild } from "../../tools/package/quick.ts";
import { openSigningKey } from "../../tools/package/signing.ts";
import { Supervisor } from "./supervisor.ts";

const root = resolve(import.meta.dirname, "../..");
const next = "9.0.0";
const key = openSigningKey(root, process.env);

let running: string;
let newer: string;
let lab: AgentLab;
let program: string;
let supervisor: Supervisor;

beforeAll(async () => {
  running = await quickBuild("restic-manager-agent");
  newer = await quickBuild("restic-manager-agent", { version: next });
});

beforeEach(async () => {
  lab = await createAgentLab();
  program = join(lab.dir, "restic-manager-agent");
  await copyFile(running, program);
  await saveConfig(join(lab.dir, "agent.yaml"), lab.config);
});
afterEach(async () => {
  await supervisor.stop();
  await lab.remove();
});

/** A release of this checkout whose agent of the next version is `data`. */
function offer(data: Buffer): ReleaseLab {
  const release = signRelease({ [nameOf("restic-manager-agent", next)]: data }, (sums) =>
    key.sign(Buffer.from(sums)),
  );
  lab.server.onHttp = serve(release).answer;
  return release;
}

const send = (spec: JobSpec, jobId = JOB) =>
  lab.server.send({ type: "command.run", job_id: jobId, attempt: 1, spec });
const ends = () => lab.server.committed.filter((event) => event.type === "job.finished");
const linesOf = (jobId: string): LogLine[] =>
  lab.server.committed.flatMap((event) =>
    event.type === "log.stream" && event.job_id === jobId ? event.lines : [],
  );
const versions = () => [...new Set(lab.server.hellos.map((hello) => hello.agent_version))];
const counting = (lines: readonly LogLine[]) => lines.map((_, index) => index + 1);

/** `startLimitMs` is 90 s in our unit; a machine with other work may need most of it for a good version, too. */
async function untilConnected(startLimitMs = 60_000): Promise<void> {
  supervisor = new Supervisor({
    ...{
      program,
      configFile: join(lab.dir, "agent.yaml"),
      folder: join(lab.dir, "supervisor"),
      startLimitMs,
    },
    env: { PATH: process.env.PATH ?? "", HOME: homeOf(lab) },
    onOutput: (text) => lab.logLines.push(text),
  });
  await supervisor.start();
  await lab.server.until(() => lab.server.hellos.length > 0, "hello");
}

/** Sends the update and waits for its end. */
async function update(release: ReleaseLab): Promise<ReturnType<typeof ends>[number] | undefined> {
  send(updateTo(release, next));
  await lab.server.until(() => ends().length > 0, "the end of the update", 60_000);
  return ends()[0];
}

async function expectOldAgain(): Promise<void> {
  const [is, was] = await Promise.all([readFile(program), readFile(running)]);
  expect(is.equals(was)).toBe(true);
  expect(existsSync(`${program}.previous`)).toBe(false);
  // It works as before: the next job is taken.
  send({ kind: "update", program: "agent", version: productVersion }, OTHER_JOB);
  await lab.server.until(() => ends().length > 1, "another job");
  expect(ends()[1]).toMatchObject({ job_id: OTHER_JOB, status: "succeeded" });
}

describe("the agent's executable updates itself", () => {
  it("to a newer one, which ends the job once it was welcomed", async () => {
    await untilConnected();
    const end = await update(offer(await readFile(newer)));
    expect(end).toMatchObject({
      ...{ job_id: JOB, status: "succeeded" },
      result: { kind: "update", program: "agent", from: productVersion, to: next },
    });
    expect(versions()).toEqual([productVersion, next]);
    expect(supervisor.ends).toEqual([4]);
    expect(linesOf(JOB).map(({ n }) => n)).toEqual(counting(linesOf(JOB)));
    expect(existsSync(`${program}.update.json`)).toBe(false);
    expect((await readFile(`${program}.previous`)).equals(await readFile(running))).toBe(true);
  });

  it("and goes back from one that ends at once", async () => {
    await untilConnected();
    const end = await update(offer(agentScript(next, "exit 1")));
    expect(end).toMatchObject({ status: "failed", error: { code: "update.rolled_back" } });
    expect(end?.error?.message).toContain(`${next} was started 3 times`);
    expect(supervisor.ends).toEqual([4, 1, 1, 1]);
    expect(versions()).toEqual([productVersion]);
    await expectOldAgain();
  });

  it("and goes back from one that hangs at its start", async () => {
    await untilConnected(6_000);
    const end = await update(offer(agentScript(next, "exec sleep 300")));
    expect(end).toMatchObject({ status: "failed", error: { code: "update.rolled_back" } });
    expect(supervisor.ends.slice(-4)).toEqual([4, "SIGKILL", "SIGKILL", "SIGKILL"]);
    await expectOldAgain();
  });
});

describe("a backup that runs while the program is replaced under it", () => {
  it("is taken up by the new version and succeeds, with every line of its log once", async () => {
    const gate = await createGatedRestic(lab, 200);
    await saveConfig(join(lab.dir, "agent.yaml"), { ...lab.config, restic_path: gate.path });
    await createRepository(lab);
    await cp(running, join(lab.source, "file"));
    await untilConnected();
    send({
      kind: "backup",
      host_name: "test-host",
      source_group: "default",
      includes: [lab.source],
      excludes: [],
    });
    await until("the backup has begun", () => existsSync(gate.reached));
    // As a package or a second run of the installer does it.
    await copyFile(newer, `${program}.new`);
    await rename(`${program}.new`, program);
    supervisor.restart();
    await lab.server.until(() => versions().includes(next), "the new version");
    expect(ends()).toEqual([]);
    await gate.open();
    await lab.server.until(() => ends().length > 0, "the end of the backup", 60_000);
    // restic itself succeeds; the unreadable files that the gate tells are what it reports.
    expect(ends()[0]).toMatchObject({ job_id: JOB, exit_code: 0 });
    const lines = linesOf(JOB);
    expect(lines.map(({ n }) => n)).toEqual(counting(lines));
    expect(ends()[0]?.log_lines).toBe(lines.length);
    for (const part of ["before", "after"])
      expect(lines.filter(({ text }) => text.includes(`/${part}/`))).toHaveLength(200);
  });
});
