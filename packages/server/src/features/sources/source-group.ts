/**
 * A source group: what a host backs up and how. Its name is the tag of its snapshots, unique on its host whatever the
 * case, and fixed once a backup carries it. Hooks are not here: they are secret and have rows of their own.
 */

import type { Clock } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import type { EventBus } from "../../platform/events.ts";
import type { SecretBox } from "../../platform/secrets.ts";
import { selectSourceGroup } from "./sources.store.ts";

/** What is left out besides the excludes, and when a snapshot is too small to be true. */
export interface SourceOptions {
  /** Folders that hold a file of such a name are left out. */
  excludeIfPresent: string[];
  excludeLargerThanBytes: number | null;
  oneFileSystem: boolean;
  excludeCaches: boolean;
  minSizeBytes: number | null;
}

/** What is kept; null keeps nothing by that rule. */
export interface Retention {
  keepLast: number | null;
  keepHourly: number | null;
  keepDaily: number | null;
  keepWeekly: number | null;
  keepMonthly: number | null;
  keepYearly: number | null;
  /** restic's duration, such as `1y5m7d2h`. */
  keepWithin: string | null;
}

export interface SourceGroup {
  id: string;
  hostId: string;
  name: string;
  /** Absolute paths on the host. */
  includes: string[];
  /** restic's exclude patterns. */
  excludes: string[];
  options: SourceOptions;
  retention: Retention;
  /** How often a failed scheduled backup is tried again. */
  retryMax: number;
  retryBackoffSeconds: number;
  /** Counts edits from 1: of two people at one form, the second is told. */
  version: number;
  createdAt: number;
  updatedAt: number | null;
}

/** What a person edits of a group, hooks aside. */
export type GroupFields = Omit<SourceGroup, "id" | "hostId" | "version" | "createdAt" | "updatedAt">;

export interface SourcesDeps {
  db: Db;
  box: SecretBox;
  clock: Clock;
  events: EventBus;
  /** The schedules that run a group, from the slice above. */
  schedulesUsing(tx: Db, groupId: string): Promise<{ id: string; cron: string; timeZone: string }[]>;
}

export const noOptions: SourceOptions = {
  excludeIfPresent: [],
  excludeLargerThanBytes: null,
  oneFileSystem: false,
  excludeCaches: false,
  minSizeBytes: null,
};

export const noRetention: Retention = {
  keepLast: null,
  keepHourly: null,
  keepDaily: null,
  keepWeekly: null,
  keepMonthly: null,
  keepYearly: null,
  keepWithin: null,
};

export const retryDefaults = { retryMax: 3, retryBackoffSeconds: 60 };

/** Allowed, but then nothing can be forgotten for the group: forget without a rule would remove everything. */
export const isEmptyRetention = (retention: Retention): boolean =>
  Object.values(retention).every((keep) => keep === null);

/** @throws AppError `sources.not_found` */
export async function getSourceGroup(db: Db, hostId: string, groupId: string): Promise<SourceGroup> {
  const group = await selectSourceGroup(db, hostId, groupId);
  if (group) return group;
  const message = "There is no such source group on this host. It may have been deleted.";
  throw new AppError("not_found", "sources.not_found", message);
}

/** The fields, by their names on the wire. */
const wireFields = {
  name: (group) => group.name,
  includes: (group) => group.includes,
  excludes: (group) => group.excludes,
  exclude_if_present: (group) => group.options.excludeIfPresent,
  exclude_larger_than_bytes: (group) => group.options.excludeLargerThanBytes,
  one_file_system: (group) => group.options.oneFileSystem,
  exclude_caches: (group) => group.options.excludeCaches,
  min_size_bytes: (group) => group.options.minSizeBytes,
  "retention.keep_last": (group) => group.retention.keepLast,
  "retention.keep_hourly": (group) => group.retention.keepHourly,
  "retention.keep_daily": (group) => group.retention.keepDaily,
  "retention.keep_weekly": (group) => group.retention.keepWeekly,
  "retention.keep_monthly": (group) => group.retention.keepMonthly,
  "retention.keep_yearly": (group) => group.retention.keepYearly,
  "retention.keep_within": (group) => group.retention.keepWithin,
  retry_max: (group) => group.retryMax,
  retry_backoff_seconds: (group) => group.retryBackoffSeconds,
} satisfies Record<string, (group: GroupFields) => unknown>;

/** The fields in which two differ, by their names on the wire. */
export function differingFields(one: GroupFields, other: GroupFields): string[] {
  const differs = (read: (group: GroupFields) => unknown) =>
    JSON.stringify(read(one)) !== JSON.stringify(read(other));
  return Object.entries(wireFields)
    .filter(([, read]) => differs(read))
    .map(([field]) => field);
}
