/** The JSON route of the audit trail: read only, for every role. */
import { z } from "zod";
import { fromInstant, toInstant } from "../../platform/clock.ts";
import { type App, apiRoute } from "../../platform/http/route.ts";
import { type AuditDeps, type AuditEntry, listAudit } from "./audit.ts";

const instant = z.iso.datetime({ offset: true });
const text = z.string().min(1).max(256);

const query = z.strictObject({
  user: text.optional(),
  action: text.optional(),
  target: text.optional(),
  from: instant.optional().describe("First instant, inclusive."),
  to: instant.optional().describe("Last instant, exclusive."),
  before: text.optional().describe("`next` of the page before."),
  limit: z.coerce.number().int().min(1).max(500).optional(),
});

const wireEntry = z.object({
  id: z.string(),
  at: z.string(),
  actor: z.object({
    kind: z.string(),
    id: z.string().nullable(),
    name: z.string(),
    token: z.string().nullable().describe("The API token that was used."),
  }),
  action: z.string(),
  target: z.object({ kind: z.string(), id: z.string(), name: z.string() }).nullable(),
  payload: z.record(z.string(), z.unknown()),
});

const toWire = (entry: AuditEntry): z.output<typeof wireEntry> => ({
  ...entry,
  at: toInstant(entry.at),
  actor: { ...entry.actor, token: entry.actor.token ?? null },
});

export function registerAuditRoutes(app: App, deps: AuditDeps): void {
  apiRoute(app, {
    method: "GET",
    url: "/api/audit",
    policy: "viewer",
    summary: "Who changed what, newest first.",
    schema: {
      querystring: query,
      response: { 200: z.object({ entries: z.array(wireEntry), next: z.string().nullable() }) },
    },
    async answer({ query: { from, to, ...filter } }) {
      const page = await listAudit(deps, {
        ...filter,
        from: from === undefined ? undefined : fromInstant(from),
        to: to === undefined ? undefined : fromInstant(to),
      });
      return { entries: page.entries.map(toWire), next: page.next };
    },
  });
}
