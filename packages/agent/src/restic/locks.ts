/**
 * The locks of a repository, and whether their holders live. restic itself only asks whether a pid of this host is
 * there, by a signal that kills whoever has that number meanwhile; so the number is looked up here first. Reads only.
 */
import { basename } from "node:path";
import type { RepositoryLock } from "@restic-manager/protocol";
import { findProgramName, identifyPid } from "../platform/child.ts";
import { readHostname } from "../platform/machine.ts";
import { catLockArgs, listLocksArgs } from "./args.ts";
import type { ResticProblem } from "./exit.ts";
import { askRestic, type ProbeOptions } from "./probe.ts";
import { type LockFile, parseLock, parseLockIds } from "./repository-output.ts";
import type { ShortDeps } from "./short.ts";

/** Who has the number that a lock names. */
export type Holder =
  /** A living restic of this host: most likely the one that made the lock. */
  | "restic"
  /** Another program of this host has that number now. */
  | "other"
  | "gone"
  /** Of another host: it can't be told from here. */
  | "elsewhere";

export type Lock = LockFile & { id: string; holder: Holder };

export type LocksOutcome =
  | { kind: "ok"; locks: Lock[] /** Gone or unreadable when their turn came, or too many. */; unread: number }
  | { kind: "failed"; problem: ResticProblem }
  | { kind: "aborted" };

/** Each costs a start of restic. */
const MAX_LOCKS = 100;

/** Every lock that can be read. A lock that is refreshed meanwhile has a new id, so what is missing is read again. */
export async function readLocks(deps: ShortDeps, options: ProbeOptions): Promise<LocksOutcome> {
  const first = await readOnce(deps, options);
  return first.kind === "ok" && first.unread > 0 ? readOnce(deps, options) : first;
}

async function readOnce(deps: ShortDeps, options: ProbeOptions): Promise<LocksOutcome> {
  const list = await askRestic(deps, options, listLocksArgs());
  if (list.kind !== "ok") return list;
  const ids = parseLockIds(list.stdout);
  const locks: Lock[] = [];
  for (const id of ids.slice(0, MAX_LOCKS)) {
    const answer = await askRestic(deps, options, catLockArgs(id));
    if (answer.kind === "aborted") return answer;
    const file = answer.kind === "ok" ? parseLock(answer.stdout) : undefined;
    if (file !== undefined) locks.push({ ...file, id, holder: findHolder(file, options.resticPath) });
  }
  return { kind: "ok", locks, unread: ids.length - locks.length };
}

function findHolder({ hostname, pid }: LockFile, resticPath: string): Holder {
  if (hostname !== readHostname()) return "elsewhere";
  if (pid === 0 || identifyPid(pid) === undefined) return "gone";
  const name = findProgramName(pid);
  // Of a program that we may not ask about. Windows has no signal that could hurt the wrong one.
  if (name === null) return process.platform === "win32" ? "restic" : "other";
  return isRestic(name, resticPath) ? "restic" : "other";
}

/** With a version perhaps, as its releases are named. Not everything that begins so: this agent does. */
export function isRestic(programName: string, resticPath: string): boolean {
  return programName === basename(resticPath) || /^restic([._-]?v?\d.*)?(\.exe)?$/i.test(programName);
}

/** A lock in the protocol's shape and bounds. */
export function toWireLock({
  id,
  hostname,
  username,
  pid,
  exclusive,
  createdAtMs,
  holder,
}: Lock): RepositoryLock {
  return {
    id,
    hostname: hostname.slice(0, 253),
    username: username.slice(0, 256),
    pid,
    exclusive,
    created_at: new Date(createdAtMs).toISOString(),
    alive: holder === "elsewhere" ? null : holder === "restic",
  };
}
