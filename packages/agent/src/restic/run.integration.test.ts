import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createLab, doomedAgentCommand, type Lab, startProgram, until } from "../../fixtures/restic/lab.ts";
import { isAlive, killTree } from "../platform/child.ts";
import { ensurePrivateDir } from "../platform/files.ts";
import { jobFiles } from "./job-dir.ts";
import { readRunnerRecord } from "./records.ts";
import { adoptRun, type OutputLine, startRun } from "./run.ts";

let lab: Lab;
beforeEach(async () => {
  lab = await createLab();
});
afterEach(() => lab.remove());

/** A program that behaves like a restic of our choice. */
async function script(text: string): Promise<string> {
  const path = join(lab.dir, "program");
  await writeFile(path, `#!/bin/sh\n${text}\n`);
  await chmod(path, 0o700);
  return path;
}

/** Waits in a script until the test makes the file. */
const gate = () => join(lab.dir, "gate");
const waitForGate = () => `while [ ! -e ${gate()} ]; do sleep 0.02; done`;
const openGate = () => writeFile(gate(), "");

const texts = (lines: readonly OutputLine[], stream: OutputLine["stream"]) =>
  lines.filter((line) => line.stream === stream).map((line) => line.text);

/** Who runs, once the runner has said so. */
async function readRecord(name: string) {
  const read = () => readRunnerRecord(jobFiles(lab.jobDir(name)));
  await until("restic to be started", async () => (await read())?.restic != null);
  const record = await read();
  if (record?.restic == null) throw new Error("The runner took back who runs.");
  return { runner: record.runner, restic: record.restic };
}

describe("a run", () => {
  it("hands over every line of both streams, an unfinished one too, and tells the exit code", async () => {
    const { run, lines } = await startProgram(lab, "job", [
      await script('echo one; echo oops >&2; echo "$RESTIC_PASSWORD"; printf rest; exit 3'),
    ]);
    expect(await run.exited).toMatchObject({ kind: "exited", code: 3, signal: null, stopRequested: false });
    expect(texts(lines, "stdout")).toEqual(["one", "***", "rest"]);
    expect(texts(lines, "stderr")).toEqual(["oops"]);
  });

  it("keeps files of the job to its user and holds no secret and no core dump limit above zero", async () => {
    const { run, lines } = await startProgram(lab, "job", [await script("ulimit -c")]);
    await run.exited;
    expect(texts(lines, "stdout")).toEqual(["0"]);
    for (const name of await readdir(lab.jobDir("job"))) {
      const path = join(lab.jobDir("job"), name);
      expect((await stat(path)).mode & 0o077, name).toBe(0);
      expect(await readFile(path, "utf8")).not.toContain(lab.repository.password);
    }
  });

  it("waits for a slow consumer and loses nothing of a large output", async () => {
    const lines: string[] = [];
    let inside = 0;
    const run = await startRun(lab.runDeps, {
      ...{ jobDir: lab.jobDir("job"), env: lab.envFor(), cwd: lab.dir, redact: (text: string) => text },
      argv: [await script("seq 1 30000")],
      onLine: async (line) => {
        inside += 1;
        expect(inside).toBe(1);
        await Promise.resolve();
        lines.push(line.text);
        inside -= 1;
      },
    });
    await run.exited;
    expect(lines).toEqual(Array.from({ length: 30_000 }, (_, index) => String(index + 1)));
  });

  it("survives a line of many megabytes", async () => {
    const { run, lines } = await startProgram(lab, "job", [
      await script("head -c 9000000 /dev/zero | tr '\\0' x; echo; echo after"),
    ]);
    await run.exited;
    expect(lines.map((line) => [line.text.length, line.truncated])).toEqual([
      [1024 * 1024, true],
      [5, false],
    ]);
    expect(lines.at(-1)?.endOffset).toBe(9_000_007);
  });

  it("passes on what the consumer throws, and leaves the program alone", async () => {
    const run = await startRun(lab.runDeps, {
      ...{ jobDir: lab.jobDir("job"), env: lab.envFor(), cwd: lab.dir, redact: (text: string) => text },
      argv: [await script("echo line; exec sleep 60")],
      onLine: () => Promise.reject(new Error("journal is full")),
    });
    await expect(run.exited).rejects.toThrow("journal is full");
    const { restic } = await readRecord("job");
    expect(isAlive(restic)).toBe(true);
    await run.stop(5_000);
    expect(isAlive(restic)).toBe(false);
  });

  it("says so when the program cannot be started", async () => {
    const { run, outcome } = await startProgram(lab, "job", [join(lab.dir, "no-such-restic")]);
    expect(await run.exited).toMatchObject({
      kind: "spawn_failed",
      message: expect.stringContaining("ENOENT"),
    });
    expect(await outcome()).toMatchObject({ problem: { code: "restic.spawn_failed" } });
  });

  it("says so when the runner cannot be started", async () => {
    const run = await startRun(
      { ...lab.runDeps, runnerCommand: { file: join(lab.dir, "no-such-runner"), args: [] } },
      {
        ...{ jobDir: lab.jobDir("job"), env: lab.envFor(), cwd: lab.dir, redact: (text: string) => text },
        ...{ argv: ["/bin/true"], onLine: () => undefined },
      },
    );
    expect(await run.exited).toMatchObject({ kind: "spawn_failed" });
  });

  it("has vanished when runner and program are killed together", async () => {
    const { run } = await startProgram(lab, "job", [await script("exec sleep 60")]);
    const { runner, restic } = await readRecord("job");
    await killTree(runner);
    await killTree(restic);
    expect(await run.exited).toEqual({ kind: "vanished", stopRequested: false });
  });
});

