/** Reads what the runner wrote, through schemas: a job directory may be damaged, old, or written by others. */
import { z } from "zod";
import type { PidIdentity } from "../platform/child.ts";
import { readTextIfExists } from "../platform/files.ts";
import type { ExitRecord, JobFiles, RunnerRecord } from "./job-dir.ts";

const pidIdentity: z.ZodType<PidIdentity> = z.object({
  pid: z.int().positive(),
  startTicks: z.string().nullable(),
  bootId: z.string().nullable(),
});

const runnerRecord: z.ZodType<RunnerRecord> = z.object({
  runner: pidIdentity,
  restic: pidIdentity.nullable(),
});

const exitRecord: z.ZodType<ExitRecord> = z.object({
  code: z.int().nullable(),
  signal: z.string().nullable(),
  started_at: z.number(),
  ended_at: z.number(),
  spawn_error: z.string().nullable(),
  not_started: z.boolean(),
});

/** Who runs this job; undefined when the runner has not said so (yet). */
export function readRunnerRecord(files: JobFiles): Promise<RunnerRecord | undefined> {
  return readRecord(files.runner, runnerRecord);
}

/** How the job ended; undefined while it runs. */
export function readExitRecord(files: JobFiles): Promise<ExitRecord | undefined> {
  return readRecord(files.exit, exitRecord);
}

async function readRecord<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await readTextIfExists(path);
  if (text === undefined) return undefined;
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
