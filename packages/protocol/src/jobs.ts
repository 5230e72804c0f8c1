/**
 * Jobs on the wire. Order of events of one job: (schedule.ran,) job.started, log.stream…, snapshots.added or
 * snapshots.report, job.finished.
 * Commands are idempotent by (job_id, attempt); a redelivered one is acknowledged again and not run twice.
 */
import { z } from "zod";
import { repositoryAccess } from "./config.ts";
import {
  bandwidth,
  code,
  count,
  groupName,
  hostName,
  id,
  instant,
  keyId,
  path,
  snapshotId,
  text,
} from "./primitives.ts";
import { restoreResult, restoreSpec } from "./restore.ts";
import { updateResult, updateSpec } from "./update.ts";

/** The longest script of a hook, in characters. */
export const maxHookChars = 65_536;

/** A script around a backup: `/bin/sh` on Unix, `cmd.exe` on Windows. Secret: it may carry passwords. */
export const hook = z.object({
  script: text(maxHookChars).min(1),
  /** Then the whole tree that it started is killed. */
  timeout_seconds: count.min(1).max(86_400),
});
export type Hook = z.infer<typeof hook>;

/** A backup of one source group. Fields that came later are optional: an agent of before ignores them. */
export const backupSpec = z.object({
  kind: z.literal("backup"),
  host_name: hostName,
  source_group: groupName,
  includes: z.array(path).min(1).max(10_000),
  excludes: z.array(text(4096).min(1)).max(10_000),
  /** Folders that hold a file of such a name (or `name:first bytes`) are left out. */
  exclude_if_present: z.array(text(512).min(1)).max(20).nullish(),
  exclude_larger_than_bytes: count.min(1).nullish(),
  /** Leaves out what other tools marked as cache (CACHEDIR.TAG). */
  exclude_caches: z.boolean().nullish(),
  one_file_system: z.boolean().nullish(),
  /** A snapshot smaller than this is a warning: a moved or unmounted source makes a good-looking empty one. */
  min_size_bytes: count.min(1).nullish(),
  pre_hook: hook.nullish(),
  post_hook: hook.nullish(),
  limits: bandwidth.nullish(),
});
export type BackupSpec = z.infer<typeof backupSpec>;

/** What `forget` keeps of one group; restic's keep options. At least one MUST be set: an empty policy would remove all. */
export const retentionPolicy = z.object({
  keep_last: count.min(1).nullish(),
  keep_hourly: count.min(1).nullish(),
  keep_daily: count.min(1).nullish(),
  keep_weekly: count.min(1).nullish(),
  keep_monthly: count.min(1).nullish(),
  keep_yearly: count.min(1).nullish(),
  /** restic's duration, such as `1y5m7d2h`. */
  keep_within: text(32).min(1).nullish(),
});
export type RetentionPolicy = z.infer<typeof retentionPolicy>;

/**
 * Applies the retention of a host's groups: one call of restic for each, filtered by host and tag, never pruning. More
 * than `max_removed_percent` of a group's snapshots, and more than ten, go only when that was `confirmed`.
 */
export const forgetSpec = z.object({
  kind: z.literal("forget"),
  host_name: hostName,
  groups: z
    .array(z.object({ source_group: groupName, policy: retentionPolicy }))
    .min(1)
    .max(100),
  max_removed_percent: z.number().min(0).max(100),
  confirmed: z.boolean(),
  limits: bandwidth.nullish(),
});
export type ForgetSpec = z.infer<typeof forgetSpec>;

/** Which part of the data a check reads: so many percent at random, or slice `n` of `of`, which in turn cover all. */
export const readData = z.union([
  z.object({ percent: z.number().gt(0).max(100) }),
  z.object({ slice: count.min(1), of: count.min(1).max(256) }),
]);
export type ReadData = z.infer<typeof readData>;

/** As many keys as one job lists or removes. restic itself tries twenty when it opens a repository. */
export const maxKeys = 100;

/**
 * One step of a rotation of the repository's password. `add`: makes the new password of `command.run` open the
 * repository, with the everyday access. `adopt`: opens it with the access of `command.run`, and again with the new
 * password in place of that access's own. `verify`: opens it with the everyday access. `remove`: removes `key_ids`
 * with the access of `command.run`, never the key that opens the repository.
 */
export const keySpec = z.object({
  kind: z.literal("key"),
  step: z.enum(["add", "adopt", "verify", "remove"]),
  key_ids: z.array(keyId).min(1).max(maxKeys).nullish(),
});
export type KeySpec = z.infer<typeof keySpec>;

/** Every file and folder in which two snapshots differ, a line each in the log; see `docs/protocol.md`. Changes nothing. */
export const diffSpec = z.object({
  kind: z.literal("diff"),
  from: snapshotId,
  to: snapshotId,
  limits: bandwidth.nullish(),
});
export type DiffSpec = z.infer<typeof diffSpec>;

