/**
 * One hook of a backup: a script of the operator, run by the system's shell under a runner, so that it outlives the
 * agent and is taken up again. Invariants: the script is a private file and never an argument, since it may hold
 * passwords, and is gone when its hook has ended; nothing of restic's secrets is in its environment; its time-out ends
 * everything that it started, and counts from its start whichever agent started it; each of its lines is told once.
 */
import { join } from "node:path";
import type { Hook, JobError } from "@restic-manager/protocol";
import { killTree } from "../platform/child.ts";
import { slept } from "../platform/clock.ts";
import { reasonOf } from "../platform/errors.ts";
import {
  ensurePrivateDir,
  fileSizeBytes,
  fileTimeMs,
  removeTree,
  shortenFile,
  writeFileAtomic,
} from "../platform/files.ts";
import { StderrTail } from "../restic/exit.ts";
import type { RunExit } from "../restic/follow.ts";
import { jobFiles } from "../restic/job-dir.ts";
import { stripEscapes } from "../restic/output.ts";
import { readRunnerRecord } from "../restic/records.ts";
import { adoptRun, type OutputLine, type ResticRun, startRun } from "../restic/run.ts";
import { HOOKS_NOT_ALLOWED, type HookEnd, type HookPhase, hookError } from "./hook-report.ts";
import type { ActiveJob, CommandDeps } from "./job-context.ts";

export type HookRun = {
  phase: HookPhase;
  hook: Hook;
  env: Readonly<Record<string, string>>;
  /** Ends the hook; without it nothing but its own time-out does. */
  cancelled?: AbortSignal;
};

export type HookOutcome =
  | { kind: "ok" }
  | { kind: "failed"; error: JobError }
  | { kind: "cancelled" }
  /** The agent stops; the hook runs on. */
  | { kind: "detached" };

/** A script that traps SIGTERM can clean up in this time; then everything it started is killed. */
const STOP_GRACE_MS = 5_000;
/** More than this is no log that anybody reads. */
const TOLD_LINES = 2_000;
/** A script that never stops printing would fill the host's disk before its time is up. */
const OUTPUT_BYTES = 16 * 1024 * 1024;
const LOOK_MS = 500;

type Stopped = "timeout" | "cancelled" | "output";

/** True when an earlier agent, or this one, got as far as starting this hook. */
export async function wasHookBegun(job: ActiveJob, phase: HookPhase): Promise<boolean> {
  return (await fileSizeBytes(jobFiles(hookDir(job, phase)).spec)) > 0;
}

/** Runs the hook to its end, or takes it up where an earlier agent left it. Never rejects for what a script does. */
export async function runHook(deps: CommandDeps, job: ActiveJob, run: HookRun): Promise<HookOutcome> {
  const begun = await wasHookBegun(job, run.phase);
  if (!begun && run.cancelled?.aborted === true) return { kind: "cancelled" };
  if (!begun && !deps.hooksAllowed) return { kind: "failed", error: HOOKS_NOT_ALLOWED };
  const followed = new FollowedHook(deps, job, run);
  try {
    return await followed.toEnd(begun);
  } catch (error) {
    // The disk is full, say: the job must know that its hook did not do its work.
    if (job.detached.aborted) return { kind: "detached" };
    return followed.failed({ kind: "not_run", reason: reasonOf(error) });
  }
}

function hookDir(job: ActiveJob, phase: HookPhase): string {
  return join(job.dir, `hook-${phase}`);
}

class FollowedHook {
  readonly #deps: CommandDeps;
  readonly #job: ActiveJob;
  readonly #run: HookRun;
  readonly #dir: string;
  readonly #tail = new StderrTail();
  #lines = 0;
  #running: ResticRun | undefined;
  #stopped: Stopped | undefined;
  #stopping: Promise<void> | undefined;

  constructor(deps: CommandDeps, job: ActiveJob, run: HookRun) {
    this.#deps = deps;
    this.#job = job;
    this.#run = run;
    this.#dir = hookDir(job, run.phase);
  }

