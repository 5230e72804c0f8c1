/** A repository and its maintenance with canned data: healthy, broken, shared, new, a year old, refused. */
import { renderForgetPage } from "../../packages/server/src/features/maintenance/forget-now.views.tsx";
import type { LastRun, RepositoryView } from "../../packages/server/src/features/maintenance/maintenance.ts";
import { maintenanceValues } from "../../packages/server/src/features/maintenance/maintenance-form.ts";
import {
  type MaintenancePageProps,
  renderMaintenancePage,
} from "../../packages/server/src/features/maintenance/maintenance-form.views.tsx";
import {
  renderRetentionFragment,
  type ShownPreview,
} from "../../packages/server/src/features/maintenance/retention.views.tsx";
import { renderHostPage } from "../../packages/server/src/features/overview/host.views.tsx";
import type { RepositoryTabProps } from "../../packages/server/src/features/overview/host-repository.views.tsx";
import type { RedactedCredentials } from "../../packages/server/src/features/repositories/repositories.ts";
import type { PageContext } from "../../packages/server/src/platform/html/scope.ts";
import { HEADER, HOST_PAGE, LONG_NAME, NOW } from "./data.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const GIB = 1024 ** 3;
const TODAY = Math.floor(NOW / DAY) * DAY;
const LOCATION = "rest:https://backup.example.com:8000/db-primary/";

const PLAIN_REST = {
  ...{ kind: "rest", environment: {}, secretsSet: [], caCertificate: null, options: {} },
} satisfies Partial<RedactedCredentials>;

const MAINTENANCE: RepositoryView["maintenance"] = {
  repositoryId: "R1",
  ownerHostId: null,
  timeZone: "Europe/Berlin",
  forgetCron: "0 3 * * *",
  pruneCron: "0 4 * * 0",
  checkCron: "0 5 1 * *",
  checkPercent: null,
  checkSlices: 43,
  verifyCron: "0 6 * * 6",
  verifyFiles: 100,
  verifyBytes: 256 * 1024 ** 2,
  maxRemovedPercent: 50,
  version: 4,
  updatedAt: NOW - 40 * DAY,
};

const run = (finishedAt: number, overrides: Partial<LastRun> = {}): LastRun => ({
  jobId: "01JDJ1",
  hostId: HEADER.id,
  status: "succeeded",
  finishedAt,
  result: null,
  error: null,
  readData: null,
  ...overrides,
});

const CHECKED: LastRun = run(NOW - 22 * DAY, {
  readData: { slice: 12, of: 43 },
  result: {
    kind: "check",
    error_count: 0,
    broken_packs: 0,
    suggest_repair_index: false,
    suggest_prune: false,
  },
});
const PRUNED = run(NOW - 2 * DAY, { result: { kind: "prune", freed_bytes: 12.4 * GIB } });

export const VIEW: RepositoryView = {
  host: { id: HEADER.id, name: HEADER.name },
  repository: {
    id: "R1",
    location: LOCATION,
    createdAt: NOW - 400 * DAY,
    resticId: "6f1b2c9ae41a5c6f1b2c9ae41a5c6f1b2c9ae41a5c6f1b2c9ae41a5c6f1b2c9a",
    foreignId: null,
    rawBytes: 412.6 * GIB,
    uncompressedBytes: 1.31 * 1024 * GIB,
    snapshotCount: 1204,
    statsAt: NOW - 26 * 60_000,
  },
  locks: [],
  sharers: [{ id: HEADER.id, name: HEADER.name, isOnline: true, isOwner: true, isAdminSet: true }],
  maintenance: MAINTENANCE,
  cadences: [
    {
      operation: "forget",
      nextAt: NOW + 21 * HOUR,
      lastFire: { plannedAt: NOW - 3 * HOUR, outcome: "run" },
      lastRun: run(NOW - 3 * HOUR),
    },
    {
      operation: "prune",
      nextAt: NOW + 6 * DAY,
      lastFire: { plannedAt: NOW - 2 * DAY, outcome: "run" },
      lastRun: PRUNED,
    },
    {
      operation: "check",
      nextAt: NOW + 8 * DAY,
      lastFire: { plannedAt: NOW - 22 * DAY, outcome: "run" },
      lastRun: CHECKED,
    },
    {
      operation: "verify",
      nextAt: NOW + 2 * DAY,
      lastFire: { plannedAt: NOW - 5 * DAY, outcome: "run" },
      lastRun: run(NOW - 5 * DAY),
    },
  ],
  coverage: { since: NOW - 42.5 * DAY, slicesRead: 43, slicesOf: 43, nextSlice: 13 },
  credentials: null,
  adminCredentials: {
    location: "rest:https://backup.example.com:8001/db-primary/",
    restUsername: "db-primary-admin",
    passwordSet: true,
    restPasswordSet: true,
    updatedAt: NOW - 90 * DAY,
    version: 1,
    ...PLAIN_REST,
  },
  isAdminRefused: false,
};

