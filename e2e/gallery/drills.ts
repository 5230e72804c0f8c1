/** Comparisons of snapshots and restore drills with canned data: under way, with odd names, alike, failed, proven. */
import type { VerifyResult } from "@restic-manager/protocol";
import { type JobPageProps, renderJobPage } from "../../packages/server/src/features/jobs/jobs.views.tsx";
import { renderHostPage } from "../../packages/server/src/features/overview/host.views.tsx";
import type { HostDrill } from "../../packages/server/src/features/overview/host-drill.ts";
import { type Change, changeKinds } from "../../packages/server/src/features/snapshots/diff.ts";
import {
  type ComparisonProps,
  renderComparisonFragment,
  renderComparisonPage,
} from "../../packages/server/src/features/snapshots/diff.views.tsx";
import { renderComparePage } from "../../packages/server/src/features/snapshots/diff-choice.views.tsx";
import type { PageContext } from "../../packages/server/src/platform/html/scope.ts";
import { DONE_JOB, HEADER, HOST_PAGE, LONG_PATH, NOW, SNAPSHOTS } from "./data.ts";

const DAY = 86_400_000;
const MIB = 1024 ** 2;

const change = (path: string, more: Partial<Change> = {}): Change => ({
  ...{ kind: "content", suspicious: false, path, sizeBefore: 1204, sizeAfter: 1310 },
  ...{ modeBefore: "0644", modeAfter: "0644", ...more },
});

const CHANGES: Change[] = [
  change("/etc/", {
    kind: "metadata",
    sizeBefore: null,
    sizeAfter: null,
    modeBefore: "0755",
    modeAfter: "0755",
  }),
  change("/etc/hosts"),
  change("/etc/passwd-", { kind: "removed", sizeAfter: null, modeAfter: null }),
  change("/etc/new\\nline <script>alert(1)</script> \\x1b[31m", {
    kind: "added",
    sizeBefore: null,
    modeBefore: null,
  }),
  change("/etc/mtab", { kind: "type", sizeBefore: null, modeBefore: "0777" }),
  change("/etc/ssh/sshd_config", { kind: "metadata", sizeBefore: 3300, sizeAfter: 3300, modeAfter: "0600" }),
  change("/srv/db.sqlite", { suspicious: true, sizeBefore: 88 * MIB, sizeAfter: 88 * MIB }),
  change(LONG_PATH),
  ...Array.from({ length: 40 }, (_, n) => {
    const kind = changeKinds[n % 3] ?? "added";
    const gone = { sizeAfter: null, modeAfter: null };
    const fresh = { sizeBefore: null, modeBefore: null };
    const sides = kind === "added" ? fresh : kind === "removed" ? gone : {};
    return change(`/var/backups/pg/2026-11-${10 + n}/base.tar.zst`, { kind, ...sides });
  }),
];

const COMPARISON: ComparisonProps = {
  job: { id: "01JDDIFF", status: "succeeded", error: null },
  host: { id: HEADER.id, name: HEADER.name },
  from: { id: SNAPSHOTS[4]?.id ?? "", at: NOW - 2 * DAY },
  to: { id: SNAPSHOTS[0]?.id ?? "", at: NOW - 1_560_000 },
  result: {
    kind: "diff",
    added: { count: 8123, bytes: 1.2 * 1024 * MIB },
    removed: { count: 911, bytes: 300 * MIB },
    changed: { count: 2210, bytes: 9.1 * 1024 * MIB },
    ...{ metadata: 14, sized: true },
  },
  changes: CHANGES,
  total: 11_258,
  logPruned: false,
  filter: {},
  page: { page: 1, pageSize: 200, total: 11_258 },
};

const NO_CHANGE = { count: 0, bytes: 0 };
const ALIKE: ComparisonProps = {
  ...COMPARISON,
  result: {
    ...{ kind: "diff", added: NO_CHANGE, removed: NO_CHANGE, changed: NO_CHANGE, metadata: 0 },
    sized: true,
  },
  ...{ changes: [], total: 0, page: { page: 1, pageSize: 200, total: 0 } },
};

const COMPARE = {
  host: { id: HEADER.id, name: HEADER.name, online: true },
  snapshots: SNAPSHOTS.map(({ id, at, tags, sizeBytes }) => ({ id, at, tags, sizeBytes })),
  total: SNAPSHOTS.length,
};

