/** The real restic, driven the way the agent drives it: what it says, how it fails, what it leaves behind. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  createLab,
  createRepository,
  fillSource,
  getResticPath,
  type Lab,
  readCommandLine,
  startInLab,
  startProgram,
  until,
} from "../../fixtures/restic/lab.ts";
import { isAlive, killTree } from "../platform/child.ts";
import { backupArgs, initArgs } from "./args.ts";
import { isAlreadyInitialised } from "./exit.ts";
import { jobFiles } from "./job-dir.ts";
import { type BackupLine, parseBackupLine } from "./output.ts";
import { listSnapshots, probeRepository } from "./probe.ts";
import { readRunnerRecord } from "./records.ts";
import { adoptRun, type OutputLine } from "./run.ts";
import { missingSources, writeSourceFiles } from "./sources.ts";

// Creating a repository costs seconds of key derivation: once for all tests, which work on copies.
let template: Lab;
beforeAll(async () => {
  template = await createLab();
  await createRepository(template);
});
afterAll(() => template.remove());

let lab: Lab;
beforeEach(async () => {
  lab = await createLab();
});
afterEach(() => lab.remove());

const copyRepository = () => cp(template.repository.url, lab.repository.url, { recursive: true });

/** Mounting a small disk takes root and a machine that allows it (a container may not). */
const canMount = process.getuid?.() === 0 && tryMount();

function tryMount(): boolean {
  const point = mkdtempSync(join(tmpdir(), "agent-mount-"));
  try {
    mountDisk(point);
    unmountDisk(point);
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(point);
  }
}

function mountDisk(point: string): void {
  execFileSync("/bin/sh", ["-c", 'mount -t tmpfs -o size=4m tmpfs "$0"', point], { stdio: "pipe" });
}

function unmountDisk(point: string): void {
  execFileSync("/bin/sh", ["-c", 'umount "$0"', point]);
}

type Changes = {
  wrapper?: string[];
  signal?: AbortSignal;
  env?: Record<string, string>;
  limitUploadKib?: number;
  excludes?: string[];
  retryLock?: string;
};

async function startBackup(name: string, paths: string[], changes: Changes = {}) {
  await mkdir(lab.jobDir(name), { recursive: true, mode: 0o700 });
  const written = await writeSourceFiles(lab.jobDir(name), paths, changes.excludes ?? []);
  if (written.kind !== "written") throw new Error(written.message);
  const { limitUploadKib, retryLock } = changes;
  const args = backupArgs({
    ...{ hostName: "lab-host", tags: ["group:lab"], ...written.files },
    ...(limitUploadKib === undefined ? {} : { limits: { upload_kib: limitUploadKib } }),
  });
  const shorter = args.map((arg, index) => (args[index - 1] === "--retry-lock" ? (retryLock ?? arg) : arg));
  const argv = [...(changes.wrapper ?? []), getResticPath(), ...shorter];
  return startProgram(lab, name, argv, changes.env ?? lab.envFor(), changes.signal);
}

const parsed = (lines: readonly OutputLine[]): BackupLine[] =>
  lines.map((line) => parseBackupLine(line.text));

function findSummary(lines: readonly OutputLine[]) {
  return parsed(lines).find((line) => line.kind === "summary")?.summary;
}

const question = (env = lab.envFor()) => ({
  resticPath: getResticPath(),
  optionArgs: [],
  env,
  redact: lab.redact,
});

async function list() {
  const outcome = await listSnapshots(lab.shortDeps, { ...question(), hostName: "lab-host" });
  if (outcome.kind !== "ok") throw new Error(JSON.stringify(outcome));
  return outcome.snapshots;
}

/** Locks that are in force; one that is still being written has another name. */
async function listLocks(): Promise<string[]> {
  const names = await readdir(join(lab.repository.url, "locks"));
  return names.filter((name) => /^[0-9a-f]{64}$/.test(name));
}

async function readRestic(name: string) {
  const record = await readRunnerRecord(jobFiles(lab.jobDir(name)));
  if (record?.restic == null) throw new Error("The runner has not said who runs.");
  return { runner: record.runner, restic: record.restic };
}