const ACCESS: RedactedCredentials = {
  ...{ location: LOCATION, restUsername: "db-primary", passwordSet: true, restPasswordSet: true },
  ...{ updatedAt: NOW - 40 * DAY, version: 1 },
  ...PLAIN_REST,
};

/** Grows, and shrinks a little with each prune; some days nobody told anything. */
const history = (days: number): RepositoryTabProps["history"] =>
  Array.from({ length: days }, (_, index) => ({
    at: TODAY - (days - 1 - index) * DAY,
    rawBytes:
      index % 29 === 11
        ? null
        : (290 + index * (130 / days) - (index % 7) * 1.6 + 6 * Math.sin(index / 9)) * GIB,
    snapshotCount: 860 + Math.round(index * (340 / days)) - (index % 7) * 3,
  })).filter((_, index) => index % 31 !== 7);

export const TAB: RepositoryTabProps = {
  access: ACCESS,
  agentTooOld: false,
  view: VIEW,
  rotation: null,
  history: history(30),
  span: 30,
  tags: [
    { tag: "databases", count: 72, newestAt: NOW - 26 * 60_000 },
    { tag: "system-configuration", count: 23, newestAt: NOW - 7 * HOUR },
    { tag: null, count: 1, newestAt: NOW - 90 * DAY },
  ],
};

const tab = (page: PageContext, overrides: Partial<RepositoryTabProps> = {}): string =>
  renderHostPage(page, { ...HOST_PAGE, tab: { name: "repository", ...TAB, ...overrides } });

const DAMAGED: RepositoryView = {
  ...VIEW,
  repository: {
    ...VIEW.repository,
    foreignId: "c0ffee12ab34cd56ef7890ab12cd34ef56ab78cd90ef12ab34cd56ef78ab90cd",
  },
  locks: [
    {
      ...{ id: "L1", hostname: `${HEADER.name}.internal`, username: "root", pid: 48_211, exclusive: true },
      ...{ createdAt: NOW - 26 * HOUR, alive: false, host: { id: HEADER.id, name: HEADER.name }, ours: true },
      ...{ job: { id: "01JDJ1", kind: "prune" as const }, jobAlive: false },
    },
    {
      ...{ id: "L2", hostname: LONG_NAME, username: "backup", pid: 901, exclusive: false },
      ...{ createdAt: NOW - 5 * HOUR, alive: null, host: null, ours: false, job: null, jobAlive: null },
    },
  ],
  cadences: [
    {
      operation: "forget",
      nextAt: NOW + 21 * HOUR,
      lastFire: { plannedAt: NOW - 3 * HOUR, outcome: "swapped" },
      lastRun: run(NOW - 27 * HOUR),
    },
    {
      operation: "prune",
      nextAt: NOW + 6 * DAY,
      lastFire: { plannedAt: NOW - 2 * DAY, outcome: "run" },
      lastRun: run(NOW - 26 * HOUR, { status: "lost" }),
    },
    {
      operation: "check",
      nextAt: NOW + 8 * DAY,
      lastFire: null,
      lastRun: run(NOW - 4 * HOUR, {
        status: "failed",
        error: { code: "restic.repository_damaged", message: "The repository is damaged." },
        readData: { percent: 5 },
        result: {
          kind: "check",
          error_count: 14,
          broken_packs: 3,
          suggest_repair_index: true,
          suggest_prune: false,
        },
      }),
    },
  ],
  coverage: { since: null, slicesRead: 12, slicesOf: 43, nextSlice: 13 },
};

