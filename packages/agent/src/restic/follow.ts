/**
 * Follows a running restic through its job directory and stops it on request. Invariants: every line is handed
 * over exactly once from the offsets given; no line leaves unredacted; stopping works while the consumer of
 * the lines is stuck. Knows nothing of what the lines mean.
 */
import { type FSWatcher, watch } from "node:fs";
import { type ChildEnd, isAlive, killTree, type PidIdentity, terminateGroup } from "../platform/child.ts";
import { type Clock, slept } from "../platform/clock.ts";
import { fileSizeBytes, writeFileAtomic } from "../platform/files.ts";
import { type ExitRecord, type JobFiles, jobFiles, type RunnerRecord } from "./job-dir.ts";
import type { CutLine } from "./lines.ts";
import { redactLine } from "./output.ts";
import { readExitRecord, readRunnerRecord } from "./records.ts";
import { FileTail } from "./tail.ts";

export type OutputStream = "stdout" | "stderr";

export type OutputLine = {
  stream: OutputStream;
  /** Redacted, without its line break; may hold escape bytes (see `stripEscapes`). */
  text: string;
  truncated: boolean;
  /** Bytes of this stream up to and including this line: the offset to adopt from. */
  endOffset: number;
};

export type OutputOffsets = Record<OutputStream, number>;

export type RunOptions = {
  jobDir: string;
  /** Masks secrets; applied to every line before `onLine`. */
  redact: (text: string) => string;
  /** Awaited before the next line is read. If it throws, following ends and `exited` rejects. */
  onLine: (line: OutputLine) => void | Promise<void>;
  /** Aborting detaches: following ends, restic runs on, `exited` resolves to `detached`. */
  signal?: AbortSignal;
};

export type RunExit =
  | {
      kind: "exited";
      code: number | null;
      signal: string | null;
      /** Wall clock of this host, epoch milliseconds; restic's own durations are not to be trusted. */
      startedAtMs: number;
      endedAtMs: number;
      stopRequested: boolean;
    }
  /** restic, or the runner, could not be started. */
  | { kind: "spawn_failed"; message: string }
  /** A stop came before restic was started. */
  | { kind: "not_started" }
  /** The runner is gone and did not say how restic ended (killed, or the machine went down). */
  | { kind: "vanished"; stopRequested: boolean }
  | { kind: "detached" };

export type ResticRun = {
  readonly jobDir: string;
  /** Resolves after the last line was handed over. Rejects only with what `onLine` or the disk threw. */
  readonly exited: Promise<RunExit>;
  /**
   * Asks restic to end, waits `graceMs`, then kills everything it started. Resolves when restic is gone.
   * Idempotent; a second call shares the first one's grace. That it was asked for survives a restart.
   */
  stop(graceMs: number): Promise<void>;
};

/** Safety net under fs.watch, which is not available everywhere and knows nothing of a runner's death. */
const POLL_MS = 500;
const STOP_POLL_MS = 50;
/** After SIGKILL only a program stuck in the kernel stays; nobody can do more about that. */
const KILL_WAIT_MS = 5_000;

export type FollowOptions = RunOptions & {
  clock: Clock;
  from: OutputOffsets;
  /** Known when this agent started the runner: tells a runner that died before its first record. */
  runnerEnded?: Promise<ChildEnd>;
};

/** Writes down that a stop was asked for. A runner that has not started restic yet will not do so any more. */
export async function requestStop(clock: Clock, files: JobFiles): Promise<void> {
  await writeFileAtomic(files.stop, JSON.stringify({ requested_at: clock.nowMs() }));
}

export class FollowedRun implements ResticRun {
  readonly jobDir: string;
  readonly exited: Promise<RunExit>;
  readonly #options: FollowOptions;
  readonly #files: JobFiles;
  readonly #wake: Wake;
  #record: RunnerRecord | undefined;
  #runnerEnded = false;
  #stopping: Promise<void> | undefined;

