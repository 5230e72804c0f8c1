/** Every view of the product with canned data: one entry per state worth looking at. */
import { renderAuditPage } from "../../packages/server/src/features/audit/audit.views.tsx";
import {
  renderAddHostPage,
  renderAddHostResultPage,
} from "../../packages/server/src/features/enrolment/enrolment.views.tsx";
import {
  enrolCommand,
  installCommand,
  windowsInstallCommand,
} from "../../packages/server/src/features/enrolment/install-command.ts";
import { renderJobListPage } from "../../packages/server/src/features/jobs/job-list.views.tsx";
import { type JobPageProps, renderJobPage } from "../../packages/server/src/features/jobs/jobs.views.tsx";
import { type HostTab, renderHostPage } from "../../packages/server/src/features/overview/host.views.tsx";
import {
  renderDashboardFragment,
  renderDashboardPage,
} from "../../packages/server/src/features/overview/overview.views.tsx";
import {
  renderAccountPage,
  renderFirstRunPage,
  renderSignInPage,
} from "../../packages/server/src/features/users/users.views.tsx";
import { renderErrorPage } from "../../packages/server/src/platform/html/error-pages.tsx";
import type { PageContext } from "../../packages/server/src/platform/html/scope.ts";
import { AGENT_VIEWS } from "./agents.ts";
import { BACKEND_VIEWS } from "./backends.ts";
import * as data from "./data.ts";
import { DRILL_FRAGMENTS, DRILL_VIEWS } from "./drills.ts";
import { EDITING_FRAGMENTS, EDITING_VIEWS } from "./editing.ts";
import { INSTALLATION_VIEWS } from "./installation.ts";
import { MANY_PENDING, PENDING, PENDING_VIEWS } from "./pending.ts";
import { REPOSITORY_FRAGMENTS, REPOSITORY_VIEWS } from "./repository.ts";
import { RESTORE_VIEWS } from "./restore.ts";
import { RETENTION_FRAGMENTS, RETENTION_VIEWS } from "./retention.ts";
import { ROTATION_VIEWS } from "./rotation.ts";
import { WIZARD_VIEWS } from "./wizard.ts";

export { answerWizard } from "./wizard.ts";

const { NOW } = data;
const PAGES = { page: 1, pageSize: 50, total: 96 };

const STATUS = {
  tokenId: "01JDT0KEN",
  hostname: "web-02",
  expiresAt: NOW + 59 * 60_000 + 12_000,
  host: null,
};
const LONG_HOST = "build-worker-of-the-statistics-department-in-rotterdam-nr-42";
const GALLERY_TOKEN = "7Kq2vN9xYtB4cW8sDfG1hJ6mP3rLzQ5aXe0UoRi";
const RESULT = {
  token: GALLERY_TOKEN,
  installCommand: installCommand("https://backups.example.com", GALLERY_TOKEN),
  windowsCommand: windowsInstallCommand("https://backups.example.com", GALLERY_TOKEN),
  enrolCommand: enrolCommand("https://backups.example.com", GALLERY_TOKEN),
  mintedPassword: "kR7v-pX2q-Ts9w-Mn4c-Zd8f-Hb3j-Yg6k",
  htpasswdCommand: "htpasswd -B /var/lib/rest-server/.htpasswd web-02",
  repositoryUrl: "rest:https://backup.example.com:8000/web-02/",
  tags: ["prod", "web"],
  initialPaths: ["/etc", "/home", "/var/lib/docker/volumes"],
};

