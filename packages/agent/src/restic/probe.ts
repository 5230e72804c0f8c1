/**
 * Short questions to a repository: can it be opened, and what is in it. Reads only, never with a lock, each
 * bounded in time and output. Answers are values; nothing here throws for what a repository does.
 */
import { catConfigArgs, snapshotsArgs } from "./args.ts";
import { describeProblem, problemOf, type ResticProblem, recognise } from "./exit.ts";
import { parseSnapshots, type Snapshot } from "./output.ts";
import type { PipedOutcome } from "./piped.ts";
import { runShort, type ShortDeps, type ShortOutcome } from "./short.ts";

export type ProbeOptions = {
  resticPath: string;
  /** From `optionArgs`: they follow every command's own. */
  optionArgs: readonly string[];
  /** From `buildResticEnv`. */
  env: Readonly<Record<string, string>>;
  redact: (text: string) => string;
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Given what restic said so far: true ends it, for it would only try the same again. */
  isHopeless?: (stderrTail: readonly string[]) => boolean;
};

export type ProbeOutcome =
  | { kind: "ok" }
  /** There is no repository at the location: create one, or find out why it is gone. */
  | { kind: "absent"; problem: ResticProblem }
  | { kind: "failed"; problem: ResticProblem }
  | { kind: "aborted" };

/** Opens the repository with its password. */
export async function probeRepository(deps: ShortDeps, options: ProbeOptions): Promise<ProbeOutcome> {
  const outcome = await ask(deps, options, catConfigArgs());
  const problem = findProblem(outcome);
  if (problem === "aborted") return { kind: "aborted" };
  if (problem === undefined) return { kind: "ok" };
  return { kind: problem.code === "restic.repository_missing" ? "absent" : "failed", problem };
}

export type ListOutcome =
  | { kind: "ok"; snapshots: Snapshot[]; skipped: number }
  | { kind: "failed"; problem: ResticProblem }
  | { kind: "aborted" };

/**
 * The snapshots of one host, oldest first as restic lists them. Asked a second time when restic failed: a read
 * without a lock may meet a prune and lose the race once.
 */
export async function listSnapshots(
  deps: ShortDeps,
  options: ProbeOptions & { hostName: string },
): Promise<ListOutcome> {
  const first = await listOnce(deps, options);
  const raced = first.kind === "failed" && first.problem.code === "restic.failed";
  return raced ? listOnce(deps, options) : first;
}

async function listOnce(deps: ShortDeps, options: ProbeOptions & { hostName: string }): Promise<ListOutcome> {
  const answer = await askRestic(deps, options, snapshotsArgs(options.hostName));
  if (answer.kind !== "ok") return answer;
  const parsed = parseSnapshots(answer.stdout);
  if (parsed.kind === "invalid") return { kind: "failed", problem: describeProblem("restic.bad_output") };
  return parsed;
}

export type Answer =
  | { kind: "ok"; stdout: string }
  | { kind: "failed"; problem: ResticProblem }
  | { kind: "aborted" };

/** What a reading command printed. `args` MUST take no lock: it may be killed. */
export async function askRestic(
  deps: ShortDeps,
  options: ProbeOptions,
  args: readonly string[],
): Promise<Answer> {
  const outcome = await ask(deps, options, args);
  const problem = findProblem(outcome);
  if (problem === "aborted") return { kind: "aborted" };
  if (problem !== undefined) return { kind: "failed", problem };
  return { kind: "ok", stdout: outcome.kind === "exited" ? outcome.stdout : "" };
}

function ask(deps: ShortDeps, options: ProbeOptions, args: readonly string[]): Promise<ShortOutcome> {
  return runShort(deps, { ...options, argv: [options.resticPath, ...args, ...options.optionArgs] });
}

/** What a reading command's end means. Undefined when it succeeded. */
export function findProblem(outcome: ShortOutcome | PipedOutcome): ResticProblem | "aborted" | undefined {
  switch (outcome.kind) {
    case "aborted":
      return "aborted";
    case "timeout":
    case "given_up":
      return describeProblem(recognise(outcome.stderrTail) ?? "restic.timeout", outcome.stderrTail);
    case "output_too_large":
      return describeProblem("restic.output_too_large", outcome.stderrTail);
    case "spawn_failed":
      return describeProblem("restic.spawn_failed", [], null, outcome.message);
    case "exited":
      return problemOf(outcome, outcome.stderrTail);
  }
}