const SHARED: RepositoryView = {
  ...VIEW,
  maintenance: { ...MAINTENANCE, checkSlices: null, checkPercent: 5, pruneCron: null },
  sharers: ["backup-head", HEADER.name, LONG_NAME, "laptop-anna"].map((name, index) => ({
    ...{ id: name === HEADER.name ? HEADER.id : `H${index}`, name },
    ...{ isOnline: index !== 3, isOwner: index === 0, isAdminSet: index === 0 },
  })),
  adminCredentials: null,
  cadences: VIEW.cadences.map((cadence) =>
    cadence.operation === "prune" ? { ...cadence, nextAt: null, lastFire: null, lastRun: null } : cadence,
  ),
  coverage: { since: null, slicesRead: null, slicesOf: null, nextSlice: null },
};

const FRESH: RepositoryView = {
  ...VIEW,
  repository: {
    ...VIEW.repository,
    ...{ resticId: null, rawBytes: null, uncompressedBytes: null, snapshotCount: null, statsAt: null },
  },
  locks: null,
  maintenance: {
    ...MAINTENANCE,
    timeZone: "UTC",
    checkSlices: null,
    checkPercent: 5,
    version: 0,
    updatedAt: null,
  },
  cadences: VIEW.cadences.map((cadence) => ({ ...cadence, lastFire: null, lastRun: null })),
  coverage: { since: null, slicesRead: null, slicesOf: null, nextSlice: null },
  adminCredentials: null,
};

const NO_ADMIN: RepositoryView = {
  ...VIEW,
  adminCredentials: null,
  sharers: VIEW.sharers.map((sharer) => ({ ...sharer, isAdminSet: false })),
  cadences: VIEW.cadences.map((cadence) =>
    cadence.operation === "prune"
      ? { ...cadence, lastRun: null, lastFire: { plannedAt: NOW - 2 * DAY, outcome: "no_admin_credential" } }
      : cadence,
  ),
};

const FORM: MaintenancePageProps = {
  host: { id: HEADER.id, name: HEADER.name },
  location: LOCATION,
  version: 4,
  values: maintenanceValues(MAINTENANCE),
  seen: "",
  nextAt: { forget: NOW + 21 * HOUR, prune: NOW + 6 * DAY, check: NOW + 8 * DAY, verify: NOW + 2 * DAY },
  sharers: SHARED.sharers,
};

const FORGET_GROUPS = [
  {
    ...{ groupId: "01JDG1", name: "databases", kept: "Keeps the last 24 hourly and 7 daily snapshots." },
    ...{ isLeftOut: false, total: 412, removed: 380, isAboveLimit: true },
  },
  {
    ...{
      groupId: "01JDG2",
      name: "system-configuration",
      kept: "Keeps the last 7 daily, 4 weekly and 12 monthly snapshots.",
    },
    ...{ isLeftOut: false, total: 96, removed: 4, isAboveLimit: false },
  },
  {
    ...{ groupId: "01JDG3", name: LONG_NAME, kept: "Kept for ever; nothing is forgotten." },
    ...{ isLeftOut: true, total: 31, removed: 0, isAboveLimit: false },
  },
];

const PREVIEW: ShownPreview = {
  problem: null,
  keep: Array.from({ length: 11 }, (_, index) => ({
    id: `3c1f88e0${index}e41a5c`.padEnd(64, "0"),
    time: NOW - index * DAY - 2 * HOUR,
    reasons: index < 7 ? ["daily"] : ["weekly"],
  })),
  remove: Array.from({ length: 16 }, (_, index) => ({
    id: `9ab2c1d0${index}`.padEnd(64, "0"),
    time: NOW - index * DAY - 14 * HOUR,
  })),
  shareRemoved: 16 / 27,
  needsConfirmation: true,
  isEmpty: false,
  simulation: Array.from({ length: 12 }, (_, index) => ({
    month: new Date(Date.UTC(2026, 10 + index, 1)).toISOString().slice(0, 7),
    kept: Math.min(23, 11 + index),
  })),
  simulationNote: null,
};

