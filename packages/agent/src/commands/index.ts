/** Which command runs which kind of job: one switch, and the compiler says when a kind is missing. */
import { runCheck } from "./check.ts";
import { runDiff } from "./diff.ts";
import { runForget } from "./forget.ts";
import { runBackup } from "./hooked-backup.ts";
import { runInit } from "./init.ts";
import type { ActiveJob, CommandDeps, CommandOutcome } from "./job-context.ts";
import { runKey } from "./key.ts";
import { runPrune } from "./prune.ts";
import { runRepair } from "./repair.ts";
import { withFigures } from "./repository-figures.ts";
import { runRestore } from "./restore.ts";
import { runUnlock } from "./unlock.ts";
import { runUpdate } from "./update.ts";
import { runVerify } from "./verify.ts";

/** Runs a job to its outcome, or takes it up where an earlier agent left it. */
export async function runCommand(deps: CommandDeps, job: ActiveJob): Promise<CommandOutcome> {
  const { spec } = job.entry;
  switch (spec.kind) {
    case "init":
      return runInit(deps, job, spec);
    case "backup":
      return runBackup(deps, job, spec);
    case "check":
      return withFigures(deps, job, await runCheck(deps, job, spec));
    case "forget":
      return withFigures(deps, job, await runForget(deps, job, spec));
    case "prune":
      return withFigures(deps, job, await runPrune(deps, job, spec));
    case "unlock":
      return withFigures(deps, job, await runUnlock(deps, job, spec));
    case "repair":
      return withFigures(deps, job, await runRepair(deps, job, spec));
    case "key":
      return runKey(deps, job, spec);
    case "diff":
      return runDiff(deps, job, spec);
    case "verify":
      return runVerify(deps, job, spec);
    case "restore":
      return runRestore(deps, job, spec);
    case "update":
      return runUpdate(deps, job, spec);
  }
}
