/** Checking a repository, and what an init finds in one that is already there: with real restic. */
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { chmod, cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { JobSpec, ServerMessage } from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type AgentLab, createAgentLab, JOB, OTHER_JOB, startInProgram } from "../../fixtures/agent/lab.ts";
import {
  createLab,
  createRepository,
  fillSource,
  getResticPath,
  type Lab,
  until,
} from "../../fixtures/restic/lab.ts";
import { writeLock } from "../../fixtures/restic/lock-file.ts";

const THIRD_JOB = "01KAQ2W4T9B3E6R8M1N5P7S0VZ";
const FOURTH_JOB = "01KAQ2W4T9B3E6R8M1N5P7S0W0";

let template: Lab;
beforeAll(async () => {
  template = await createLab();
  await createRepository(template);
});
afterAll(() => template.remove());

let lab: AgentLab;
beforeEach(async () => {
  lab = await createAgentLab();
  await cp(template.repository.url, lab.repository.url, { recursive: true });
  await fillSource(lab, 2);
});
afterEach(() => lab.remove());

const run = (spec: JobSpec, jobId: string): Extract<ServerMessage, { type: "command.run" }> => ({
  type: "command.run",
  job_id: jobId,
  attempt: 1,
  spec,
});

const backup = (): JobSpec => ({
  kind: "backup",
  host_name: "test-host",
  source_group: "default",
  includes: [lab.source],
  excludes: [],
});

async function backUpFirst(): Promise<void> {
  lab.server.commands = [run(backup(), OTHER_JOB)];
  await startInProgram(lab);
  await endOf(OTHER_JOB);
  lab.server.commands = [];
}

async function endOf(jobId: string) {
  const ends = () => lab.server.all("job.finished").filter((event) => event.job_id === jobId);
  await lab.server.until(() => ends().length > 0, `the end of ${jobId}`);
  return ends()[0];
}

