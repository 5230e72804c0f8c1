/** Restore drills with real restic: what comes back is compared, and nothing of it stays. */
import { existsSync, readdirSync } from "node:fs";
import {
  chmod,
  cp,
  link,
  lstat,
  mkdir,
  readFile,
  symlink,
  truncate,
  unlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import type { JobSpec, VerifySpec } from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type AgentLab,
  createAgentLab,
  endOf,
  JOB,
  killProgram,
  OTHER_JOB,
  runJob,
  startInProgram,
  startProgram,
} from "../../fixtures/agent/lab.ts";
import { createLab, createRepository, getResticPath, type Lab, until } from "../../fixtures/restic/lab.ts";

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
});
afterEach(() => lab.remove());

const verify = (more: Partial<VerifySpec> = {}): VerifySpec => ({
  ...{ kind: "verify", host_name: "test-host", source_group: "default", seed: 7 },
  ...{ max_files: 100, max_bytes: 64 * 1024 * 1024, ...more },
});

const backup = (group = "default"): JobSpec => ({
  ...{ kind: "backup", host_name: "test-host", source_group: group, includes: [lab.source], excludes: [] },
});

const lines = (jobId: string) =>
  lab.server
    .all("log.stream")
    .filter((event) => event.job_id === jobId)
    .flatMap((event) => event.lines.map((line) => line.text));

const drills = () => join(lab.config.data_dir, "drills");
const left = () => (existsSync(drills()) ? readdirSync(drills()) : []);

async function fill(count: number, bytes = 100): Promise<void> {
  const { randomBytes } = await import("node:crypto");
  for (let n = 0; n < count; n += 1) await writeFile(join(lab.source, `file-${n}`), randomBytes(bytes));
}

async function backUpFirst(resticPath = getResticPath()): Promise<string> {
  await startInProgram(lab, { ...lab.config, restic_path: resticPath });
  const ended = await runJob(lab, OTHER_JOB, backup());
  return ended?.summary?.snapshot_id ?? "";
}

/** A restic that does something before, or instead of, one of its commands. */
async function scriptRestic(body: string): Promise<string> {
  const path = join(lab.dir, "scripted-restic");
  await writeFile(path, `#!/bin/sh\n${body}\nexec ${getResticPath()} "$@"\n`, { mode: 0o755 });
  return path;
}

