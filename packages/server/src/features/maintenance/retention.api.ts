/** What a retention would keep, as JSON. */
import { z } from "zod";
import { toInstant } from "../../platform/clock.ts";
import { type App, apiRoute } from "../../platform/http/route.ts";
import { checkRetention, readRetention, refuseProblems, retentionBody } from "../sources/sources.ts";
import {
  emptyRetentionSentence,
  previewRetention,
  type RetentionDeps,
  type RetentionPreview,
} from "./retention-preview.ts";

const wirePreview = z.object({
  keep: z.array(z.object({ id: z.string(), time: z.string(), reasons: z.array(z.string()) })),
  remove: z.array(z.object({ id: z.string(), time: z.string() })),
  counts: z.object({ total: z.number(), keep: z.number(), remove: z.number() }),
  /** From 0 to 1. */
  share_removed: z.number(),
  needs_confirmation: z.boolean(),
  empty: z.boolean(),
  /** Said for an empty retention. */
  message: z.string().nullable(),
  simulation: z.array(z.object({ month: z.string(), kept: z.number() })),
  simulation_note: z.string().nullable(),
});

const toWire = (preview: RetentionPreview): z.output<typeof wirePreview> => ({
  keep: preview.keep.map(({ id, time, reasons }) => ({ id, time: toInstant(time), reasons })),
  remove: preview.remove.map(({ id, time }) => ({ id, time: toInstant(time) })),
  counts: {
    total: preview.keep.length + preview.remove.length,
    keep: preview.keep.length,
    remove: preview.remove.length,
  },
  share_removed: preview.shareRemoved,
  needs_confirmation: preview.needsConfirmation,
  empty: preview.isEmpty,
  message: preview.isEmpty ? emptyRetentionSentence : null,
  simulation: preview.simulation,
  simulation_note: preview.simulationNote,
});

export function registerRetentionRoutes(app: App, deps: RetentionDeps): void {
  apiRoute(app, {
    method: "POST",
    url: "/api/hosts/:hostId/source-groups/:groupId/retention-preview",
    policy: "viewer",
    summary:
      "What a retention would keep of a group's snapshots and remove, and hold over twelve months. Changes nothing.",
    schema: {
      params: z.object({ hostId: z.string().max(64), groupId: z.string().max(64) }),
      body: z.strictObject({ retention: retentionBody }),
      response: { 200: wirePreview },
    },
    async answer({ params, body }) {
      const retention = readRetention(body.retention);
      refuseProblems(checkRetention(retention));
      return toWire(await previewRetention(deps, { ...params, retention }));
    },
  });
}
