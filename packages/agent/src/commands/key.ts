/**
 * The steps of a rotation of the repository's password. Invariants: a key is added only where the new password opens
 * nothing yet, so a step that is begun again adds none; the key that opens the repository is never removed; the new
 * password is in memory, and while restic reads it in a private file of the job, which is gone when the step is.
 */
import { join } from "node:path";
import type { JobError, KeySpec, RepositoryKey } from "@restic-manager/protocol";
import { removeTree, writeFileAtomic } from "../platform/files.ts";
import { addKeyArgs, removeKeyArgs } from "../restic/args.ts";
import type { ResticProblem } from "../restic/exit.ts";
import { readKeys } from "../restic/keys.ts";
import { parseAddedKey } from "../restic/repository-output.ts";
import { followRun, wasBegun } from "./follow-run.ts";
import {
  type ActiveJob,
  type CommandDeps,
  type CommandOutcome,
  cancelledResult,
  failedResult,
  type GivenAccess,
  type JobResult,
} from "./job-context.ts";
import { isRefusal, refusedError } from "./refusal.ts";
import {
  ACCESS_GONE,
  cancelledRun,
  isJobError,
  openForJob,
  openRestic,
  toJobError,
} from "./restic-access.ts";
import { stepOf, tellStep } from "./step.ts";

export async function runKey(deps: CommandDeps, job: ActiveJob, spec: KeySpec): Promise<CommandOutcome> {
  switch (spec.step) {
    case "add":
      return runAdd(deps, job);
    case "adopt":
      return runAdopt(deps, job);
    case "verify":
      return runVerify(deps, job);
    case "remove":
      return runRemove(deps, job, spec.key_ids ?? []);
  }
}

type Opened = { currentId: string; keys: RepositoryKey[] };
/** There is nothing to go on with. */
type Over = { over: CommandOutcome };

/** Opens the repository; null when the password fits no key. @param given default: the everyday access */
async function open(deps: CommandDeps, job: ActiveJob, given?: GivenAccess): Promise<Opened | null | Over> {
  const access = await openRestic(deps, given);
  if (isJobError(access)) return { over: failedResult(access) };
  const signal = AbortSignal.any([job.cancelled, job.detached]);
  const read = await readKeys(deps, { ...access, signal });
  if (job.detached.aborted) return { over: "detached" };
  if (read.kind === "aborted") return { over: cancelledResult() };
  if (read.kind === "opened") return read;
  if (read.problem.code === "restic.wrong_password") return null;
  return { over: failedProblem(read.problem) };
}

const failedProblem = (problem: ResticProblem): JobResult =>
  failedResult(toJobError(problem), problem.exitCode);

/** As `open`, where only a password that fits is of use. */
async function mustOpen(
  deps: CommandDeps,
  job: ActiveJob,
  given: GivenAccess | undefined,
  otherwise: JobError,
): Promise<Opened | Over> {
  return (await open(deps, job, given)) ?? { over: failedResult(otherwise) };
}

const withPassword = (given: GivenAccess, password: string): GivenAccess => ({
  ...given,
  repository: { ...given.repository, password },
});

const WRONG_PASSWORD: JobError = {
  code: "restic.wrong_password",
  message:
    "The password that is stored for this host does not open the repository. Correct it in the host's repository settings, then try again.",
  last_lines: [],
};

const passwordFile = (job: ActiveJob): string => join(job.dir, "new-password");

async function runAdd(deps: CommandDeps, job: ActiveJob): Promise<CommandOutcome> {
  try {
    const newKeyId = await makeOpen(deps, job);
    if (typeof newKeyId === "object" && newKeyId !== null) return newKeyId.over;
    const now = await mustOpen(deps, job, undefined, WRONG_PASSWORD);
    if ("over" in now) return now.over;
    return told("The new password opens the repository, beside the old one.", now, newKeyId);
  } finally {
    // Should this agent be stopped, a restic that has begun may not have read it yet: the next agent removes it.
    if (!job.detached.aborted) await removeTree(passwordFile(job));
  }
}

/** Adds the key, unless it is there. @returns its id; null when restic did not tell */
async function makeOpen(deps: CommandDeps, job: ActiveJob): Promise<string | null | Over> {
  if (await wasBegun(stepOf(job, "add"))) return addKey(deps, job);
  const everyday = deps.findRepository();
  if (job.newPassword === undefined || everyday === undefined) return { over: failedResult(ACCESS_GONE) };
  const stored = { repository: everyday, filesDir: deps.accessDir };
  const there = await open(deps, job, withPassword(stored, job.newPassword));
  if (there !== null) return "over" in there ? there : there.currentId;
  await writeFileAtomic(passwordFile(job), job.newPassword);
  return addKey(deps, job);
}

async function addKey(deps: CommandDeps, job: ActiveJob): Promise<string | null | Over> {
  const step = stepOf(job, "add");
  const access = await openRestic(deps);
  if (isJobError(access)) return { over: failedResult(access) };
  let added: string | null = null;
  const followed = await followRun(deps, step, access, addKeyArgs(passwordFile(job)), (line) => {
    if (line.stream === "stdout") added = parseAddedKey(line.text) ?? added;
    return tellStep(job, "add", line);
  });
  switch (followed.outcome.kind) {
    case "detached":
      return { over: "detached" };
    case "cancelled":
      return { over: cancelledRun(followed) };
    case "ok":
      return added;
    case "warning":
    case "failed":
      return { over: failedProblem(followed.outcome.problem) };
  }
}

