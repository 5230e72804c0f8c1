/** The whole agent against a server on loopback, with real restic: what the server gets to know, in which order. */
import { existsSync } from "node:fs";
import { chmod, cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { JobSpec, LogLine, ServerMessage } from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type AgentLab,
  createAgentLab,
  createGatedRestic,
  JOB,
  killProgram,
  OTHER_JOB,
  startInProgram,
  startProgram,
} from "../fixtures/agent/lab.ts";
import {
  createLab,
  createRepository,
  fillSource,
  getResticPath,
  LAB_PASSWORD,
  type Lab,
  until,
} from "../fixtures/restic/lab.ts";

// Creating a repository costs seconds of key derivation: once for all tests, which work on copies.
let template: Lab;
beforeAll(async () => {
  template = await createLab();
  await createRepository(template);
});
afterAll(() => template.remove());

let lab: AgentLab;
beforeEach(async () => {
  lab = await createAgentLab();
});
afterEach(() => lab.remove());

const run = (spec: JobSpec, jobId = JOB): Extract<ServerMessage, { type: "command.run" }> => ({
  type: "command.run",
  job_id: jobId,
  attempt: 1,
  spec,
});
const backupOf = (...includes: string[]): JobSpec => ({
  kind: "backup",
  host_name: "test-host",
  source_group: "default",
  includes,
  excludes: [],
});
const copyRepository = () => cp(template.repository.url, lab.repository.url, { recursive: true });
const finished = () => lab.server.committed.filter((event) => event.type === "job.finished");
const untilFinished = (count = 1) =>
  lab.server.until(() => finished().length >= count, `${count} finished job(s)`);
const loggedLines = (): LogLine[] =>
  lab.server.committed.flatMap((event) => (event.type === "log.stream" ? event.lines : []));

/** Every line once, without a gap, and as many as the end says. */
function expectCompleteLog(): void {
  const numbers = loggedLines().map(({ n }) => n);
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  expect(finished()[0]?.log_lines).toBe(numbers.length);
}

const jobDirs = () => readdir(join(lab.config.data_dir, "jobs"));

describe("the first hour of a host", () => {
  test("init creates the repository, backup reports started, log, the snapshot, finished in this order", async () => {
    await fillSource(lab, 3);
    lab.server.commands = [run({ kind: "init" })];
    await startInProgram(lab);
    await untilFinished();
    expect(finished()[0]).toMatchObject({ status: "succeeded", error: null });
    expect(finished()[0]?.result).toEqual({ kind: "init", created: true });

    lab.server.send(run(backupOf(lab.source), OTHER_JOB));
    await untilFinished(2);
    const types = lab.server.committed.filter(({ job_id }) => job_id === OTHER_JOB).map(({ type }) => type);
    expect(types).toEqual([
      "job.started",
      ...types.slice(1, -2).map(() => "log.stream"),
      "snapshots.added",
      "job.finished",
    ]);
    expect(finished()[1]).toMatchObject({
      status: "succeeded",
      exit_code: 0,
      error: null,
      summary: { files_new: 3, total_bytes: 3 * 1024 * 1024 },
    });
    await lab.server.until(() => lab.server.all("snapshots.report").length > 0, "the list");
    const report = lab.server.all("snapshots.report")[0];
    expect(report).toMatchObject({ part: 1, parts: 1, job_id: null });
    expect(report?.snapshots).toMatchObject([
      { hostname: "test-host", tags: ["default"], paths: [lab.source] },
    ]);
    await until("the journal is empty", async () => (await jobDirs()).length === 0);
    expect(JSON.stringify(lab.server.received) + lab.logLines.join("")).not.toContain(LAB_PASSWORD);
  });

  test("init on a repository that exists succeeds and says so", async () => {
    await copyRepository();
    lab.server.commands = [run({ kind: "init" })];
    await startInProgram(lab);
    await untilFinished();
    expect(finished()[0]).toMatchObject({ status: "succeeded" });
    expect(finished()[0]?.result).toEqual({ kind: "init", created: false });
    expect(loggedLines().at(-1)?.text).toContain("already exists");
  });

  test("init with the wrong password fails with its code", async () => {
    await copyRepository();
    if (lab.server.config?.repository) lab.server.config.repository.password = "not the password";
    lab.server.commands = [run({ kind: "init" })];
    await startInProgram(lab);
    await untilFinished();
    expect(finished()[0]).toMatchObject({ status: "failed", error: { code: "restic.wrong_password" } });
  });
});