describe("a repository", () => {
  it("is absent, then created, then there; creating it again is recognised", async () => {
    expect(await probeRepository(lab.shortDeps, question())).toMatchObject({
      ...{ kind: "absent", problem: { code: "restic.repository_missing" } },
    });
    const made = await startInLab(lab, "init", initArgs());
    expect(await made.outcome()).toEqual({ kind: "ok" });
    expect(await probeRepository(lab.shortDeps, question())).toEqual({ kind: "ok" });
    const again = await startInLab(lab, "again", initArgs());
    const outcome = await again.outcome();
    expect(outcome.kind).toBe("failed");
    expect(isAlreadyInitialised(again.lines.map((line) => line.text))).toBe(true);
    expect(await readdir(lab.shortDeps.workDir)).toEqual([]);
  });

  it("does not open with a wrong password", async () => {
    await copyRepository();
    const env = lab.envFor({ password: "wrong-password" });
    const problem = { code: "restic.wrong_password", exitCode: 12 };
    expect(await probeRepository(lab.shortDeps, question(env))).toMatchObject({ kind: "failed", problem });
    const backup = await startBackup("job", [lab.source], { env });
    expect(await backup.outcome()).toMatchObject({ kind: "failed", problem });
  });

  it("that is gone fails the backup with a code of its own", async () => {
    const backup = await startBackup("job", [lab.source]);
    expect(await backup.outcome()).toMatchObject({
      ...{ kind: "failed", problem: { code: "restic.repository_missing", exitCode: 10 } },
    });
  });

  it("that cannot be reached is told in the time we give, not in restic's quarter of an hour", async () => {
    const env = lab.envFor({ url: "rest:http://alice:secret-in-url@127.0.0.1:1/repo" });
    const outcome = await probeRepository(lab.shortDeps, { ...question(env), timeoutMs: 1_500 });
    if (outcome.kind !== "failed") throw new Error(outcome.kind);
    expect(["restic.timeout", "restic.unreachable"]).toContain(outcome.problem.code);
    expect(JSON.stringify(outcome)).not.toContain("secret-in-url");
    expect(outcome.problem.stderrTail.join("\n")).toContain("connection refused");
  });
});

describe("a backup", () => {
  it("saves files of any name, lists them as one snapshot, and leaves no secret anywhere", async () => {
    await copyRepository();
    const odd = ["new\nline", "\"quote'", "<script>alert(1)", "-rf", "*?[x]", "\u001b[31mred", "ünïcode 😀"];
    for (const name of odd) await writeFile(join(lab.source, name), name);
    const invalid = Buffer.concat([Buffer.from(`${lab.source}/`), Buffer.from([0x66, 0xff, 0xfe])]);
    await writeFile(invalid, "invalid utf-8");
    await writeFile(join(lab.source, "left.out"), "x");

    const backup = await startBackup("job", [lab.source, join(lab.source, odd[0] ?? "")], {
      excludes: ["*.out"],
    });
    expect(await backup.outcome()).toEqual({ kind: "ok" });
    const summary = findSummary(backup.lines);
    expect(summary?.filesNew).toBe(odd.length + 1);
    const snapshots = await list();
    expect(snapshots).toMatchObject([{ id: summary?.snapshotId, hostname: "lab-host", tags: ["group:lab"] }]);
    expect(snapshots[0]?.paths).toContain(lab.source);
    expect(snapshots[0]?.fileCount).toBe(odd.length + 1);
    for (const name of await readdir(lab.jobDir("job"))) {
      expect(await readFile(join(lab.jobDir("job"), name), "utf8"), name).not.toContain(
        lab.repository.password,
      );
    }
  });

  it("with one source missing is told by the check of sources, whatever restic says", async () => {
    await copyRepository();
    await writeFile(join(lab.source, "file"), "x");
    const paths = [lab.source, join(lab.dir, "moved-away")];
    const backup = await startBackup("job", paths);
    expect(["ok", "warning"]).toContain((await backup.outcome()).kind);
    expect(await missingSources(paths)).toEqual([paths[1]]);
  });

  it("with every source missing fails and says so", async () => {
    await copyRepository();
    const backup = await startBackup("job", [join(lab.dir, "moved-away")]);
    expect(await backup.outcome()).toMatchObject({
      kind: "failed",
      problem: { code: "restic.source_missing" },
    });
  });

  it.runIf(canMount)("onto a full disk fails with that reason and leaves no lock", async () => {
    await mkdir(lab.repository.url);
    mountDisk(lab.repository.url);
    try {
      await copyRepository();
      await fillSource(lab, 8);
      const backup = await startBackup("job", [lab.source]);
      const problem = { code: "restic.repository_full", exitCode: 1 };
      expect(await backup.outcome()).toMatchObject({ kind: "failed", problem });
      expect(await listLocks()).toEqual([]);
    } finally {
      unmountDisk(lab.repository.url);
    }
  });

  // The same fault for those who may not mount a small disk; runs everywhere.
  it("that storage refuses to write fails with restic's reason and leaves no lock", async () => {
    await copyRepository();
    await fillSource(lab, 8);
    const limit = ["/bin/sh", "-c", 'ulimit -f 2048; exec "$0" "$@"'];
    const backup = await startBackup("job", [lab.source], { wrapper: limit });
    expect(await backup.outcome()).toMatchObject({
      kind: "failed",
      problem: { code: "restic.failed", exitCode: 1, message: expect.stringContaining("file too large") },
    });
    expect(await listLocks()).toEqual([]);
  });

  it("waits for an exclusive lock only so long", async () => {
    await copyRepository();
    await fillSource(lab, 3);
    const first = await startBackup("first", [lab.source]);
    await first.outcome();
    const check = await startInLab(lab, "check", [
      "check",
      "--read-data",
      "--limit-download",
      "300",
      "--no-cache",
    ]);
    await until("check to hold its lock", async () => (await listLocks()).length > 0);
    // Frozen, so that it neither ends nor gives the lock back while the backup waits for it.
    const { restic } = await readRestic("check");
    process.kill(restic.pid, "SIGSTOP");
    try {
      const backup = await startBackup("job", [lab.source], { retryLock: "1s" });
      const problem = { code: "restic.repository_locked", exitCode: 11 };
      expect(await backup.outcome()).toMatchObject({ kind: "failed", problem });
    } finally {
      await check.run.stop(0);
    }
    expect(await check.outcome()).toEqual({ kind: "cancelled" });
  });
});

