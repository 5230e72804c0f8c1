/** Which command runs which kind of job: one switch, and the compiler says when a kind is missing. */
import { runCheck } from "./check.ts";
import { runBackup } from "./hooked-backup.ts";
import { runInit } from "./init.ts";
import type { ActiveJob, CommandDeps, CommandOutcome } from "./job-context.ts";

/** Runs a job to its outcome, or takes it up where an earlier agent left it. */
export function runCommand(deps: CommandDeps, job: ActiveJob): Promise<CommandOutcome> {
  const { spec } = job.entry;
  switch (spec.kind) {
    case "init":
      return runInit(deps, job, spec);
    case "check":
      return runCheck(deps, job, spec);
    case "backup":
      return runBackup(deps, job, spec);
  }
}
