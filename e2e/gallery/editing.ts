/** Source groups, schedules and host settings with canned data: empty, many, long, refused, two people at one form. */
import type { HostPageProps, HostTab } from "../../packages/server/src/features/overview/host.views.tsx";
import { renderHostPage } from "../../packages/server/src/features/overview/host.views.tsx";
import type { ScheduleRow } from "../../packages/server/src/features/overview/host-schedules.views.tsx";
import type { SourceRow } from "../../packages/server/src/features/overview/host-sources.views.tsx";
import {
  previewCron,
  renderCronPreview,
} from "../../packages/server/src/features/schedules/cron-preview.views.tsx";
import { renderRunPausedPage } from "../../packages/server/src/features/schedules/run-paused.views.tsx";
import { newSchedule } from "../../packages/server/src/features/schedules/schedule-form.ts";
import {
  renderSchedulePage,
  type SchedulePageProps,
} from "../../packages/server/src/features/schedules/schedule-form.views.tsx";
import type { GroupValues } from "../../packages/server/src/features/sources/group-form.ts";
import {
  type GroupPageProps,
  renderGroupPage,
} from "../../packages/server/src/features/sources/group-form.views.tsx";
import type { PageContext } from "../../packages/server/src/platform/html/scope.ts";
import { HEADER, HOST_PAGE, HOSTILE, LONG_NAME, LONG_PATH, NOW } from "./data.ts";

const HOUR = 3_600_000;

const SOURCES: SourceRow[] = [
  {
    id: "01JDG1",
    name: "databases",
    includes: ["/var/backups/pg", "/etc/postgresql", "/srv/dumps"],
    kept: "24 hourly, 7 daily, 4 weekly",
    conflicts: ["It keeps 24 hourly snapshots, but no schedule runs it more than once a day."],
    usedBy: [
      { scheduleId: "S1", cron: "0 3 * * *", words: "At 03:00" },
      { scheduleId: "S2", cron: "0 3 1 * *", words: "At 03:00, on day 1 of the month" },
    ],
    lastRun: { jobId: "1", status: "succeeded", at: NOW - 26 * 60_000 },
  },
  {
    id: "01JDG2",
    name: "system-configuration",
    includes: ["/etc", LONG_PATH],
    kept: null,
    conflicts: [],
    usedBy: [],
    lastRun: null,
  },
];

const MANY_SOURCES: SourceRow[] = Array.from({ length: 40 }, (_, index) => ({
  id: `G${index}`,
  name: index === 3 ? `customer-${LONG_NAME}` : `customer-${String(index).padStart(3, "0")}`,
  includes:
    index === 5 ? Array.from({ length: 200 }, (_unused, i) => `/srv/shares/${i}`) : [`/srv/www/${index}`],
  kept:
    index === 7
      ? "3 last, 24 hourly, 14 daily, 8 weekly, 12 monthly, 5 yearly, all of 1y6m"
      : "7 daily, 4 weekly",
  conflicts: [],
  usedBy: [
    { scheduleId: "S1", cron: "*/15 8-18 * * 1-5", words: "Every 15 minutes, between 08:00 and 18:59" },
  ],
  lastRun:
    index % 5 === 0
      ? null
      : { jobId: "1", status: index === 2 ? "failed" : "succeeded", at: NOW - index * HOUR },
}));

const SCHEDULES: ScheduleRow[] = [
  {
    id: "S1",
    cron: "0 3 * * *",
    words: "At 03:00",
    timeZone: "Europe/Berlin",
    groups: ["databases", "system-configuration"],
    standing: { state: "active" },
    nextAt: NOW + 21 * HOUR,
    last: { at: NOW - 3 * HOUR, status: "succeeded", jobId: "1" },
  },
  {
    id: "S2",
    cron: "*/15 8-18 * * MON-FRI",
    words: "Every 15 minutes, between 08:00 and 18:59, Monday through Friday",
    timeZone: "America/Argentina/ComodRivadavia",
    groups: ["databases", "a-group-with-a-really-long-name", "www", "mail"],
    standing: { state: "retry", retry: 2, nextTryAt: NOW + 4 * 60_000 },
    nextAt: NOW + HOUR,
    last: { at: NOW - 60_000, status: "failed", jobId: "1" },
  },
  {
    id: "S3",
    cron: "0 12 * * 0",
    words: "At 12:00, only on Sunday",
    timeZone: "UTC",
    groups: ["databases"],
    standing: { state: "paused", since: NOW - 9 * 24 * HOUR },
    nextAt: null,
    last: { at: NOW - 16 * 24 * HOUR, status: "warning", jobId: "1" },
  },
  {
    id: "S4",
    cron: "30 1 * * *",
    words: "At 01:30",
    timeZone: "UTC",
    groups: ["system-configuration"],
    standing: { state: "offline", plannedAt: NOW - 3 * HOUR },
    nextAt: NOW + 20 * HOUR,
    last: null,
  },
  {
    id: "S5",
    cron: "0 * * * *",
    words: "Every hour",
    timeZone: "UTC",
    groups: ["databases"],
    standing: { state: "running", plannedAt: NOW - 9 * 60_000 },
    nextAt: NOW + 51 * 60_000,
    last: { at: NOW - HOUR, status: "succeeded", jobId: "1" },
  },
];