/** Makes each view for a page context. */
export const VIEWS: Readonly<Record<string, (page: PageContext) => string>> = {
  "sign-in": (page) => renderSignInPage(anonymous(page), { returnTo: "/jobs" }),
  "sign-in-refused": (page) =>
    renderSignInPage(anonymous(page), {
      form: { values: { username: "operator" }, message: "Name or password is wrong." },
    }),
  "first-run": (page) =>
    renderFirstRunPage(anonymous(page), {
      minPasswordLength: 12,
      form: {
        values: { token: "st_8Jd0qk", username: "oli" },
        errors: { password: "This password has 7 characters; 12 are needed." },
      },
    }),
  account: (page) =>
    renderAccountPage(page, {
      minPasswordLength: 12,
      form: { errors: { current_password: "This is not your current password." } },
      apiTokens: { tokens: [] },
    }),
  "account-tokens": (page) =>
    renderAccountPage(page, {
      minPasswordLength: 12,
      apiTokens: {
        tokens: data.API_TOKENS,
        created: { name: "ci", token: `rmt_${"7Kq2vN9xYtB4cW8s".repeat(3)}` },
      },
    }),
  "account-token-refused": (page) =>
    renderAccountPage(page, {
      minPasswordLength: 12,
      apiTokens: {
        tokens: data.API_TOKENS,
        form: {
          values: { name: "ci", role: "operator" },
          errors: { name: "You have a token “ci” already." },
        },
      },
    }),
  dashboard: (page) => dashboard(page, {}),
  "dashboard-filtered": (page) =>
    dashboard(page, { hosts: [], filter: { search: "nowhere", state: "attention", tag: "prod" } }),
  "dashboard-empty": (page) =>
    dashboard(page, { hosts: [], tags: [], figures: { ...data.FIGURES, total: 0 } }),
  "dashboard-pending": (page) => dashboard(page, { pending: PENDING.slice(0, 1) }),
  "dashboard-pending-doubts": (page) => dashboard(page, { pending: PENDING }),
  "dashboard-pending-100": (page) => dashboard(page, { pending: MANY_PENDING }),
  "dashboard-pending-first": (page) =>
    dashboard(page, { pending: PENDING, hosts: [], tags: [], figures: { ...data.FIGURES, total: 0 } }),
  "dashboard-1000": (page) =>
    dashboard(page, {
      hosts: data.MANY_HOSTS,
      page: { page: 2, pageSize: 50, total: 1000 },
      figures: { ...data.FIGURES, total: 1000, online: 998 },
    }),
  "host-snapshots": (page) => host(page, { name: "snapshots", snapshots: data.SNAPSHOTS, page: PAGES }),
  "host-jobs": (page) =>
    host(page, { name: "jobs", jobs: data.JOBS.slice(0, 12), page: { ...PAGES, total: 12 } }),
  ...REPOSITORY_VIEWS,
  ...BACKEND_VIEWS,
  ...EDITING_VIEWS,
  ...RETENTION_VIEWS,
  ...ROTATION_VIEWS,
  ...AGENT_VIEWS,
  ...INSTALLATION_VIEWS,
  ...DRILL_VIEWS,
  ...WIZARD_VIEWS,
  ...RESTORE_VIEWS,
  ...PENDING_VIEWS,
  "host-running": (page) => runningHost(page),
  "host-new": (page) => newHost(page),
  "job-running": (page) => renderJobPage(page, data.JOB),
  "job-scanning": (page) => renderJobPage(page, scanning()),
  "job-queued": (page) =>
    renderJobPage(page, {
      ...data.JOB,
      id: "queued",
      status: "queued",
      startedAt: null,
      progress: null,
      waitsFor: "check on this host",
      log: { lineCount: 0, preview: [] },
    }),
  "job-failed": (page) => renderJobPage(page, data.FAILED_JOB),
  "job-warning": (page) => renderJobPage(page, data.DONE_JOB),
  "job-log-removed": (page) =>
    renderJobPage(page, {
      ...data.DONE_JOB,
      log: { lineCount: 0, preview: [], removed: { at: NOW - 86_400_000, afterMs: 90 * 86_400_000 } },
    }),
  jobs: (page) =>
    renderJobListPage(page, { jobs: data.JOBS, page: PAGES, filter: {}, kinds: ["backup", "init", "check"] }),
  "jobs-empty": (page) =>
    renderJobListPage(page, {
      jobs: [],
      page: { page: 1, pageSize: 50, total: 0 },
      filter: {},
      kinds: ["backup"],
    }),
  "add-host": (page) =>
    renderAddHostPage(page, {
      announceCommand: "restic-manager-agent announce --server https://backups.example.com --run",
    }),
  "add-host-errors": (page) => addHostErrors(page),
  "add-host-result": (page) =>
    renderAddHostResultPage(page, { ...RESULT, status: { ...STATUS, state: "waiting" } }),
  "add-host-result-linux": (page) =>
    renderAddHostResultPage(page, {
      ...{ ...RESULT, mintedPassword: null, windowsCommand: null },
      status: { ...STATUS, state: "waiting", hostname: LONG_HOST },
    }),
  "add-host-result-no-release": (page) =>
    renderAddHostResultPage(page, {
      ...{ ...RESULT, mintedPassword: null, installCommand: null, windowsCommand: null },
      status: { ...STATUS, state: "waiting" },
    }),
  "add-host-online": (page) =>
    renderAddHostResultPage(page, {
      ...RESULT,
      mintedPassword: null,
      status: {
        ...STATUS,
        state: "online",
        host: { id: "x", agentVersion: "0.1.0", resticVersion: "0.18.1", lastSeenAt: NOW - 1000 },
      },
    }),
  "add-host-expired": (page) =>
    renderAddHostResultPage(page, {
      ...RESULT,
      mintedPassword: null,
      status: { ...STATUS, expiresAt: NOW - 60_000, state: "expired" },
    }),
  audit: (page) =>
    renderAuditPage(page, {
      entries: data.AUDIT,
      next: null,
      paged: false,
      filter: { user: "operator" },
      users: ["operator"],
      actions: ["job.run", "host.delete"],
    }),
  "error-404": (page) =>
    renderErrorPage(page, {
      status: 404,
      code: "hosts.not_found",
      message: "There is no host with this id.",
      requestId: "req-01JDK4",
    }),
  "error-500": (page) =>
    renderErrorPage(anonymous(page), { status: 500, code: "internal", requestId: "req-01JDK5" }),
};

