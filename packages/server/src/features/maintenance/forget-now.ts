/**
 * What a forget would do to a host now, before somebody starts it. It reads our copy of the snapshots; forget itself asks
 * the repository, and removes more than the limit of a group only when that was confirmed.
 */

import type { Clock } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import { keepSentence } from "../../platform/html/keep-words.ts";
import type { Host } from "../hosts/hosts.ts";
import { listTaggedSnapshots } from "../snapshots/snapshots.ts";
import { isEmptyRetention, listSourceGroups, type Retention } from "../sources/sources.ts";
import { maintenanceOf } from "./edit-maintenance.ts";
import { isAboveLimit, planRetention } from "./retention-plan.ts";

/** What becomes of one group's snapshots. */
export interface ForgetPreview {
  groupId: string;
  name: string;
  /** What its retention keeps, as a sentence. */
  kept: string;
  /** Without a retention it is left out. */
  isLeftOut: boolean;
  total: number;
  removed: number;
  /** More than the limit, so it wants to be confirmed. */
  isAboveLimit: boolean;
}

export async function previewForget(
  { db, clock }: { db: Db; clock: Clock },
  host: Host,
): Promise<{ groups: ForgetPreview[]; maxRemovedPercent: number }> {
  const { maxRemovedPercent } = await maintenanceOf(db, host);
  const groups: ForgetPreview[] = [];
  for (const { id, name, retention } of await listSourceGroups(db, host.id)) {
    const snapshots = await listTaggedSnapshots(db, { hostId: host.id, hostname: host.name, tag: name });
    const isLeftOut = isEmptyRetention(retention);
    const removed = isLeftOut ? 0 : planRetention(snapshots, retention, clock.now()).remove.length;
    const total = snapshots.length;
    const above = isAboveLimit(removed, total, maxRemovedPercent);
    groups.push({
      groupId: id,
      name,
      kept: keepSentence(toKeep(retention)),
      isLeftOut,
      total,
      removed,
      isAboveLimit: above,
    });
  }
  return { groups, maxRemovedPercent };
}

const toKeep = (retention: Retention) => ({
  last: retention.keepLast,
  hourly: retention.keepHourly,
  daily: retention.keepDaily,
  weekly: retention.keepWeekly,
  monthly: retention.keepMonthly,
  yearly: retention.keepYearly,
  within: retention.keepWithin,
});
