/** The pages of a comparison: the two snapshots to choose, and what differs between them. */
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { tryForm } from "../../platform/http/forms.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { livePageRoutes, type PageOf } from "../../platform/http/page-context.ts";
import { type App, pageRoute, requireIdentity } from "../../platform/http/route.ts";
import { findHost, getHost, isOnline } from "../hosts/hosts.ts";
import { getJob, isFinal, type RunDeps, runNow } from "../jobs/jobs.ts";
import { noComparison } from "./diff.api.ts";
import { changeKinds, readChanges } from "./diff.ts";
import { type ComparisonProps, renderComparisonFragment, renderComparisonPage } from "./diff.views.tsx";
import { renderComparePage } from "./diff-choice.views.tsx";
import { countSnapshots, findSnapshot, listSnapshots } from "./snapshots.store.ts";

export type DiffPageDeps = RunDeps & { page: PageOf };

const pageSize = 200;
/** As many as a list to choose from bears. */
const offered = 1000;

const hostParams = z.object({ hostId: z.string().max(64) });
const id = z.string().max(64).optional().catch(undefined);

export function registerDiffPages(app: App, deps: DiffPageDeps): void {
  registerChoice(app, deps);
  livePageRoutes(app, {
    url: "/jobs/:jobId/diff",
    fragmentUrl: "/fragments/jobs/:jobId/diff",
    policy: "viewer",
    schema: {
      params: z.object({ jobId: z.string().max(64) }),
      /** Filters never fail: what makes no sense is left out. */
      querystring: z.object({
        kind: z.enum(changeKinds).optional().catch(undefined),
        text: z.string().max(1000).optional().catch(undefined),
        page: z.coerce.number().int().min(1).max(100_000).catch(1),
      }),
    },
    context: deps.page,
    props: ({ params, query }) => comparisonProps(deps, params.jobId, query),
    page: renderComparisonPage,
    fragment: renderComparisonFragment,
  });
}

async function comparisonProps(
  deps: DiffPageDeps,
  jobId: string,
  query: { kind?: (typeof changeKinds)[number] | undefined; text?: string | undefined; page: number },
): Promise<ComparisonProps> {
  const job = await getJob(deps.db, jobId);
  if (job.spec.kind !== "diff") throw noComparison();
  const { page, ...filter } = query;
  const ended = isFinal(job.status);
  const at = { limit: pageSize, offset: (page - 1) * pageSize };
  // Of one that is under way only the end is waited for.
  const read = ended
    ? await readChanges(deps.db, job.id, filter, at)
    : { changes: [], total: 0, matching: 0 };
  const host = await findHost(deps.db, job.hostId);
  const snapshotOf = async (snapshotId: string) => ({
    id: snapshotId,
    at: (await findSnapshot(deps.db, job.hostId, snapshotId))?.time ?? null,
  });
  return {
    job: { id: job.id, status: job.status, error: job.error?.message ?? null },
    host: host && { id: host.id, name: host.name },
    from: await snapshotOf(job.spec.from),
    to: await snapshotOf(job.spec.to),
    result: job.result?.kind === "diff" ? job.result : null,
    changes: read.changes,
    total: read.total,
    logPruned: job.logPrunedAt !== null,
    filter,
    page: { page, pageSize, total: read.matching },
  };
}

function registerChoice(app: App, deps: DiffPageDeps): void {
  const url = "/hosts/:hostId/diff";
  const draw = async (
    request: FastifyRequest,
    hostId: string,
    chosen: { from?: string | undefined; to?: string | undefined; message?: string | undefined },
  ) => {
    const host = await getHost(deps.db, hostId);
    const snapshots = await listSnapshots(deps.db, host.id, { limit: offered, offset: 0 });
    return renderComparePage(deps.page(request), {
      host: { id: host.id, name: host.name, online: isOnline(host, deps.clock.now()) },
      snapshots: snapshots.map(({ id: snapshotId, time: at, tags, sizeBytes }) => ({
        ...{ id: snapshotId, at, tags, sizeBytes },
      })),
      total: await countSnapshots(deps.db, host.id),
      ...chosen,
    });
  };
  pageRoute(app, {
    method: "GET",
    url,
    policy: "operator",
    schema: { params: hostParams, querystring: z.object({ from: id, to: id }) },
    answer: ({ params, query, request }) => draw(request, params.hostId, query),
  });
  pageRoute(app, {
    method: "POST",
    url,
    policy: "operator",
    schema: {
      params: hostParams,
      body: z.object({ from: z.string().max(64).default(""), to: z.string().max(64).default("") }),
    },
    async answer({ params: { hostId }, body: { from, to }, identity, request, reply }) {
      const actor = actorOf(requireIdentity(identity));
      const outcome = await tryForm(runNow(deps, { hostId, request: { kind: "diff", from, to }, actor }));
      if (outcome.done) return reply.redirect(`/jobs/${outcome.value[0]?.id ?? ""}/diff`, 303);
      void reply.code(outcome.refusal.status);
      return draw(request, hostId, { from, to, message: outcome.refusal.message });
    },
  });
}
