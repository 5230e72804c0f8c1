/**
 * What a repository looks like inside, as its hosts tell: sizes, snapshots, locks, and the id in its own config.
 * Invariants: what was not told is kept; another id under the same address is another repository, and while one
 * answers there its figures are not taken and nothing is done to it.
 */
import type { RepoStats, RepositoryLock } from "@restic-manager/protocol";
import type { Db } from "../../platform/db/db.ts";
import { readable } from "../../platform/db/readable.ts";
import { AppError } from "../../platform/errors.ts";
import * as store from "./statistics.store.ts";

export interface Repository {
  id: string;
  location: string;
  createdAt: number;
  /** The id in its config, as first seen. */
  resticId: string | null;
  /** The id of another repository that answers under this address now. */
  foreignId: string | null;
  /** What lies in the storage, and the same before compression. */
  rawBytes: number | null;
  uncompressedBytes: number | null;
  /** Of all hosts that share it. */
  snapshotCount: number | null;
  locks: RepositoryLock[] | null;
  /** When the figures were told last. */
  statsAt: number | null;
}

/** One UTC day, as its last report left it. */
export interface HistoryDay {
  /** Midnight UTC. */
  at: number;
  rawBytes: number | null;
  snapshotCount: number | null;
}

export const dayMs = 24 * 60 * 60_000;

/**
 * Takes in what a host told of a repository. What was told of a moment before the last figures changes only its day.
 * @param told.at when, by our clock and never in the future
 * @param told.ambiguous the address means another place on every host, and several have it: a foreign id then only says
 *   that it was told of another of them
 * @returns whether another repository was found there
 */
export async function recordStatistics(
  tx: Db,
  repositoryId: string,
  told: { stats: Omit<RepoStats, "type" | "seq" | "at">; at: number; ambiguous: boolean },
): Promise<boolean> {
  const { stats, at, ambiguous } = told;
  const known = await store.findRepository(tx, repositoryId);
  if (!known) return false;
  const id = stats.repository_id === null ? null : readable(stats.repository_id);
  if (id !== null && known.resticId !== null && id !== known.resticId) {
    if (!ambiguous) await store.updateIds(tx, repositoryId, { foreignId: id });
    return !ambiguous;
  }
  if (id !== null && known.resticId === null) await store.updateIds(tx, repositoryId, { resticId: id });
  if (at >= (known.statsAt ?? 0)) {
    await store.updateFigures(tx, repositoryId, {
      rawBytes: stats.raw_bytes ?? known.rawBytes,
      uncompressedBytes: stats.uncompressed_bytes ?? known.uncompressedBytes,
      snapshotCount: stats.snapshot_count ?? known.snapshotCount,
      locks: stats.locks ?? known.locks,
      statsAt: at,
    });
  }
  if (stats.raw_bytes !== null || stats.snapshot_count !== null) {
    const figures = { rawBytes: stats.raw_bytes, snapshotCount: stats.snapshot_count };
    await store.putHistoryDay(tx, repositoryId, { day: Math.floor(at / dayMs), ...figures });
  }
  return false;
}

/** The last `days` UTC days that have figures, today's included, the oldest first. */
export async function listHistory(
  db: Db,
  repositoryId: string,
  range: { days: number; now: number },
): Promise<HistoryDay[]> {
  const from = Math.floor(range.now / dayMs) - range.days + 1;
  return (await store.listHistoryFrom(db, repositoryId, from)).map(({ day, ...figures }) => ({
    at: day * dayMs,
    ...figures,
  }));
}

/** A repository's size, now and on the days that have one. */
export interface SizeHistory {
  rawBytes: number | null;
  daily: store.DailySizes;
}

const noDays: store.DailySizes = { days: [], rawBytes: [] };

/** The size of each repository with its last `days` UTC days, by id. Two queries for all, one when no days are asked for. */
export async function listFleetSizes(
  db: Db,
  repositoryIds: readonly string[],
  range: { days: number; now: number },
): Promise<Map<string, SizeHistory>> {
  const sizes = await store.listSizes(db, repositoryIds);
  const from = Math.floor(range.now / dayMs) - range.days + 1;
  const daily = range.days === 0 ? undefined : await store.listDailySizes(db, repositoryIds, from);
  return new Map([...sizes].map(([id, rawBytes]) => [id, { rawBytes, daily: daily?.get(id) ?? noDays }]));
}

/**
 * The other repository is the right one from now on. Its figures are not those of the one before.
 * @throws AppError `repositories.not_swapped` when none was found
 */
export async function acceptForeignId(tx: Db, repositoryId: string): Promise<string> {
  const found = (await store.findRepository(tx, repositoryId))?.foreignId ?? null;
  if (found === null) {
    const message = "No other repository was found under this address, so there is nothing to accept.";
    throw new AppError("conflict", "repositories.not_swapped", message);
  }
  await store.updateIds(tx, repositoryId, { resticId: found, foreignId: null });
  await clearFigures(tx, repositoryId);
  return found;
}

/** A new repository was made here in place of the known one: what answers next is the right one. */
export async function forgetIdentity(tx: Db, repositoryId: string): Promise<void> {
  await store.updateIds(tx, repositoryId, { resticId: null, foreignId: null });
  await clearFigures(tx, repositoryId);
}

const clearFigures = (tx: Db, repositoryId: string): Promise<void> =>
  store.updateFigures(tx, repositoryId, {
    ...{ rawBytes: null, uncompressedBytes: null, snapshotCount: null, locks: null, statsAt: null },
  });

/** @throws AppError `repositories.swapped` while another repository answers under the address */
export function refuseSwapped(repository: Pick<Repository, "foreignId" | "resticId"> | null): void {
  if (repository === null || repository.foreignId === null) return;
  const { resticId, foreignId } = repository;
  const message = `Another repository (${foreignId.slice(0, 8)}) answers under this address than before (${resticId?.slice(0, 8)}). Nothing is done to it. Put the right one back, or confirm on the repository's page that this is the right one.`;
  throw new AppError("conflict", "repositories.swapped", message);
}
