/** Canned data for the gallery, awkward states on purpose: long names, hostile texts, nothing, too much. */
import type { AuditRow } from "../../packages/server/src/features/audit/audit.views.tsx";
import type { JobRow } from "../../packages/server/src/features/jobs/job-table.views.tsx";
import type { JobPageProps } from "../../packages/server/src/features/jobs/jobs.views.tsx";
import type { HostHeader, HostPageProps } from "../../packages/server/src/features/overview/host.views.tsx";
import type { HostRow } from "../../packages/server/src/features/overview/host-table.views.tsx";
import type { SnapshotRow } from "../../packages/server/src/features/overview/host-tabs.views.tsx";
import type { FleetFigures } from "../../packages/server/src/features/overview/overview.views.tsx";

export const NOW = Date.UTC(2026, 10, 23, 4, 53, 20);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const GIB = 1024 ** 3;

export const LONG_NAME = "fileserver-basement-rack2.internal.very-long-company.example";
export const LONG_PATH = `/srv/${"a-rather-deep-folder-with-a-long-name/".repeat(5)}file.bin`;
export const HOSTILE = '<script>alert("x")</script>';

function host(name: string, overrides: Partial<HostRow> = {}): HostRow {
  return {
    id: `01JD${name
      .toUpperCase()
      .replaceAll(/[^A-Z0-9]/g, "")
      .slice(0, 22)}`,
    name,
    condition: "ok",
    os: "linux",
    arch: "amd64",
    outdated: null,
    tags: ["prod"],
    online: true,
    lastSeenAt: NOW - 9000,
    lastBackup: { status: "succeeded", finishedAt: NOW - 12 * MINUTE },
    activeJob: null,
    repositoryBytes: 184.2 * GIB,
    trend: "M0 12 4 11 10 11 14 9 20 8 26 8 30 10 36 6 44 5 50 3 58 1",
    snapshotCount: 412,
    nextRunAt: NOW + 22 * HOUR + 7 * MINUTE,
    coveringScheduleId: "01JDSCHEDULE",
    ...overrides,
  };
}

export const HOSTS: HostRow[] = [
  host("web-01", { tags: ["prod", "web"], outdated: { words: "agent behind", versions: "agent 0.1.0" } }),
  host("db-primary", {
    condition: "failed",
    tags: ["prod", "db"],
    lastBackup: { status: "failed", finishedAt: NOW - 41 * MINUTE },
    repositoryBytes: 1.31 * 1024 * GIB,
    snapshotCount: 96,
  }),
  host("mail", {
    condition: "running",
    arch: "arm64",
    activeJob: { id: "01JDJOBMAIL", status: "running", share: 0.634, at: NOW - 4 * MINUTE },
    repositoryBytes: 92.7 * GIB,
    snapshotCount: 210,
  }),
  host(LONG_NAME, {
    condition: "warning",
    tags: ["office", "fileserver", "basement", "needs-attention-soon"],
    lastBackup: { status: "warning", finishedAt: NOW - 2 * HOUR },
    repositoryBytes: 3.04 * 1024 * GIB,
    snapshotCount: 1204,
  }),
  host("win-dc01", {
    os: "windows",
    tags: ["office", "windows"],
    lastBackup: { status: "succeeded", finishedAt: NOW - 3 * HOUR },
    repositoryBytes: 61 * GIB,
    snapshotCount: 188,
  }),
  host("laptop-03", {
    condition: "waiting",
    os: null,
    arch: null,
    tags: [],
    online: false,
    lastSeenAt: null,
    lastBackup: null,
    repositoryBytes: null,
    trend: null,
    snapshotCount: null,
    nextRunAt: null,
    coveringScheduleId: null,
  }),
  host("laptop-anna", {
    condition: "asleep",
    tags: ["laptop"],
    online: false,
    lastSeenAt: NOW - 9 * HOUR,
    lastBackup: { status: "succeeded", finishedAt: NOW - 10 * HOUR },
    repositoryBytes: 48.1 * GIB,
    snapshotCount: 61,
    nextRunAt: NOW + 7 * HOUR,
  }),
  host("gitea", {
    condition: "offline",
    online: false,
    lastSeenAt: NOW - 3 * HOUR,
    lastBackup: { status: "succeeded", finishedAt: NOW - 26 * HOUR },
    repositoryBytes: 22.4 * GIB,
    snapshotCount: 365,
  }),
  host("monitoring", {
    arch: "arm64",
    lastBackup: { status: "succeeded", finishedAt: NOW - 38 * MINUTE },
    repositoryBytes: 14.9 * GIB,
    snapshotCount: 720,
  }),
  host("build-07", {
    condition: "running",
    tags: ["ci"],
    activeJob: { id: "01JDJOBBUILD", status: "queued", share: null, at: NOW - 20_000 },
    repositoryBytes: 7.2 * GIB,
    snapshotCount: 31,
  }),
  host("staging-02", {
    condition: "new",
    tags: ["staging"],
    lastBackup: null,
    repositoryBytes: null,
    trend: null,
    snapshotCount: 0,
    nextRunAt: null,
    coveringScheduleId: null,
  }),
  host(HOSTILE, { condition: "ok", tags: ['"><img src=x>'], repositoryBytes: 812, snapshotCount: 1 }),
];

