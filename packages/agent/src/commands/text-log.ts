/** What restic prints for people, in a job's log: without what only makes sense on a terminal. */
import type { Told } from "../journal/job-log.ts";
import { parseBackupLine } from "../restic/output.ts";
import { isTerminalProgress } from "../restic/repository-output.ts";
import type { OutputLine } from "../restic/run.ts";
import { toLogLine } from "./backup-report.ts";
import type { ActiveJob } from "./job-context.ts";

/** @param mark where the line stands, when that is not in the output of the job's only run */
export async function tellText(job: ActiveJob, line: OutputLine, mark: Told = line): Promise<void> {
  const draft = toLogLine(parseBackupLine(line.text), line.stream);
  if (draft === undefined || isTerminalProgress(draft.text) || job.log.isTold(mark)) return;
  await job.log.add(draft, mark);
}
