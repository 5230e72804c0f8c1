/** The pages of jobs: the list, one job live, and the forms that cancel it or run it again. */
import { z } from "zod";
import { fromInstant } from "../../platform/clock.ts";
import { AppError } from "../../platform/errors.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { livePageRoutes, type PageOf } from "../../platform/http/page-context.ts";
import { type App, pageRoute, requireIdentity } from "../../platform/http/route.ts";
import { findHost, findHostByName, listHostsByIds } from "../hosts/hosts.ts";
import { cancelJob, getJob, isFinal, type Job, type JobStatus } from "./job.ts";
import { type JobListProps, renderJobListFragment, renderJobListPage } from "./job-list.views.tsx";
import type { RemovedLogProps } from "./job-log.views.tsx";
import { orderOf, rowOf, subjectOf, toViewProgress, viewActor } from "./job-rows.ts";
import { explainError } from "./jobs.explain.ts";
import { describeWait, findWait, type Wait } from "./jobs.lanes.ts";
import { countLogLines, readLog } from "./jobs.log.ts";
import { countJobs, type JobFilter, listJobs } from "./jobs.store.ts";
import { type JobPageProps, renderJobFragment, renderJobPage } from "./jobs.views.tsx";
import type { Blocker } from "./restore-wish.views.tsx";
import { type RunDeps, runAgain } from "./run-now.ts";

const pageSize = 50;
/** Shown to a reader without scripts; others stream the log. */
const previewLines = 200;

async function pageProps(deps: RunDeps, jobId: string): Promise<JobPageProps> {
  const job = await getJob(deps.db, jobId);
  const host = await findHost(deps.db, job.hostId);
  const { summary } = job;
  const wait = job.status === "queued" ? await findWait(deps.db, job, deps.isConnected) : null;
  return {
    id: job.id,
    kind: job.kind,
    status: job.status,
    waitsFor: wait && (await describeWait(deps.db, wait)),
    blocker: job.kind === "restore" ? blockerOf(wait) : null,
    order: orderOf(job),
    host: host ? { id: host.id, name: host.name } : null,
    subject: subjectOf(job),
    actor: viewActor(job),
    createdAt: job.createdAt,
    startedAt: job.startedAt,
    finishedAt: job.finishedAt,
    cancelRequestedAt: job.cancelRequestedAt,
    progress: toViewProgress(deps.progress.find(job.id) ?? job.progress),
    result: summary && {
      snapshotId: summary.snapshot_id,
      filesNew: summary.files_new,
      filesChanged: summary.files_changed,
      filesUnmodified: summary.files_unmodified,
      processedBytes: summary.total_bytes,
      addedBytes: summary.added_bytes,
    },
    outcome: job.result,
    failure: job.error && explainError(job.error, job.exitCode),
    // A step of a rotation is of no use without it, and a restore is asked for anew each time.
    repeatable: isFinal(job.status) && !neverRepeated.has(job.kind),
    log: { ...(await logPreview(deps, job.id)), removed: logRemoval(job) },
  };
}

/** What runs before a restore and may be cancelled for it. */
function blockerOf(wait: Wait | null): Blocker | null {
  if (wait === null || wait.for === "agent") return null;
  const { id, kind, cancelRequestedAt } = wait.job;
  return { id, kind, cancelling: cancelRequestedAt !== null };
}

function logRemoval({ logPrunedAt, finishedAt }: Job): RemovedLogProps | null {
  if (logPrunedAt === null) return null;
  return { at: logPrunedAt, afterMs: logPrunedAt - (finishedAt ?? logPrunedAt) };
}

type Preview = Omit<JobPageProps["log"], "removed">;

async function logPreview(deps: RunDeps, jobId: string): Promise<Preview> {
  const lineCount = await countLogLines(deps.db, jobId);
  const preview: Preview["preview"][number][] = [];
  let next = Math.max(1, lineCount - previewLines + 1);
  while (next <= lineCount) {
    const lines = await readLog(deps.db, jobId, next);
    const last = lines.at(-1);
    if (!last) break;
    for (const line of lines)
      preview.push({ number: line.n, at: fromInstant(line.at), level: line.level, text: line.text });
    next = last.n + 1;
  }
  return { lineCount, preview };
}

/** What is asked for somewhere else each time. */
const neverRepeated: ReadonlySet<string> = new Set(["key", "restore", "update"]);