  async toEnd(begun: boolean): Promise<HookOutcome> {
    this.#running = await (begun ? this.#adopt() : this.#start());
    const exit = this.#running === undefined ? GONE : await this.#untilExit(this.#running);
    if (exit.kind === "detached") return { kind: "detached" };
    await removeTree(this.#scriptPath());
    return this.#judge(exit);
  }

  failed(end: HookEnd): HookOutcome {
    const { phase, hook } = this.#run;
    return { kind: "failed", error: hookError(phase, hook, end, this.#tail.lines()) };
  }

  async #start(): Promise<ResticRun> {
    const { platform, workDir } = this.#deps;
    const path = this.#scriptPath();
    await ensurePrivateDir(this.#dir);
    // Not durable: after a power cut nobody runs it any more.
    await writeFileAtomic(path, withLineEnds(this.#run.hook.script, platform), { durable: false });
    const argv = platform === "win32" ? ["cmd.exe", "/d", "/c", path] : ["/bin/sh", path];
    return startRun(this.#deps, { ...this.#following(), argv, env: this.#run.env, cwd: workDir });
  }

  async #adopt(): Promise<ResticRun | undefined> {
    // From the beginning: the last words are needed, and what was told is known by its offsets.
    const from = { stdout: 0, stderr: 0 };
    const adoption = await adoptRun(this.#deps, { ...this.#following(), from });
    if (adoption.kind === "gone") return undefined;
    if (adoption.stopRequested) this.#stop(this.#run.cancelled?.aborted === true ? "cancelled" : "timeout");
    return adoption.run;
  }

  #following() {
    const { redact } = this.#deps;
    const onLine = (line: OutputLine) => this.#hear(line);
    return { jobDir: this.#dir, redact, signal: this.#job.detached, onLine };
  }

  async #hear(line: OutputLine): Promise<void> {
    const said = stripEscapes(line.text);
    if (said.trim() === "") return;
    this.#tail.add(said);
    this.#lines += 1;
    const mark = { stream: line.stream, endOffset: line.endOffset, part: this.#run.phase };
    if (this.#lines > TOLD_LINES + 1 || this.#job.log.isTold(mark)) return;
    const text = this.#lines > TOLD_LINES ? `more than ${TOLD_LINES} lines: the rest is left out.` : said;
    const level = line.stream === "stderr" ? "warning" : "info";
    await this.#job.log.add({ level, stream: line.stream, text: `hook(${this.#run.phase}): ${text}` }, mark);
  }

  async #untilExit(running: ResticRun): Promise<RunExit> {
    const { cancelled } = this.#run;
    const over = new AbortController();
    const onCancel = () => this.#stop("cancelled");
    cancelled?.addEventListener("abort", onCancel);
    if (cancelled?.aborted === true) onCancel();
    // It may have been stopped before there was anything to stop.
    if (this.#stopped !== undefined) this.#stop(this.#stopped);
    const watching = this.#watch(over.signal);
    try {
      const exit = await running.exited;
      if (exit.kind !== "detached") await this.#stopping;
      return exit;
    } finally {
      over.abort();
      cancelled?.removeEventListener("abort", onCancel);
      await watching;
    }
  }

  /** Ends the hook when its time is up or its output too large. MUST not reject. */
  async #watch(over: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    // Written right before the start: the only trace of it that another agent finds.
    const startedAtMs = await fileTimeMs(jobFiles(this.#dir).spec).catch(() => clock.nowMs());
    const elapsedMs = Math.max(0, clock.nowMs() - startedAtMs);
    const deadlineMs = clock.monotonicMs() + this.#run.hook.timeout_seconds * 1000 - elapsedMs;
    for (;;) {
      const leftMs = deadlineMs - clock.monotonicMs();
      if (leftMs <= 0) return this.#stop("timeout");
      if (await this.#isTooLoud()) return this.#stop("output");
      if (!(await slept(clock, Math.min(leftMs, LOOK_MS), over))) return;
    }
  }

  /** By the files and not by what was read of them: a script can print faster than anybody reads. */
  async #isTooLoud(): Promise<boolean> {
    const { stdout, stderr } = jobFiles(this.#dir);
    const sizes = await Promise.all([stdout, stderr].map((path) => fileSizeBytes(path).catch(() => 0)));
    return sizes.some((bytes) => bytes > OUTPUT_BYTES);
  }

  #stop(why: Stopped): void {
    this.#stopped ??= why;
    if (this.#running !== undefined) this.#stopping ??= this.#endTree(this.#running);
  }

  /** MUST not reject. The shell may go at once and leave behind what it started: that is ended as well. */
  async #endTree(running: ResticRun): Promise<void> {
    // A stop that can't be written down (disk full) leaves the kill.
    await running.stop(STOP_GRACE_MS).catch(() => undefined);
    const record = await readRunnerRecord(jobFiles(this.#dir)).catch(() => undefined);
    if (record?.restic) await killTree(record.restic);
    const { stdout, stderr } = jobFiles(this.#dir);
    // Nobody reads more than that, and a page waits for who does.
    for (const path of [stdout, stderr]) await shortenFile(path, OUTPUT_BYTES).catch(() => undefined);
  }

  #judge(exit: Exclude<RunExit, { kind: "detached" }>): HookOutcome {
    if (this.#stopped !== undefined && !endedAlone(exit)) {
      if (this.#stopped === "cancelled") return { kind: "cancelled" };
      return this.failed({ kind: this.#stopped });
    }
    switch (exit.kind) {
      case "exited":
        if (exit.code === 0) return { kind: "ok" };
        return this.failed({ kind: "exited", code: exit.code, signal: exit.signal });
      case "spawn_failed":
        return this.failed({ kind: "not_run", reason: exit.message });
      case "not_started":
      case "vanished":
        return this.failed({ kind: "vanished" });
    }
  }

  #scriptPath(): string {
    return join(this.#dir, this.#deps.platform === "win32" ? "script.cmd" : "script");
  }
}

const GONE: RunExit = { kind: "vanished", stopRequested: false };

/** It was faster than our wish to end it. */
function endedAlone(exit: RunExit): boolean {
  return exit.kind === "exited" && !exit.stopRequested;
}

/** A browser's form sends CRLF, which `/bin/sh` takes for a part of the words; cmd.exe loses its labels without. */
function withLineEnds(script: string, platform: NodeJS.Platform): string {
  const lines = script.replaceAll("\r\n", "\n");
  return platform === "win32" ? lines.replaceAll("\n", "\r\n") : lines;
}
