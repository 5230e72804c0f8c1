/** A restore that meets a full disk, is cancelled, or whose agent is killed; and the access that comes with its command. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { cp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RepositoryAccess, RestoreSpec } from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type AgentLab,
  createAgentLab,
  endOf,
  homeOf,
  JOB,
  killProgram,
  runJob,
  startInProgram,
  startProgram,
} from "../../fixtures/agent/lab.ts";
import {
  createLab,
  createRepository,
  getResticPath,
  type Lab,
  listIds,
  makeSnapshots,
  until,
} from "../../fixtures/restic/lab.ts";

const HOST = "web-1";
const FILES = 12;

let template: Lab;
let snapshotId: string;
const src = (name: string) => join(template.source, name);

beforeAll(async () => {
  template = await createLab();
  await createRepository(template);
  for (const folder of ["a", "b"]) mkdirSync(src(folder));
  writeFileSync(src("b/small"), "small");
  writeFileSync(src("a/file-0"), "the first, in a pack of its own");
  await makeSnapshots(template, [{ host: HOST, tag: "first", time: "2026-01-01 09:00:00" }]);
  for (let index = 1; index < FILES; index += 1)
    writeFileSync(src(`a/file-${index}`), randomBytes(512 * 1024));
  await makeSnapshots(template, [{ host: HOST, tag: "all", time: "2026-01-01 10:00:00" }]);
  snapshotId = (await listIds(HOST, "all", template.envFor()))[0] ?? "";
});
afterAll(() => template.remove());

let lab: AgentLab;
beforeEach(async () => {
  lab = await createAgentLab();
  await cp(template.repository.url, lab.repository.url, { recursive: true });
});
afterEach(() => lab.remove());

const restore = (paths: string[], change: Partial<RestoreSpec> = {}): RestoreSpec => ({
  ...{ kind: "restore", snapshot_id: snapshotId, paths, target: { kind: "directory" } },
  ...{ keep_ownership: false, includes: [], excludes: [], dry_run: false, verify: false, path_map: [] },
  ...change,
});
const target = () => join(homeOf(lab), "rm-restore", JOB);
const inside = (folder: string, name: string) => join(folder, src(name));
const logText = () =>
  lab.server
    .all("log.stream")
    .flatMap(({ lines }) => lines.map(({ text }) => text))
    .join("\n");

/** Mounting takes root and a machine that allows it (a container may not). */
const canMount = process.getuid?.() === 0 && tryMount();

function tryMount(): boolean {
  const point = mkdtempSync(join(tmpdir(), "agent-mount-"));
  try {
    mountDisk(point, "size=4m");
    unmountDisk(point);
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(point);
  }
}

function mountDisk(point: string, options: string): void {
  execFileSync("/bin/sh", ["-c", 'mount -t tmpfs -o "$1" tmpfs "$0"', point, options], { stdio: "pipe" });
}

function unmountDisk(point: string): void {
  execFileSync("/bin/sh", ["-c", 'umount "$0"', point]);
}

/** Runs a test on a disk of its own. */
async function onDisk(options: string, work: (disk: string) => Promise<void>): Promise<void> {
  const disk = join(lab.dir, "disk");
  mkdirSync(disk);
  mountDisk(disk, options);
  try {
    await work(disk);
  } finally {
    unmountDisk(disk);
  }
}

