import { chmod, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createLab, type Lab, until } from "../../fixtures/restic/lab.ts";
import { runShort, type ShortOptions } from "./short.ts";

let lab: Lab;
beforeEach(async () => {
  lab = await createLab();
});
afterEach(() => lab.remove());

async function run(text: string, changes: Partial<ShortOptions> = {}) {
  const path = join(lab.dir, "program");
  await writeFile(path, `#!/bin/sh\n${text}\n`);
  await chmod(path, 0o700);
  return runShort(lab.shortDeps, { argv: [path], env: lab.envFor(), redact: lab.redact, ...changes });
}

async function isGone(pidPath: string): Promise<boolean> {
  const pid = (await readFile(pidPath, "utf8")).trim();
  const state = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => ") Z");
  return state.includes(") Z");
}

describe("runShort", () => {
  it("gives output, last words without secrets, and exit code, and tidies up", async () => {
    const outcome = await run('echo data; echo "no: $RESTIC_PASSWORD" >&2; exit 12');
    expect(outcome).toEqual({
      ...{ kind: "exited", code: 12, signal: null, stdout: "data\n", stderrTail: ["no: ***"] },
    });
    expect(await readdir(lab.shortDeps.workDir)).toEqual([]);
  });

  it("ends a command that overstays its time, with everything it started", async () => {
    const pidPath = join(lab.dir, "pid");
    const text = `echo retrying >&2; sleep 60 & echo $! > ${pidPath}; wait`;
    expect(await run(text, { timeoutMs: 2_000 })).toEqual({ kind: "timeout", stderrTail: ["retrying"] });
    await until("the grandchild to be gone", () => isGone(pidPath));
  });

  it("ends a command that prints without end", async () => {
    const outcome = await run("while :; do echo yyyyyyyyyyyyyyyy; done", { maxOutputBytes: 10_000 });
    expect(outcome.kind).toBe("output_too_large");
  });

  it("refuses a document just above the bound and takes one at the bound", async () => {
    expect((await run("printf 12345", { maxOutputBytes: 4 })).kind).toBe("output_too_large");
    expect(await run("printf 12345", { maxOutputBytes: 5 })).toMatchObject({
      kind: "exited",
      stdout: "12345",
    });
  });

  it("ends with its caller", async () => {
    const signal = AbortSignal.abort();
    expect(await run("exec sleep 60", { signal })).toMatchObject({ kind: "aborted" });
  });
});
