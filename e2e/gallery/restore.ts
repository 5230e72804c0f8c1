/** A restore in the gallery: asked for, waiting, running, and each way it can end; and the newest one on its host's page. */
import { type JobPageProps, renderJobPage } from "../../packages/server/src/features/jobs/jobs.views.tsx";
import type { PageContext } from "../../packages/server/src/platform/html/scope.ts";
import * as data from "./data.ts";

const { NOW } = data;
const FOLDER = "/root/rm-restore/01JDJ0B00000000000000000RR";
const LOG = { lineCount: 6, preview: [] };

const ORDER: NonNullable<JobPageProps["order"]> = {
  paths: ["/etc/nginx", "/var/www/html/index.html", `/srv/${"a-folder-with-a-long-name/".repeat(6)}end`],
  pathCount: 3,
  from: null,
  folder: null,
  overwrite: null,
  dryRun: false,
};

const RESTORED: Extract<NonNullable<JobPageProps["outcome"]>, { kind: "restore" }> = {
  ...{ kind: "restore", dry_run: false, complete: true, in_place: false, target: FOLDER },
  ...{ restored: 1204, restored_bytes: 3_400_000_000, replaced: 0, skipped: 0, skipped_bytes: 0 },
  ...{ failed: 0, failed_items: [], written: [], ownership: "agent", verified: true },
};

const JOB: JobPageProps = {
  ...data.JOB,
  ...{
    id: "01JDJ0B00000000000000000RR",
    kind: "restore",
    subject: "9f86d081",
    order: ORDER,
    repeatable: false,
  },
  log: LOG,
};

const ended = (changes: Partial<JobPageProps>): JobPageProps => ({
  ...JOB,
  ...{ status: "succeeded", finishedAt: NOW - 56_000, outcome: RESTORED },
  ...changes,
});

const FAILED_ITEMS = [
  { path: "/dev/mapper/data", message: "mknod: operation not permitted" },
  { path: "/var/www/<script>alert(1)</script>", message: "open: permission denied" },
];

/** The views by their names. */
export const RESTORE_VIEWS: Readonly<Record<string, (page: PageContext) => string>> = {
  "restore-waiting": (page) =>
    renderJobPage(page, {
      ...JOB,
      ...{
        status: "queued",
        startedAt: null,
        progress: null,
        waitsFor: "the backup of databases before it on this host",
      },
      blocker: { id: "01JDJ0B00000000000000000AA", kind: "backup", cancelling: false },
      order: { ...ORDER, overwrite: "if-changed" },
    }),
  "restore-running": (page) =>
    renderJobPage(page, { ...JOB, order: { ...ORDER, from: { id: "x", name: "web-01" } } }),
  "restore-done": (page) => renderJobPage(page, ended({})),
  "restore-partial": (page) =>
    renderJobPage(
      page,
      ended({
        status: "warning",
        failure: {
          what: "52 items were not restored as the snapshot has them, the rest was.",
          why: "/dev/mapper/data: mknod: operation not permitted; and 51 more. The log names them; restore these again once the reason is gone.",
          ...{ advice: "", exitCode: 1, stderrTail: [] },
        },
        outcome: {
          ...RESTORED,
          ...{
            complete: false,
            restored_bytes: null,
            failed: 52,
            failed_items: FAILED_ITEMS,
            verified: false,
          },
          written: [{ from: "/etc/nginx", to: `${FOLDER}/data/nginx.old` }],
        },
      }),
    ),
  "restore-dry-run": (page) =>
    renderJobPage(
      page,
      ended({
        order: { ...ORDER, overwrite: "always", dryRun: true },
        outcome: {
          ...RESTORED,
          ...{ dry_run: true, in_place: true, target: null, verified: false, ownership: "kept" },
          ...{
            restored: 12,
            restored_bytes: 48_000,
            replaced: 9,
            skipped: 1192,
            skipped_bytes: 3_399_000_000,
          },
        },
      }),
    ),
  "restore-cancelled": (page) =>
    renderJobPage(
      page,
      ended({
        status: "cancelled",
        outcome: { ...RESTORED, complete: false, restored: 311, verified: false },
      }),
    ),
};