describe("a backup that does not cover everything", () => {
  beforeEach(() => copyRepository());

  test("ends as a warning that names the path that does not exist", async () => {
    await fillSource(lab, 1);
    lab.server.commands = [run(backupOf(lab.source, join(lab.dir, "gone")))];
    await startInProgram(lab);
    await untilFinished();
    expect(finished()[0]).toMatchObject({ status: "warning", error: { code: "restic.source_missing" } });
    expect(finished()[0]?.error?.message).toContain(join(lab.dir, "gone"));
    expectCompleteLog();
  });

  test("fails when no path exists", async () => {
    lab.server.commands = [run(backupOf(join(lab.dir, "gone")))];
    await startInProgram(lab);
    await untilFinished();
    expect(finished()[0]).toMatchObject({ status: "failed", error: { code: "restic.source_missing" } });
  });

  test("fails with a sentence when restic is not there", async () => {
    lab.server.commands = [run(backupOf(lab.source))];
    await startInProgram(lab, { ...lab.config, restic_path: join(lab.dir, "no-restic") });
    await untilFinished();
    expect(finished()[0]).toMatchObject({ status: "failed", error: { code: "restic.missing" } });
    expect(lab.server.hellos[0]).toMatchObject({
      restic_version: null,
      restic_problem: { code: "restic.missing" },
    });
  });
});

describe("a restic whose report is lost, as on a full disk", () => {
  /** Exits 0 and says nothing; `does` is what its backup does before. */
  async function createSilentRestic(does: string): Promise<string> {
    const path = join(lab.dir, "silent-restic");
    const script = `#!/bin/sh\nif [ "$1" = backup ]; then ${does}; exit 0; fi\nexec ${getResticPath()} "$@"\n`;
    await writeFile(path, script);
    await chmod(path, 0o755);
    return path;
  }

  async function backUpSilently(does: string): Promise<void> {
    await copyRepository();
    await fillSource(lab, 2);
    lab.server.commands = [run(backupOf(lab.source))];
    await startInProgram(lab, { ...lab.config, restic_path: await createSilentRestic(does) });
    await untilFinished();
    expectCompleteLog();
  }

  test("has made a backup when its snapshot is there", async () => {
    await backUpSilently(`${getResticPath()} "$@" >/dev/null 2>&1`);
    const [snapshot] = lab.server.all("snapshots.report")[0]?.snapshots ?? [];
    expect(finished()[0]).toMatchObject({
      ...{ status: "succeeded", exit_code: 0, error: null },
      summary: { snapshot_id: snapshot?.id, files_new: 2, total_bytes: 2 * 1024 * 1024 },
    });
    expect(
      loggedLines()
        .map(({ text }) => text)
        .join(),
    ).toContain("found in the repository");
  });

  test("has made none when no snapshot is there, whatever its exit code says", async () => {
    await backUpSilently("true");
    expect(finished()[0]).toMatchObject({ status: "failed", error: { code: "restic.bad_output" } });
  });
});

describe("commands that can't run", () => {
  test("are refused without repository credentials", async () => {
    lab.server.config = undefined;
    lab.server.commands = [run({ kind: "init" })];
    await startInProgram(lab);
    await lab.server.until(() => lab.server.all("command.ack").length > 0, "an acknowledgement");
    expect(lab.server.all("command.ack")[0]).toMatchObject({ accepted: false, code: "agent.no_repository" });
  });

  test("are refused while another job runs, and a redelivered one is acknowledged but not run twice", async () => {
    await copyRepository();
    const gate = await createGatedRestic(lab, 1);
    lab.server.commands = [
      run(backupOf(lab.source)),
      run({ kind: "init" }, OTHER_JOB),
      run(backupOf(lab.source)),
    ];
    await startInProgram(lab, { ...lab.config, restic_path: gate.path });
    await lab.server.until(() => lab.server.all("command.ack").length === 3, "three acknowledgements");
    expect(lab.server.all("command.ack")).toMatchObject([
      { job_id: JOB, accepted: true },
      { job_id: OTHER_JOB, accepted: false, code: "agent.busy" },
      { job_id: JOB, accepted: true },
    ]);
    await gate.open();
    await untilFinished();
    expect(lab.server.all("job.started")).toHaveLength(1);
  });
});

