/** One row for every table, by the migration that made the table: what a filled database looks like at each step. */
import { sql } from "kysely";
import type { Db } from "../../server/src/platform/db/db.ts";

const at = 1_795_424_000_000;
const id = (n: number): string => `01KB0000000000000000000${String(n).padStart(3, "0")}`;

/** Statements by migration; each adds the rows that its tables could hold when it was the newest. */
export const rowsOf: Record<string, (db: Db) => Promise<void>> = {
  "0001-users-and-audit": async (db) => {
    await sql`INSERT INTO server_facts (name, value) VALUES ('key_check', 'v1.x.y')`.execute(db);
    await sql`INSERT INTO users (id, username, password_hash, role, created_at)
      VALUES (${id(1)}, 'admin', '$argon2id$', 'admin', ${at})`.execute(db);
    await sql`INSERT INTO sessions (token_hash, user_id, created_at, expires_at)
      VALUES ('hash', ${id(1)}, ${at}, ${at})`.execute(db);
    await sql`INSERT INTO setup_tokens (token_hash, created_at) VALUES ('setup', ${at})`.execute(db);
    await sql`INSERT INTO audit_entries (id, at, actor_kind, actor_name, action, payload)
      VALUES (${id(2)}, ${at}, 'user', 'admin', 'auth.login', '{}')`.execute(db);
  },
  "0002-hosts-and-repositories": async (db) => {
    await sql`INSERT INTO repositories (id, location, created_at) VALUES (${id(3)}, '/srv/repo', ${at})`.execute(
      db,
    );
    await sql`INSERT INTO hosts (id, name, name_key, os, arch, tags, bearer_hash, repository_id, created_at)
      VALUES (${id(4)}, 'Web-01', 'web-01', 'linux', 'x64', '[]', 'hash', ${id(3)}, ${at})`.execute(db);
    await sql`INSERT INTO repository_credentials (host_id, slot, sealed, version, updated_at)
      VALUES (${id(4)}, 'everyday', 'v1.x.y', 1, ${at})`.execute(db);
    await sql`INSERT INTO enrolment_tokens
      (id, token_hash, host_name, tags, initial_paths, created_by, created_at, expires_at, host_id)
      VALUES (${id(5)}, 'hash', 'Web-01', '[]', '[]', 'admin', ${at}, ${at}, ${id(4)})`.execute(db);
    await sql`INSERT INTO agent_streams (host_id, stream_id, acked_seq) VALUES (${id(4)}, ${id(6)}, 7)`.execute(
      db,
    );
  },
  "0003-jobs-and-snapshots": async (db) => {
    await sql`INSERT INTO jobs (id, host_id, kind, status, attempt, spec, actor_kind, actor_name, created_at)
      VALUES (${id(7)}, ${id(4)}, 'init', 'succeeded', 1, '{"kind":"init"}', 'system', 'system', ${at})`.execute(
      db,
    );
    await sql`INSERT INTO job_log_chunks (job_id, first_line, last_line, lines)
      VALUES (${id(7)}, 1, 2, ${Buffer.from("x")})`.execute(db);
    await sql`INSERT INTO source_groups (id, host_id, name, includes, excludes, created_at)
      VALUES (${id(8)}, ${id(4)}, 'default', '["/"]', '[]', ${at})`.execute(db);
    await sql`INSERT INTO snapshot_reports (host_id, report_id, reported_at)
      VALUES (${id(4)}, ${id(9)}, ${at})`.execute(db);
    await sql`INSERT INTO snapshots (host_id, report_id, id, time, hostname, paths, tags)
      VALUES (${id(4)}, ${id(9)}, 'abcdef12', ${at}, 'web-01', '["/"]', '["default"]')`.execute(db);
  },
  "0004-limits": async (db) => {
    await sql`INSERT INTO snapshot_arrivals (host_id, report_id, size_bytes)
      VALUES (${id(4)}, ${id(9)}, 1000)`.execute(db);
  },
  "0005-schedules": async (db) => {
    await sql`INSERT INTO source_groups (id, host_id, name, name_key, includes, excludes, created_at)
      VALUES (${id(10)}, ${id(4)}, 'Databases', 'databases', '["/srv"]', '[]', ${at})`.execute(db);
    await sql`INSERT INTO hooks (owner_id, slot, host_id, sealed, digest, timeout_seconds, updated_at)
      VALUES (${id(10)}, 'pre_hook', ${id(4)}, 'v1.x.y', 'abc', 600, ${at})`.execute(db);
    await sql`INSERT INTO schedules
      (id, host_id, cron, time_zone, jitter_seconds, next_fire_at, look_at, version, created_at, updated_at)
      VALUES (${id(11)}, ${id(4)}, '0 3 * * *', 'UTC', 0, ${at}, ${at}, 1, ${at}, ${at})`.execute(db);
    await sql`INSERT INTO schedule_groups (schedule_id, source_group_id) VALUES (${id(11)}, ${id(10)})`.execute(
      db,
    );
    await sql`INSERT INTO schedule_fires (schedule_id, planned_at, host_id, fired_at, outcome, covers_from)
      VALUES (${id(11)}, ${at}, ${id(4)}, ${at}, 'run', ${at})`.execute(db);
    await sql`INSERT INTO pending_runs
      (schedule_id, source_group_id, host_id, planned_at, missed_since, tries, waits, next_try_at)
      VALUES (${id(11)}, ${id(10)}, ${id(4)}, ${at}, ${at}, 1, 'failed', ${at})`.execute(db);
  },
  "0006-maintenance": async (db) => {
    await sql`INSERT INTO repository_history (repository_id, day, raw_bytes, snapshot_count)
      VALUES (${id(3)}, 20780, 1000, 3)`.execute(db);
    await sql`INSERT INTO check_slices (repository_id, slice, "of", checked_at)
      VALUES (${id(3)}, 1, 43, ${at})`.execute(db);
    await sql`INSERT INTO maintenance (repository_id, time_zone, max_removed_percent, version, updated_at)
      VALUES (${id(3)}, 'UTC', 50, 1, ${at})`.execute(db);
    await sql`INSERT INTO maintenance_fires (repository_id, operation, planned_at, fired_at, outcome)
      VALUES (${id(3)}, 'prune', ${at}, ${at}, 'run')`.execute(db);
  },
  "0007-rotation": async (db) => {
    await sql`INSERT INTO rotations
      (id, repository_id, active_repository_id, state, sealed_password, actor_kind, actor_name, started_at, changed_at)
      VALUES (${id(12)}, ${id(3)}, ${id(3)}, 'switching', 'v1.x.y', 'user', 'admin', ${at}, ${at})`.execute(
      db,
    );
    await sql`INSERT INTO rotation_accesses (rotation_id, host_id, slot, step, version)
      VALUES (${id(12)}, ${id(4)}, 'everyday', 'adopt', 1)`.execute(db);
    await sql`INSERT INTO rotation_keys (rotation_id, key_id, role, username, hostname)
      VALUES (${id(12)}, 'abc', 'old', 'root', 'web-01')`.execute(db);
  },
  "0010-pending-hosts": async (db) => {
    await sql`INSERT INTO pending_hosts
      (id, fingerprint, live_fingerprint, public_key, hostname, os, arch, agent_version, address, state,
       announced_at, expires_at, host_id)
      VALUES (${id(13)}, 'SHA256:abc', 'SHA256:abc', 'MCow', 'web-01', 'linux', 'x64', '0.1.0', '127.0.0.1', 'accepted',
       ${at}, ${at}, ${id(4)})`.execute(db);
  },
  "0011-updates": async (db) => {
    await sql`INSERT INTO update_runs
      (id, active, state, program, version, actor_kind, actor_name, started_at, changed_at)
      VALUES (${id(13)}, 'yes', 'running', 'agent', '0.2.0', 'user', 'admin', ${at}, ${at})`.execute(db);
    await sql`INSERT INTO update_targets (run_id, host_id, state, changed_at)
      VALUES (${id(13)}, ${id(4)}, 'waiting', ${at})`.execute(db);
  },
  "0012-api-tokens": async (db) => {
    await sql`INSERT INTO api_tokens (id, user_id, name, role, token_hash, created_at)
      VALUES (${id(20)}, ${id(1)}, 'ci', 'operator', 'hash', ${at})`.execute(db);
  },
  "0014-replicas": async (db) => {
    await sql`INSERT INTO replicas (id, url, version, started_at, seen_at)
      VALUES (${id(21)}, 'http://10.0.0.2:8080', '0.1.0', ${at}, ${at})`.execute(db);
    await sql`INSERT INTO leases (name, holder, expires_at) VALUES ('leader', ${id(21)}, ${at})`.execute(db);
    await sql`INSERT INTO agent_links (host_id, replica_id, connected_at)
      VALUES (${id(4)}, ${id(21)}, ${at})`.execute(db);
  },
};