const VALUES: GroupValues = {
  name: "databases",
  includes: "/var/backups/pg\n/etc/postgresql\n/srv/dumps",
  excludes: "*.tmp\n/var/backups/pg/old",
  exclude_if_present: "",
  exclude_larger_than: "",
  exclude_larger_than_unit: "MiB",
  exclude_caches: "",
  one_file_system: "",
  min_size: "",
  min_size_unit: "MiB",
  keep_last: "",
  keep_hourly: "24",
  keep_daily: "7",
  keep_weekly: "4",
  keep_monthly: "",
  keep_yearly: "",
  keep_within: "",
  retry_max: "3",
  retry_backoff_seconds: "60",
  pre_hook: "set -e\npg_dumpall -U postgres > /srv/dumps/all.sql",
  pre_hook_timeout_seconds: "600",
  post_hook: "",
  post_hook_timeout_seconds: "600",
};

const host = { id: HEADER.id, name: HEADER.name, online: true, windows: false, hooksAllowed: true };

function group(page: PageContext, overrides: Partial<GroupPageProps> = {}): string {
  return renderGroupPage(page, {
    host,
    group: { id: "01JDG1", name: "databases", version: 4 },
    values: VALUES,
    seen: "",
    conflicts: [],
    usedBy: [{ scheduleId: "S1", cron: "0 3 * * *", words: "At 03:00" }],
    isLast: false,
    otherHosts: [
      { id: "1", name: "web-01", online: true },
      { id: "2", name: LONG_NAME, online: false },
    ],
    ...overrides,
  });
}

function schedule(page: PageContext, overrides: Partial<SchedulePageProps> = {}): string {
  const values = overrides.values ?? { ...newSchedule, time_zone: "Europe/Berlin" };
  return renderSchedulePage(page, {
    host,
    schedule: { id: "S1", cron: "0 3 * * *", version: 2, paused: false },
    values,
    chosenGroupIds: ["01JDG1"],
    seen: "",
    groups: SOURCES,
    preview: previewCron(values.cron, values.time_zone, NOW),
    conflicts: [],
    ...overrides,
  });
}

function tab(page: PageContext, shown: HostTab, header: Partial<HostPageProps["host"]> = {}): string {
  return renderHostPage(page, { ...HOST_PAGE, host: { ...HEADER, ...header }, tab: shown });
}

const settings: Extract<HostTab, { name: "settings" }> = {
  name: "settings",
  loss: { jobCount: 1204, snapshotCount: 96, sourceGroupCount: 2 },
  mode: "always-on",
  caps: { upload: "1024", download: "" },
  windows: false,
  hooksAllowed: true,
  hooks: {
    pre_hook: "mount /mnt/archive",
    pre_hook_timeout_seconds: "600",
    post_hook: "umount /mnt/archive",
    post_hook_timeout_seconds: "60",
  },
};

const behind = { sync: { version: 8, applied: 7, late: true } };

