/**
 * Runs a restic command whose output may be of any size and is read while it comes: with backpressure, and nothing of
 * stdout on the disk. Only for commands that take no lock: they are killed when nobody reads on.
 */
import { join } from "node:path";
import {
  type Command,
  identifyPid,
  killTree,
  spawnPiped,
  withoutCoreDumps,
  withRawArgument,
} from "../platform/child.ts";
import { slept } from "../platform/clock.ts";
import { reasonOf } from "../platform/errors.ts";
import { ensurePrivateDir, removeTree } from "../platform/files.ts";
import { readStderrTail, type ShortDeps } from "./short.ts";

export type PipedOptions = {
  /** restic's path, then its arguments. */
  argv: readonly string[];
  /** One argument more, a path in a snapshot: bytes, since a name need not be UTF-8. */
  path?: Buffer;
  env: Readonly<Record<string, string>>;
  /** For stderr, which is shown. */
  redact: (text: string) => string;
  /** Without it restic may run for as long as it is read. */
  timeoutMs?: number | undefined;
  /** Aborting kills restic. */
  signal: AbortSignal;
};

export type PipedOutcome =
  | { kind: "exited"; code: number | null; signal: string | null; stderrTail: string[] }
  | { kind: "timeout" | "aborted"; stderrTail: string[] }
  | { kind: "spawn_failed"; message: string };

/** Runs to the end, to the time-out or to the abort. @throws what `onChunk` throws, or an unusable work directory */
export async function runPiped(
  deps: ShortDeps,
  options: PipedOptions & {
    /** Each piece of stdout in order. What it throws ends the command and is thrown on. */
    onChunk: (chunk: Buffer) => Promise<void> | void;
  },
): Promise<PipedOutcome> {
  const pieces = piecesOf(deps, options);
  try {
    for (;;) {
      const piece = await pieces.next();
      if (piece.done) return piece.value;
      await options.onChunk(piece.value);
    }
  } finally {
    await pieces.return({ kind: "aborted", stderrTail: [] });
  }
}

/** The same, pulled: restic's stdout piece by piece, and how it ended. Whoever stops reading early kills it. */
export async function* piecesOf(
  deps: ShortDeps,
  options: PipedOptions,
): AsyncGenerator<Buffer, PipedOutcome> {
  if (options.signal.aborted) return { kind: "aborted", stderrTail: [] };
  const dir = join(deps.workDir, `piped-${deps.random.hex(8)}`);
  await ensurePrivateDir(dir);
  try {
    return yield* runIn(dir, deps, options);
  } finally {
    await removeTree(dir);
  }
}

async function* runIn(
  dir: string,
  { clock }: ShortDeps,
  options: PipedOptions,
): AsyncGenerator<Buffer, PipedOutcome> {
  const { env, redact, signal, timeoutMs } = options;
  const stderrPath = join(dir, "stderr");
  const start = async () => spawnPiped({ command: toCommand(options), env, cwd: dir, stderrPath });
  const child = await start().catch(reasonOf);
  if (typeof child === "string") return { kind: "spawn_failed", message: child };
  const identity = identifyPid(child.pid);
  const over = new AbortController();
  let timedOut = false;
  const kill = () => {
    if (identity !== undefined) void killTree(identity);
  };
  signal.addEventListener("abort", kill);
  if (signal.aborted) kill();
  if (timeoutMs !== undefined) {
    void slept(clock, timeoutMs, over.signal).then((late) => {
      timedOut = late;
      if (late) kill();
    });
  }
  try {
    for await (const chunk of child.stdout) {
      if (signal.aborted || timedOut) break;
      yield chunk as Buffer;
    }
  } finally {
    // It has ended, unless nobody reads on.
    if (!child.stdout.readableEnded) kill();
    signal.removeEventListener("abort", kill);
    over.abort();
    await child.ended;
  }
  const end = await child.ended;
  const stderrTail = await readStderrTail(stderrPath, redact);
  if (signal.aborted) return { kind: "aborted", stderrTail };
  return timedOut ? { kind: "timeout", stderrTail } : { kind: "exited", ...end, stderrTail };
}

/** @throws RangeError for a path that this system takes in no argument */
function toCommand({ argv: [file = "", ...args], path }: PipedOptions): Command {
  if (path === undefined) return withoutCoreDumps({ file, args });
  const text = path.toString("utf8");
  const isText = Buffer.from(text).equals(path);
  const command = { file, args: isText ? [...args, text] : args };
  return withoutCoreDumps(isText ? command : withRawArgument(command, path));
}
