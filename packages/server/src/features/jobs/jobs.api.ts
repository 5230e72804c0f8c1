/** Jobs as JSON, and their logs as downloads that stream. */
import { Readable } from "node:stream";
import type { JobSpec } from "@restic-manager/protocol";
import type { FastifyReply } from "fastify";
import { z } from "zod";
import { AppError } from "../../platform/errors.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import { getHost, type Host, isOnline } from "../hosts/hosts.ts";
import { streamLog } from "./jobs.log.ts";
import type { LiveProgress } from "./jobs.progress.ts";
import {
  cancelJob,
  countJobs,
  createJobs,
  getJob,
  type Job,
  type JobsDeps,
  jobStatuses,
  listJobs,
} from "./jobs.ts";
import { toWireJob, wireJob } from "./jobs.wire.ts";

/** What a client may ask a host to do. Kinds are added as the product learns them. */
export const runRequest = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("init") }),
  /** Without a group: every group of the host. */
  z.strictObject({ kind: z.literal("backup"), source_group_id: z.string().optional() }),
]);
export type RunRequest = z.infer<typeof runRequest>;

export interface JobApiDeps extends JobsDeps {
  progress: LiveProgress;
  /** Turns a wish into specs, one for each job; from slices that know source groups. */
  specsOf(host: Host, request: RunRequest): Promise<JobSpec[]>;
}

/**
 * Run now. Never queued for a host that is away: the person who asked is watching.
 * @throws AppError `hosts.not_found`, `hosts.offline`
 */
export async function runNow(
  deps: JobApiDeps,
  input: { hostId: string; request: RunRequest; actor: Job["actor"] },
): Promise<Job[]> {
  const host = await getHost(deps.db, input.hostId);
  if (!isOnline(host, deps.clock.now())) {
    throw new AppError(
      "conflict",
      "hosts.offline",
      `${host.name} is offline. Start its agent, then run the job again.`,
    );
  }
  const specs = await deps.specsOf(host, input.request);
  return createJobs(
    deps,
    specs.map((spec) => ({ hostId: host.id, spec, actor: input.actor })),
  );
}

/**
 * A finished job's operation once more, with the source group as it is now.
 * @throws AppError as runNow, and `jobs.not_found`
 */
export async function runAgain(
  deps: JobApiDeps,
  input: { jobId: string; actor: Job["actor"] },
): Promise<Job[]> {
  const job = await getJob(deps.db, input.jobId);
  const host = await getHost(deps.db, job.hostId);
  const request: RunRequest = job.kind === "init" ? { kind: "init" } : { kind: "backup" };
  const specs = await deps.specsOf(host, request);
  const same = specs.find((spec) => spec.kind !== "backup" || spec.source_group === job.sourceGroup);
  if (!same) throw new AppError("conflict", "sources.not_found", "This job's source group no longer exists.");
  if (!isOnline(host, deps.clock.now())) {
    throw new AppError(
      "conflict",
      "hosts.offline",
      `${host.name} is offline. Start its agent, then run the job again.`,
    );
  }
  return createJobs(deps, [{ hostId: host.id, spec: same, actor: input.actor }]);
}

const jobParams = z.object({ jobId: z.string().max(64) });
const hostParams = z.object({ hostId: z.string().max(64) });
const jobList = z.object({ jobs: z.array(wireJob), total: z.number() });
const listQuery = z.object({
  status: z.enum(jobStatuses).optional(),
  kind: z.string().max(20).optional(),
  page: z.coerce.number().int().min(1).max(100_000).default(1),
});
const pageSize = 50;

