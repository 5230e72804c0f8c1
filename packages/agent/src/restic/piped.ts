/**
 * Runs a restic command whose output may be of any size and is read while it comes: with backpressure, a time-out, and
 * nothing of stdout on the disk. Only for commands that take no lock: they are killed when nobody reads on.
 */
import { join } from "node:path";
import { identifyPid, killTree, spawnPiped, withoutCoreDumps } from "../platform/child.ts";
import { slept } from "../platform/clock.ts";
import { ensurePrivateDir, removeTree } from "../platform/files.ts";
import { readStderrTail, type ShortDeps } from "./short.ts";

export type PipedOptions = {
  /** restic's path, then its arguments. */
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  redact: (text: string) => string;
  timeoutMs: number;
  signal: AbortSignal;
  /** Each piece of stdout in order. What it throws ends the command and is thrown on. */
  onChunk: (chunk: Buffer) => Promise<void> | void;
};

export type PipedOutcome =
  | { kind: "exited"; code: number | null; signal: string | null; stderrTail: string[] }
  | { kind: "timeout" | "aborted"; stderrTail: string[] }
  | { kind: "spawn_failed"; message: string };

/** Runs to the end, to the time-out or to the abort. @throws what `onChunk` throws, or an unusable work directory */
export async function runPiped(deps: ShortDeps, options: PipedOptions): Promise<PipedOutcome> {
  const dir = join(deps.workDir, `piped-${deps.random.hex(8)}`);
  await ensurePrivateDir(dir);
  try {
    return await runIn(dir, deps, options);
  } finally {
    await removeTree(dir);
  }
}

async function runIn(dir: string, { clock }: ShortDeps, options: PipedOptions): Promise<PipedOutcome> {
  const { argv, env, redact, signal, timeoutMs, onChunk } = options;
  const [file = "", ...args] = argv;
  const stderrPath = join(dir, "stderr");
  if (signal.aborted) return { kind: "aborted", stderrTail: [] };
  const started = await spawnPiped({
    command: withoutCoreDumps({ file, args }),
    env,
    cwd: dir,
    stderrPath,
  }).catch((error: unknown) => ({ failed: error instanceof Error ? error.message : String(error) }));
  if ("failed" in started) return { kind: "spawn_failed", message: started.failed };
  const identity = identifyPid(started.pid);
  const over = new AbortController();
  let timedOut = false;
  const kill = () => {
    if (identity !== undefined) void killTree(identity);
  };
  signal.addEventListener("abort", kill);
  if (signal.aborted) kill();
  void slept(clock, timeoutMs, over.signal).then((late) => {
    timedOut = late;
    if (late) kill();
  });
  try {
    for await (const chunk of started.stdout) {
      if (signal.aborted || timedOut) break;
      await onChunk(chunk as Buffer);
    }
  } finally {
    // It has ended, unless nobody reads on.
    if (!started.stdout.readableEnded) kill();
    signal.removeEventListener("abort", kill);
    over.abort();
  }
  const end = await started.ended;
  const stderrTail = await readStderrTail(stderrPath, redact);
  if (signal.aborted) return { kind: "aborted", stderrTail };
  return timedOut ? { kind: "timeout", stderrTail } : { kind: "exited", ...end, stderrTail };
}
