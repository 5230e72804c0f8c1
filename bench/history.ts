/**
 * What a fleet has after a month: for each host a repository with its daily sizes, a source group, a schedule,
 * snapshots and ended jobs. Made in bulk, in the shapes that the server itself writes.
 */
import { jobError, backupSummary as summary } from "@restic-manager/protocol";
import { sql } from "kysely";
import type { Db } from "../packages/server/src/platform/db/db.ts";
import { insertRows, type Row } from "./database.ts";
import { hostIdOf, idOf } from "./fleet.ts";

const dayMs = 24 * 60 * 60_000;
const hourMs = 60 * 60_000;
/** Hosts whose rows are made and written together. */
const hostsAtOnce = 500;
/** Days of the repository's size, one row each. */
const sizeDays = 30;
const snapshotsOfHost = 20;

/** Adds a month of history to all hosts. Their last heartbeat is of now, except for one in a hundred. */
export async function insertHistory(db: Db, hosts: number, jobsOfHost: number): Promise<void> {
  const now = Date.now();
  for (let from = 0; from < hosts; from += hostsAtOnce) {
    const part = Array.from({ length: Math.min(hostsAtOnce, hosts - from) }, (_, i) => from + i);
    await insertRows(
      db,
      "repositories",
      part.map((i) => repositoryOf(i, now)),
    );
    await insertRows(
      db,
      "repository_history",
      part.flatMap((i) => sizesOf(i, now)),
    );
    await insertRows(
      db,
      "source_groups",
      part.map((i) => groupOf(i, now)),
    );
    await insertRows(
      db,
      "schedules",
      part.map((i) => scheduleOf(i, now)),
    );
    await insertRows(
      db,
      "schedule_groups",
      part.map((i) => ({ schedule_id: idOf("C", i), source_group_id: idOf("G", i) })),
    );
    await insertRows(
      db,
      "snapshot_reports",
      part.map((i) => ({ host_id: hostIdOf(i), report_id: idOf("P", i), reported_at: now })),
    );
    await insertRows(
      db,
      "snapshots",
      part.flatMap((i) => snapshotsOf(i, now)),
    );
    await insertRows(
      db,
      "jobs",
      part.flatMap((i) => jobsOf(i, jobsOfHost, now)),
    );
  }
  await sql`UPDATE hosts SET repository_id = replace(id, ${idOf("H", 0).slice(0, 8)}, ${idOf("R", 0).slice(0, 8)}),
    agent_version = '0.1.0', restic_version = '0.19.1',
    last_seen_at = CASE WHEN name LIKE '%49' THEN CAST(${now - hourMs} AS bigint) ELSE CAST(${now} AS bigint) END`.execute(
    db,
  );
}

function repositoryOf(i: number, now: number): Row {
  return {
    ...{ id: idOf("R", i), location: `rest:https://backup.example.org/host-${i}`, created_at: now },
    ...{ raw_bytes: 10_000_000_000 + i, snapshot_count: snapshotsOfHost, stats_at: now },
  };
}

function sizesOf(i: number, now: number): Row[] {
  const today = Math.floor(now / dayMs);
  return Array.from({ length: sizeDays }, (_, back) => ({
    ...{ repository_id: idOf("R", i), day: today - back, snapshot_count: snapshotsOfHost },
    raw_bytes: 10_000_000_000 - back * 7_000_000 * (1 + (i % 5)),
  }));
}

function groupOf(i: number, now: number): Row {
  return {
    ...{ id: idOf("G", i), host_id: hostIdOf(i), name: "default", name_key: "default" },
    ...{ includes: '["/etc","/home","/srv"]', excludes: '["*.tmp"]', created_at: now },
  };
}

function scheduleOf(i: number, now: number): Row {
  const next = now + hourMs + i * 1000;
  return {
    ...{ id: idOf("C", i), host_id: hostIdOf(i), cron: "0 3 * * *", time_zone: "UTC", jitter_seconds: 0 },
    ...{ next_fire_at: next, look_at: next + 60_000, version: 1, created_at: now, updated_at: now },
  };
}

function snapshotsOf(i: number, now: number): Row[] {
  return Array.from({ length: snapshotsOfHost }, (_, back) => ({
    ...{ host_id: hostIdOf(i), report_id: idOf("P", i), id: (i * 100 + back).toString(16).padStart(64, "a") },
    ...{ time: now - back * dayMs - hourMs, hostname: `host-${i}`, username: "root" },
    ...{ paths: '["/etc","/home","/srv"]', tags: '["default"]', file_count: 120_000 },
    ...{ size_bytes: 25_000_000_000, added_bytes: 120_000_000 },
  }));
}

/** A backup a day, and each week a look after the repository. One backup in a hundred did not go well. */
function jobsOf(i: number, count: number, now: number): Row[] {
  return Array.from({ length: count }, (_, back) => {
    const kind = back % 7 === 6 ? "check" : "backup";
    const at = now - back * dayMs - hourMs - (i % 3600) * 1000;
    const status = (i + back) % 100 === 0 ? "failed" : (i + back) % 100 === 50 ? "warning" : "succeeded";
    return {
      ...{ id: idOf("K", i * 1000 + back), host_id: hostIdOf(i), repository_id: idOf("R", i), kind, status },
      ...{ attempt: 1, spec: kind === "backup" ? backupSpec : '{"kind":"check"}' },
      ...{ source_group: kind === "backup" ? "default" : null, source_group_id: idOf("G", i) },
      ...{ schedule_id: kind === "backup" ? idOf("C", i) : null, planned_at: at },
      ...{ actor_kind: "schedule", actor_name: "schedule", created_at: at, dispatched_at: at },
      ...{ acknowledged_at: at, started_at: at + 100, finished_at: at + 90_000, exit_code: 0, log_lines: 12 },
      summary: kind === "backup" ? backupSummary : null,
      error: status === "failed" ? backupError : null,
    };
  });
}

const backupSpec = JSON.stringify({
  ...{ kind: "backup", host_name: "host", source_group: "default" },
  ...{ includes: ["/etc", "/home", "/srv"], excludes: ["*.tmp"] },
});
/** Through the protocol's own schemas: what the server would not store is no measure of it. */
const backupSummary = JSON.stringify(
  summary.parse({
    ...{ snapshot_id: "a".repeat(64), files_new: 12, files_changed: 40, files_unmodified: 119_948 },
    ...{ total_files: 120_000, total_bytes: 25_000_000_000, duration_ms: 89_000 },
    ...{ added_bytes: 120_000_000, added_bytes_packed: 80_000_000 },
  }),
);
const backupError = JSON.stringify(
  jobError.parse({ code: "restic.failed", message: "restic ended with 1.", last_lines: ["Fatal: no space"] }),
);
