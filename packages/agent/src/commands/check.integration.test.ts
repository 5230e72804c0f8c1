/** Checking a repository, and what an init finds in one that is already there: with real restic. */
import { readdirSync, rmSync } from "node:fs";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import type { JobSpec, ServerMessage } from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type AgentLab, createAgentLab, JOB, OTHER_JOB, startInProgram } from "../../fixtures/agent/lab.ts";
import { createLab, createRepository, fillSource, type Lab } from "../../fixtures/restic/lab.ts";

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