describe("a restore drill", () => {
  test("brings a sample back, compares it with snapshot and source, and leaves nothing", async () => {
    await fill(30);
    const snapshotId = await backUpFirst();
    const ended = await runJob(lab, JOB, verify({ max_files: 10 }));
    expect(ended).toMatchObject({
      ...{ status: "succeeded", error: null },
      result: {
        ...{ kind: "verify", snapshot_id: snapshotId, seed: 7, files: 10, bytes: 1000, source_files: 10 },
        ...{ left_out: 0, mismatch_count: 0, mismatches: [] },
      },
    });
    expect(lines(JOB)[0]).toBe(
      `Restores 10 files (1000 B) of snapshot ${snapshotId.slice(0, 8)} of "default" to compare them, drawn with seed 7.`,
    );
    expect(lines(JOB).at(-1)).toContain("10 of 10 files (1000 B) are as the snapshot says; 10 were compared");
    expect(left()).toEqual([]);
  });

  test("compares with the snapshot only what has changed, or is gone, on the host since", async () => {
    await fill(3);
    await backUpFirst();
    await writeFile(join(lab.source, "file-0"), "something else");
    await unlink(join(lab.source, "file-1"));
    const ended = await runJob(lab, JOB, verify());
    expect(ended).toMatchObject({
      status: "succeeded",
      result: { files: 3, source_files: 1, mismatch_count: 0 },
    });
  });

  test("fails when the source has other bytes under the same size and time", async () => {
    await fill(3);
    const path = join(lab.source, "file-1");
    const time = new Date("2026-01-02T03:04:05Z");
    await utimes(path, time, time);
    await backUpFirst();
    const bytes = await readFile(path);
    bytes[5] = (bytes[5] ?? 0) ^ 0xff;
    await writeFile(path, bytes);
    await utimes(path, time, time);
    expect(await runJob(lab, JOB, verify())).toMatchObject({
      status: "failed",
      error: { code: "verify.mismatch", message: expect.stringContaining("1 of 3 files did not come back") },
      result: { mismatch_count: 1, mismatches: [{ path, problem: "source" }] },
    });
    expect(left()).toEqual([]);
  });

  test("finds a byte that was flipped in the storage, and names the files", async () => {
    await fill(3, 100_000);
    await backUpFirst();
    const data = join(lab.repository.url, "data");
    const packs = readdirSync(data).flatMap((dir) =>
      readdirSync(join(data, dir)).map((name) => join(data, dir, name)),
    );
    const sizes = await Promise.all(packs.map(async (pack) => ({ pack, size: (await lstat(pack)).size })));
    const { pack } = sizes.reduce((a, b) => (a.size > b.size ? a : b));
    const bytes = await readFile(pack);
    bytes[1000] = (bytes[1000] ?? 0) ^ 0xff;
    await chmod(pack, 0o600);
    await writeFile(pack, bytes);
    const ended = await runJob(lab, JOB, verify());
    expect(ended).toMatchObject({
      status: "failed",
      error: { code: "verify.mismatch" },
      result: { files: 3, mismatch_count: expect.any(Number) },
    });
    expect(ended?.error?.message).toContain(`${lab.source}/file-`);
    expect(ended?.error?.last_lines.length).toBeGreaterThan(0);
    expect(left()).toEqual([]);
  });

  test("says which files are not as the snapshot says: gone, another kind, size, time or mode", async () => {
    await fill(6);
    // A restic that is not to be trusted: exit code 0, and files that are wrong.
    const at = (n: number) => `"$(echo ${drills()}/*)${lab.source}/file-${n}"`;
    const spoil = [
      `rm ${at(0)}`,
      `rm ${at(1)}; mkdir ${at(1)}`,
      `printf more >> ${at(2)}`,
      `touch -d 2001-01-01 ${at(3)}`,
      `chmod 4777 ${at(4)}`,
    ].join("\n");
    const path = await scriptRestic(
      `if [ "$1" = restore ]; then ${getResticPath()} "$@" || exit $?\n${spoil}\nexit 0\nfi`,
    );
    await backUpFirst(path);
    const ended = await runJob(lab, JOB, verify());
    expect(ended).toMatchObject({ status: "failed", exit_code: 0, error: { code: "verify.mismatch" } });
    if (ended?.result?.kind !== "verify") throw new Error("no result");
    const problems = new Map(ended.result.mismatches.map((one) => [one.path.at(-1), one.problem]));
    expect(Object.fromEntries(problems)).toEqual({
      0: "missing",
      1: "type",
      2: "size",
      3: "mtime",
      4: "mode",
    });
    expect(lines(JOB)).toContain(`${lab.source}/file-2 has another size.`);
  });

  test("restores odd names under their names, and leaves out what can't be addressed", async () => {
    const names = [
      ...[
        "we ird*[x]?.txt",
        "do$HOME",
        "trailing ",
        "nbsp\u00a0",
        "back\\slash",
        "#hash",
        'q"uote',
        "esc\u001b[31m",
      ],
      ...["<script>", "émoji😀", "x".repeat(255), "-dash", "!bang", "cr\r", "{a,b}", "**"],
    ];
    for (const name of names) await writeFile(join(lab.source, name), name);
    await writeFile(join(lab.source, "new\nline"), "x");
    await writeFile(Buffer.concat([Buffer.from(`${lab.source}/`), Buffer.from([0x62, 0xff])]), "x");
    await symlink("we", join(lab.source, "link"));
    await link(join(lab.source, "#hash"), join(lab.source, "hard-link"));
    await writeFile(join(lab.source, "sparse"), "");
    await truncate(join(lab.source, "sparse"), 10_000_000);
    await chmod(join(lab.source, "#hash"), 0o4711);
    await backUpFirst();
    expect(await runJob(lab, JOB, verify())).toMatchObject({
      status: "succeeded",
      result: { files: names.length + 2, source_files: names.length + 2, left_out: 2, mismatch_count: 0 },
    });
  });

  test("takes the newest snapshot of its group, whatever other groups have", async () => {
    await fill(1);
    const first = await backUpFirst();
    await fill(2);
    await runJob(lab, "01KAQ2W4T9B3E6R8M1N5P7S0VZ", backup("other"));
    const ended = await runJob(lab, JOB, verify());
    expect(ended?.result).toMatchObject({ snapshot_id: first, files: 1 });
  });

  test("of a group without a snapshot fails and says so", async () => {
    await fill(1);
    await backUpFirst();
    expect(await runJob(lab, JOB, verify({ source_group: "home" }))).toMatchObject({
      status: "failed",
      error: { code: "verify.no_snapshot", message: expect.stringContaining('"home" of test-host') },
    });
  });

  test("that can draw nothing within its bounds proves nothing, which is a warning", async () => {
    await fill(2, 5000);
    await backUpFirst();
    const ended = await runJob(lab, JOB, verify({ max_bytes: 4096 }));
    expect(ended).toMatchObject({ status: "warning", error: { code: "verify.nothing_drawn" } });
    expect(ended?.error?.message).toContain("larger than the 4.0 KiB");
  });

  test("without room for its files does not begin", async () => {
    await fill(1);
    const path = await scriptRestic(
      `if [ "$1" = ls ]; then ${getResticPath()} "$@" | sed 's/"size":100,/"size":4503599627370496,/'; exit 0; fi`,
    );
    await backUpFirst(path);
    const ended = await runJob(lab, JOB, verify({ max_bytes: 2 ** 53 - 1 }));
    expect(ended).toMatchObject({ status: "failed", error: { code: "verify.no_room" } });
    expect(ended?.error?.message).toMatch(/wants to restore 4\.0 PiB .* only .* are free/);
    expect(left()).toEqual([]);
  });

  test("fails with restic's own reason when nothing could be restored at all", async () => {
    await fill(1);
    const path = await scriptRestic(`if [ "$1" = restore ]; then echo "Fatal: no" >&2; exit 1; fi`);
    await backUpFirst(path);
    expect(await runJob(lab, JOB, verify())).toMatchObject({
      ...{ status: "failed", error: { code: "restic.failed" } },
    });
    expect(left()).toEqual([]);
  });
});