describe("stopping", () => {
  it("asks first, and remembers that it was us", async () => {
    const { run, lines, outcome } = await startProgram(lab, "job", [
      await script("trap 'echo bye; exit 1' TERM; echo ready; while :; do sleep 0.05; done"),
    ]);
    await until("the program to be ready", () => lines.length > 0);
    await Promise.all([run.stop(10_000), run.stop(10_000)]);
    expect(await run.exited).toMatchObject({ code: 1, stopRequested: true });
    expect(texts(lines, "stdout")).toEqual(["ready", "bye"]);
    expect(await outcome()).toEqual({ kind: "cancelled" });
  });

  it("kills the whole tree of a program that does not listen", async () => {
    const { run, lines } = await startProgram(lab, "job", [
      await script("trap '' TERM; sleep 60 & echo $!; while :; do sleep 0.05; done"),
    ]);
    await until("the program to be ready", () => lines.length > 0);
    await run.stop(100);
    expect(await run.exited).toMatchObject({ code: null, signal: "SIGKILL", stopRequested: true });
    await until("the grandchild to be gone", async () => {
      const state = await readFile(`/proc/${lines[0]?.text}/stat`, "utf8").catch(() => ") Z");
      return state.includes(") Z");
    });
  });

  it("works while the consumer is stuck", async () => {
    const stuck = Promise.withResolvers<void>();
    const run = await startRun(lab.runDeps, {
      ...{ jobDir: lab.jobDir("job"), env: lab.envFor(), cwd: lab.dir, redact: (text: string) => text },
      argv: [await script("echo line; exec sleep 60")],
      onLine: () => stuck.promise,
    });
    await readRecord("job");
    await run.stop(10_000);
    expect(isAlive((await readRecord("job")).restic)).toBe(false);
    stuck.resolve();
    expect(await run.exited).toMatchObject({ signal: "SIGTERM", stopRequested: true });
  });

  it("before the program was started keeps it from starting", async () => {
    const { run } = await startProgram(lab, "job", [
      await script(`touch ${join(lab.dir, "ran")}; exec sleep 60`),
    ]);
    await run.stop(10_000);
    const exit = await run.exited;
    expect(exit.kind === "not_started" || (exit.kind === "exited" && exit.stopRequested)).toBe(true);
    if (exit.kind === "not_started") await expect(stat(join(lab.dir, "ran"))).rejects.toThrow("ENOENT");
  });

  it("of a run that has ended changes nothing, not even for an agent that adopts it later", async () => {
    const { run } = await startProgram(lab, "job", [await script("exit 1")]);
    await run.exited;
    await run.stop(10_000);
    const options = { jobDir: run.jobDir, redact: lab.redact, onLine: () => undefined };
    const adoption = await adoptRun(lab.runDeps, { ...options, from: { stdout: 0, stderr: 0 } });
    if (adoption.kind === "gone") throw new Error("gone");
    expect(await adoption.run.exited).toMatchObject({ code: 1, stopRequested: false });
  });
});