describe("a check", () => {
  test("of a healthy repository succeeds and says so in the log", async () => {
    await backUpFirst();
    lab.server.send(run({ kind: "check" }, JOB));
    expect(await endOf(JOB)).toMatchObject({ status: "succeeded", exit_code: 0, error: null });
    const lines = lab.server.all("log.stream").flatMap((event) => event.lines.map((line) => line.text));
    expect(lines.at(-1)).toContain("No errors were found");
  });

  const dataFiles = () => {
    const data = join(lab.repository.url, "data");
    return readdirSync(data).flatMap((name) =>
      readdirSync(join(data, name)).map((file) => join(data, name, file)),
    );
  };

  test("of its structure alone does not see a flipped byte, and one of all data does", async () => {
    await backUpFirst();
    const largest = dataFiles().reduce((a, b) => (statSync(a).size > statSync(b).size ? a : b));
    const bytes = readFileSync(largest);
    bytes[1000] = (bytes[1000] ?? 0) ^ 0xff;
    chmodSync(largest, 0o600);
    writeFileSync(largest, bytes);
    lab.server.send(run({ kind: "check" }, JOB));
    expect(await endOf(JOB)).toMatchObject({
      status: "succeeded",
      result: { kind: "check", error_count: 0 },
    });
    lab.server.send(run({ kind: "check", read_data: { slice: 1, of: 1 } }, THIRD_JOB));
    expect(await endOf(THIRD_JOB)).toMatchObject({
      status: "failed",
      error: { code: "restic.repository_damaged" },
      result: { error_count: 1, broken_packs: 1 },
    });
    const stats = lab.server.all("repo.stats").map(({ job_id }) => job_id);
    expect(stats).toEqual(expect.arrayContaining([JOB, THIRD_JOB]));
  });

  test("of a part that there is not does not begin", async () => {
    await startInProgram(lab);
    await lab.server.until(() => lab.server.hellos.length > 0, "the agent");
    lab.server.send(run({ kind: "check", read_data: { slice: 3, of: 2 } }, JOB));
    expect(await endOf(JOB)).toMatchObject({ status: "failed", error: { code: "check.invalid_part" } });
  });

  test("that is cancelled while the storage does not answer ends at once", async () => {
    const path = join(lab.dir, "hanging");
    const asked = join(lab.dir, "asked");
    const hang = `: > ${asked}; while true; do sleep 0.05; done`;
    const script = `#!/bin/sh\nif [ "$1" = cat ]; then ${hang}; fi\nexec ${getResticPath()} "$@"\n`;
    await writeFile(path, script, { mode: 0o755 });
    lab.server.commands = [run({ kind: "check" }, JOB)];
    await startInProgram(lab, { ...lab.config, restic_path: path });
    await until("it asks", () => existsSync(asked));
    lab.server.send({ type: "command.cancel", job_id: JOB });
    expect(await endOf(JOB)).toMatchObject({ status: "cancelled" });
    expect(lab.server.all("repo.stats")).toEqual([]);
  });

  test("of a repository that stays locked is no damage, whatever its summary claims", async () => {
    const path = join(lab.dir, "impatient");
    const impatient = `#!/bin/sh\nif [ "$1" = check ]; then set -- check --json; fi\nexec ${getResticPath()} "$@"\n`;
    await writeFile(path, impatient);
    await chmod(path, 0o755);
    await writeLock(lab.repository, { hostname: "another-machine", pid: 1 });
    await startInProgram(lab, { ...lab.config, restic_path: path });
    await lab.server.until(() => lab.server.hellos.length > 0, "the agent");
    lab.server.send(run({ kind: "check" }, JOB));
    const ended = await endOf(JOB);
    expect(ended).toMatchObject({
      status: "failed",
      exit_code: 11,
      error: { code: "restic.repository_locked" },
    });
    expect(ended?.result ?? null).toBeNull();
    expect(lab.server.all("repo.stats")[0]?.locks).toMatchObject([
      { hostname: "another-machine", alive: null },
    ]);
  });

  test("of a repository that lacks an index asks for its repair, which mends it", async () => {
    await backUpFirst();
    const index = join(lab.repository.url, "index");
    for (const name of readdirSync(index)) rmSync(join(index, name));
    rmSync(join(lab.dir, "data", "cache"), { recursive: true, force: true });
    lab.server.send(run({ kind: "check" }, JOB));
    expect(await endOf(JOB)).toMatchObject({
      status: "failed",
      error: { code: "restic.repository_damaged" },
    });
    lab.server.send(run({ kind: "repair", what: "index" }, THIRD_JOB));
    expect(await endOf(THIRD_JOB)).toMatchObject({ status: "succeeded", exit_code: 0 });
    lab.server.send(run({ kind: "check", read_data: { percent: 100 } }, FOURTH_JOB));
    expect(await endOf(FOURTH_JOB)).toMatchObject({ status: "succeeded", result: { error_count: 0 } });
  });

  test("of a repository that lacks a pack fails with a code and a sentence of its own", async () => {
    await backUpFirst();
    const data = join(lab.repository.url, "data");
    const [folder] = readdirSync(data).filter((name) => readdirSync(join(data, name)).length > 0);
    rmSync(join(data, folder ?? "", readdirSync(join(data, folder ?? ""))[0] ?? ""));
    lab.server.send(run({ kind: "check" }, JOB));
    expect(await endOf(JOB)).toMatchObject({
      status: "failed",
      exit_code: 1,
      error: { code: "restic.repository_damaged", message: expect.stringContaining("is damaged") },
    });
  });
});

describe("an init of a repository that is in use", () => {
  test("tells a server that starts anew which snapshots of this host are there", async () => {
    await backUpFirst();
    lab.server.send(run({ kind: "init", host_name: "test-host" }, JOB));
    expect(await endOf(JOB)).toMatchObject({ status: "succeeded" });
    const report = lab.server.all("snapshots.report").find((event) => event.job_id === JOB);
    expect(report?.snapshots).toMatchObject([{ hostname: "test-host", paths: [lab.source] }]);
  });

  test("tells only of this host's snapshots", async () => {
    await backUpFirst();
    lab.server.send(run({ kind: "init", host_name: "another-host" }, JOB));
    await endOf(JOB);
    const report = lab.server.all("snapshots.report").find((event) => event.job_id === JOB);
    expect(report?.snapshots).toEqual([]);
  });
});
