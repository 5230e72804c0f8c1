/** Jobs as JSON, and their logs as downloads that stream. */
import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import { z } from "zod";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import { getHost } from "../hosts/hosts.ts";
import { cancelJob, getJob, type Job, jobStatuses } from "./job.ts";
import { describeWait, findWait } from "./jobs.lanes.ts";
import { streamLog } from "./jobs.log.ts";
import { countJobs, listJobs } from "./jobs.store.ts";
import { toWireJob, type WireJob, wireJob } from "./jobs.wire.ts";
import { type RunDeps, runNow, runRequest } from "./run-now.ts";

const jobParams = z.object({ jobId: z.string().max(64) });
const hostParams = z.object({ hostId: z.string().max(64) });
const jobList = z.object({ jobs: z.array(wireJob), total: z.number() });
const listQuery = z.object({
  status: z.enum(jobStatuses).optional(),
  kind: z.string().max(20).optional(),
  page: z.coerce.number().int().min(1).max(100_000).default(1),
});
const pageSize = 50;

export function registerJobRoutes(app: App, deps: RunDeps): void {
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
    async answer({ params }) {
      const job = await getJob(deps.db, params.jobId);
      return toWireJob(job, deps.progress.find(job.id), await waitOf(deps, job));
    },
  });
  registerJobVerbs(app, deps);
  registerLogDownloads(app, deps);
}

async function waitOf(deps: RunDeps, job: Job): Promise<WireJob["waits_for"]> {
  const wait = job.status === "queued" ? await findWait(deps.db, job, deps.isConnected) : null;
  if (!wait) return null;
  const message = `Waiting for ${await describeWait(deps.db, wait)}.`;
  return { reason: wait.for, message, job_id: wait.for === "agent" ? null : wait.job.id };
}

function registerJobVerbs(app: App, deps: RunDeps): void {
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

function registerLogDownloads(app: App, deps: RunDeps): void {
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
  `${line.at} ${line.level.padEnd(7)} ${line.text.replace(/[^\P{Cc}\t]/gu, asEscape)}`;

/** One line stays one line, and a terminal that shows the file obeys nothing in it. */
const asEscape = (character: string): string =>
  character === "\n" ? "\\n" : `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`;