/** What can be filtered by, the most frequent first. */
const kinds = [
  ...["backup", "restore", "forget", "prune", "check", "verify", "diff"],
  ...["unlock", "repair", "key", "init", "update"],
] as const;

const listQuery = z.object({
  status: z.enum(["live", "failed", "warning", "succeeded"]).optional().catch(undefined),
  kind: z.enum(kinds).optional().catch(undefined),
  host: z.string().max(253).optional().catch(undefined),
  page: z.coerce.number().int().min(1).max(100_000).catch(1),
});

const statusesOf: Record<"live" | "failed" | "warning" | "succeeded", JobStatus[]> = {
  live: ["queued", "dispatched", "running"],
  failed: ["failed", "lost", "expired"],
  warning: ["warning"],
  succeeded: ["succeeded"],
};

async function listProps(deps: RunDeps, query: z.output<typeof listQuery>): Promise<JobListProps> {
  const wanted = query.host ? await findHostByName(deps.db, query.host) : null;
  const filter: JobFilter = {
    ...(query.status ? { statuses: statusesOf[query.status] } : {}),
    ...(query.kind ? { kind: query.kind } : {}),
    ...(query.host ? { hostId: wanted?.id ?? "" } : {}),
  };
  const jobs = await listJobs(deps.db, filter, { limit: pageSize, offset: (query.page - 1) * pageSize });
  const hostIds = [...new Set(jobs.map(({ hostId }) => hostId))];
  const hosts = new Map((await listHostsByIds(deps.db, hostIds)).map((host) => [host.id, host]));
  const rows = jobs.map((job) => rowOf(deps, job, hosts.get(job.hostId) ?? null));
  const page = { page: query.page, pageSize, total: await countJobs(deps.db, filter) };
  const { status, kind, host } = query;
  const shown = { ...(status ? { status } : {}), ...(kind ? { kind } : {}), ...(host ? { host } : {}) };
  return { jobs: rows, page, filter: shown, kinds };
}

const jobParams = z.object({ jobId: z.string().max(64) });
/** The job that waits for the cancelled one: its page is the one to go on with. */
const cancelQuery = z.object({
  for: z
    .string()
    .regex(/^[0-9A-Z]{26}$/)
    .optional()
    .catch(undefined),
});

export function registerJobPages(app: App, deps: RunDeps & { page: PageOf }): void {
  livePageRoutes(app, {
    url: "/jobs",
    fragmentUrl: "/fragments/jobs",
    policy: "viewer",
    schema: { querystring: listQuery },
    context: deps.page,
    props: ({ query }) => listProps(deps, query),
    page: renderJobListPage,
    fragment: renderJobListFragment,
  });
  livePageRoutes(app, {
    url: "/jobs/:jobId",
    fragmentUrl: "/fragments/jobs/:jobId",
    policy: "viewer",
    schema: { params: jobParams },
    context: deps.page,
    props: ({ params }) => pageProps(deps, params.jobId),
    page: renderJobPage,
    fragment: renderJobFragment,
  });
  registerJobForms(app, deps);
}

function registerJobForms(app: App, deps: RunDeps & { page: PageOf }): void {
  pageRoute(app, {
    method: "POST",
    url: "/jobs/:jobId/cancel",
    policy: "operator",
    schema: { params: jobParams, querystring: cancelQuery },
    async answer({ params, query, identity, reply }) {
      await cancelJob(deps, { jobId: params.jobId, actor: actorOf(requireIdentity(identity)) });
      return reply.redirect(`/jobs/${query.for ?? params.jobId}`, 303);
    },
  });
  pageRoute(app, {
    method: "POST",
    url: "/jobs/:jobId/run-again",
    policy: "operator",
    schema: { params: jobParams },
    async answer({ params, identity, reply, request }) {
      const input = { jobId: params.jobId, actor: actorOf(requireIdentity(identity)) };
      const outcome = await runAgain(deps, input).catch((error: unknown) => {
        if (error instanceof AppError && error.kind === "conflict") return error;
        throw error;
      });
      if (!(outcome instanceof AppError))
        return reply.redirect(`/jobs/${outcome[0]?.id ?? params.jobId}`, 303);
      void reply.code(409);
      const props = await pageProps(deps, params.jobId);
      return renderJobPage(deps.page(request), { ...props, notice: { tone: "fail", text: outcome.message } });
    },
  });
}
