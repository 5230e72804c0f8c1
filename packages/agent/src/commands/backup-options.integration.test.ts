/** What a backup leaves out, how fast it may be and how small its snapshot: proven by what real restic made of it. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { chmod, cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BackupSpec, JobSpec } from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type AgentLab, createAgentLab, JOB, startInProgram } from "../../fixtures/agent/lab.ts";
import { createLab, createRepository, getResticPath, type Lab } from "../../fixtures/restic/lab.ts";

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

const backupOf = (change: Partial<BackupSpec>): BackupSpec => ({
  ...{ kind: "backup", host_name: "test-host", source_group: "default" },
  ...{ includes: [lab.source], excludes: [] },
  ...change,
});

async function runToEnd(spec: JobSpec, resticPath = getResticPath()) {
  lab.server.commands = [{ type: "command.run", job_id: JOB, attempt: 1, spec }];
  await startInProgram(lab, { ...lab.config, restic_path: resticPath });
  await lab.server.until(() => lab.server.all("job.finished").length > 0, "the end");
  return lab.server.all("job.finished")[0];
}

async function fill(files: Record<string, string>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(lab.source, name, ".."), { recursive: true });
    await writeFile(join(lab.source, name), content);
  }
}

/** The files of the newest snapshot, below the source. */
function saved(): string[] {
  const output = execFileSync(getResticPath(), ["ls", "--json", "latest"], {
    ...{ env: lab.envFor(), encoding: "utf8" },
  });
  return output
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as { type?: string; path?: string })
    .filter(({ type }) => type === "file")
    .map(({ path = "" }) => path.slice(lab.source.length + 1))
    .sort();
}

describe("left out are", () => {
  test("folders that hold a marker file, whatever its name begins with, also by its first bytes", async () => {
    await fill({
      ...{ "a/keep": "1", "b/drop": "1", "b/.nobackup": "", "c/drop": "1", "c/-x": "" },
      ...{ "d/drop": "1", "d/mark": "no thanks", "e/keep": "1", "e/mark": "yes please" },
    });
    await runToEnd(backupOf({ exclude_if_present: [".nobackup", "-x", "mark:no thanks"] }));
    expect(saved()).toEqual(["a/keep", "b/.nobackup", "c/-x", "d/mark", "e/keep", "e/mark"]);
  });

  test("files larger than so many bytes, to the byte", async () => {
    await fill({ small: "x".repeat(1000), large: "x".repeat(1001) });
    await runToEnd(backupOf({ exclude_larger_than_bytes: 1000 }));
    expect(saved()).toEqual(["small"]);
  });

  test("caches, as other tools mark them", async () => {
    await fill({
      "cache/CACHEDIR.TAG": "Signature: 8a477f597d28d172789f06886806bc55",
      "cache/drop": "1",
      keep: "1",
    });
    await runToEnd(backupOf({ exclude_caches: true }));
    expect(saved()).toEqual(["cache/CACHEDIR.TAG", "keep"]);
  });

  test("other file systems below a source, by restic's own flag", async () => {
    await runToEnd(backupOf({ one_file_system: true }), await createSpyingRestic());
    expect(readArgs()).toContain("--one-file-system");
  });
});

/** A restic that opens every repository, notes the arguments of its work and does nothing. */
async function createSpyingRestic(): Promise<string> {
  const path = join(lab.dir, "spying-restic");
  const script = `#!/bin/sh
if [ "$1" = version ]; then exec ${getResticPath()} "$@"; fi
case "$1" in cat) exit 0 ;; backup | check) printf '%s\\n' "$@" > ${join(lab.dir, "args")} ;; esac
exit 1
`;
  await writeFile(path, script);
  await chmod(path, 0o755);
  return path;
}
const readArgs = () => readFileSync(join(lab.dir, "args"), "utf8").trim().split("\n");

describe("limits", () => {
  test("of a backup are handed to restic in KiB a second", async () => {
    const limits = { upload_kib: 250, download_kib: 4000 };
    await runToEnd(backupOf({ limits }), await createSpyingRestic());
    const flags = ["--limit-upload", "250", "--limit-download", "4000"];
    expect(readArgs().slice(-4)).toEqual(flags);
  });

  test("of a check are so too", async () => {
    await runToEnd(
      { kind: "check", limits: { upload_kib: 1, download_kib: null } },
      await createSpyingRestic(),
    );
    expect(readArgs().slice(-2)).toEqual(["--limit-upload", "1"]);
  });

  test("hold restic back", async () => {
    // 1 MiB that does not compress at 250 KiB/s: four seconds, where restic alone needs a moment.
    await writeFile(join(lab.source, "file"), randomBytes(1024 * 1024));
    const end = await runToEnd(backupOf({ limits: { upload_kib: 250 } }));
    expect(end?.summary?.duration_ms).toBeGreaterThan(1_500);
  });
});

describe("a snapshot below its smallest size", () => {
  test("is a warning, and is kept", async () => {
    await fill({ file: "12345" });
    const end = await runToEnd(backupOf({ min_size_bytes: 6 }));
    expect(end).toMatchObject({ status: "warning", error: { code: "restic.below_min_size" } });
    expect(saved()).toEqual(["file"]);
  });

  test("with no file in it says so", async () => {
    const end = await runToEnd(backupOf({ min_size_bytes: 1 }));
    expect(end?.error?.message).toContain("no file at all");
  });

  test("is none when it is just large enough", async () => {
    await fill({ file: "12345" });
    expect(await runToEnd(backupOf({ min_size_bytes: 5 }))).toMatchObject({
      status: "succeeded",
      error: null,
    });
  });
});

describe("what no restic could work with", () => {
  test.each([
    ["a path of Windows", { includes: ["C:\\Users"] }, "not absolute"],
    ["a relative path", { includes: ["etc"] }, "not absolute"],
    ["a marker file without a name", { exclude_if_present: [":header"] }, "marker file"],
    ["a marker file whose name spans lines", { exclude_if_present: ["a\nb"] }, "marker file"],
  ])("%s fails with a sentence", async (_what, change, words) => {
    expect(await runToEnd(backupOf(change))).toMatchObject({
      status: "failed",
      error: { code: "restic.invalid_source", message: expect.stringContaining(words) },
    });
  });
});