/**
 * A restore drill: a random sample of the newest snapshot of a host's group comes back into a folder of the agent's, is
 * compared with what the snapshot says and, where a source file is as it was, with the source; then the folder goes.
 */
export const verifySpec = z.object({
  kind: z.literal("verify"),
  host_name: hostName,
  source_group: groupName,
  /** Decides which files: the same seed draws the same ones of the same snapshot. */
  seed: count.max(0xffff_ffff),
  /** At most so many files, of so many bytes together. */
  max_files: count.min(1).max(10_000),
  max_bytes: count.min(1),
  limits: bandwidth.nullish(),
});
export type VerifySpec = z.infer<typeof verifySpec>;

/** What the agent shall do: one member for every kind of job that an agent of this protocol can run. */
export const jobSpec = z.discriminatedUnion("kind", [
  /** With the host's name the agent also tells which snapshots are there already. */
  z.object({ kind: z.literal("init"), host_name: hostName.nullish() }),
  /** The repository's structure: every index, pack and tree; not every byte of data. */
  z.object({ kind: z.literal("check"), read_data: readData.nullish(), limits: bandwidth.nullish() }),
  backupSpec,
  forgetSpec,
  /** Frees the space of what was forgotten. With the access of `command.run`, which may delete. */
  z.object({ kind: z.literal("prune"), limits: bandwidth.nullish() }),
  /** Removes locks whose holder is gone; with `remove_all` every lock, also one that is in use. */
  z.object({ kind: z.literal("unlock"), remove_all: z.boolean() }),
  /** What `check` asks for when the repository is damaged. */
  z.object({ kind: z.literal("repair"), what: z.enum(["index", "snapshots"]) }),
  keySpec,
  diffSpec,
  verifySpec,
  restoreSpec,
  updateSpec,
]);
export type JobSpec = z.infer<typeof jobSpec>;

/** The kinds of job that this build knows: what its agent tells in its hello. */
export const jobKinds: readonly JobSpec["kind"][] = jobSpec.options.map(({ shape }) => shape.kind.value);

/** What an agent that does not tell its kinds knows: those from before agents told them. Never grows. */
export const jobKindsBefore: readonly JobSpec["kind"][] = [
  ...(["init", "check", "backup", "forget", "prune", "unlock", "repair"] as const),
  ...(["key", "diff", "verify", "restore"] as const),
];

/** Server → agent: run this job. Redelivered until acknowledged. */
export const commandRun = z.object({
  type: z.literal("command.run"),
  job_id: id,
  attempt: count,
  spec: jobSpec,
  /** For this job alone, in place of the everyday one: it may delete. Kept in memory only, and forgotten with the job. */
  access: repositoryAccess.nullish(),
  /** For a `key` job: what shall open the repository from now on. Secret; kept in memory only, as `access` is. */
  new_password: text(1024).min(1).nullish(),
});

/** Server → agent: stop this job. Idempotent; the outcome arrives as job.finished with status `cancelled`. */
export const commandCancel = z.object({ type: z.literal("command.cancel"), job_id: id });

/** Agent → server: the command is in the agent's journal (accepted), or can't be run and why. Volatile. */
export const commandAck = z.object({
  type: z.literal("command.ack"),
  job_id: id,
  attempt: count,
  accepted: z.boolean(),
  code: code.nullish(),
  message: text(2000).nullish(),
});
export type CommandAck = z.infer<typeof commandAck>;

export const jobStarted = z.object({
  type: z.literal("job.started"),
  seq: count,
  job_id: id,
  attempt: count,
  at: instant,
});
export type JobStarted = z.infer<typeof jobStarted>;

/** restic's own status line, at most once a second, the first at once. Volatile and never stored as log. */
export const progress = z.object({
  percent_done: z.number().min(0).max(1),
  total_files: count,
  files_done: count,
  total_bytes: count,
  bytes_done: count,
  error_count: count,
  current_files: z.array(text(32_768)).max(16),
  seconds_elapsed: z.number().min(0),
  seconds_remaining: z.number().min(0).nullable(),
  bytes_per_second: z.number().min(0).nullable(),
});
export type Progress = z.infer<typeof progress>;

export const jobProgress = z.object({
  type: z.literal("job.progress"),
  job_id: id,
  attempt: count,
  progress,
});
export type JobProgress = z.infer<typeof jobProgress>;

export const logLevel = z.enum(["info", "warning", "error"]);

/** One line of a job's log. `n` counts from 1 without a gap; the browser resumes from it. */
export const logLine = z.object({
  n: count.min(1),
  at: instant,
  level: logLevel,
  stream: z.enum(["stdout", "stderr", "agent"]),
  text: text(16_384),
});
export type LogLine = z.infer<typeof logLine>;