describe("what a restore drill brought back", () => {
  /** Restores, says so, and waits for the gate. */
  async function gated() {
    const [reached, gate] = [join(lab.dir, "reached"), join(lab.dir, "gate")];
    const path = await scriptRestic(
      `if [ "$1" = restore ]; then ${getResticPath()} "$@"; : > ${reached}; while [ ! -e ${gate} ]; do sleep 0.05; done; exit 0; fi`,
    );
    return { path, reached, open: () => writeFile(gate, "") };
  }

  test("goes when the job is cancelled", async () => {
    await fill(3);
    const gate = await gated();
    await backUpFirst(gate.path);
    const ended = runJob(lab, JOB, verify());
    await until("it restores", () => existsSync(gate.reached));
    expect(left()).toEqual([JOB]);
    expect((await lstat(join(drills(), JOB))).mode & 0o777).toBe(0o700);
    lab.server.send({ type: "command.cancel", job_id: JOB });
    expect(await ended).toMatchObject({ status: "cancelled" });
    expect(left()).toEqual([]);
  });

  test("is compared by the next agent when this one is killed, and goes then", async () => {
    await fill(3);
    const gate = await gated();
    lab.config.restic_path = gate.path;
    const program = await startProgram(lab);
    await runJob(lab, OTHER_JOB, backup());
    lab.server.send({ type: "command.run", job_id: JOB, attempt: 1, spec: verify() });
    await until("it restores", () => existsSync(gate.reached));
    await killProgram(program);
    expect(left()).toEqual([JOB]);
    await startInProgram(lab);
    await gate.open();
    expect(await endOf(lab, JOB)).toMatchObject({
      status: "succeeded",
      result: { files: 3, source_files: 3 },
    });
    expect(lines(JOB).filter((line) => line.startsWith("Restores 3 files"))).toHaveLength(1);
    expect(left()).toEqual([]);
  });

  test("is removed at the start when its job is not on this host any more", async () => {
    await mkdir(join(drills(), OTHER_JOB, "srv"), { recursive: true });
    await writeFile(join(drills(), OTHER_JOB, "srv", "secret"), "x");
    await startInProgram(lab);
    expect(left()).toEqual([]);
  });
});
