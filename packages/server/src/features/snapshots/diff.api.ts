/** The comparison of two snapshots as JSON: the wish, and the changes that came of it. */
import { diffResult } from "@restic-manager/protocol";
import { z } from "zod";
import { AppError } from "../../platform/errors.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import { getJob, type RunDeps, runNow } from "../jobs/jobs.ts";
import { type Change, changeKinds, readChanges } from "./diff.ts";

const idSentence = "A snapshot's full id, please.";
const snapshotId = z.string(idSentence).max(64, idSentence);
const size = z.number().nullable();
const wireChange = z.object({
  kind: z.enum(changeKinds),
  suspicious: z.boolean(),
  path: z.string(),
  ...{
    size_before: size,
    size_after: size,
    mode_before: z.string().nullable(),
    mode_after: z.string().nullable(),
  },
});

const toWire = ({ kind, suspicious, path, ...sides }: Change): z.output<typeof wireChange> => ({
  ...{ kind, suspicious, path, size_before: sides.sizeBefore, size_after: sides.sizeAfter },
  ...{ mode_before: sides.modeBefore, mode_after: sides.modeAfter },
});

export function registerDiffRoutes(app: App, deps: RunDeps): void {
  apiRoute(app, {
    method: "POST",
    url: "/api/hosts/:hostId/snapshots/diff",
    policy: "operator",
    summary: "Compare two snapshots of a host, as a job; what differs is in its log.",
    schema: {
      params: z.object({ hostId: z.string().max(64) }),
      body: z.strictObject({ from: snapshotId, to: snapshotId }),
      response: { 202: z.object({ job_id: z.string() }) },
    },
    async answer({ params, body, identity, reply }) {
      const actor = actorOf(requireIdentity(identity));
      const [job] = await runNow(deps, { hostId: params.hostId, request: { kind: "diff", ...body }, actor });
      void reply.code(202);
      return { job_id: job?.id ?? "" };
    },
  });
  apiRoute(app, {
    method: "GET",
    url: "/api/jobs/:jobId/diff",
    policy: "viewer",
    summary:
      "What differs between two snapshots, in restic's order; `matching` counts what passes the filter.",
    schema: {
      params: z.object({ jobId: z.string().max(64) }),
      querystring: z.object({
        kind: z.enum(changeKinds).optional(),
        text: z.string().max(1000).optional(),
        limit: z.coerce.number().int().min(1).max(1000).default(200),
        offset: z.coerce.number().int().min(0).default(0),
      }),
      response: {
        200: z.object({
          ...{ status: z.string(), from: z.string(), to: z.string(), result: diffResult.nullable() },
          ...{ changes: z.array(wireChange), total: z.number(), matching: z.number() },
        }),
      },
    },
    async answer({ params, query: { limit, offset, ...filter } }) {
      const job = await getJob(deps.db, params.jobId);
      if (job.spec.kind !== "diff") throw noComparison();
      const { changes, total, matching } = await readChanges(deps.db, job.id, filter, { limit, offset });
      const result = job.result?.kind === "diff" ? job.result : null;
      const { from, to } = job.spec;
      return { status: job.status, from, to, result, changes: changes.map(toWire), total, matching };
    },
  });
}

export function noComparison(): AppError {
  return new AppError(
    "not_found",
    "snapshots.no_diff",
    "This job compares no snapshots, so it has no changes.",
  );
}
