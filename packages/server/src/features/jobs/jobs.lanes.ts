/**
 * Which job may start. One at a time for each host; and an operation that needs a repository alone never overlaps
 * anything else on that repository, whichever hosts share it. restic's own lock is the last guard, not the plan:
 * it makes the loser fail, a lane makes it wait.
 */
import type { Db } from "../../platform/db/db.ts";
import { findHost } from "../hosts/hosts.ts";
import { lockRepository } from "../repositories/repositories.ts";
import type { Job } from "./job.ts";
import * as store from "./jobs.store.ts";

/** The kinds that take restic's exclusive lock. `unlock` is none: it is what frees a repository that is stuck. */
const exclusiveKinds: ReadonlySet<string> = new Set(["forget", "prune", "check", "repair"]);

export const isExclusive = ({ spec }: Pick<Job, "spec">): boolean =>
  exclusiveKinds.has(spec.kind) || (spec.kind === "key" && spec.step === "remove");

/** Why a queued job does not start yet; `job` is the one that is in its way. */
export type Wait =
  | { for: "agent" }
  | { for: "host"; job: Job }
  /** It runs on the same repository, and one of the two needs the repository alone. */
  | { for: "repository"; job: Job }
  /** It waits for the repository already, and would wait for ever if others kept passing it. */
  | { for: "turn"; job: Job };

/**
 * What a queued job waits for; null when it may start.
 * @param isConnected whether a host's agent is here: an exclusive job of a host that is away blocks nobody
 */
export async function findWait(
  db: Db,
  job: Job,
  isConnected: (hostId: string) => boolean,
): Promise<Wait | null> {
  if (!isConnected(job.hostId)) return { for: "agent" };
  const [running] = await store.listLiveJobs(db, job.hostId);
  if (running) return { for: "host", job: running };
  const next = await store.findNextQueued(db, job.hostId);
  if (next && next.id !== job.id) return { for: "host", job: next };
  return job.repositoryId === null ? null : findRepositoryWait(db, job, job.repositoryId, isConnected);
}

async function findRepositoryWait(
  db: Db,
  job: Job,
  repositoryId: string,
  isConnected: (hostId: string) => boolean,
): Promise<Wait | null> {
  const others = (await store.listUnfinished(db, repositoryId)).filter((other) => other.id !== job.id);
  const live = others.find((other) => other.status !== "queued" && (isExclusive(job) || isExclusive(other)));
  if (live) return { for: "repository", job: live };
  // Somebody waits for their files: whoever wants the repository alone can wait a little longer.
  if (job.kind === "restore") return null;
  const before = others.find(
    (other) =>
      other.status === "queued" && isExclusive(other) && other.id < job.id && isConnected(other.hostId),
  );
  return before ? { for: "turn", job: before } : null;
}

/** The next job of a host's lane that may start now. Call it in the transaction that dispatches it. */
export async function findStartable(
  tx: Db,
  hostId: string,
  isConnected: (hostId: string) => boolean,
): Promise<Job | null> {
  const next = await store.findNextQueued(tx, hostId);
  if (!next) return null;
  // Two hosts of one repository are looked at one after the other, on every engine.
  if (next.repositoryId !== null) await lockRepository(tx, next.repositoryId);
  return (await findWait(tx, next, isConnected)) ? null : next;
}

/** What a queued job waits for, as the end of a sentence: "Waiting for …". */
export async function describeWait(db: Db, wait: Wait): Promise<string> {
  if (wait.for === "agent") return "the host's agent to connect";
  const { kind, sourceGroup, hostId } = wait.job;
  const what = `${kind}${sourceGroup === null ? "" : ` of ${sourceGroup}`}`;
  if (wait.for === "host") return `the ${what} before it on this host`;
  const host = (await findHost(db, hostId))?.name ?? "another host";
  return wait.for === "turn"
    ? `the ${what} on ${host}, which waits for the repository already`
    : `the ${what} on ${host}: one of the two needs the repository alone`;
}
