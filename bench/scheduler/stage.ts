/**
 * A server's database as the product opens it, in a folder of its own, with hosts and schedules straight in the tables,
 * and the real watch over it on a clock that the benchmark sets. Nothing ticks by itself: the benchmark looks and drains.
 */
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { migrations } from "../../packages/server/migrations/index.ts";
import { lookAtOf } from "../../packages/server/src/features/schedules/planned-times.ts";
import { ScheduleWatch, timesOf } from "../../packages/server/src/features/schedules/schedules.ts";
import type { Clock } from "../../packages/server/src/platform/clock.ts";
import type { Db } from "../../packages/server/src/platform/db/db.ts";
import { migrate } from "../../packages/server/src/platform/db/migrate.ts";
import { openDatabase } from "../../packages/server/src/platform/db/open.ts";
import { EventBus } from "../../packages/server/src/platform/events.ts";
import { createLog } from "../../packages/server/src/platform/log.ts";
import { databaseFile, makeFolder } from "../server-program.ts";

/** Real time from a moment that can be set. Who would sleep until a tick sleeps until the end. */
export class StageClock implements Clock {
  private offsetMs = 0;

  now = (): number => Date.now() + this.offsetMs;

  monotonic = (): number => performance.now();

  set(nowMs: number): void {
    this.offsetMs = nowMs - Date.now();
  }

  sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal) signal.addEventListener("abort", () => resolve(), { once: true });
      else setTimeout(resolve, ms);
    });
}

export interface StageSchedule {
  id: string;
  hostId: string;
  cron: string;
  timeZone: string;
}

export interface Stage {
  db: Db;
  folder: string;
  clock: StageClock;
  bus: EventBus;
  watch: ScheduleWatch;
  hostIds: string[];
  schedules: StageSchedule[];
  close(): Promise<void>;
}

const idOf = (kind: string, index: number): string => `01BENCH${kind}${String(index).padStart(18, "0")}`;

/** Hosts that never connected, each with one group and one schedule of each kind, whose next times are those after `atMs`. */
export async function openStage(hosts: number, crons: readonly string[], atMs: number): Promise<Stage> {
  const folder = makeFolder();
  const { db, engine, file } = openDatabase(folder, undefined);
  await migrate({ db, engine, migrations: migrations(engine), ...(file ? { file } : {}) });
  const hostIds = Array.from({ length: hosts }, (_, i) => idOf("H", i));
  const schedules = hostIds.flatMap((hostId, i) =>
    crons.map((cron, k) => ({ id: idOf("S", i * crons.length + k), hostId, cron, timeZone: "UTC" })),
  );
  insertAll(databaseFile(folder), { hostIds, schedules, atMs });
  const clock = new StageClock();
  clock.set(atMs);
  const log = createLog("error");
  const bus = new EventBus(log);
  const watch = new ScheduleWatch({ db, clock, bus, log, isLeader: () => true });
  watch.start();
  const close = async () => {
    await watch.stop();
    await db.destroy();
  };
  return { db, folder, clock, bus, watch, hostIds, schedules, close };
}

function insertAll(
  file: string,
  { hostIds, schedules, atMs }: { hostIds: string[]; schedules: StageSchedule[]; atMs: number },
): void {
  const db = new DatabaseSync(file);
  const host = db.prepare(`INSERT INTO hosts (id, name, name_key, os, arch, tags, bearer_hash, created_at,
    first_connected_at) VALUES (?, ?, ?, 'linux', 'x64', '[]', ?, ?, ?)`);
  const group =
    db.prepare(`INSERT INTO source_groups (id, host_id, name, name_key, includes, excludes, created_at)
    VALUES (?, ?, 'default', 'default', '["/etc","/home","/srv"]', '["*.tmp","/home/*/.cache"]', ?)`);
  const schedule =
    db.prepare(`INSERT INTO schedules (id, host_id, cron, time_zone, jitter_seconds, next_fire_at,
    look_at, version, created_at, updated_at) VALUES (?, ?, ?, ?, 0, ?, ?, 1, ?, ?)`);
  const link = db.prepare("INSERT INTO schedule_groups (schedule_id, source_group_id) VALUES (?, ?)");
  const nextOf = new Map<string, number>();
  db.exec("BEGIN");
  hostIds.forEach((id, i) => {
    host.run(id, `host-${i}`, `host-${i}`, createHash("sha256").update(id).digest("hex"), atMs, atMs);
    group.run(groupIdOf(id), id, atMs);
  });
  for (const { id, hostId, cron, timeZone } of schedules) {
    const next = nextOf.get(cron) ?? timesOf({ cron, timeZone }).next(atMs) ?? 0;
    nextOf.set(cron, next);
    schedule.run(id, hostId, cron, timeZone, next, lookAtOf(id, next, 0), atMs, atMs);
    link.run(id, groupIdOf(hostId));
  }
  db.exec("COMMIT");
  db.close();
}

export const groupIdOf = (hostId: string): string => hostId.replace("01BENCHH", "01BENCHG");
