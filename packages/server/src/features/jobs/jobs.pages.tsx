/** The pages of jobs: the list, one job live, and the forms that cancel it or run it again. */
import type { Progress as WireProgress } from "@restic-manager/protocol";
import { z } from "zod";
import { fromInstant } from "../../platform/clock.ts";
import { AppError } from "../../platform/errors.ts";
import type { Progress } from "../../platform/html/progress.ts";
import { actorOf } from "../../platform/http/identity.ts";
import type { PageOf } from "../../platform/http/page-context.ts";
import { type App, pageRoute, requireIdentity } from "../../platform/http/route.ts";
import { findHost, listHosts } from "../hosts/hosts.ts";
import {
  type JobListProps,
  type JobRow,
  renderJobListFragment,
  renderJobListPage,
} from "./job-list.views.tsx";
import { type JobApiDeps, runAgain } from "./jobs.api.ts";
import { explainError } from "./jobs.explain.ts";
import { countLogLines, readLog } from "./jobs.log.ts";
import { findActiveJob, type JobFilter } from "./jobs.store.ts";
import { cancelJob, countJobs, getJob, isFinal, type Job, type JobStatus, listJobs } from "./jobs.ts";
import { type JobPageProps, renderJobFragment, renderJobPage } from "./jobs.views.tsx";

const pageSize = 50;
/** Shown to a reader without scripts; others stream the log. */
const previewLines = 200;

/** Progress as pages show it. restic's totals are still growing until its scan is done: 0 means not known yet. */
export function toViewProgress(progress: WireProgress | null): Progress | null {
  if (!progress) return null;
  const known = progress.total_bytes > 0;
  return {
    share: known ? progress.percent_done : null,
    totalFiles: known ? progress.total_files : null,
    filesDone: progress.files_done,
    totalBytes: known ? progress.total_bytes : null,
    bytesDone: progress.bytes_done,
    errorCount: progress.error_count,
    currentFiles: progress.current_files,
    remainingMs: progress.seconds_remaining === null ? null : progress.seconds_remaining * 1000,
    bytesPerSecond: progress.bytes_per_second,
  };
}

/** Agents act only through jobs that somebody else ordered, so an actor here is never one. */
export const viewActor = (job: Job): JobPageProps["actor"] => ({
  kind: job.actor.kind === "agent" ? "system" : job.actor.kind,
  name: job.actor.name,
});

async function pageProps(deps: JobApiDeps, jobId: string): Promise<JobPageProps> {
  const job = await getJob(deps.db, jobId);
  const host = await findHost(deps.db, job.hostId);
  const { summary } = job;
  return {
    id: job.id,
    kind: job.kind,
    status: job.status,
    waitsFor: job.status === "queued" ? await waitsFor(deps, job) : null,
    host: host ? { id: host.id, name: host.name } : null,
    subject: job.sourceGroup,
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
    failure: job.error && explainError(job.error, job.exitCode),
    repeatable: isFinal(job.status),
    log: await logPreview(deps, job.id),
  };
}

async function waitsFor(deps: JobApiDeps, job: Job): Promise<string> {
  const active = await findActiveJob(deps.db, job.hostId);
  if (active && active.id !== job.id) {
    return `the ${active.kind} job${active.sourceGroup ? ` of ${active.sourceGroup}` : ""} before it on this host`;
  }
  return "the host's agent to connect";
}

async function logPreview(deps: JobApiDeps, jobId: string): Promise<JobPageProps["log"]> {
  const lineCount = await countLogLines(deps.db, jobId);
  const preview: JobPageProps["log"]["preview"][number][] = [];
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

const listQuery = z.object({
  status: z.enum(["live", "failed", "warning", "succeeded"]).optional().catch(undefined),
  kind: z.enum(["backup", "init"]).optional().catch(undefined),
  host: z.string().max(253).optional().catch(undefined),
  page: z.coerce.number().int().min(1).max(100_000).catch(1),
});

const statusesOf: Record<"live" | "failed" | "warning" | "succeeded", JobStatus[]> = {
  live: ["queued", "dispatched", "running"],
  failed: ["failed", "lost", "expired"],
  warning: ["warning"],
  succeeded: ["succeeded"],
};

async function listProps(deps: JobApiDeps, query: z.output<typeof listQuery>): Promise<JobListProps> {
  const hosts = new Map((await listHosts(deps.db)).map((host) => [host.id, host]));
  const wanted = query.host ? [...hosts.values()].find((host) => host.name === query.host) : undefined;
  const filter: JobFilter = {
    ...(query.status ? { statuses: statusesOf[query.status] } : {}),
    ...(query.kind ? { kind: query.kind } : {}),
    ...(query.host ? { hostId: wanted?.id ?? "" } : {}),
  };
  const jobs = await listJobs(deps.db, filter, { limit: pageSize, offset: (query.page - 1) * pageSize });
  const rows = jobs.map((job): JobRow => {
    const host = hosts.get(job.hostId);
    return {
      ...rowOf(deps, job),
      host: host ? { id: host.id, name: host.name } : null,
      addedBytes: job.summary?.added_bytes ?? null,
    };
  });
  const page = { page: query.page, pageSize, total: await countJobs(deps.db, filter) };
  const { status, kind, host } = query;
  const shown = { ...(status ? { status } : {}), ...(kind ? { kind } : {}), ...(host ? { host } : {}) };
  return { jobs: rows, page, filter: shown, kinds: ["backup", "init"] };
}

/** What every list of jobs shows. */
export function rowOf(deps: Pick<JobApiDeps, "progress">, job: Job) {
  return {
    id: job.id,
    kind: job.kind,
    status: job.status,
    subject: job.sourceGroup,
    actor: viewActor(job),
    createdAt: job.createdAt,
    startedAt: job.startedAt,
    finishedAt: job.finishedAt,
    share: toViewProgress(deps.progress.find(job.id))?.share ?? null,
  };
}

const jobParams = z.object({ jobId: z.string().max(64) });

export function registerJobPages(app: App, deps: JobApiDeps & { page: PageOf }): void {
  pageRoute(app, {
    method: "GET",
    url: "/jobs",
    policy: "viewer",
    schema: { querystring: listQuery },
    answer: async ({ query, request }) => renderJobListPage(deps.page(request), await listProps(deps, query)),
  });
  pageRoute(app, {
    method: "GET",
    url: "/fragments/jobs",
    policy: "viewer",
    schema: { querystring: listQuery },
    answer: async ({ query, request }) =>
      renderJobListFragment(deps.page(request), await listProps(deps, query)),
  });
  pageRoute(app, {
    method: "GET",
    url: "/jobs/:jobId",
    policy: "viewer",
    schema: { params: jobParams },
    answer: async ({ params, request }) =>
      renderJobPage(deps.page(request), await pageProps(deps, params.jobId)),
  });
  pageRoute(app, {
    method: "GET",
    url: "/fragments/jobs/:jobId",
    policy: "viewer",
    schema: { params: jobParams },
    answer: async ({ params, request }) =>
      renderJobFragment(deps.page(request), await pageProps(deps, params.jobId)),
  });
  registerJobForms(app, deps);
}

function registerJobForms(app: App, deps: JobApiDeps & { page: PageOf }): void {
  pageRoute(app, {
    method: "POST",
    url: "/jobs/:jobId/cancel",
    policy: "operator",
    schema: { params: jobParams },
    async answer({ params, identity, reply }) {
      await cancelJob(deps, { jobId: params.jobId, actor: actorOf(requireIdentity(identity)) });
      return reply.redirect(`/jobs/${params.jobId}`, 303);
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
