/**
 * Removes locks whose holder is gone; all of them only when the operator said so. Invariant: restic's `unlock` signals the
 * pid that a lock of this host names, which kills an unrelated program that has that number meanwhile. So every such pid
 * is looked up first, and where another program has it, unlock does not run.
 */
import type { JobError, JobSpec } from "@restic-manager/protocol";
import type { LineDraft } from "../journal/job-log.ts";
import { unlockArgs } from "../restic/args.ts";
import { type Holder, type Lock, readLocks } from "../restic/locks.ts";
import { parseRemovedLocks } from "../restic/repository-output.ts";
import type { OutputLine } from "../restic/run.ts";
import { wasBegun } from "./follow-run.ts";
import {
  type ActiveJob,
  type CommandDeps,
  type CommandOutcome,
  cancelledResult,
  failedResult,
  type JobResult,
  visible,
} from "./job-context.ts";
import { isJobError, openForJob, toJobError } from "./restic-access.ts";
import { runSingle } from "./single-run.ts";

type UnlockSpec = Extract<JobSpec, { kind: "unlock" }>;

export async function runUnlock(
  deps: CommandDeps,
  job: ActiveJob,
  spec: UnlockSpec,
): Promise<CommandOutcome> {
  const begun = await wasBegun(job);
  const before = begun ? [] : await findLocks(deps, job);
  if (!Array.isArray(before)) return before;
  const refusal = spec.remove_all ? undefined : findRefusal(before);
  if (refusal !== undefined) return failedResult(refusal);
  if (!begun && before.length === 0) return unlocked(0, [], 0);
  if (!begun) await introduce(job, before);
  let told: number | undefined;
  const hear = (line: OutputLine) => {
    if (line.stream === "stdout") told = parseRemovedLocks(line.text) ?? told;
  };
  const run = await runSingle(deps, job, unlockArgs(spec.remove_all), hear, !begun);
  if (run.kind === "over") return run.outcome;
  if (run.problem !== undefined) return failedResult(toJobError(run.problem), run.followed.exitCode);
  const after = await findLocks(deps, job);
  if (!Array.isArray(after)) return after;
  const left = new Set(after.map(({ id }) => id));
  const removed = begun ? (told ?? 0) : before.filter(({ id }) => !left.has(id)).length;
  return unlocked(removed, after, run.followed.exitCode);
}

const UNREAD: JobError = {
  code: "unlock.unread",
  message:
    "Some locks could not be read, because they change at this moment or are too many, so nobody knows who holds them. Nothing was removed; try again in a minute.",
  last_lines: [],
};

/** All locks, or how the job ends without them. */
async function findLocks(deps: CommandDeps, job: ActiveJob): Promise<Lock[] | CommandOutcome> {
  const access = await openForJob(deps, job);
  if (isJobError(access)) return failedResult(access);
  const begun = await wasBegun(job);
  // What is done can't be cancelled any more.
  const signal = begun ? job.detached : AbortSignal.any([job.cancelled, job.detached]);
  const read = await readLocks(deps, { ...access, signal });
  if (job.detached.aborted) return "detached";
  if (read.kind === "aborted") return cancelledResult();
  if (read.kind === "failed") return failedResult(toJobError(read.problem), read.problem.exitCode);
  return read.unread > 0 && !begun ? failedResult(UNREAD) : read.locks;
}

/** Why unlock must not run; undefined when it hurts nobody. */
function findRefusal(locks: readonly Lock[]): JobError | undefined {
  const reused = locks.find(({ holder }) => holder === "other");
  if (reused === undefined) return undefined;
  const message = `Nothing was removed: the lock ${describe(reused)} names a process id that another program of this host has now, and restic would signal that program. End the program, or make sure that no restic works on this repository and remove all locks.`;
  return { code: "unlock.pid_reused", message: message.slice(0, 4000), last_lines: [] };
}

const HOLDERS: Record<Holder, string> = {
  restic: "its restic runs",
  other: "another program has its process id",
  gone: "its restic is gone",
  elsewhere: "of another host",
};

function describe({ id, hostname, username, pid, createdAtMs }: Lock): string {
  const since = new Date(createdAtMs).toISOString();
  return `${id.slice(0, 8)} of ${visible(username)}@${visible(hostname)} (process ${pid}, since ${since})`.slice(
    0,
    600,
  );
}

async function introduce(job: ActiveJob, locks: readonly Lock[]): Promise<void> {
  if (job.log.position.logLines > 0) return;
  for (const lock of locks) {
    const text = `Lock ${describe(lock)}: ${HOLDERS[lock.holder]}${lock.exclusive ? ", exclusive" : ""}.`;
    await job.log.add({ level: "info", stream: "agent", text });
  }
  await job.log.flush();
}

function unlocked(removed: number, left: readonly Lock[], exitCode: number | null): JobResult {
  const kept = left.length === 0 ? "none is left" : `${left.length} left, whose holders may live`;
  const texts = [
    `${removed} locks were removed, ${kept}.`,
    ...left.map((lock) => `Left: ${describe(lock)}: ${HOLDERS[lock.holder]}.`),
  ];
  const closing: LineDraft[] = texts.map((text) => ({ level: "info", stream: "agent", text }));
  return {
    ...{ status: "succeeded", error: null, exitCode, summary: null, closing },
    ...{ result: { kind: "unlock", removed, remaining: left.length }, locks: left },
  };
}