/** Each view of a repository by its name. */
export const REPOSITORY_VIEWS: Readonly<Record<string, (page: PageContext) => string>> = {
  "repository-healthy": (page) => tab(page),
  "repository-damaged": (page) => tab(page, { view: DAMAGED, history: history(90).slice(0, 60), span: 90 }),
  "repository-no-admin": (page) => tab(page, { view: NO_ADMIN }),
  "repository-shared": (page) => tab(page, { view: SHARED, history: history(30).slice(-2) }),
  "repository-fresh": (page) => tab(page, { view: FRESH, history: [] }),
  "repository-rotation": (page) => tab(page, { view: SHARED, rotation: "ready" }),
  "repository-one-day": (page) => tab(page, { history: history(30).slice(-1) }),
  "repository-year": (page) => tab(page, { history: history(365), span: 365 }),
  "repository-none": (page) => tab(page, { ...{ view: null, history: [], access: null } }),
  "repository-refused": (page) =>
    tab(page, {
      view: { ...DAMAGED, isAdminRefused: true },
      form: {
        errors: { repo_url: "The URL has no scheme; did you mean rest:https://…?" },
        values: { repo_url: "backup.example.com" },
      },
      adminForm: {
        message: "Nothing was saved. See below.",
        values: { repo_url: "backup.example.com", repo_username: "admin" },
        errors: { repo_url: "The URL has no scheme; did you mean rest:https://…?" },
      },
      unlockForm: {
        values: { unlock_confirm_name: "db" },
        errors: { unlock_confirm_name: `That is not the host's name. Type exactly ${HEADER.name}.` },
      },
      acceptForm: {
        values: { accept_confirm_name: "db" },
        errors: { accept_confirm_name: `That is not the host's name. Type exactly ${HEADER.name}.` },
      },
      initForm: {
        values: { init_confirm_name: "db" },
        errors: { init_confirm_name: `That is not the host's name. Type exactly ${HEADER.name}.` },
      },
    }),
  "repository-viewer": (page) =>
    tab({ ...page, user: { name: "viewer", role: "viewer" } }, { view: DAMAGED }),
  "maintenance-form": (page) => renderMaintenancePage(page, FORM),
  "maintenance-refused": (page) =>
    renderMaintenancePage(page, {
      ...FORM,
      values: {
        ...FORM.values,
        prune_on: "",
        check_cron: "0 5 1 *",
        check_percent: "101",
        check_depth: "percent",
      },
      errors: {
        check_cron: "A cron expression has five fields; this one has 4.",
        check_percent: "A check reads more than 0 and up to 100 percent of the data.",
      },
      message: "Nothing was saved. See below.",
    }),
  "maintenance-conflict": (page) =>
    renderMaintenancePage(page, { ...FORM, changes: ["Prune is off now.", "The time zone is now UTC."] }),
  "forget-now": (page) =>
    renderForgetPage(page, {
      host: { id: HEADER.id, name: HEADER.name, online: true },
      groups: FORGET_GROUPS.slice(1, 2),
      maxRemovedPercent: 50,
    }),
  "forget-limit": (page) =>
    renderForgetPage(page, {
      host: { id: HEADER.id, name: HEADER.name, online: true },
      groups: FORGET_GROUPS,
      maxRemovedPercent: 50,
    }),
};

/** Parts of pages that scripts ask for, by their path. */
export const REPOSITORY_FRAGMENTS: Readonly<
  Record<string, (page: PageContext, query: URLSearchParams) => string>
> = {
  [`/fragments/hosts/${HEADER.id}/sources/01JDG1/retention`]: (page) =>
    renderRetentionFragment(page, {
      host: { id: HEADER.id, name: HEADER.name },
      group: { id: "01JDG1", name: "databases" },
      preview: PREVIEW,
    }),
};