test("a folder of the host is listed when the server asks", async () => {
  await fillSource(lab, 1);
  await startInProgram(lab);
  await lab.server.until(() => lab.server.hellos.length > 0, "hello");
  lab.server.send({ type: "fs.list", request_id: JOB, path: lab.source, after: null, limit: 10 });
  await lab.server.until(() => lab.server.all("fs.entries").length > 0, "the entries");
  expect(lab.server.all("fs.entries")[0]).toMatchObject({
    ...{ request_id: JOB, more: false, error: null },
    entries: [{ name: "file-0", kind: "file", size_bytes: 1024 * 1024 }],
  });
  expect(lab.server.hellos[0]).toMatchObject({ hooks_allowed: true });
});

describe("cancelling", () => {
  test("ends a running backup, also when asked twice", async () => {
    await copyRepository();
    const gate = await createGatedRestic(lab, 1);
    lab.server.commands = [run(backupOf(lab.source))];
    await startInProgram(lab, { ...lab.config, restic_path: gate.path });
    await until("restic runs", () => existsSync(gate.reached));
    lab.server.send({ type: "command.cancel", job_id: JOB });
    lab.server.send({ type: "command.cancel", job_id: JOB });
    await untilFinished();
    expect(finished()[0]).toMatchObject({ status: "cancelled", error: null });
    lab.server.send({ type: "command.cancel", job_id: JOB });
    await until("the journal is empty", async () => (await jobDirs()).length === 0);
  });

  test("that was asked for before the agent was killed is finished by the next agent", async () => {
    await copyRepository();
    const gate = await createGatedRestic(lab, 1);
    lab.config.restic_path = gate.path;
    lab.server.commands = [run(backupOf(lab.source))];
    const first = await startProgram(lab);
    await until("restic runs", () => existsSync(gate.reached));
    await killProgram(first);
    const state = join(lab.config.data_dir, "jobs", JOB, "state.json");
    const entry = JSON.parse(await readFile(state, "utf8")) as object;
    await writeFile(state, JSON.stringify({ ...entry, cancel_requested: true }));
    await startInProgram(lab);
    await untilFinished();
    expect(finished()[0]).toMatchObject({ status: "cancelled" });
  });
});

describe("an agent that is killed in the middle of a backup", () => {
  const LINES = 1500;
  beforeEach(() => copyRepository());

  test("finds restic still running, and tells the whole log once", async () => {
    await fillSource(lab, 2);
    const gate = await createGatedRestic(lab, LINES);
    lab.config.restic_path = gate.path;
    lab.server.commands = [run(backupOf(lab.source))];
    const first = await startProgram(lab);
    // Killed while it tells: part of the log is committed, part only written, part not even read.
    await lab.server.until(() => loggedLines().length > 100, "some log");
    await killProgram(first);
    await until("restic goes on alone", () => existsSync(gate.reached));

    await startProgram(lab);
    await lab.server.until(() => lab.server.hellos.length > 1, "a second hello");
    expect(lab.server.hellos[1]?.jobs).toEqual([{ job_id: JOB, attempt: 1, state: "running" }]);
    expect(lab.server.hellos[1]?.stream_id).toBe(lab.server.hellos[0]?.stream_id);
    await gate.open();
    await untilFinished();
    expect(lab.server.all("job.started").map(({ seq }) => seq)).toEqual([1]);
    expect(finished()[0]).toMatchObject({ status: "succeeded", summary: { files_new: 2 } });
    expectCompleteLog();
    const items = loggedLines().filter(({ level }) => level === "error");
    expect(items.map(({ text }) => text)).toEqual(
      ["before", "after"].flatMap((part) =>
        Array.from({ length: LINES }, (_, index) => `/${part}/${index + 1}: denied`),
      ),
    );
  });

  test("reports the end of a backup that ended while no agent was there", async () => {
    await fillSource(lab, 1);
    const gate = await createGatedRestic(lab, 10);
    lab.config.restic_path = gate.path;
    lab.server.commands = [run(backupOf(lab.source))];
    const first = await startProgram(lab);
    await until("restic runs", () => existsSync(gate.reached));
    await killProgram(first);
    await gate.open();
    await until("restic ends", () => existsSync(join(lab.config.data_dir, "jobs", JOB, "exit.json")));
    await startProgram(lab);
    await untilFinished();
    expect(finished()[0]).toMatchObject({ status: "succeeded", exit_code: 0 });
    expectCompleteLog();
  });

  test("and whose runner died as well reports that the end is not known", async () => {
    const gate = await createGatedRestic(lab, 1);
    lab.config.restic_path = gate.path;
    lab.server.commands = [run(backupOf(lab.source))];
    const first = await startProgram(lab);
    await until("restic runs", () => existsSync(gate.reached));
    await killProgram(first);
    const record = join(lab.config.data_dir, "jobs", JOB, "runner.json");
    const pids = JSON.parse(await readFile(record, "utf8")) as Record<"runner" | "restic", { pid: number }>;
    process.kill(pids.runner.pid, "SIGKILL");
    process.kill(-pids.restic.pid, "SIGKILL");
    await startProgram(lab);
    await untilFinished();
    expect(finished()[0]).toMatchObject({ status: "failed", error: { code: "restic.vanished" } });
    expectCompleteLog();
  });
});