export const EDITING_VIEWS: Readonly<Record<string, (page: PageContext) => string>> = {
  "host-sources": (page) => tab(page, { name: "sources", groups: SOURCES }),
  "host-sources-none": (page) => tab(page, { name: "sources", groups: [] }),
  "host-sources-40": (page) => tab(page, { name: "sources", groups: MANY_SOURCES }),
  "host-schedules": (page) => tab(page, { name: "schedules", schedules: SCHEDULES }, behind),
  "host-schedules-none": (page) => tab(page, { name: "schedules", schedules: [] }),
  "host-settings": (page) => tab(page, settings),
  "host-settings-refused": (page) =>
    tab(page, {
      ...settings,
      mode: "intermittent",
      hooksAllowed: false,
      capsForm: {
        values: { upload_kib: "fast", download_kib: "1024" },
        errors: { upload_kib: "This must be a whole number of KiB a second, from 1 on." },
      },
      form: {
        values: { confirm_name: "db-primry" },
        errors: { confirm_name: "This is not the host’s name." },
      },
    }),
  "group-new": (page) =>
    group(page, {
      group: null,
      values: { ...VALUES, name: "", includes: "", excludes: "", pre_hook: "", keep_hourly: "" },
      usedBy: [],
    }),
  "group-edit": (page) =>
    group(page, {
      conflicts: ["It keeps 24 hourly snapshots, but no schedule runs it more than once a day."],
    }),
  "group-errors": (page) =>
    group(page, {
      message: "Nothing was saved. See below.",
      values: {
        ...VALUES,
        includes: "/etc\nhome/x",
        one_file_system: "on",
        exclude_larger_than: "big",
        keep_daily: "seven",
        keep_within: "3 weeks",
      },
      errors: {
        includes: "“home/x” is not an absolute path.",
        exclude_larger_than: "This must be a whole number, at least 1.",
        keep_daily: "This must be a whole number, from 1 to 10000.",
        keep_within: "Write a duration in years, months, days and hours, such as 1y6m, 30d or 2d12h.",
      },
      host: { ...host, online: false, hooksAllowed: false },
    }),
  "group-conflict": (page) =>
    group(page, {
      changes: [
        { field: "includes", now: "/var/backups/pg\n/etc/postgresql" },
        { field: "keep_daily", now: "14" },
        { field: "excludes", now: "" },
        { field: "pre_hook", now: null },
      ],
      usedBy: [],
      isLast: true,
    }),
  "group-viewer": (page) => group({ ...page, user: { name: "viewer", role: "viewer" } }, {}),
  "schedule-new": (page) => schedule(page, { schedule: null, chosenGroupIds: [] }),
  "schedule-invalid": (page) =>
    schedule(page, {
      schedule: null,
      chosenGroupIds: [],
      message: "Nothing was saved. See below.",
      values: { cron: "0 25 * *", time_zone: "Europe/Berlin", jitter_minutes: "x", enabled: "" },
      errors: {
        cron: "A cron expression has five fields (minute, hour, day of the month, month, day of the week); this has 4.",
        jitter_minutes: "This must be a number of minutes, from 0 to 1,440.",
        source_group_ids: "Choose at least one source group.",
      },
    }),
  "schedule-edit": (page) =>
    schedule(page, {
      groups: MANY_SOURCES,
      chosenGroupIds: ["G1", "G4"],
      values: {
        cron: "*/15 8-18 * * MON-FRI",
        time_zone: "Asia/Kathmandu",
        jitter_minutes: "15",
        enabled: "on",
      },
      conflicts: ["databases keeps 24 hourly snapshots, but no schedule runs it more than once a day."],
      changes: ["The cron expression is now 0 4 * * *.", "It is paused now."],
    }),
  "schedule-run-paused": (page) =>
    renderRunPausedPage(page, {
      host,
      schedule: { id: "S3", cron: "0 12 * * 0", pausedAt: NOW - 9 * 24 * HOUR },
      groups: ["databases"],
    }),
};

/** A host with three folders, of which one is long and holds hostile names. */
function folderOf(path: string) {
  const folder = (name: string) => ({ name, kind: "folder", size_bytes: null });
  if (path === "/") return { entries: ["etc", "srv", "var"].map(folder), more: false };
  if (path !== "/srv") return { entries: [], more: false };
  const file = { name: HOSTILE, kind: "file", size_bytes: 812 };
  return { entries: [folder("data"), folder("a b"), folder("x".repeat(180)), file], more: true };
}

/** What the pages above ask for while somebody types. */
export const EDITING_FRAGMENTS: Readonly<
  Record<string, (page: PageContext, query: URLSearchParams) => string>
> = {
  "/fragments/cron": (page, query) =>
    renderCronPreview(page, previewCron(query.get("cron") ?? "", query.get("time_zone") ?? "", NOW)),
  [`/api/hosts/${HEADER.id}/files`]: (_page, query) => JSON.stringify(folderOf(query.get("path") ?? "")),
};