export const logStream = z.object({
  type: z.literal("log.stream"),
  seq: count,
  job_id: id,
  attempt: count,
  lines: z.array(logLine).min(1).max(2000),
});
export type LogStream = z.infer<typeof logStream>;

/** What a backup did, in figures. Absent figures are null, never 0. */
export const backupSummary = z.object({
  snapshot_id: snapshotId.nullable(),
  files_new: count,
  files_changed: count,
  files_unmodified: count,
  total_files: count,
  total_bytes: count,
  added_bytes: count,
  added_bytes_packed: count.nullable(),
  duration_ms: count,
});
export type BackupSummary = z.infer<typeof backupSummary>;

export const jobError = z.object({
  code,
  /** What happened, why and what to do, in an operator's words. */
  message: text(4000),
  /** The last lines of restic's stderr, oldest first, redacted. */
  last_lines: z.array(text(4096)).max(20),
});
export type JobError = z.infer<typeof jobError>;

/** One of a repository's keys, as restic lists it: who made it where, and when. */
export const repositoryKey = z.object({
  id: keyId,
  username: text(256),
  hostname: text(253),
  created_at: instant.nullable(),
});
export type RepositoryKey = z.infer<typeof repositoryKey>;

/** Files, folders and others that a comparison counted, and the bytes of those whose size is known. */
const diffCount = z.object({ count, bytes: count });

export const diffResult = z.object({
  kind: z.literal("diff"),
  added: diffCount,
  removed: diffCount,
  /** Other content, or another type. The bytes are what they have now. */
  changed: diffCount,
  /** The same content with another mode, owner or time. */
  metadata: count,
  /** False when there were too many to look all their sizes up. */
  sized: z.boolean(),
});
export type DiffResult = z.infer<typeof diffResult>;

/**
 * Why a file of a drill is not as it should be: it did not come back, is another kind of thing, or differs from the
 * snapshot in size, time or mode; or it differs from the source, whose size and time are as in the snapshot.
 */
export const verifyProblem = z.enum(["missing", "type", "size", "mtime", "mode", "source"]);
export type VerifyProblem = z.infer<typeof verifyProblem>;

export const verifyResult = z.object({
  kind: z.literal("verify"),
  snapshot_id: snapshotId,
  snapshot_time: instant,
  seed: count,
  /** Restored and compared with the snapshot. */
  files: count,
  bytes: count,
  /** Of them: compared byte by byte with the source, too. */
  source_files: count,
  /** Files of the snapshot that no drill of these bounds can draw: too large, or with a name that can't be addressed. */
  left_out: count,
  mismatch_count: count,
  /** The first of them. */
  mismatches: z.array(z.object({ path: text(1024), problem: verifyProblem })).max(20),
});
export type VerifyResult = z.infer<typeof verifyResult>;

/** What a job of another kind than a backup did, in figures. Absent figures are null, never 0. */
export const jobResult = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("forget"),
    groups: z
      .array(
        z.object({
          source_group: groupName,
          /** As listed afterwards: restic's own plan is none of a result. */
          kept: count,
          removed: count,
          error: z.object({ code, message: text(4000) }).nullable(),
        }),
      )
      .max(100),
  }),
  z.object({ kind: z.literal("prune"), freed_bytes: count.nullable() }),
  z.object({
    kind: z.literal("check"),
    error_count: count,
    broken_packs: count,
    suggest_repair_index: z.boolean(),
    suggest_prune: z.boolean(),
  }),
  z.object({ kind: z.literal("unlock"), removed: count, remaining: count }),
  /** False: a repository was there already and opens. */
  z.object({ kind: z.literal("init"), created: z.boolean() }),
  z.object({
    kind: z.literal("key"),
    /** The key that the job's access opens the repository with; null when its password opens nothing. */
    current_key_id: keyId.nullable(),
    /** The key that the new password opens it with; null for steps without one. */
    new_key_id: keyId.nullable(),
    /** All that are there at the end of the job. */
    keys: z.array(repositoryKey).max(maxKeys),
  }),
  diffResult,
  verifyResult,
  restoreResult,
  updateResult,
]);
export type JobResult = z.infer<typeof jobResult>;

export const finishedStatus = z.enum(["succeeded", "warning", "failed", "cancelled"]);

export const jobFinished = z.object({
  type: z.literal("job.finished"),
  seq: count,
  job_id: id,
  attempt: count,
  at: instant,
  status: finishedStatus,
  /** Set for failed and warning; for a warning it says what was not covered. */
  error: jobError.nullable(),
  exit_code: z.int().nullable(),
  summary: backupSummary.nullable(),
  result: jobResult.nullish(),
  /** How many log lines the job has: the log is complete when the server holds them all. */
  log_lines: count,
});
export type JobFinished = z.infer<typeof jobFinished>;
