/** Everything restic needs before it can run: the program, the repository and its secrets, a cache directory. */
import { backendSecrets, type JobError } from "@restic-manager/protocol";
import { createRedactor } from "../platform/redact.ts";
import { placeAccessFiles } from "../restic/access-files.ts";
import { optionArgs } from "../restic/args.ts";
import { buildResticEnv, prepareCacheDir, repositorySecrets } from "../restic/env.ts";
import { describeProblem, type ResticProblem } from "../restic/exit.ts";
import { probeRepository } from "../restic/probe.ts";
import { type FollowedOutcome, wasBegun } from "./follow-run.ts";
import {
  type ActiveJob,
  type CommandDeps,
  type CommandOutcome,
  cancelledResult,
  failedResult,
  type GivenAccess,
  type JobResult,
  type ResticAccess,
} from "./job-context.ts";

export const NO_REPOSITORY: JobError = {
  code: "agent.no_repository",
  message:
    "This host has no repository credentials yet. Enter them in the host's repository settings and run again.",
  last_lines: [],
};

export const ACCESS_GONE: JobError = {
  code: "agent.access_gone",
  message:
    "The agent was restarted before restic was started, and the credentials of this job were in its memory only. Nothing was done; run it again.",
  last_lines: [],
};

/**
 * Or the error that says what is missing and how to get it.
 * @param given default: the everyday one
 */
export async function openRestic(deps: CommandDeps, given?: GivenAccess): Promise<ResticAccess | JobError> {
  const repository = given?.repository ?? deps.findRepository();
  if (repository === undefined) return NO_REPOSITORY;
  const restic = await deps.findRestic();
  if (restic.kind !== "ok") return { code: restic.code, message: restic.message, last_lines: [] };
  const cache = await prepareCacheDir(deps.cacheDir);
  if (cache.kind !== "ok") return { code: cache.code, message: cache.message, last_lines: [] };
  const environment = await placeAccessFiles(given?.filesDir ?? deps.accessDir, repository);
  const access = {
    environment,
    url: repository.location,
    password: repository.password,
    ...(repository.rest_username === null ? {} : { restUsername: repository.rest_username }),
    ...(repository.rest_password === null ? {} : { restPassword: repository.rest_password }),
  };
  const { cacheDir, inherited, platform } = deps;
  return {
    resticPath: restic.path,
    version: restic.version,
    optionArgs: optionArgs(repository.options),
    env: buildResticEnv({ repository: access, cacheDir, inherited, platform }),
    redact: createRedactor([...repositorySecrets(access), ...backendSecrets(repository)]),
  };
}

/**
 * For a job or one of its steps: the access that its command brought, or else the everyday one. A restic that an earlier
 * agent started has its access in its own environment, and following it needs none.
 */
export async function openForJob(deps: CommandDeps, job: ActiveJob): Promise<ResticAccess | JobError> {
  if (job.entry.with_access === true && job.access === undefined && !(await wasBegun(job)))
    return ACCESS_GONE;
  return openRestic(deps, job.access);
}

/**
 * Tries the repository with a short time-out: against a storage that does not answer restic itself goes on for a quarter
 * of an hour. Undefined when it opens.
 */
export async function findUnopened(
  deps: CommandDeps,
  job: ActiveJob,
  access: ResticAccess,
): Promise<CommandOutcome | undefined> {
  const signal = AbortSignal.any([job.cancelled, job.detached]);
  const probe = await probeRepository(deps, { ...access, signal });
  if (job.detached.aborted) return "detached";
  if (probe.kind === "aborted" || job.cancelled.aborted) return cancelledResult();
  return probe.kind === "ok" ? undefined : failedResult(toJobError(probe.problem), probe.problem.exitCode);
}

export function isJobError(value: ResticAccess | JobError): value is JobError {
  return "code" in value;
}

/** How a run that we stopped ended, for the operator. */
export function cancelledRun({ exitCode, forced, stderrTail }: FollowedOutcome): JobResult {
  const problem = forced ? describeProblem("restic.stop_forced", stderrTail, exitCode) : null;
  return cancelledResult(exitCode, problem === null ? null : toJobError(problem));
}

/** restic's problem in the protocol's shape and bounds. */
export function toJobError(problem: ResticProblem): JobError {
  return {
    code: problem.code,
    message: problem.message.slice(0, 4000),
    last_lines: problem.stderrTail.slice(-20).map((line) => line.slice(0, 4096)),
  };
}
