/**
 * When a repository looks after itself: a cron for each operation, with defaults until somebody sets others, and which
 * of the hosts that share it prunes and checks for all. Pure.
 */
import { type CronTimes, jitterMs } from "@restic-manager/protocol";
import { readCronTimes } from "../../platform/cron-times.ts";
import { AppError } from "../../platform/errors.ts";
import type { Host } from "../hosts/hosts.ts";

/**
 * In the order in which they run when they are due together: what is forgotten can be pruned, what is left checked, and
 * `verify`, the restore drill, proves that it comes back.
 */
export const operations = ["forget", "prune", "check", "verify"] as const;
export type Operation = (typeof operations)[number];

export interface Maintenance {
  repositoryId: string;
  /** The host that was chosen to prune and check; null: the one that was added first. See `ownerOf`. */
  ownerHostId: string | null;
  timeZone: string;
  /** Five fields each, see the protocol's `readCron`; null is off. */
  forgetCron: string | null;
  pruneCron: string | null;
  checkCron: string | null;
  verifyCron: string | null;
  /** Percent of the data that a check reads; null with slices, or when it reads none. */
  checkPercent: number | null;
  /** Each check reads the next of so many slices, so that in turn all is read; null without. */
  checkSlices: number | null;
  /** How much a restore drill brings back at most. */
  verifyFiles: number;
  verifyBytes: number;
  /** More than this share of a group's snapshots goes only when somebody confirms it. */
  maxRemovedPercent: number;
  /** Counts edits; 0 while these are the defaults. */
  version: number;
  updatedAt: number | null;
}

/** A thousand repositories at 03:00 do not start in one second. */
const jitterSeconds = 15 * 60;

/** What holds for a repository that nobody set anything for. */
export const defaultMaintenance = (repositoryId: string): Maintenance => ({
  repositoryId,
  ownerHostId: null,
  timeZone: "UTC",
  forgetCron: "0 3 * * *",
  pruneCron: "0 4 * * 0",
  checkCron: "0 5 1 * *",
  // Drills read from the storage and write to the hosts' disks: somebody must want that.
  verifyCron: null,
  checkPercent: 5,
  checkSlices: null,
  verifyFiles: 100,
  verifyBytes: 256 * 1024 * 1024,
  maxRemovedPercent: 50,
  version: 0,
  updatedAt: null,
});

export const cronOf = (maintenance: Maintenance, operation: Operation): string | null =>
  ({
    forget: maintenance.forgetCron,
    prune: maintenance.pruneCron,
    check: maintenance.checkCron,
    verify: maintenance.verifyCron,
  })[operation];

/** An operation's planned times; null when it is off. @throws AppError `maintenance.cron_invalid`: a zone that this system lost */
export function timesOf(maintenance: Maintenance, operation: Operation): CronTimes | null {
  const cron = cronOf(maintenance, operation);
  if (cron === null) return null;
  const read = readCronTimes(cron, maintenance.timeZone);
  if ("times" in read) return read.times;
  throw new AppError("internal", "maintenance.cron_invalid", read.problem.message);
}

const startOf = (repositoryId: string, plannedAt: number): number =>
  plannedAt + jitterMs(repositoryId, plannedAt, jitterSeconds);

/** Whether a planned time begins after a moment. What it is beyond any spread is not worth a digest: ten thousand ask. */
function beginsAfter(repositoryId: string, plannedAt: number, at: number): boolean {
  if (plannedAt > at) return true;
  if (plannedAt + jitterSeconds * 1000 <= at) return false;
  return startOf(repositoryId, plannedAt) > at;
}

/** Since when planned times count: those after the last fire, that begin after all was as it is now. */
export interface Since {
  lastFire: number | null;
  at: number;
}

/** What is older than this is caught up no more, so that outcomes need not be kept for ever. */
export const forgottenAfterMs = 60 * 24 * 60 * 60_000;

export const sinceOf = (
  repository: { createdAt: number },
  maintenance: Maintenance,
  lastFire: number | null,
  now: number,
): Since => ({
  lastFire,
  at: Math.max(repository.createdAt, maintenance.updatedAt ?? 0, now - forgottenAfterMs),
});

/** The newest planned time that has begun and has no outcome; null when there is none. Older ones were missed with it. */
export function newestDue(
  maintenance: Maintenance,
  operation: Operation,
  since: Since,
  now: number,
): number | null {
  const times = timesOf(maintenance, operation);
  const isAfter = (plannedAt: number, at: number) => beginsAfter(maintenance.repositoryId, plannedAt, at);
  let candidate = times?.last(now) ?? null;
  // The spread can put several planned times of a frequent cadence behind now and their beginnings before it.
  while (candidate !== null && isAfter(candidate, now)) candidate = times?.last(candidate - 1) ?? null;
  if (candidate === null || candidate <= (since.lastFire ?? 0)) return null;
  return isAfter(candidate, since.at) ? candidate : null;
}

/** When an operation begins next, the spread included; null when it is off. */
export function nextStart(
  maintenance: Maintenance,
  operation: Operation,
  since: Since,
  now: number,
): number | null {
  const times = timesOf(maintenance, operation);
  if (!times) return null;
  const waiting = times.last(now);
  const begin = (plannedAt: number) => startOf(maintenance.repositoryId, plannedAt);
  if (waiting !== null && begin(waiting) > now && waiting > (since.lastFire ?? 0)) return begin(waiting);
  const next = times.next(now);
  return next === null ? null : begin(next);
}

/** The host that prunes and checks: the chosen one while it is there, else the first. */
export const ownerOf = (maintenance: Maintenance, sharers: readonly Host[]): Host | null =>
  sharers.find((host) => host.id === maintenance.ownerHostId) ?? sharers[0] ?? null;