const NOT_THERE: JobError = {
  code: "key.not_there",
  message:
    "The new password does not open the repository from this host, so its stored one was left as it is. Either this host reaches another repository under its address, or somebody removed the new key.",
  last_lines: [],
};

async function runAdopt(deps: CommandDeps, job: ActiveJob): Promise<CommandOutcome> {
  const { access, newPassword } = job;
  if (access === undefined || newPassword === undefined) return failedResult(ACCESS_GONE);
  // A stored password that opens nothing any more is no reason against one that does.
  const before = await open(deps, job, access);
  if (before !== null && "over" in before) return before.over;
  const now = await mustOpen(deps, job, withPassword(access, newPassword), NOT_THERE);
  if ("over" in now) return now.over;
  const text = "The new password opens the repository from this host.";
  return told(text, { currentId: before?.currentId ?? null, keys: now.keys }, now.currentId);
}

async function runVerify(deps: CommandDeps, job: ActiveJob): Promise<CommandOutcome> {
  const now = await mustOpen(deps, job, undefined, WRONG_PASSWORD);
  if ("over" in now) return now.over;
  return told(`What this host has stored opens the key ${now.currentId.slice(0, 8)}.`, now, null);
}

const CURRENT: JobError = {
  code: "key.current",
  message:
    "One of the keys to remove is the one that opens the repository here, so nothing was removed. Let every host use the new password first.",
  last_lines: [],
};

async function runRemove(
  deps: CommandDeps,
  job: ActiveJob,
  keyIds: readonly string[],
): Promise<CommandOutcome> {
  const ended = new Map<string, JobError | null>();
  // An earlier agent began these: their restic may still run, and is followed whatever else is true now.
  for (const id of keyIds) {
    if (!(await wasBegun(stepOf(job, removalName(id))))) continue;
    const end = await removeKey(deps, job, id);
    if (end !== null && "over" in end) return end.over;
    ended.set(id, end);
  }
  if (job.access === undefined) return failedResult(ACCESS_GONE);
  const before = await mustOpen(deps, job, job.access, WRONG_PASSWORD);
  if ("over" in before) return before.over;
  if (keyIds.includes(before.currentId)) return failedResult(CURRENT);
  const there = new Set(before.keys.map(({ id }) => id));
  for (const id of keyIds) {
    if (!there.has(id) || ended.has(id)) continue;
    const end = await removeKey(deps, job, id);
    if (end !== null && "over" in end) return end.over;
    ended.set(id, end);
  }
  const after = await mustOpen(deps, job, job.access, WRONG_PASSWORD);
  if ("over" in after) return after.over;
  return concludeRemoval(keyIds, after, ended);
}

/** What is still listed was not removed, whatever restic's exit code. */
function concludeRemoval(
  keyIds: readonly string[],
  after: Opened,
  ended: ReadonlyMap<string, JobError | null>,
): JobResult {
  const left = after.keys.filter(({ id }) => keyIds.includes(id));
  const [first] = left;
  const end = told(`${keyIds.length - left.length} keys were removed.`, after, null);
  if (first === undefined) return end;
  const error = ended.get(first.id) ?? {
    code: "key.not_removed",
    message: `The key ${first.id.slice(0, 8)} is still there although restic reported no error. Try again.`,
    last_lines: [],
  };
  return { ...failedResult(error), ...(end.result === undefined ? {} : { result: end.result }) };
}

const removalName = (keyId: string): string => `remove-${keyId.slice(0, 16)}`;

/** @returns why restic could not; null when it said that it did */
async function removeKey(deps: CommandDeps, job: ActiveJob, keyId: string): Promise<JobError | null | Over> {
  const name = removalName(keyId);
  const step = stepOf(job, name);
  if (job.cancelled.aborted && !(await wasBegun(step))) return { over: cancelledResult() };
  const access = await openForJob(deps, step);
  if (isJobError(access)) return { over: failedResult(access) };
  let refused = false;
  const followed = await followRun(deps, step, access, removeKeyArgs(keyId), async (line) => {
    refused ||= isRefusal(line);
    await tellStep(job, name, line);
  });
  const { outcome, stderrTail, exitCode } = followed;
  if (outcome.kind === "detached") return { over: "detached" };
  if (outcome.kind === "cancelled") return { over: cancelledRun(followed) };
  if (refused) return { over: failedResult(refusedError("key", stderrTail), exitCode) };
  return outcome.kind === "ok" ? null : toJobError(outcome.problem);
}

function told(
  text: string,
  seen: { currentId: string | null; keys: RepositoryKey[] },
  newKeyId: string | null,
): JobResult {
  return {
    ...{ status: "succeeded", error: null, exitCode: 0, summary: null },
    closing: [{ level: "info", stream: "agent", text }],
    result: { kind: "key", current_key_id: seen.currentId, new_key_id: newKeyId, keys: seen.keys },
  };
}