/** The fragments that live parts ask for; the figures have moved on since the page. */
export const FRAGMENTS: Readonly<Record<string, (page: PageContext, query: URLSearchParams) => string>> = {
  ...RETENTION_FRAGMENTS,
  ...EDITING_FRAGMENTS,
  ...REPOSITORY_FRAGMENTS,
  ...DRILL_FRAGMENTS,
  "/fragments/dashboard": (page, query) => {
    const words = query.get("search") ?? "";
    const later = data.HOSTS.map((row) =>
      row.activeJob ? { ...row, activeJob: { ...row.activeJob, share: 0.9 } } : row,
    );
    const hosts = later.filter((row) => row.name.includes(words));
    return renderDashboardFragment(page, {
      pending: [],
      figures: data.FIGURES,
      hosts,
      page: { page: 1, pageSize: 50, total: hosts.length },
      filter: { search: words },
      tags: [],
    });
  },
};

function anonymous(page: PageContext): PageContext {
  return { ...page, user: undefined };
}

function dashboard(page: PageContext, overrides: Partial<Parameters<typeof renderDashboardPage>[1]>): string {
  const tags = ["ci", "db", "office", "prod", "staging", "web", "windows"];
  return renderDashboardPage(page, {
    pending: [],
    figures: data.FIGURES,
    hosts: data.HOSTS,
    page: { page: 1, pageSize: 50, total: data.HOSTS.length },
    filter: {},
    tags,
    ...overrides,
  });
}

function host(page: PageContext, tab: HostTab): string {
  return renderHostPage(page, { ...data.HOST_PAGE, tab });
}

function runningHost(page: PageContext): string {
  return renderHostPage(page, {
    ...data.HOST_PAGE,
    host: {
      ...data.HEADER,
      name: data.LONG_NAME,
      condition: "running",
      tags: ["office", "fileserver", "basement"],
    },
    activeJob: {
      id: "1",
      kind: "backup",
      subject: "databases",
      status: "running",
      share: 0.634,
      at: NOW - 252_000,
    },
    tab: { name: "snapshots", snapshots: data.SNAPSHOTS.slice(0, 5), page: { ...PAGES, total: 5 } },
    notice: { tone: "ok", text: "Backup of databases is running." },
  });
}

function newHost(page: PageContext): string {
  return renderHostPage(page, {
    ...data.HOST_PAGE,
    host: {
      ...data.HEADER,
      condition: "new",
      resticVersion: null,
      problems: [
        {
          tone: "fail",
          title: "restic can't run here.",
          text: "restic is not installed on this host: put restic 0.18.0 or newer on its PATH.",
        },
        {
          tone: "warn",
          title: "This host's clock is wrong.",
          text: "Set the host's clock: snapshots carry its time, and retention goes by it.",
        },
      ],
    },
    vitals: {
      lastBackup: null,
      protectedBytes: null,
      snapshotCount: null,
      newestSnapshotAt: null,
      nextRun: null,
    },
    tab: { name: "snapshots", snapshots: [], page: { ...PAGES, total: 0 } },
  });
}

function scanning(): JobPageProps {
  const progress = {
    share: null,
    totalFiles: null,
    filesDone: 120,
    totalBytes: null,
    bytesDone: 4_000_000,
    errorCount: 0,
    currentFiles: [data.LONG_PATH],
    remainingMs: null,
    bytesPerSecond: null,
  };
  return { ...data.JOB, id: "scanning", progress, cancelRequestedAt: NOW };
}

function addHostErrors(page: PageContext): string {
  return renderAddHostPage(page, {
    form: {
      message: "The host was not added: two fields need attention.",
      values: {
        hostname: "web 01",
        repo_url: "backup.example.com/web",
        initial_paths: "/etc\nhome",
        tags: "prod, web",
      },
      errors: {
        hostname: "A host name has no spaces.",
        repo_url: "The URL has no scheme; did you mean rest:https://…?",
        initial_paths: "“home” is not an absolute path.",
      },
    },
  });
}
