/** Comparing two snapshots with real restic: a line for each change, with sizes, whatever the names are. */
import { chmod, cp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { JobSpec } from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type AgentLab,
  createAgentLab,
  JOB,
  OTHER_JOB,
  runJob,
  startInProgram,
} from "../../fixtures/agent/lab.ts";
import { createLab, createRepository, getResticPath, type Lab } from "../../fixtures/restic/lab.ts";

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
  await startInProgram(lab);
});
afterEach(() => lab.remove());

const backUp = async (jobId: string): Promise<string> => {
  const spec: JobSpec = {
    ...{
      kind: "backup",
      host_name: "test-host",
      source_group: "default",
      includes: [lab.source],
      excludes: [],
    },
  };
  return (await runJob(lab, jobId, spec))?.summary?.snapshot_id ?? "";
};
const at = (name: string) => join(lab.source, name);
const linesOf = (jobId: string, stream: string) =>
  lab.server
    .all("log.stream")
    .filter((event) => event.job_id === jobId)
    .flatMap((event) => event.lines.filter((line) => line.stream === stream).map((line) => line.text));

describe("a comparison of two snapshots", () => {
  test("names what was added, removed and changed, with sizes and modes, whatever the names are", async () => {
    await mkdir(at("old"));
    await writeFile(at("old/gone"), "12345");
    await writeFile(at("edited"), "short");
    await writeFile(at("mode"), "x");
    await symlink("x", at("kind"));
    const from = await backUp(OTHER_JOB);
    await rm(at("old"), { recursive: true });
    await writeFile(at("edited"), "much longer");
    await chmod(at("mode"), 0o600);
    await rm(at("kind"));
    await mkdir(at("kind"));
    await writeFile(at("new\nline <script> \u001b[31m"), "123");
    const to = await backUp(THIRD_JOB);
    const ended = await runJob(lab, JOB, { kind: "diff", from, to });
    expect(ended).toMatchObject({
      ...{ status: "succeeded", error: null },
      result: {
        kind: "diff",
        added: { count: 1, bytes: 3 },
        removed: { count: 2, bytes: 5 },
        changed: { count: 2, bytes: 11 },
        sized: true,
      },
    });
    const own = linesOf(JOB, "stdout").filter((line) => line.includes(`${lab.source}/`));
    expect(own).toEqual(
      expect.arrayContaining([
        `M 5 11 644 644 ${at("edited")}`,
        `U 1 1 644 600 ${at("mode")}`,
        `- 5 - 644 - ${at("old/gone")}`,
        `- - - 755 - ${at("old/")}`,
        `+ - 3 - 644 ${at("new\\nline <script> \\x1b[31m")}`,
      ]),
    );
    expect(own.some((line) => /^TU? - - 777 755 .*kind\/$/.test(line))).toBe(true);
    expect(linesOf(JOB, "agent").at(-1)).toMatch(
      /^1 added, 2 removed, 2 changed, \d+ with other metadata only\.$/,
    );
  });

  test("of two alike says that they do not differ", async () => {
    await writeFile(at("a"), "a");
    const from = await backUp(OTHER_JOB);
    // A second one would differ in the time of some folder above.
    expect(await runJob(lab, JOB, { kind: "diff", from, to: from })).toMatchObject({
      ...{ status: "succeeded", result: { added: { count: 0 }, removed: { count: 0 }, metadata: 0 } },
    });
    expect(linesOf(JOB, "agent").at(-1)).toBe("The snapshots do not differ.");
  });

  test("of a hundred thousand changes and one tells each once, in order, and says that not all sizes are known", async () => {
    await lab.server.until(() => lab.server.hellos.length > 0, "the agent");
    await lab.agents[0]?.stop();
    const path = join(lab.dir, "scripted-restic");
    const count = 100_001;
    const print = `awk 'BEGIN { for (i = 1; i <= ${count}; i++) printf "{\\"message_type\\":\\"change\\",\\"path\\":\\"/srv/%d\\",\\"modifier\\":\\"M\\"}\\n", i }'`;
    const node = `echo '{"struct_type":"node","name":"7","type":"file","path":"/srv/7","size":5,"mode":420}'`;
    await writeFile(
      path,
      `#!/bin/sh\ncase "$1" in\ndiff) ${print}; exit 0;;\nls) ${node}; exit 0;;\nesac\nexec ${getResticPath()} "$@"\n`,
      { mode: 0o755 },
    );
    await startInProgram(lab, { ...lab.config, restic_path: path });
    await lab.server.until(() => lab.server.hellos.length > 1, "the agent again");
    const spec = { kind: "diff" as const, from: "a".repeat(64), to: "b".repeat(64) };
    expect(await runJob(lab, JOB, spec)).toMatchObject({
      status: "succeeded",
      result: { changed: { count, bytes: 5 }, sized: false },
    });
    const told = linesOf(JOB, "stdout");
    expect(told).toHaveLength(count);
    expect(told.every((line, index) => line.endsWith(`/srv/${index + 1}`))).toBe(true);
    expect(told.slice(6, 8)).toEqual(["M 5 5 644 644 /srv/7", "M - - - - /srv/8"]);
  }, 60_000);

  test("with a snapshot that was forgotten meanwhile fails and says which", async () => {
    await writeFile(at("a"), "a");
    const from = await backUp(OTHER_JOB);
    const ended = await runJob(lab, JOB, { kind: "diff", from, to: "0".repeat(64) });
    expect(ended).toMatchObject({ status: "failed", error: { code: "restic.failed" } });
    expect(ended?.error?.message).toContain("000000");
  });
});