describe("a server that goes away in the middle of a backup", () => {
  test("gets the whole log and the end when it is back", async () => {
    await copyRepository();
    await fillSource(lab, 1);
    const gate = await createGatedRestic(lab, 300);
    lab.server.commands = [run(backupOf(lab.source))];
    await startInProgram(lab, { ...lab.config, restic_path: gate.path });
    await lab.server.until(() => loggedLines().length > 0, "some log");
    await lab.server.stop();
    await gate.open();
    await until("restic ends", () => existsSync(join(lab.config.data_dir, "jobs", JOB, "exit.json")));
    await lab.server.start();
    await untilFinished();
    expect(finished()[0]).toMatchObject({ status: "succeeded" });
    expectCompleteLog();
    expect(lab.server.committed.map(({ seq }) => seq)).toEqual(lab.server.committed.map((_, i) => i + 1));
  });
});

describe("the agent as a program", () => {
  test("ends within five seconds of SIGTERM with code 0 while restic runs on", async () => {
    await copyRepository();
    const gate = await createGatedRestic(lab, 1);
    lab.config.restic_path = gate.path;
    lab.server.commands = [run(backupOf(lab.source))];
    const program = await startProgram(lab);
    await until("restic runs", () => existsSync(gate.reached));
    program.kill("SIGTERM");
    await until("the agent ends", () => program.exitCode !== null, 5_000);
    expect(program.exitCode).toBe(0);
    await gate.open();
    await startInProgram(lab);
    await untilFinished();
    expect(finished()[0]).toMatchObject({ status: "succeeded" });
  });

  test("ends with code 3 and a sentence when the server removed the host", async () => {
    const program = await startProgram(lab);
    await lab.server.until(() => lab.server.hellos.length > 0, "hello");
    lab.server.send({ type: "goodbye", code: "link.host_removed", message: "It was removed.", retry: false });
    await until("the agent ends", () => program.exitCode !== null);
    expect(program.exitCode).toBe(3);
    expect(lab.logLines.join("")).toContain("The server removed this host: It was removed.");
  });

  test("refuses a data directory in which another agent works", async () => {
    await startInProgram(lab);
    const second = await startProgram(lab);
    await until("the second agent ends", () => second.exitCode !== null);
    expect(second.exitCode).toBe(1);
    expect(lab.logLines.join("")).toContain("Another agent");
  });

  test("warns when others can read its configuration", async () => {
    const program = await startProgram(lab);
    await lab.server.until(() => lab.server.hellos.length > 0, "hello");
    program.kill("SIGTERM");
    await until("the agent ends", () => program.exitCode !== null);
    const configPath = join(lab.dir, "agent.yaml");
    expect(lab.logLines.join("")).not.toContain("chmod 600");
    await chmod(configPath, 0o644);
    const { runMain } = await import("../fixtures/agent/lab.ts");
    runMain(lab, ["run", "--config", configPath]);
    await lab.server.until(() => lab.server.hellos.length > 1, "hello");
    expect(lab.logLines.join("")).toContain("chmod 600");
  });
});