describe("adopting", () => {
  const options = (from: { stdout: number; stderr: number }, lines: OutputLine[]) => ({
    ...{ jobDir: lab.jobDir("job"), redact: lab.redact, from },
    onLine: (line: OutputLine) => void lines.push(line),
  });

  it("goes on exactly behind the last line that was taken after the agent was killed", async () => {
    // However late the agent is killed, there is something left to say.
    const count = 'n=$((n+1)); echo "out $n"; echo "err $n" >&2; sleep 0.01';
    const pause = `if [ $n -eq 100 ]; then ${waitForGate()}; fi`;
    const program = await script(`n=0; while [ $n -lt 150 ]; do ${count}; ${pause}; done; exit 3`);
    const journal = join(lab.dir, "journal");
    const start = { jobDir: lab.jobDir("job"), argv: [program], env: lab.envFor(), cwd: lab.dir };
    const { file, args } = doomedAgentCommand(start, journal);
    await ensurePrivateDir(lab.jobDir("job"));
    const agent = spawn(file, args, { stdio: "ignore" });
    const readJournal = async (): Promise<OutputLine[]> => {
      const text = await readFile(journal, "utf8").catch(() => "");
      return text
        .split("\n")
        .slice(0, -1)
        .map((line): OutputLine => JSON.parse(line));
    };
    await until("the agent to have seen some lines", async () => (await readJournal()).length > 20);
    agent.kill("SIGKILL");
    await once(agent, "exit");

    const before = await readJournal();
    const offset = (stream: OutputLine["stream"]) =>
      before.findLast((line) => line.stream === stream)?.endOffset ?? 0;
    expect(isAlive((await readRecord("job")).runner)).toBe(true);
    await openGate();
    const after: OutputLine[] = [];
    const from = { stdout: offset("stdout"), stderr: offset("stderr") };
    const adoption = await adoptRun(lab.runDeps, options(from, after));
    if (adoption.kind === "gone") throw new Error("gone");
    expect(await adoption.run.exited).toMatchObject({ kind: "exited", code: 3, stopRequested: false });
    const all = [...before, ...after];
    const numbers = Array.from({ length: 150 }, (_, index) => index + 1);
    expect(texts(all, "stdout")).toEqual(numbers.map((n) => `out ${n}`));
    expect(texts(all, "stderr")).toEqual(numbers.map((n) => `err ${n}`));
    expect(after.length).toBeGreaterThan(0);
  });

  it("delivers the rest of a run that ended in between", async () => {
    const detach = new AbortController();
    const seen: OutputLine[] = [];
    const first = await startRun(lab.runDeps, {
      ...options({ stdout: 0, stderr: 0 }, seen),
      argv: [await script(`echo one; ${waitForGate()}; echo two`)],
      ...{ env: lab.envFor(), cwd: lab.dir, signal: detach.signal },
    });
    await until("the first line", () => seen.length >= 1);
    detach.abort();
    expect(await first.exited).toEqual({ kind: "detached" });
    await openGate();
    await until("the end", () =>
      stat(jobFiles(lab.jobDir("job")).exit).then(
        () => true,
        () => false,
      ),
    );
    const rest: OutputLine[] = [];
    const adoption = await adoptRun(
      lab.runDeps,
      options({ stdout: seen[0]?.endOffset ?? 0, stderr: 0 }, rest),
    );
    if (adoption.kind === "gone") throw new Error("gone");
    expect(await adoption.run.exited).toMatchObject({ code: 0 });
    expect(texts(rest, "stdout")).toEqual(["two"]);
  });

  it("can stop the run, and a third agent learns that a stop was asked for", async () => {
    const { run } = await startProgram(lab, "job", [await script("exec sleep 60")]);
    await readRecord("job");
    const adoption = await adoptRun(lab.runDeps, options({ stdout: 0, stderr: 0 }, []));
    if (adoption.kind === "gone") throw new Error("gone");
    expect(adoption.stopRequested).toBe(false);
    await adoption.run.stop(10_000);
    await run.exited;
    const third = await adoptRun(lab.runDeps, options({ stdout: 0, stderr: 0 }, []));
    if (third.kind === "gone") throw new Error("gone");
    expect(third.stopRequested).toBe(true);
    expect(await third.run.exited).toMatchObject({ signal: "SIGTERM", stopRequested: true });
  });

  it("finds nothing in a directory in which no run began", async () => {
    expect(await adoptRun(lab.runDeps, options({ stdout: 0, stderr: 0 }, []))).toEqual({ kind: "gone" });
  });
});

describe("the runner", () => {
  it("is deaf to SIGTERM and SIGHUP, which a stopping system sends to everybody", async () => {
    const { run } = await startProgram(lab, "job", [await script(`${waitForGate()}; exit 7`)]);
    const { runner } = await readRecord("job");
    process.kill(runner.pid, "SIGTERM");
    process.kill(runner.pid, "SIGHUP");
    await openGate();
    expect(await run.exited).toMatchObject({ kind: "exited", code: 7 });
  });

  it("does nothing in a directory without a usable spec", async () => {
    const { runRunner } = await import("./runner.ts");
    await ensurePrivateDir(lab.jobDir("job"));
    const deps = { ...lab.runDeps.clock, pid: process.pid, env: {}, ignoreSignal: () => undefined };
    expect(await runRunner(deps, lab.jobDir("job"))).toBe(2);
    await writeFile(jobFiles(lab.jobDir("job")).spec, '{"argv":[5],"cwd":"/"}');
    expect(await runRunner(deps, lab.jobDir("job"))).toBe(2);
  });
});