describe("a long backup", () => {
  beforeEach(async () => {
    await copyRepository();
    await fillSource(lab, 24);
  });

  const underWay = (lines: readonly OutputLine[]) =>
    until("progress", () =>
      parsed(lines).some((line) => line.kind === "status" && line.progress.bytesDone > 0),
    );

  it("stopped in the middle is cancelled and leaves no lock, and the next one succeeds", async () => {
    const backup = await startBackup("job", [lab.source], { limitUploadKib: 2_000 });
    await underWay(backup.lines);
    expect(await listLocks()).toHaveLength(1);
    await backup.run.stop(20_000);
    expect(await backup.outcome()).toEqual({ kind: "cancelled" });
    expect(await listLocks()).toEqual([]);
    const next = await startBackup("next", [lab.source]);
    expect(await next.outcome()).toEqual({ kind: "ok" });
  });

  it("shows no secret to other users of the machine while it runs", async () => {
    const backup = await startBackup("job", [lab.source], { limitUploadKib: 2_000 });
    await underWay(backup.lines);
    const { runner, restic } = await readRestic("job");
    const commandLines = await Promise.all([readCommandLine(runner.pid), readCommandLine(restic.pid)]);
    await backup.run.stop(20_000);
    await backup.outcome();
    expect(commandLines[1]).toContain("--files-from-raw");
    for (const line of commandLines) {
      expect(line).not.toBe("");
      expect(line).not.toContain(lab.repository.password);
      expect(line).not.toContain(lab.source);
    }
  });

  it("is adopted by another agent and ends with its summary seen once", async () => {
    const detach = new AbortController();
    const { signal } = detach;
    const first = await startBackup("job", [lab.source], { limitUploadKib: 4_000, signal });
    await underWay(first.lines);
    detach.abort();
    expect(await first.outcome()).toEqual({ kind: "detached" });
    const rest: OutputLine[] = [];
    const adoption = await adoptRun(lab.runDeps, {
      ...{ jobDir: lab.jobDir("job"), redact: lab.redact },
      from: { stdout: first.lines.findLast((line) => line.stream === "stdout")?.endOffset ?? 0, stderr: 0 },
      onLine: (line) => void rest.push(line),
    });
    if (adoption.kind === "gone") throw new Error("gone");
    expect(await adoption.run.exited).toMatchObject({ kind: "exited", code: 0 });
    const summaries = parsed([...first.lines, ...rest]).filter((line) => line.kind === "summary");
    expect(summaries).toHaveLength(1);
    expect(await list()).toHaveLength(1);
  });

  it("runs on when its runner is killed, and its end is then unknown, not invented", async () => {
    const backup = await startBackup("job", [lab.source], { limitUploadKib: 4_000 });
    await underWay(backup.lines);
    const { runner, restic } = await readRestic("job");
    await killTree(runner);
    expect(isAlive(restic)).toBe(true);
    expect(await backup.outcome()).toMatchObject({ kind: "failed", problem: { code: "restic.vanished" } });
    expect(isAlive(restic)).toBe(false);
    expect(findSummary(backup.lines)?.snapshotId).toBeDefined();
  });
});
