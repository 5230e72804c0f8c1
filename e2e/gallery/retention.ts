/** What a retention would keep, over canned snapshots. */
import {
  renderRetentionFragment,
  renderRetentionPage,
  type ShownPreview,
} from "../../packages/server/src/features/maintenance/retention.views.tsx";
import {
  isAboveLimit,
  planRetention,
} from "../../packages/server/src/features/maintenance/retention-plan.ts";
import { simulateRetention } from "../../packages/server/src/features/maintenance/retention-simulation.ts";
import type { Retention } from "../../packages/server/src/features/sources/sources.ts";
import type { PageContext } from "../../packages/server/src/platform/html/scope.ts";
import { HEADER, NOW } from "./data.ts";

const DAY = 86_400_000;
const KEEP_NOTHING: Retention = {
  ...{ keepLast: null, keepHourly: null, keepDaily: null, keepWeekly: null },
  ...{ keepMonthly: null, keepYearly: null, keepWithin: null },
};

/** Ninety nights of snapshots under a retention, and the year after them. */
function retentionPreview(keep: Partial<Retention>): ShownPreview {
  const kept = { ...KEEP_NOTHING, ...keep };
  const nights = Array.from({ length: 90 }, (_, index) => NOW - index * DAY - 3_600_000);
  const snapshots = nights.map((time, index) => ({
    id: (0x9e3779b1 * (index + 7)).toString(16).slice(-8).repeat(8),
    time,
  }));
  const plan = planRetention(snapshots, kept, NOW);
  const runs = Array.from({ length: 360 }, (_, index) => NOW + (index + 1) * DAY);
  return {
    ...plan,
    problem: null,
    shareRemoved: plan.remove.length / snapshots.length,
    needsConfirmation: isAboveLimit(plan.remove.length, snapshots.length, 50),
    isEmpty: false,
    simulation: simulateRetention(kept, { existing: nights, runs }, NOW),
    simulationNote: null,
  };
}

const shown = (keep: Partial<Retention>) => ({
  host: { id: "db", name: "db-primary" },
  group: { id: "G1", name: "postgres" },
  preview: retentionPreview(keep),
});

/** One entry per state worth looking at. */
export const RETENTION_VIEWS: Readonly<Record<string, (page: PageContext) => string>> = {
  retention: (page) => renderRetentionPage(page, shown({ keepDaily: 7, keepWeekly: 5, keepMonthly: 12 })),
  "retention-removes-most": (page) => renderRetentionPage(page, shown({ keepLast: 3, keepWithin: "2d" })),
};

const typed = (query: URLSearchParams, field: string): number | null => Number(query.get(field)) || null;

/** What a group's form asks while one types; of its fields two are enough. */
export const RETENTION_FRAGMENTS: Readonly<
  Record<string, (page: PageContext, query: URLSearchParams) => string>
> = {
  [`/fragments/hosts/${HEADER.id}/sources/01JDG1/retention`]: (page, query) => {
    const keep = { keepLast: typed(query, "keep_last"), keepDaily: typed(query, "keep_daily") };
    return renderRetentionFragment(page, shown(keep));
  },
};
