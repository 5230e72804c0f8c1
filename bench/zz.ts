import { openDatabase } from "/work/wt/b/packages/server/src/platform/db/open.ts";
import { listHostPage } from "/work/wt/b/packages/server/src/features/hosts/hosts.store.ts";
import { listLatestJobs } from "/work/wt/b/packages/server/src/features/jobs/job-outlines.ts";
import { listLatestDrills } from "/work/wt/b/packages/server/src/features/jobs/jobs.store.ts";
import { sumSnapshots } from "/work/wt/b/packages/server/src/features/snapshots/snapshots.store.ts";
import { listFleet } from "/work/wt/b/packages/server/src/features/schedules/schedules.store.ts";
import { countSourceGroups } from "/work/wt/b/packages/server/src/features/sources/sources.store.ts";
import { listSizesFrom } from "/work/wt/b/packages/server/src/features/repositories/statistics.store.ts";
import { listMaintenance } from "/work/wt/b/packages/server/src/features/maintenance/maintenance.store.ts";
const n = Number(process.argv[2] ?? 200);
const { db } = openDatabase("/tmp/h8b-data", process.argv[3]);
const best = new Map<string, number>();
for (let round = 0; round < 12; round++) {
  const t = async (name: string, f: () => Promise<unknown>) => { const s = performance.now(); const r = await f(); best.set(name, Math.min(best.get(name) ?? 1e9, performance.now() - s)); return r as any; };
  const hosts = await t("hosts", () => listHostPage(db, {}, { after: `host-${4000+round}`, limit: n, nowMs: Date.now() }));
  const ids = hosts.map((h: any) => h.id); const rids = hosts.map((h: any) => h.repositoryId);
  await t("latest", () => listLatestJobs(db, ids));
  await t("drills", () => listLatestDrills(db, ids));
  await t("snaps", () => sumSnapshots(db, ids));
  await t("fleet", () => listFleet(db, ids));
  await t("groups", () => countSourceGroups(db, ids));
  await t("sizes30", () => listSizesFrom(db, rids, Math.floor(Date.now() / 86400000) - 29));
  await t("sizes0", () => listSizesFrom(db, rids, Math.floor(Date.now() / 86400000) + 1));
  await t("maint", () => listMaintenance(db, rids));
}
console.log(best); await db.destroy();