describe("the target's disk", () => {
  test.runIf(canMount)(
    "that is too small ends the restore as failed, whatever restic's summary claims",
    async () => {
      await onDisk("size=2m", async (disk) => {
        await startInProgram(lab);
        const ended = await runJob(
          lab,
          JOB,
          restore([src("a")], { target: { kind: "directory", path: disk } }),
        );
        expect(ended).toMatchObject({
          ...{ status: "failed", exit_code: 1, error: { code: "restore.target_full" } },
          result: { complete: false, problem: "restore.target_full", restored_bytes: null, target: disk },
        });
        const failed = ended?.result?.kind === "restore" ? ended.result.failed : 0;
        expect(failed).toBeGreaterThan(0);
        expect(ended?.error?.message).toContain("holes");
      });
    },
  );

  test.runIf(canMount)("that may not be written to is said before restic starts", async () => {
    await onDisk("ro", async (disk) => {
      await startInProgram(lab);
      const path = join(disk, "new");
      const ended = await runJob(lab, JOB, restore([src("a")], { target: { kind: "directory", path } }));
      expect(ended).toMatchObject({ status: "failed", error: { code: "restore.target_not_writable" } });
    });
  });

  test("where the system refuses the folder is said so", async () => {
    await startInProgram(lab);
    const path = "/proc/restored";
    const ended = await runJob(lab, JOB, restore([src("a")], { target: { kind: "directory", path } }));
    expect(ended).toMatchObject({ status: "failed", error: { code: "restore.target_not_writable" } });
  });
});

describe("an item that can't be written", () => {
  test("makes a warning that names it, and the rest is there", async () => {
    await startInProgram(lab);
    const elsewhere = join(lab.dir, "elsewhere");
    mkdirSync(join(elsewhere, "a/file-3/in-the-way"), { recursive: true });
    writeFileSync(join(elsewhere, "a/file-3/in-the-way/mine"), "mine");
    const spec = restore([src("a")], {
      target: { kind: "in_place", overwrite: "always" },
      path_map: [{ from: src("a"), to: join(elsewhere, "a") }],
    });
    const ended = await runJob(lab, JOB, spec);
    expect(ended).toMatchObject({ status: "warning", error: { code: "restore.partial" } });
    expect(ended?.result).toMatchObject({ complete: false, failed: 1, problem: "restore.partial" });
    expect(ended?.result?.kind === "restore" && ended.result.failed_items[0]?.path).toContain("file-3");
    // restic gives the folder in the way the file's mode.
    chmodSync(join(elsewhere, "a/file-3"), 0o700);
    expect(readFileSync(join(elsewhere, "a/file-3/in-the-way/mine"), "utf8")).toBe("mine");
    expect(readFileSync(join(elsewhere, "a/file-4"))).toEqual(readFileSync(src("a/file-4")));
  });
});

describe("a restore that is cancelled", () => {
  test("before it began has written nothing", async () => {
    const gate = createGate("version");
    await startInProgram(lab, { ...lab.config, restic_path: gate.path });
    lab.server.commands = [];
    gate.open();
    await lab.server.until(() => lab.server.hellos.length > 0, "the agent");
    lab.server.send({ type: "command.run", job_id: JOB, attempt: 1, spec: restore([src("a")]) });
    lab.server.send({ type: "command.cancel", job_id: JOB });
    expect(await endOf(lab, JOB)).toMatchObject({ status: "cancelled" });
  });

  test("in the middle says how much is complete, and that the rest may have holes", async () => {
    await startInProgram(lab);
    await lab.server.until(() => lab.server.hellos.length > 0, "the agent");
    const spec = restore([src("a")], { limits: { download_kib: 500 } });
    lab.server.send({ type: "command.run", job_id: JOB, attempt: 1, spec });
    const bytesDone = () => lab.server.all("job.progress").at(-1)?.progress.bytes_done ?? 0;
    await lab.server.until(() => bytesDone() > 0, "the first file");
    lab.server.send({ type: "command.cancel", job_id: JOB });
    const ended = await endOf(lab, JOB);
    expect(ended).toMatchObject({ status: "cancelled", result: { complete: false, target: target() } });
    const restored = ended?.result?.kind === "restore" ? (ended.result.restored ?? 0) : 0;
    expect(restored).toBeGreaterThan(0);
    expect(restored).toBeLessThan(FILES);
    const whole = readdirSync(inside(target(), "a")).filter((name) => {
      const copy = readFileSync(inside(target(), `a/${name}`));
      return copy.equals(readFileSync(src(`a/${name}`)));
    });
    expect(whole.length).toBeGreaterThanOrEqual(restored);
    expect(logText()).toContain("holes");
    expect(statSync(target()).uid).toBe(process.getuid?.());
  });
});

