/**
 * One of several runs of restic in a job. Each has a folder of its own below the job's, so that an agent that restarts
 * takes up whichever it finds, and reads a step that has ended again from its files. What a step printed is told once.
 */
import { join } from "node:path";
import type { OutputLine } from "../restic/run.ts";
import type { ActiveJob } from "./job-context.ts";
import { tellText } from "./text-log.ts";

/** The job as its step sees it. `name` MUST be another for each step of a job, and a file name. */
export function stepOf(job: ActiveJob, name: string): ActiveJob {
  return { ...job, dir: join(job.dir, name) };
}

/** What a step printed, in the log of its job. */
export function tellStep(job: ActiveJob, name: string, line: OutputLine): Promise<void> {
  return tellText(job, line, { stream: line.stream, endOffset: line.endOffset, part: name });
}
