/**
 * The runner: a program of its own, in a session of its own, that starts restic, waits, and writes down how it
 * ended. It exists because the agent may crash, be updated or be stopped while restic works. Invariants: it
 * knows nothing of the agent, outlives it, holds no output and opens no connection. Its environment is
 * restic's environment. No zod and no logger here: it lives as long as restic and should weigh nothing.
 */
import { type Child, identifyPid, type PidIdentity, spawnOwnSession } from "../platform/child.ts";
import { fileSizeBytes, hasErrorCode, readTextIfExists, writeFileAtomic } from "../platform/files.ts";
import { type ExitRecord, type JobFiles, jobFiles, type RunnerRecord, type RunSpec } from "./job-dir.ts";

export type RunnerDeps = {
  pid: number;
  env: Readonly<Record<string, string | undefined>>;
  nowMs: () => number;
  sleep: (ms: number) => Promise<void>;
  /** Makes the runner deaf to a signal. */
  ignoreSignal: (signal: "SIGHUP" | "SIGINT" | "SIGTERM") => void;
};

/** How long a full disk is left alone before the next try. */
const RETRY_MS = 1_000;

/**
 * Runs one job directory to its end and returns the runner's own exit code: 0 when exit.json tells what
 * happened, 2 when there was no usable spec.json.
 */
export async function runRunner(deps: RunnerDeps, jobDir: string): Promise<number> {
  // Whoever wants restic to end signals restic; the runner must stay to tell how it ended.
  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) deps.ignoreSignal(signal);
  const files = jobFiles(jobDir);
  const spec = parseSpec(await readTextIfExists(files.spec));
  if (spec === undefined) return 2;
  const runner = identifyPid(deps.pid) ?? { pid: deps.pid, startTicks: null, bootId: null };
  await writeRecord(files, { runner, restic: null });
  const startedAt = deps.nowMs();
  const unstarted = {
    code: null,
    signal: null,
    started_at: startedAt,
    spawn_error: null,
    not_started: false,
  };
  if ((await fileSizeBytes(files.stop)) > 0) {
    await writeExit(files, { ...unstarted, ended_at: deps.nowMs(), not_started: true });
    return 0;
  }
  const child = await startRestic(deps, files, spec);
  if (child instanceof Error) {
    await writeExit(files, { ...unstarted, ended_at: deps.nowMs(), spawn_error: child.message });
    return 0;
  }
  let works = true;
  const started = { runner, restic: identifyPid(child.pid) ?? unidentified(child) };
  const recorded = persist(
    deps,
    () => writeRecord(files, started),
    () => works,
  );
  const end = await child.ended;
  works = false;
  await recorded;
  const exit = { ...unstarted, ...end, ended_at: deps.nowMs() };
  await persist(deps, () => writeExit(files, exit));
  return 0;
}

/** On a full disk it waits for space: nobody else will ever know. Given up when the directory is gone. */
async function persist(
  deps: RunnerDeps,
  write: () => Promise<void>,
  isNeeded: () => boolean = () => true,
): Promise<void> {
  while (isNeeded()) {
    try {
      return await write();
    } catch (error) {
      if (hasErrorCode(error, "ENOENT")) return;
    }
    await deps.sleep(RETRY_MS);
  }
}

function unidentified(child: Child): PidIdentity {
  return { pid: child.pid, startTicks: null, bootId: null };
}

async function startRestic(deps: RunnerDeps, files: JobFiles, spec: RunSpec): Promise<Child | Error> {
  const [file = "", ...args] = spec.argv;
  const env = Object.entries(deps.env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  try {
    return await spawnOwnSession({
      command: { file, args },
      env: Object.fromEntries(env),
      cwd: spec.cwd,
      stdoutPath: files.stdout,
      stderrPath: files.stderr,
      keepsAlive: true,
    });
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Not durable: after a power cut nobody in this file is alive any more. */
function writeRecord(files: JobFiles, record: RunnerRecord): Promise<void> {
  return writeFileAtomic(files.runner, JSON.stringify(record), { durable: false });
}

function writeExit(files: JobFiles, record: ExitRecord): Promise<void> {
  return writeFileAtomic(files.exit, JSON.stringify(record));
}

/** By hand, since spec.json was written by our own agent a moment ago and a schema library costs 10 MB. */
function parseSpec(text: string | undefined): RunSpec | undefined {
  if (text === undefined) return undefined;
  const spec: unknown = JSON.parse(text);
  if (typeof spec !== "object" || spec === null || !("argv" in spec) || !("cwd" in spec)) return undefined;
  const { argv, cwd } = spec;
  if (!Array.isArray(argv) || typeof cwd !== "string") return undefined;
  const words = argv.filter((word) => typeof word === "string");
  return words.length === argv.length && words.length > 0 ? { argv: words, cwd } : undefined;
}
