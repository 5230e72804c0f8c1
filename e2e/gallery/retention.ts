/** What a retention would keep, over canned snapshots. */
import {
  renderRetentionPage,
  type ShownPreview,
} from "../../packages/server/src/features/maintenance/retention.views.tsx";
import {
  needsConfirmation,
  planRetention,
} from "../../packages/server/src/features/maintenance/retention-plan.ts";
import { simulateRetention } from "../../packages/server/src/features/maintenance/retention-simulation.ts";
import type { Retention } from "../../packages/server/src/features/sources/sources.ts";
import type { PageContext } from "../../packages/server/src/platform/html/scope.ts";
import { NOW } from "./data.ts";

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
    needsConfirmation: needsConfirmation(plan.remove.length, snapshots.length),
    isEmpty: false,
    simulation: simulateRetention(kept, { existing: nights, runs }, NOW),
    simulationNote: null,
  };
}

function retention(page: PageContext, keep: Partial<Retention>): string {
  return renderRetentionPage(page, {
    host: { id: "db", name: "db-primary" },
    group: { id: "G1", name: "postgres" },
    preview: retentionPreview(keep),
  });
}

/** One entry per state worth looking at. */
export const RETENTION_VIEWS: Readonly<Record<string, (page: PageContext) => string>> = {
  retention: (page) => retention(page, { keepDaily: 7, keepWeekly: 5, keepMonthly: 12 }),
  "retention-removes-most": (page) => retention(page, { keepLast: 3, keepWithin: "2d" }),
};