export const MANY_HOSTS: HostRow[] = Array.from({ length: 50 }, (_, index) => {
  const model = HOSTS[index % 9] ?? host("x");
  return { ...model, id: `01JDMANY${index}`, name: `${model.name.slice(0, 20)}-${index}` };
});

export const FIGURES: FleetFigures = {
  total: 12,
  online: 9,
  asleep: 1,
  attention: 3,
  running: 2,
  offline: 1,
  attentionSummary: "1 failed, 1 warning, 1 offline",
  snapshotCount: 3303,
  newestSnapshotAt: NOW - 12 * MINUTE,
  protectedBytes: 4.78 * 1024 * GIB,
  repositoryCount: 9,
  behind: { agent: 3, restic: 1 },
  nextRun: { hostId: "01JDMAIL", hostName: LONG_NAME, at: NOW + 7 * MINUTE },
  lastBackup: { hostId: "01JDWEB01", hostName: "web-01", finishedAt: NOW - 12 * MINUTE, status: "succeeded" },
  drills: {
    provenHosts: 7,
    lastProvenAt: NOW - 5 * HOUR,
    late: [
      { id: "01JDMAIL", name: LONG_NAME },
      { id: "01JDWEB01", name: "web-01" },
    ],
  },
};

export const HEADER: HostHeader = {
  id: "01JDK3V9S6N4TQ8Z2M7P5R1XWA",
  name: "db-primary",
  condition: "ok",
  os: "linux",
  arch: "amd64",
  tags: ["prod", "db"],
  mode: "always-on",
  online: true,
  lastSeenAt: NOW - 7000,
  sync: { version: 7, applied: 7, late: false },
  agentVersion: "0.1.0",
  behind: { agent: "0.2.0", restic: null, updatable: true },
  resticVersion: "0.18.1",
  clockSkewMs: -2400,
  problems: [],
  createdAt: NOW - 40 * DAY,
};

export const HOST_PAGE: Omit<HostPageProps, "tab"> = {
  host: HEADER,
  vitals: {
    lastBackup: { status: "succeeded", finishedAt: NOW - 26 * MINUTE, jobId: "01JDJ1" },
    protectedBytes: 1.31 * 1024 * GIB,
    snapshotCount: 96,
    newestSnapshotAt: NOW - 26 * MINUTE,
    nextRun: { at: NOW + 22 * HOUR, cron: "0 3 * * *" },
  },
  lastRestore: {
    ...{ jobId: "01JDJR", status: "warning", at: NOW - 3 * DAY, snapshotId: "9f86d081884c7d65" },
    ...{ from: "web-01", inPlace: false, restored: 1204 },
  },
  activeJob: null,
  drill: {
    proven: {
      ...{ jobId: "01JDDRILL", status: "succeeded", finishedAt: NOW - 5 * DAY, sourceGroup: "databases" },
      ...{ error: null, figures: { files: 100, bytes: 212 * 1024 ** 2, sourceFiles: 97 } },
    },
    ...{ last: null, planned: true, late: false },
  },
  sourceGroups: [
    { id: "01JDG1", name: "databases" },
    { id: "01JDG2", name: "system-configuration" },
  ],
};

