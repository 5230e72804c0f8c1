/** The list of snapshots after a backup: beside the jobs, and never older than what was told. With real restic. */
import { existsSync, readFileSync } from "node:fs";
import { chmod, cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ServerMessage } from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type AgentLab, createAgentLab, JOB, OTHER_JOB, startInProgram } from "../../fixtures/agent/lab.ts";
import {
  createLab,
  createRepository,
  fillSource,
  getResticPath,
  type Lab,
  until,
} from "../../fixtures/restic/lab.ts";

const THIRD_JOB = "01KAQ2W4T9B3E6R8M1N5P7S0VZ";

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
  await fillSource(lab, 1);
});
afterEach(() => lab.remove());

const backup = (jobId: string): Extract<ServerMessage, { type: "command.run" }> => ({
  ...{ type: "command.run", job_id: jobId, attempt: 1 },
  spec: {
    ...{ kind: "backup", host_name: "test-host", source_group: "default" },
    ...{ includes: [lab.source], excludes: [] },
  },
});
const reports = () => lab.server.committed.filter((event) => event.type === "snapshots.report");
const untilEnds = (count: number) =>
  lab.server.until(() => lab.server.all("job.finished").length >= count, `${count} end(s)`);

type Slow = { path: string; calls: () => number };

/** A restic whose `snapshots` does this first. */
async function createLister(first: string): Promise<string> {
  const path = join(lab.dir, "listing-restic");
  await writeFile(
    path,
    `#!/bin/sh\nif [ "$1" = snapshots ]; then ${first}; fi\nexec ${getResticPath()} "$@"\n`,
  );
  await chmod(path, 0o755);
  return path;
}

/** Its first list hangs for good, as on a network that went away. */
async function createSlowLister(): Promise<Slow> {
  const noted = join(lab.dir, "calls");
  const hang = "while true; do sleep 0.05; done";
  const path = await createLister(`echo x >> ${noted}; if [ "$(wc -l < ${noted})" = 1 ]; then ${hang}; fi`);
  const calls = () => (existsSync(noted) ? readFileSync(noted, "utf8").split("\n").length - 1 : 0);
  return { path, calls };
}

test("what is told of the new snapshot is what the list then says of it", async () => {
  lab.server.commands = [backup(JOB)];
  await startInProgram(lab);
  await lab.server.until(() => reports().length > 0, "the list");
  expect(lab.server.committed.at(-2)).toMatchObject({ type: "job.finished" });
  const listed = reports()[0]?.snapshots ?? [];
  expect(listed).toHaveLength(1);
  expect(lab.server.all("snapshots.added")[0]?.snapshot).toEqual({ ...listed[0], username: null });
});

test("the repository's figures follow the list, at most once an hour", async () => {
  lab.server.commands = [backup(JOB)];
  await startInProgram(lab);
  await lab.server.until(() => lab.server.all("repo.stats").length > 0, "the figures");
  expect(lab.server.all("repo.stats")[0]).toMatchObject({ job_id: null, snapshot_count: 1, locks: [] });
  expect(lab.server.all("repo.stats")[0]?.repository_id).toMatch(/^[0-9a-f]{64}$/);
  lab.server.send(backup(OTHER_JOB));
  await lab.server.until(() => reports().length === 2, "the second list");
  lab.server.send(backup(THIRD_JOB));
  await lab.server.until(() => reports().length === 3, "the third list");
  expect(lab.server.all("repo.stats")).toHaveLength(1);
});

test("figures that are being read give way to a job, and are read after it", async () => {
  const path = join(lab.dir, "figures-restic");
  const pid = join(lab.dir, "pid");
  const isGone = `n=0; while kill -0 "$(cat ${pid})" 2>/dev/null; do n=$((n+1)); [ $n -lt 200 ] || exit 1; sleep 0.05; done`;
  const script = [
    "#!/bin/sh",
    `if [ "$1" = stats ] && [ ! -e ${pid} ]; then echo $$ > ${pid}; while true; do sleep 0.05; done; fi`,
    `if [ "$1" = backup ] && [ -e ${pid} ]; then ${isGone}; fi`,
    `exec ${getResticPath()} "$@"`,
  ];
  await writeFile(path, `${script.join("\n")}\n`, { mode: 0o755 });
  lab.server.commands = [backup(JOB)];
  await startInProgram(lab, { ...lab.config, restic_path: path });
  await until("the figures are being read", () => existsSync(pid));
  lab.server.send(backup(OTHER_JOB));
  await untilEnds(2);
  expect(lab.server.all("job.finished")[1]).toMatchObject({ job_id: OTHER_JOB, status: "succeeded" });
  await lab.server.until(() => lab.server.all("repo.stats").length > 0, "the figures");
  expect(lab.server.all("repo.stats")).toMatchObject([{ job_id: null, snapshot_count: 2 }]);
});

test("a list that hangs holds up neither this job nor the next, and is dropped for a newer one", async () => {
  const slow = await createSlowLister();
  lab.server.commands = [backup(JOB)];
  await startInProgram(lab, { ...lab.config, restic_path: slow.path });
  await untilEnds(1);
  await until("the list is begun", () => slow.calls() === 1);
  lab.server.send(backup(OTHER_JOB));
  await untilEnds(2);
  await lab.server.until(() => reports().length > 0, "the list");
  expect(slow.calls()).toBe(2);
  expect(reports()).toMatchObject([{ job_id: null, part: 1, parts: 1 }]);
  const added = lab.server.all("snapshots.added").map(({ snapshot }) => snapshot.id);
  expect(reports()[0]?.snapshots.map(({ id }) => id)).toEqual(added);
});

test("a list that can't be read is a line in the agent's log and harms no job", async () => {
  lab.server.commands = [backup(JOB)];
  await startInProgram(lab, { ...lab.config, restic_path: await createLister("exit 1") });
  await untilEnds(1);
  await until("it is logged", () => lab.logLines.join("").includes("list of snapshots could not be read"));
  expect(lab.server.all("job.finished")[0]).toMatchObject({ status: "succeeded" });
  expect(reports()).toEqual([]);
});

test("a list that hangs does not keep the agent from stopping", async () => {
  const slow = await createSlowLister();
  lab.server.commands = [backup(JOB)];
  const agent = await startInProgram(lab, { ...lab.config, restic_path: slow.path });
  await until("the list is begun", () => slow.calls() === 1);
  await agent.stop();
  expect(reports()).toEqual([]);
});
