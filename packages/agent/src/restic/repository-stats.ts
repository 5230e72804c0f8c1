/** A repository in figures: its id, its size, its snapshots, its locks. Reads only; what can't be read is null. */
import type { RepoStats } from "@restic-manager/protocol";
import { catConfigArgs, statsArgs } from "./args.ts";
import { type Lock, readLocks, toWireLock } from "./locks.ts";
import { askRestic, type ProbeOptions } from "./probe.ts";
import { parseRawStats, parseRepositoryId } from "./repository-output.ts";
import type { ShortDeps } from "./short.ts";

export type RepositoryFigures = Omit<RepoStats, "type" | "seq" | "job_id" | "at">;

/** Every snapshot's trees are walked through: seconds for most, minutes for the largest. */
const STATS_TIMEOUT_MS = 120_000;

/**
 * @param locks when they are known already
 * @returns undefined when the repository can't be opened, or when the signal ended the reading: then there is nothing to tell
 */
export async function readRepositoryFigures(
  deps: ShortDeps,
  options: ProbeOptions,
  locks: readonly Lock[] | undefined = undefined,
): Promise<RepositoryFigures | undefined> {
  const config = await askRestic(deps, options, catConfigArgs());
  if (config.kind !== "ok") return undefined;
  const read = locks === undefined ? await readLocks(deps, options) : { kind: "ok" as const, locks };
  const stats = await askRestic(deps, { ...options, timeoutMs: STATS_TIMEOUT_MS }, statsArgs());
  if (options.signal?.aborted === true) return undefined;
  const figures = stats.kind === "ok" ? parseRawStats(stats.stdout) : undefined;
  return {
    repository_id: parseRepositoryId(config.stdout) ?? null,
    raw_bytes: figures?.rawBytes ?? null,
    uncompressed_bytes: figures?.uncompressedBytes ?? null,
    snapshot_count: figures?.snapshotCount ?? null,
    locks: read.kind === "ok" ? read.locks.map(toWireLock) : null,
  };
}