const PROVEN: VerifyResult = {
  ...{ kind: "verify", snapshot_id: SNAPSHOTS[0]?.id ?? "", seed: 3735928559, files: 100, bytes: 212 * MIB },
  ...{ snapshot_time: new Date(NOW - DAY).toISOString(), source_files: 97, left_out: 0, mismatch_count: 0 },
  mismatches: [],
};

const DRILL_JOB: JobPageProps = {
  ...DONE_JOB,
  ...{ id: "01JDDRILL", kind: "verify", status: "succeeded", result: null, failure: null, outcome: PROVEN },
};

const WRONG: VerifyResult = {
  ...PROVEN,
  ...{ left_out: 3, mismatch_count: 25 },
  mismatches: [
    { path: "/srv/db.sqlite", problem: "source" },
    { path: "/etc/new <script> \u001b[31m", problem: "mode" },
    { path: LONG_PATH, problem: "missing" },
  ],
};

const hostWith = (page: PageContext, drill: HostDrill): string =>
  renderHostPage(page, {
    ...HOST_PAGE,
    drill,
    tab: { name: "snapshots", snapshots: SNAPSHOTS.slice(0, 6), page: { page: 1, pageSize: 50, total: 6 } },
  });

const LATE: HostDrill = {
  proven: HOST_PAGE.drill?.proven ?? null,
  last: {
    ...{ jobId: "01JDDRILL2", status: "failed", finishedAt: NOW - 3_600_000, sourceGroup: "databases" },
    ...{ error: { code: "verify.mismatch" }, figures: null },
  },
  ...{ planned: true, late: true },
};

/** Each view by its name. */
export const DRILL_VIEWS: Readonly<Record<string, (page: PageContext) => string>> = {
  "compare-choose": (page) => renderComparePage(page, COMPARE),
  "compare-refused": (page) =>
    renderComparePage(page, {
      ...COMPARE,
      ...{ from: COMPARE.snapshots[0]?.id, to: COMPARE.snapshots[0]?.id },
      message: "This is one snapshot twice. Choose two that differ.",
    }),
  "compare-few": (page) =>
    renderComparePage(page, { ...COMPARE, snapshots: COMPARE.snapshots.slice(0, 1), total: 1 }),
  "compare-changes": (page) => renderComparisonPage(page, COMPARISON),
  "compare-filtered": (page) =>
    renderComparisonPage(page, {
      ...COMPARISON,
      filter: { kind: "removed", text: "nowhere" },
      ...{ changes: [], page: { page: 1, pageSize: 200, total: 0 } },
    }),
  "compare-alike": (page) => renderComparisonPage(page, ALIKE),
  "compare-running": (page) => renderComparisonPage(page, RUNNING),
  "compare-lost-lines": (page) =>
    renderComparisonPage(page, {
      ...COMPARISON,
      changes: CHANGES.slice(0, 8),
      total: 8000,
      from: { id: "3c1f88e0".repeat(8), at: null },
    }),
  "compare-failed": (page) =>
    renderComparisonPage(page, {
      ...ALIKE,
      job: {
        id: "01JDDIFF",
        status: "failed",
        error: "The storage cannot be reached. Check address and firewall.",
      },
      result: null,
    }),
  "job-diff": (page) =>
    renderJobPage(page, {
      ...DRILL_JOB,
      id: "01JDDIFF",
      kind: "diff",
      subject: null,
      outcome: COMPARISON.result,
    }),
  "job-drill": (page) => renderJobPage(page, DRILL_JOB),
  "job-drill-wrong": (page) =>
    renderJobPage(page, {
      ...DRILL_JOB,
      status: "failed",
      outcome: WRONG,
      failure: {
        what: "25 of 100 files did not come back as they should.",
        why: "/srv/db.sqlite differs from the source, whose size and time are as in the snapshot; and 24 more. Check the repository with its data read, and the storage below it, before you rely on its snapshots.",
        ...{ advice: "", exitCode: 0, stderrTail: [] },
      },
    }),
  "host-drill-never": (page) => hostWith(page, { proven: null, last: null, planned: false, late: false }),
  "host-drill-late": (page) => hostWith(page, LATE),
};

const RUNNING: ComparisonProps = {
  ...ALIKE,
  job: { id: "01JDDIFF", status: "running", error: null },
  result: null,
};

/** What the page of a comparison that runs asks for. */
export const DRILL_FRAGMENTS: Readonly<Record<string, (page: PageContext) => string>> = {
  "/fragments/jobs/01JDDIFF/diff": (page) => renderComparisonFragment(page, RUNNING),
};
