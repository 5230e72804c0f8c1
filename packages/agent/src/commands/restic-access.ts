/** Everything restic needs before it can run: the program, the repository and its secrets, a cache directory. */
import type { JobError } from "@restic-manager/protocol";
import { createRedactor } from "../platform/redact.ts";
import { buildResticEnv, prepareCacheDir, repositorySecrets } from "../restic/env.ts";
import { describeProblem, type ResticProblem } from "../restic/exit.ts";
import type { FollowedOutcome } from "./follow-run.ts";
import { type CommandDeps, cancelledResult, type JobResult, type ResticAccess } from "./job-context.ts";

export const NO_REPOSITORY: JobError = {
  code: "agent.no_repository",
  message:
    "This host has no repository credentials yet. Enter them in the host's repository settings and run again.",
  last_lines: [],
};

/** Or the error that says what is missing and how to get it. */
export async function openRestic(deps: CommandDeps): Promise<ResticAccess | JobError> {
  const repository = deps.findRepository();
  if (repository === undefined) return NO_REPOSITORY;
  const restic = await deps.findRestic();
  if (restic.kind !== "ok") return { code: restic.code, message: restic.message, last_lines: [] };
  const cache = await prepareCacheDir(deps.cacheDir);
  if (cache.kind !== "ok") return { code: cache.code, message: cache.message, last_lines: [] };
  const access = {
    url: repository.location,
    password: repository.password,
    ...(repository.rest_username === null ? {} : { restUsername: repository.rest_username }),
    ...(repository.rest_password === null ? {} : { restPassword: repository.rest_password }),
  };
  const { cacheDir, inherited, platform } = deps;
  return {
    resticPath: restic.path,
    version: restic.version,
    env: buildResticEnv({ repository: access, cacheDir, inherited, platform }),
    redact: createRedactor(repositorySecrets(access)),
  };
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
