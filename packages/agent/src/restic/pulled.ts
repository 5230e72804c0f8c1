/**
 * restic whose output is pulled: read as fast as the consumer takes it, for as long as that takes, and ended with its
 * consumer. Only for commands that take no lock, since they are killed. What is to be through soon runs by piped.ts.
 */
import { join } from "node:path";
import {
  type Child,
  type Command,
  identifyPid,
  killTree,
  spawnPiped,
  withoutCoreDumps,
  withRawArgument,
} from "../platform/child.ts";
import { reasonOf } from "../platform/errors.ts";
import { ensurePrivateDir, removeTree } from "../platform/files.ts";
import { describeProblem, problemOf, type ResticProblem } from "./exit.ts";
import { readStderrTail, type ShortDeps } from "./short.ts";

export type PulledOptions = {
  /** restic's path, then its arguments. */
  argv: readonly string[];
  /** The last argument, a path in a snapshot: bytes, since a name need not be UTF-8. */
  path: Buffer;
  env: Readonly<Record<string, string>>;
  /** For stderr, which is shown. */
  redact: (text: string) => string;
  /** Aborting kills restic. */
  signal: AbortSignal;
};

/**
 * restic's stdout, piece by piece. Returns what went wrong, or undefined when restic ended well or was aborted. Whoever
 * stops reading early kills it.
 */
export async function* runPulled(
  deps: Pick<ShortDeps, "random" | "workDir">,
  options: PulledOptions,
): AsyncGenerator<Buffer, ResticProblem | undefined> {
  const dir = join(deps.workDir, `pulled-${deps.random.hex(8)}`);
  await ensurePrivateDir(dir);
  const stderrPath = join(dir, "stderr");
  let child: Awaited<ReturnType<typeof spawnPiped>> | undefined;
  try {
    child = await spawnPiped({ command: toCommand(options), env: options.env, cwd: dir, stderrPath });
    const kill = killer(child);
    options.signal.addEventListener("abort", kill);
    try {
      if (options.signal.aborted) kill();
      yield* child.stdout;
    } finally {
      options.signal.removeEventListener("abort", kill);
    }
    const end = await child.ended;
    return options.signal.aborted
      ? undefined
      : problemOf(end, await readStderrTail(stderrPath, options.redact));
  } catch (error) {
    if (child !== undefined) throw error;
    return describeProblem("restic.spawn_failed", [], null, reasonOf(error));
  } finally {
    if (child !== undefined) {
      killer(child)();
      await child.ended;
    }
    await removeTree(dir);
  }
}

/** Ends the child with everything that it started; nothing when it has ended. */
function killer(child: Child): () => void {
  const identity = identifyPid(child.pid);
  return () => {
    if (identity !== undefined) void killTree(identity);
  };
}

function toCommand({ argv: [file = "", ...args], path }: PulledOptions): Command {
  const text = path.toString("utf8");
  const isText = Buffer.from(text).equals(path);
  const command = { file, args: isText ? [...args, text] : args };
  return withoutCoreDumps(isText ? command : withRawArgument(command, path));
}