export const SNAPSHOTS: SnapshotRow[] = Array.from({ length: 18 }, (_, index) => ({
  id: `${(0x3c1f88e0 + index * 7919331).toString(16).padStart(8, "0")}${"e41a5c".repeat(9)}ab`,
  at: NOW - index * 7 * HOUR - 26 * MINUTE,
  tags: [index % 4 === 1 ? "system-configuration" : "databases"],
  paths:
    index === 2
      ? [LONG_PATH]
      : index % 4 === 1
        ? ["/etc", "/usr/local/etc", "/root"]
        : ["/var/backups/pg", "/etc/postgresql"],
  sizeBytes: 88.2 * GIB - index * 0.3 * GIB,
  fileCount: 1204 + index * 3,
  addedBytes: index === 3 ? 0 : (0.2 + (index % 5) * 0.7) * GIB,
}));

export const JOB: JobPageProps = {
  id: "01JDJ0B00000000000000000AA",
  kind: "backup",
  status: "running",
  waitsFor: null,
  host: { id: HEADER.id, name: "db-primary" },
  subject: "databases",
  actor: { kind: "user", name: "operator" },
  createdAt: NOW - 4 * MINUTE - 13_000,
  startedAt: NOW - 4 * MINUTE - 12_000,
  finishedAt: null,
  cancelRequestedAt: null,
  progress: {
    share: 0.634,
    totalFiles: 1204,
    filesDone: 763,
    totalBytes: 88.2 * GIB,
    bytesDone: 55.9 * GIB,
    errorCount: 0,
    currentFiles: ["/var/backups/pg/dump-2026-11-23/orders.sql.zst"],
    remainingMs: 146_000,
    bytesPerSecond: 231_000_000,
  },
  result: null,
  failure: null,
  repeatable: true,
  log: { lineCount: 12, preview: [] },
};

const FAILED_LOG: readonly (readonly ["info" | "warning" | "error", string])[] = [
  ["info", "repository 6f1b2c9a opened (version 2, compression auto)"],
  ["info", "using parent snapshot 3c1f88e0"],
  ["info", "start scan on [/var/backups/pg /etc/postgresql]"],
  ["info", "scan finished in 29.3 s: 1,204 files, 88.214 GiB"],
  ["warning", "/var/backups/pg/wal/000000010000004A000000C3: no such file or directory"],
  ["info", "42 files unchanged, 1,161 changed, 1 new"],
  [
    "error",
    "Save(<data/8e61c0>) returned error, retrying after 1.2 s: server response unexpected: 507 Insufficient Storage",
  ],
  ["error", "Fatal: unable to save snapshot: server response unexpected: 507 Insufficient Storage"],
  ["info", `a file called ${HOSTILE} and one with a\nline break and \u001b[31mcolours`],
  ["info", LONG_PATH.repeat(2)],
  ["info", "restic exited with code 1 after 2m 53s"],
];

/** The log of the failed job, as the stream sends it. */
export const FAILED_LINES = FAILED_LOG.map(([level, text], index) => ({
  n: index + 1,
  at: new Date(NOW - 4 * MINUTE + index * 1733).toISOString(),
  level,
  stream: "stderr",
  text,
}));

export const FAILED_JOB: JobPageProps = {
  ...JOB,
  id: "01JDJ0B00000000000000000BB",
  status: "failed",
  finishedAt: NOW - 56_000,
  actor: { kind: "schedule", name: "15 */1 * * *" },
  failure: {
    what: "The repository is out of space.",
    why: "The rest-server answered 507 while saving data; nothing of this run was added.",
    advice: "Free space on the repository, or run forget and prune, then run again.",
    exitCode: 1,
    stderrTail: [
      "Save(<data/8e61c0>) returned error, retrying after 1.2 s: server response unexpected: 507 Insufficient Storage",
      "Fatal: unable to save snapshot: server response unexpected: 507 Insufficient Storage",
    ],
  },
  log: {
    lineCount: FAILED_LINES.length,
    preview: FAILED_LOG.map(([level, text], index) => ({
      number: index + 1,
      at: NOW - 4 * MINUTE + index * 1733,
      level,
      text,
    })),
  },
};

export const DONE_JOB: JobPageProps = {
  ...JOB,
  id: "01JDJ0B00000000000000000CC",
  status: "warning",
  finishedAt: NOW - 56_000,
  result: {
    snapshotId: "9f2c41aa0b",
    filesNew: 12,
    filesChanged: 1161,
    filesUnmodified: 20_412,
    processedBytes: 88.2 * GIB,
    addedBytes: 1.4 * GIB,
  },
  failure: {
    what: "The backup is complete except for 1 path.",
    why: "/var/backups/pg/wal did not exist on this host.",
    advice: "Remove it from the source group, or find out why it is gone.",
    exitCode: 3,
    stderrTail: [],
  },
  log: { lineCount: 100_000, preview: [] },
};

