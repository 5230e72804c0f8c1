/**
 * Runs a restic command that should answer soon (version, cat config, snapshots), with a time-out of its own:
 * from 0.18 restic retries an unreachable server for 15 minutes. Output goes to files in a private directory
 * that is removed afterwards, never to a pipe. Only for commands that take no lock: they may be killed.
 */
import { join } from "node:path";
import { type Child, identifyPid, killTree, spawnOwnSession, withoutCoreDumps } from "../platform/child.ts";
import { type Clock, slept } from "../platform/clock.ts";
import { ensurePrivateDir, fileSizeBytes, readBounded, removeTree } from "../platform/files.ts";
import type { Random } from "../platform/random.ts";
import { StderrTail } from "./exit.ts";
import { FileTail } from "./tail.ts";

export type ShortDeps = {
  clock: Clock;
  random: Random;
  /** A private directory of the agent; each call makes and removes one below it. */
  workDir: string;
};

export type ShortOptions = {
  /** restic's path, then its arguments. */
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  /** For stderr, which is shown. Not for stdout: that is data, and masking would falsify paths and ids. */
  redact: (text: string) => string;
  /** Default 45 s. */
  timeoutMs?: number;
  /** Bound for stdout and for stderr each; default 64 MiB. */
  maxOutputBytes?: number;
  /** Aborting kills the command; the outcome is then `aborted`. */
  signal?: AbortSignal;
  /** Asked while it runs, with its last lines of stderr: true kills the command; the outcome is then `given_up`. */
  isHopeless?: (stderrTail: readonly string[]) => boolean;
};

export type ShortOutcome =
  | { kind: "exited"; code: number | null; signal: string | null; stdout: string; stderrTail: string[] }
  | { kind: "timeout" | "output_too_large" | "aborted" | "given_up"; stderrTail: string[] }
  | { kind: "spawn_failed"; message: string };

/** Opening a repository costs under a second locally; a loaded one over a WAN may need half a minute. */
const DEFAULT_TIMEOUT_MS = 45_000;
/** Twice the largest document measured (500 snapshots: 385 kB; find over everything: 34 MB). */
const DEFAULT_MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const POLL_MS = 250;

/** Runs to the end, to the time-out or to the bound. Rejects only when the work directory cannot be used. */
export async function runShort(deps: ShortDeps, options: ShortOptions): Promise<ShortOutcome> {
  const dir = join(deps.workDir, `short-${deps.random.hex(8)}`);
  await ensurePrivateDir(dir);
  try {
    return await runIn(dir, deps, options);
  } finally {
    await removeTree(dir);
  }
}

async function runIn(dir: string, deps: ShortDeps, options: ShortOptions): Promise<ShortOutcome> {
  const stdoutPath = join(dir, "stdout");
  const stderrPath = join(dir, "stderr");
  const [file = "", ...args] = options.argv;
  let child: Child;
  try {
    child = await spawnOwnSession({
      command: withoutCoreDumps({ file, args }),
      ...{ env: options.env, cwd: dir, stdoutPath, stderrPath },
    });
  } catch (error) {
    return { kind: "spawn_failed", message: error instanceof Error ? error.message : String(error) };
  }
  const cutShort = await watchOver(child, { stdoutPath, stderrPath }, deps.clock, options);
  const stderrTail = await readStderrTail(stderrPath, options.redact);
  if (cutShort !== undefined) return { kind: cutShort, stderrTail };
  const stdout = await readBounded(stdoutPath, options.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES);
  if (stdout.kind === "too_large") return { kind: "output_too_large", stderrTail };
  const end = await child.ended;
  return { kind: "exited", ...end, stdout: stdout.data.toString("utf8"), stderrTail };
}

/** Waits for the child; kills it and says why when it overstays one of its bounds. */
async function watchOver(
  child: Child,
  { stdoutPath, stderrPath }: { stdoutPath: string; stderrPath: string },
  clock: Clock,
  options: ShortOptions,
): Promise<"timeout" | "output_too_large" | "aborted" | "given_up" | undefined> {
  const identity = identifyPid(child.pid);
  const deadline = clock.monotonicMs() + (options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const maxBytes = options.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES;
  const findReason = async () => {
    if (options.signal?.aborted === true) return "aborted";
    if (clock.monotonicMs() >= deadline) return "timeout";
    const sizes = await Promise.all([stdoutPath, stderrPath].map(fileSizeBytes));
    if (sizes.some((bytes) => bytes > maxBytes)) return "output_too_large";
    if (options.isHopeless === undefined) return undefined;
    return options.isHopeless(await readStderrTail(stderrPath, options.redact)) ? "given_up" : undefined;
  };
  const over = new AbortController();
  const onAbort = () => over.abort();
  options.signal?.addEventListener("abort", onAbort);
  let ended = false;
  void child.ended.then(() => {
    ended = true;
    over.abort();
  });
  try {
    for (;;) {
      if (ended) return undefined;
      const reason = await findReason();
      if (reason !== undefined) {
        if (identity !== undefined) await killTree(identity);
        await child.ended;
        return reason;
      }
      await slept(clock, POLL_MS, over.signal);
    }
  } finally {
    options.signal?.removeEventListener("abort", onAbort);
  }
}

/** The last lines of a file of stderr, redacted. */
export async function readStderrTail(path: string, redact: (text: string) => string): Promise<string[]> {
  const tail = new StderrTail();
  const file = new FileTail(path, 0, (line) => Promise.resolve(tail.add(redact(line.text))));
  try {
    while (await file.advance());
    await file.finish();
  } finally {
    await file.close();
  }
  return tail.lines();
}
