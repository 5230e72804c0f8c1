/**
 * What the outbox remembers beside its events: the stream's name, how far it has counted, and per job how much
 * of restic's output has become events. Written in one step, and always before events are dropped.
 */
import { z } from "zod";
import { AgentError } from "../platform/errors.ts";
import { readTextIfExists, writeFileAtomic } from "../platform/files.ts";

/**
 * How far the story of one job has been told. Stored in the same line as the event that tells it: one append
 * commits both, so a crash neither loses nor doubles a log line.
 */
export const jobPosition = z.object({
  attempt: z.int(),
  /** True once job.started is told: a run of a schedule is told before it starts. */
  started: z.boolean().default(true),
  /** The last log line number given out. */
  logLines: z.int(),
  /** How many bytes of restic's output have been told; a later agent reads them again without telling them. */
  stdoutOffset: z.int(),
  stderrOffset: z.int(),
  /** True while log lines are left out because the outbox is full. */
  dropping: z.boolean(),
  /** True once the agent's closing lines are told: nothing more goes into the log. */
  closed: z.boolean(),
  finished: z.boolean(),
});
export type JobPosition = z.infer<typeof jobPosition>;

const outboxState = z.object({
  version: z.literal(1),
  stream_id: z.string(),
  /** The highest number given out when this was written. */
  last_seq: z.int(),
  positions: z.record(z.string(), jobPosition),
});
export type OutboxState = z.infer<typeof outboxState>;

/** The state at `path`, or undefined when there is none. Throws AgentError `outbox.unreadable`. */
export async function readOutboxState(path: string): Promise<OutboxState | undefined> {
  const text = await readTextIfExists(path);
  if (text === undefined) return undefined;
  try {
    return outboxState.parse(JSON.parse(text));
  } catch (cause) {
    const message = `The outbox state ${path} is damaged or from a newer agent. Move the outbox folder away to start a new one; unreported results in it are lost.`;
    throw new AgentError("outbox.unreadable", message, { cause });
  }
}

export function writeOutboxState(path: string, state: OutboxState): Promise<void> {
  return writeFileAtomic(path, JSON.stringify(state));
}