const STATUSES = [
  "running",
  "succeeded",
  "failed",
  "warning",
  "queued",
  "cancelled",
  "lost",
  "expired",
  "dispatched",
] as const;

export const JOBS: JobRow[] = Array.from({ length: 22 }, (_, index) => {
  const status = STATUSES[index < 9 ? index : 1] ?? "succeeded";
  const waiting = status === "queued" || status === "dispatched" || status === "expired";
  const startedAt = waiting ? null : NOW - index * 37 * MINUTE - 4 * MINUTE;
  return {
    id: `01JDJOB${index}`,
    kind: index % 7 === 5 ? "check" : index % 7 === 6 ? "init" : "backup",
    status,
    host:
      index === 7 ? null : { id: "x", name: index === 3 ? LONG_NAME : (HOSTS[index % 9]?.name ?? "web-01") },
    subject: index % 7 >= 5 ? null : index % 2 === 0 ? "databases" : "default",
    actor:
      index % 3 === 0
        ? { kind: "user", name: "operator" }
        : { kind: index % 3 === 1 ? "schedule" : "system", name: "nightly" },
    createdAt: NOW - index * 37 * MINUTE - 5 * MINUTE,
    startedAt,
    finishedAt: startedAt === null || status === "running" ? null : startedAt + 196_000 + index * 9000,
    share: status === "running" ? 0.42 : null,
    addedBytes: status === "succeeded" ? (index + 1) * 31_000_000 : null,
  };
});

export const AUDIT: AuditRow[] = [
  {
    id: "1",
    at: NOW - 60_000,
    actor: "operator",
    actorKind: "user",
    actorToken: "nightly-report",
    action: "job.run",
    targetKind: "host",
    targetId: HEADER.id,
    targetName: "db-primary",
    payload: { kind: "backup", source_group: "databases" },
  },
  {
    id: "2",
    at: NOW - 5 * MINUTE,
    actor: "operator",
    actorKind: "user",
    action: "repository.credentials_update",
    targetKind: "repository",
    targetId: "01JDR",
    targetName: LONG_NAME,
    payload: {
      url: "rest:https://backup.example.com:8000/db/",
      repo_password: "changed",
      rest_password: "unchanged",
    },
  },
  {
    id: "3",
    at: NOW - HOUR,
    actor: "db-primary",
    actorKind: "agent",
    action: "agent.connect",
    targetKind: "host",
    targetId: HEADER.id,
    targetName: "db-primary",
    payload: { agent_version: "0.1.0", restic_version: "0.18.1" },
  },
  {
    id: "4",
    at: NOW - 2 * HOUR,
    actor: "system",
    actorKind: "system",
    action: "job.create",
    targetKind: "host",
    targetId: HEADER.id,
    targetName: "db-primary",
    payload: null,
  },
  {
    id: "5",
    at: NOW - DAY,
    actor: HOSTILE,
    actorKind: "user",
    action: "session.login_failed",
    targetKind: null,
    targetId: null,
    targetName: null,
    payload: { reason: "unknown name" },
  },
  {
    id: "6",
    at: NOW - 2 * DAY,
    actor: "operator",
    actorKind: "user",
    action: "enrolment.token_create",
    targetKind: "host",
    targetId: null,
    targetName: "web-01",
    payload: { hostname: "web-01", tags: ["prod"], initial_paths: ["/etc", "/home"] },
  },
];

export const API_TOKENS = [
  {
    id: "01T1",
    name: "ci",
    role: "operator" as const,
    createdAt: NOW - 40 * 86_400_000,
    expiresAt: NOW + 50 * 86_400_000,
    lastUsedAt: NOW - 95_000,
  },
  {
    id: "01T2",
    name: "monthly-report-of-the-auditors",
    role: "viewer" as const,
    createdAt: NOW - 200 * 86_400_000,
    expiresAt: null,
    lastUsedAt: null,
  },
  {
    id: "01T3",
    name: "old-laptop",
    role: "admin" as const,
    createdAt: NOW - 400 * 86_400_000,
    expiresAt: NOW - 35 * 86_400_000,
    lastUsedAt: NOW - 90 * 86_400_000,
  },
];
