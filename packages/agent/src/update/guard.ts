/**
 * Runs before every start of the agent, as the version that is known to work: counts the starts of a new version, and
 * puts itself back when that one was not welcomed by its server in three starts or in its time. It needs nothing but the
 * files beside the program, and MUST stay quick: it stands before every start of a host's agent.
 */
import { fileSizeBytes } from "../platform/files.ts";
import {
  identifyProgram,
  MAX_STARTS,
  readRecord,
  TRIAL_MS,
  type UpdateRecord,
  updatePaths,
  writeRecord,
} from "./record.ts";
import { rollBack } from "./swap.ts";

export type GuardDeps = { nowMs: () => number; platform: NodeJS.Platform };

/** What the guard did. Rejects when the program's folder can't be used. */
export async function guardUpdate(
  deps: GuardDeps,
  program: string,
): Promise<"nothing" | "counted" | "rolled_back"> {
  const paths = updatePaths(program);
  const record = await readRecord(paths.record);
  if (record === undefined || (await fileSizeBytes(paths.previous)) === 0) return "nothing";
  // Not swapped yet, or replaced since by somebody else.
  if ((await identifyProgram(program)) !== record.program) return "nothing";
  const nowMs = deps.nowMs();
  const reason =
    record.rolled_back ?? reasonToGoBack(record, nowMs) ?? (await count(paths.record, record, nowMs));
  if (reason === undefined) return "counted";
  await rollBack(paths, reason, deps.platform);
  return "rolled_back";
}

function reasonToGoBack({ to, starts, deadline }: UpdateRecord, nowMs: number): string | undefined {
  if (starts >= MAX_STARTS) return `${to} was started ${starts} times and never got a welcome of the server.`;
  if (deadline !== null && nowMs > deadline)
    return `${to} ended, or had to be ended, and got no welcome of the server in ${TRIAL_MS / 1000} seconds.`;
  return undefined;
}

/** A start that can't be counted is not tried: it might be one of very many. */
async function count(path: string, record: UpdateRecord, nowMs: number): Promise<string | undefined> {
  const deadline = record.deadline ?? nowMs + TRIAL_MS;
  try {
    await writeRecord(path, { ...record, starts: record.starts + 1, deadline });
    return undefined;
  } catch {
    return "The start of the new version could not be written down beside the program; is the disk full?";
  }
}
