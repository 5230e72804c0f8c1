/**
 * What rmctl reads of the API's answers: only what it shows or decides by. An answer may have more, from a newer server;
 * `--json` prints all of it.
 */
import { z } from "zod";

const instant = z.string().max(64);
const when = instant.nullable();
const text = z.string().max(65_536);
const id = z.string().max(128);
const figure = z.number().nullable();

export const me = z.object({ user_id: id, username: text, role: text });
export const version = z.object({ version: text });
export const fleet = z.object({
  hosts: z.number(),
  online: z.number(),
  need_attention: z.number(),
  running: z.number(),
  snapshots: z.number(),
  protected_bytes: z.number(),
  repositories: z.number(),
  restore_proven: z.number(),
});

export const host = z.object({
  id,
  name: text,
  os: text,
  arch: text,
  tags: z.array(text),
  agent_version: text.nullable(),
  restic_version: text.nullable(),
  restic_problem: z.object({ message: text }).nullable(),
  online: z.boolean(),
  clock_skew_ms: figure,
  mode: text,
  bandwidth: z.object({ upload_kib: figure, download_kib: figure }),
  created_at: instant,
  last_seen_at: when,
});
export type Host = z.infer<typeof host>;
/** `next` is the `after` of the next page. */
export const hosts = z.object({ hosts: z.array(host), next: z.string().nullable() });
export type Hosts = z.infer<typeof hosts>;

export const job = z.object({
  id,
  host_id: id,
  kind: text,
  status: text,
  source_group: text.nullable(),
  actor: z.object({ kind: text, name: text }),
  created_at: instant,
  started_at: when,
  finished_at: when,
  summary: z
    .object({
      snapshot_id: id.nullable(),
      total_files: z.number(),
      total_bytes: z.number(),
      added_bytes: z.number(),
    })
    .nullable(),
  error: z.object({ code: text, message: text, last_lines: z.array(text) }).nullable(),
  waits_for: z.object({ message: text }).nullish(),
});
export type Job = z.infer<typeof job>;
export const jobs = z.object({ jobs: z.array(job), total: z.number() });
export const accepted = z.object({ job_id: id });
export const acceptedMany = z.object({ job_ids: z.array(id) });
export const cancelled = z.object({ outcome: text });

export const logLine = z.object({ n: z.number().int(), at: instant, level: text, text });

export const progress = z.object({
  percent_done: z.number(),
  total_bytes: z.number(),
  total_files: z.number(),
  bytes_done: z.number(),
  files_done: z.number(),
  seconds_remaining: figure,
});
export type JobProgress = z.infer<typeof progress>;

export const snapshot = z.object({
  id,
  time: instant,
  tags: z.array(text),
  paths: z.array(text),
  size_bytes: figure,
  file_count: figure,
});
export const snapshots = z.object({ snapshots: z.array(snapshot), total: z.number() });

const side = z.object({ count: z.number(), bytes: z.number() });
export const diff = z.object({
  status: text,
  result: z.object({ added: side, removed: side, changed: side, metadata: z.number() }).nullable(),
  changes: z.array(z.object({ kind: text, path: text, size_before: figure, size_after: figure })),
  matching: z.number(),
});

const entry = z.object({
  name: text,
  ref: text,
  kind: text,
  size_bytes: figure,
  mode: figure,
  user: text.nullable(),
  group: text.nullable(),
  modified_at: when,
  target: text.nullable(),
});
export type Entry = z.infer<typeof entry>;
export const folder = z.object({ entries: z.array(entry), more: z.boolean() });
export const matches = z.object({
  state: text,
  waits_for_job: z.boolean(),
  indexed_files: z.number(),
  problem: z.object({ message: text }).nullable(),
  matches: z.array(entry.extend({ path: text })),
  more: z.boolean(),
});

const group = z.object({
  id,
  name: text,
  includes: z.array(text),
  excludes: z.array(text),
  retention: z.record(z.string(), z.union([z.number(), text]).nullable()),
});
export type Group = z.infer<typeof group>;
export const groups = z.object({ source_groups: z.array(group) });

export const schedules = z.object({
  schedules: z.array(
    z.object({
      id,
      cron: text,
      time_zone: text,
      enabled: z.boolean(),
      source_group_ids: z.array(id),
      next_at: when,
      last: z.object({ at: instant, status: text }).nullable(),
    }),
  ),
});

export const repository = z.object({
  id,
  location: text,
  statistics: z.object({ raw_bytes: figure, uncompressed_bytes: figure, snapshot_count: figure, at: when }),
  /** Null while no agent told. */
  locks: z
    .array(z.object({ hostname: text, pid: z.number(), exclusive: z.boolean(), created_at: instant }))
    .nullable(),
  hosts: z.array(z.object({ name: text, online: z.boolean(), owner: z.boolean() })),
  maintenance: z.object({ time_zone: text }),
  cadences: z.array(
    z.object({
      operation: text,
      next_at: when,
      last_run: z.object({ status: text, finished_at: when }).nullable(),
    }),
  ),
  admin_credentials_set: z.boolean(),
});

export const tried = z.object({
  outcome: text,
  code: text.nullable(),
  message: text,
  last_lines: z.array(text),
  duration_ms: z.number(),
});

const token = z.object({
  id,
  name: text,
  role: text,
  created_at: instant,
  expires_at: when,
  last_used_at: when,
});
export const tokens = z.object({ tokens: z.array(token) });

export const enrolment = z.object({
  id,
  token: z.string().max(300),
  expires_at: instant,
  repo_password: z.string().max(2000).optional(),
});
export const enrolmentState = z.object({
  id,
  hostname: text,
  state: text,
  expires_at: instant,
  host_id: id.nullable(),
});

export const audit = z.object({
  entries: z.array(
    z.object({
      at: instant,
      actor: z.object({ kind: text, name: text, token: text.nullish() }),
      action: text,
      target: z.object({ kind: text, name: text }).nullable(),
    }),
  ),
  next: text.nullable(),
});

export const pendingHosts = z.object({
  pending_hosts: z.array(
    z.object({
      id,
      hostname: text,
      os: text,
      arch: text,
      agent_version: text,
      restic_version: text.nullable(),
      note: text.nullable(),
      address: text,
      fingerprint: text,
      connected: z.boolean(),
      duplicates: z.array(z.object({ kind: text })),
      announced_at: instant,
      expires_at: instant,
    }),
  ),
});
export type PendingHost = z.infer<typeof pendingHosts>["pending_hosts"][number];
export const acceptedHost = z.object({ host_id: id, repo_password: z.string().max(2000).optional() });
export const rejected = z.object({});

const problem = z.object({ code: text, message: text });
const update = z.object({
  id,
  state: text,
  program: text,
  version: text,
  tag: text.nullable(),
  started_by: text,
  started_at: instant,
  ended_at: when,
  pause: problem.extend({ host_name: text.nullable() }).nullable(),
  counts: z.object({
    waiting: z.number(),
    updating: z.number(),
    done: z.number(),
    failed: z.number(),
    skipped: z.number(),
  }),
});
export const updates = z.object({ updates: z.array(update) });
export const updateRun = update.extend({
  hosts: z.array(
    z.object({
      name: text,
      state: text,
      wave: z.number().nullable(),
      online: z.boolean(),
      job_id: id.nullable(),
      from_version: text.nullable(),
      error: problem.nullable(),
    }),
  ),
});
export type UpdateRun = z.infer<typeof updateRun>;
