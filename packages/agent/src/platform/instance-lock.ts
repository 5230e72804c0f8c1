/**
 * One agent per data directory: two would write one outbox and give one number to two events. The lock is a
 * file with the owner's identity, so that one left by a crash or a power cut is recognised as dead.
 */
import { link, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { identifyPid, isAlive, type PidIdentity } from "./child.ts";
import { AgentError } from "./errors.ts";
import { ensurePrivateDir, hasErrorCode, readTextIfExists, writeFileAtomic } from "./files.ts";

const owner: z.ZodType<PidIdentity> = z.object({
  pid: z.int().positive(),
  startTicks: z.string().nullable(),
  bootId: z.string().nullable(),
});

export type InstanceLock = { release: () => Promise<void> };

/** Takes the lock of `dataDir`. Throws AgentError `agent.already_running` when a living agent holds it. */
export async function acquireLock(dataDir: string): Promise<InstanceLock> {
  await ensurePrivateDir(dataDir);
  const path = join(dataDir, "agent.lock");
  const mine = `${path}.${process.pid}`;
  await writeFileAtomic(mine, JSON.stringify(identifyPid(process.pid)), { durable: false });
  try {
    await takeOver(path, mine, dataDir);
  } finally {
    await rm(mine, { force: true });
  }
  return { release: () => rm(path, { force: true }) };
}

/** A hard link fails when the name exists, so of two agents that start at once only one gets it. */
async function takeOver(path: string, mine: string, dataDir: string): Promise<void> {
  const holder = await findOwner(path);
  if (holder !== undefined && isAlive(holder)) throw alreadyRunning(dataDir, holder.pid);
  await rm(path, { force: true });
  try {
    await link(mine, path);
  } catch (error) {
    if (hasErrorCode(error, "EEXIST")) throw alreadyRunning(dataDir, undefined);
    throw error;
  }
}

function alreadyRunning(dataDir: string, pid: number | undefined): AgentError {
  const who = pid === undefined ? "" : ` (pid ${pid})`;
  const message = `Another agent${who} already works in ${dataDir}. Stop it, or give this one a data_dir of its own.`;
  return new AgentError("agent.already_running", message);
}

async function findOwner(path: string): Promise<PidIdentity | undefined> {
  try {
    return owner.safeParse(JSON.parse((await readTextIfExists(path)) ?? "null")).data;
  } catch {
    return undefined;
  }
}