export function registerJobRoutes(app: App, deps: JobApiDeps): void {
  const wire = (job: Job) => toWireJob(job, deps.progress.find(job.id));
  const list = async (filter: { hostId?: string }, query: z.output<typeof listQuery>) => {
    const { page, status, kind } = query;
    const wanted = { ...filter, ...(status ? { status } : {}), ...(kind ? { kind } : {}) };
    const jobs = await listJobs(deps.db, wanted, { limit: pageSize, offset: (page - 1) * pageSize });
    return { jobs: jobs.map(wire), total: await countJobs(deps.db, wanted) };
  };
  apiRoute(app, {
    method: "GET",
    url: "/api/jobs",
    policy: "viewer",
    summary: "All jobs, newest first, 50 on a page.",
    schema: { querystring: listQuery, response: { 200: jobList } },
    answer: ({ query }) => list({}, query),
  });
  apiRoute(app, {
    method: "GET",
    url: "/api/hosts/:hostId/jobs",
    policy: "viewer",
    summary: "A host's jobs, newest first, 50 on a page.",
    schema: { params: hostParams, querystring: listQuery, response: { 200: jobList } },
    answer: async ({ params, query }) => list({ hostId: (await getHost(deps.db, params.hostId)).id }, query),
  });
  apiRoute(app, {
    method: "GET",
    url: "/api/jobs/:jobId",
    policy: "viewer",
    summary: "One job.",
    schema: { params: jobParams, response: { 200: wireJob } },
    answer: async ({ params }) => wire(await getJob(deps.db, params.jobId)),
  });
  registerJobVerbs(app, deps);
  registerLogDownloads(app, deps);
}

function registerJobVerbs(app: App, deps: JobApiDeps): void {
  const accepted = z.object({ job_id: z.string(), job_ids: z.array(z.string()) });
  apiRoute(app, {
    method: "POST",
    url: "/api/hosts/:hostId/jobs",
    policy: "operator",
    summary: "Run an operation on a host now.",
    schema: { params: hostParams, body: runRequest, response: { 202: accepted } },
    async answer({ params, body, identity, reply }) {
      const actor = actorOf(requireIdentity(identity));
      const jobs = await runNow(deps, { hostId: params.hostId, request: body, actor });
      void reply.code(202);
      return { job_id: jobs[0]?.id ?? "", job_ids: jobs.map((job) => job.id) };
    },
  });
  apiRoute(app, {
    method: "POST",
    url: "/api/jobs/:jobId/cancel",
    policy: "operator",
    summary: "Cancel a job in any status; a finished one stays as it is.",
    schema: {
      params: jobParams,
      response: { 200: z.object({ outcome: z.enum(["cancelled", "requested", "already_finished"]) }) },
    },
    async answer({ params, identity }) {
      const actor = actorOf(requireIdentity(identity));
      return { outcome: await cancelJob(deps, { jobId: params.jobId, actor }) };
    },
  });
}

function registerLogDownloads(app: App, deps: JobApiDeps): void {
  const send = async (reply: FastifyReply, jobId: string, ending: "txt" | "ndjson", type: string) => {
    const job = await getJob(deps.db, jobId);
    const print = ending === "txt" ? printText : (line: object) => JSON.stringify(line);
    async function* text(): AsyncGenerator<string> {
      for await (const lines of streamLog(deps.db, job.id)) yield `${lines.map(print).join("\n")}\n`;
    }
    return reply
      .type(`${type}; charset=utf-8`)
      .header("content-disposition", `attachment; filename="${job.kind}-${job.id}.${ending}"`)
      .send(Readable.from(text()));
  };
  apiRoute(app, {
    method: "GET",
    url: "/api/jobs/:jobId/log.txt",
    policy: "viewer",
    summary: "A job's log as text, one line each.",
    schema: { params: jobParams },
    answer: ({ params, reply }) => send(reply, params.jobId, "txt", "text/plain"),
  });
  apiRoute(app, {
    method: "GET",
    url: "/api/jobs/:jobId/log.ndjson",
    policy: "viewer",
    summary: "A job's log as NDJSON.",
    schema: { params: jobParams },
    answer: ({ params, reply }) => send(reply, params.jobId, "ndjson", "application/x-ndjson"),
  });
}

const printText = (line: { at: string; level: string; text: string }): string =>
  `${line.at} ${line.level.padEnd(7)} ${line.text}`;