  constructor(options: FollowOptions) {
    this.jobDir = options.jobDir;
    this.#options = options;
    this.#files = jobFiles(options.jobDir);
    this.#wake = new Wake(options.clock);
    void options.runnerEnded?.then(() => {
      this.#runnerEnded = true;
      this.#wake.notify();
    });
    this.exited = this.#follow();
  }

  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#stop(graceMs);
    return this.#stopping;
  }

  async #follow(): Promise<RunExit> {
    const { from, signal } = this.#options;
    const tails = (["stdout", "stderr"] as const).map(
      (stream) => new FileTail(this.#files[stream], from[stream], (line) => this.#deliver(stream, line)),
    );
    const onAbort = () => this.#wake.notify();
    signal?.addEventListener("abort", onAbort);
    const watcher = watchDir(this.jobDir, this.#wake);
    try {
      return await this.#followTails(tails);
    } finally {
      signal?.removeEventListener("abort", onAbort);
      watcher?.close();
      for (const tail of tails) await tail.close();
    }
  }

  async #followTails(tails: readonly FileTail[]): Promise<RunExit> {
    const { signal } = this.#options;
    for (;;) {
      // The order matters: the runner writes its last record before it dies and after restic's last byte, so
      // dead without a record means no record ever, and output read after the record is complete.
      const alive = await this.#alive();
      const record = await readExitRecord(this.#files);
      let more = false;
      for (const tail of tails) more = (await tail.advance(signal)) || more;
      if (signal?.aborted === true) return { kind: "detached" };
      if (more) continue;
      if (record !== undefined || !alive) {
        for (const tail of tails) await tail.finish();
        return this.#exit(record);
      }
      await this.#wake.wait(POLL_MS);
    }
  }

  async #deliver(stream: OutputStream, line: CutLine): Promise<void> {
    await this.#options.onLine({ ...line, stream, text: redactLine(line.text, this.#options.redact) });
  }

  async #exit(record: ExitRecord | undefined): Promise<RunExit> {
    const stopRequested = (await fileSizeBytes(this.#files.stop)) > 0;
    if (record === undefined) {
      if (this.#record !== undefined) return { kind: "vanished", stopRequested };
      return { kind: "spawn_failed", message: "the runner ended before it started restic; see runner.log" };
    }
    if (record.spawn_error !== null) return { kind: "spawn_failed", message: record.spawn_error };
    if (record.not_started) return { kind: "not_started" };
    const { code, signal, started_at: startedAtMs, ended_at: endedAtMs } = record;
    return { kind: "exited", code, signal, startedAtMs, endedAtMs, stopRequested };
  }

  /** False once nobody is left who could still write output or the last record. */
  async #alive(): Promise<boolean> {
    const runnerEnded = this.#runnerEnded;
    const record = await this.#findRecord();
    if (record === undefined) return !runnerEnded;
    return isAlive(record.runner) || (record.restic !== null && isAlive(record.restic));
  }

  async #findRecord(): Promise<RunnerRecord | undefined> {
    if (this.#record?.restic == null) this.#record = (await readRunnerRecord(this.#files)) ?? this.#record;
    return this.#record;
  }

  async #stop(graceMs: number): Promise<void> {
    const { clock } = this.#options;
    // Too late: an agent that adopts this run must not believe that we ended it.
    if ((await readExitRecord(this.#files)) !== undefined) return;
    await requestStop(clock, this.#files);
    const restic = await this.#findRestic();
    if (restic === undefined) return;
    await terminateGroup(restic);
    if (await this.#ends(restic, graceMs)) return;
    await killTree(restic);
    await this.#ends(restic, KILL_WAIT_MS);
  }

  /** Waits for the runner to have started restic; undefined when it never will. */
  async #findRestic(): Promise<PidIdentity | undefined> {
    for (;;) {
      const alive = await this.#alive();
      const restic = this.#record?.restic ?? undefined;
      if (restic !== undefined) return restic;
      if (!alive || (await readExitRecord(this.#files)) !== undefined) return undefined;
      await slept(this.#options.clock, STOP_POLL_MS);
    }
  }

  async #ends(restic: PidIdentity, waitMs: number): Promise<boolean> {
    const { clock } = this.#options;
    const deadline = clock.monotonicMs() + waitMs;
    while (isAlive(restic)) {
      if (clock.monotonicMs() >= deadline) return false;
      await slept(clock, STOP_POLL_MS);
    }
    return true;
  }
}

/** One waiter, woken by whoever has news; news that came before the wait are not lost. */
class Wake {
  readonly #clock: Clock;
  #news = false;
  #cut: AbortController | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  notify(): void {
    this.#news = true;
    this.#cut?.abort();
  }

  async wait(maxMs: number): Promise<void> {
    if (!this.#news) {
      this.#cut = new AbortController();
      await slept(this.#clock, maxMs, this.#cut.signal);
      this.#cut = undefined;
    }
    this.#news = false;
  }
}

/** Undefined where the system has no watches left: the poll then does the work alone. */
function watchDir(dir: string, wake: Wake): FSWatcher | undefined {
  try {
    const watcher = watch(dir, { persistent: false }, () => wake.notify());
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    return undefined;
  }
}
