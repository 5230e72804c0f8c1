/** What an agent finds out about its repository beside the snapshots. */
import { z } from "zod";
import { count, id, instant, text } from "./primitives.ts";

/** One of restic's locks, as its file says. */
export const repositoryLock = z.object({
  id: text(64),
  hostname: text(253),
  username: text(256),
  pid: count,
  exclusive: z.boolean(),
  created_at: instant,
  /** Whether its holder lives, where the agent can tell: it is this host's, and the pid was looked up. Null elsewhere. */
  alive: z.boolean().nullable(),
});
export type RepositoryLock = z.infer<typeof repositoryLock>;

/**
 * Agent → server, durable: the repository in figures, after backup, forget, prune, check and unlock. What could not be
 * read is null, and the server keeps what it had. Before the `job.finished` of its job, where it has one; after a backup
 * it comes when it was read, of no job.
 */
export const repoStats = z.object({
  type: z.literal("repo.stats"),
  seq: count,
  job_id: id.nullable(),
  at: instant,
  /** The id in the repository's config: another one under the same address is another repository. */
  repository_id: text(64).nullable(),
  /** What lies in the storage, and the same before compression. */
  raw_bytes: count.nullable(),
  uncompressed_bytes: count.nullable(),
  /** Of all hosts that share it. */
  snapshot_count: count.nullable(),
  locks: z.array(repositoryLock).max(100).nullable(),
});
export type RepoStats = z.infer<typeof repoStats>;