/** A restic that waits at a command, and notes its arguments. */
function createGate(command: string) {
  const [path = "", gate = "", reached = "", args = ""] = ["gated", "gate", "reached", "args"].map((name) =>
    join(lab.dir, name),
  );
  const wait = `printf '%s\\n' "$@" >> ${args}; : > ${reached}; while [ ! -e ${gate} ]; do sleep 0.05; done`;
  writeFileSync(
    path,
    `#!/bin/sh\nif [ "$1" = ${command} ]; then ${wait}; fi\nexec ${getResticPath()} "$@"\n`,
    {
      mode: 0o755,
    },
  );
  return {
    path,
    reached: () => until(command, () => existsSync(reached)),
    open: () => writeFileSync(gate, ""),
    args: () => readFileSync(args, "utf8"),
  };
}

/** Two runs of restic: each selected folder is one of its own. */
const twoRuns = () => restore([src("a"), src("b")], { excludes: ["nothing-fits"] });

describe("an agent that is killed in the middle of a restore", () => {
  test("is followed by one that goes on where it was", async () => {
    const gate = createGate("restore");
    lab.config.restic_path = gate.path;
    lab.server.commands = [{ type: "command.run", job_id: JOB, attempt: 1, spec: twoRuns() }];
    const first = await startProgram(lab);
    await gate.reached();
    await killProgram(first);
    gate.open();
    await startProgram(lab);
    expect(await endOf(lab, JOB)).toMatchObject({
      ...{ status: "succeeded", error: null },
      result: { complete: true, failed: 0, target: target() },
    });
    expect(readFileSync(inside(target(), "a/file-11"))).toEqual(readFileSync(src("a/file-11")));
    expect(readFileSync(inside(target(), "b/small"), "utf8")).toBe("small");
  });
});

describe("the access that comes with a restore", () => {
  const accessToLab = (): RepositoryAccess => ({
    ...{ location: lab.repository.url, password: lab.repository.password },
    ...{ rest_username: null, rest_password: null },
  });

  beforeEach(() => {
    // This host's own repository is another one, or none.
    lab.server.config = {
      type: "config.update",
      version: 2,
      repository: { ...accessToLab(), location: join(lab.dir, "none"), password: "another password" },
    };
  });

  test("restores from a repository that is not this host's, and is nowhere on the disk, in an argument or in a log", async () => {
    const gate = createGate("restore");
    gate.open();
    await startInProgram(lab, { ...lab.config, restic_path: gate.path });
    const spec = restore([src("b")], { from: { host_id: JOB, host_name: HOST } });
    const ended = await runJob(lab, JOB, spec, accessToLab());
    expect(ended).toMatchObject({ status: "succeeded" });
    expect(logText()).toContain("of web-1");
    const { password } = lab.repository;
    // grep ends with 1 when it finds nothing.
    expect(() => execFileSync("grep", ["-rF", password, join(lab.dir, "data")])).toThrow();
    expect(gate.args()).not.toContain(password);
    expect(lab.logLines.join("") + logText()).not.toContain(password);
  });

  test("is gone after a restart in the middle, and the job says what is missing", async () => {
    const gate = createGate("restore");
    lab.config.restic_path = gate.path;
    const access = accessToLab();
    lab.server.commands = [{ type: "command.run", job_id: JOB, attempt: 1, spec: twoRuns(), access }];
    const first = await startProgram(lab);
    await gate.reached();
    await killProgram(first);
    gate.open();
    await startProgram(lab);
    const ended = await endOf(lab, JOB);
    expect(ended).toMatchObject({
      ...{ status: "failed", error: { code: "agent.access_gone" } },
      result: { complete: false, problem: "agent.access_gone" },
    });
    expect(ended?.error?.message).toContain("in the middle");
    expect(readFileSync(inside(target(), "a/file-0"))).toEqual(readFileSync(src("a/file-0")));
    expect(existsSync(inside(target(), "b"))).toBe(false);
  });
});
