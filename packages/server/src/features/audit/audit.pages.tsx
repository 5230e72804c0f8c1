/** The page of the audit trail. Filters live in the URL; dates are whole days in UTC. */
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import type { PageContext } from "../../platform/html/scope.ts";
import { type App, pageRoute } from "../../platform/http/route.ts";
import { type AuditDeps, type AuditEntry, listAudit, listAuditChoices } from "./audit.ts";
import { type AuditRow, renderAuditPage } from "./audit.views.tsx";

export interface AuditPageDeps extends AuditDeps {
  /** The surroundings of a page: who looks, theme, form token. */
  page(request: FastifyRequest): PageContext;
}

/** A filter's form sends its empty fields too. */
const field = z
  .string()
  .max(256)
  .optional()
  .transform((text) => text?.trim() || undefined);

const query = z.object({ user: field, action: field, target: field, from: field, to: field, before: field });

export function registerAuditPages(app: App, deps: AuditPageDeps): void {
  pageRoute(app, {
    method: "GET",
    url: "/audit",
    policy: "viewer",
    schema: { querystring: query },
    async answer({ query: { before, ...filter }, request }) {
      const from = dayStart(filter.from);
      const lastDay = dayStart(filter.to);
      const to = lastDay ? lastDay + dayMs : lastDay;
      const readable = from !== null && to !== null;
      const wanted = readable
        ? { ...filter, from, to, before }
        : { ...filter, from: undefined, to: undefined };
      const [page, choices] = await Promise.all([listAudit(deps, wanted), listAuditChoices(deps)]);
      return renderAuditPage(deps.page(request), {
        entries: page.entries.map(toRow),
        next: page.next,
        paged: before !== undefined,
        filter,
        ...choices,
        filterError: readable
          ? undefined
          : "A date must be written as YYYY-MM-DD and exist; dates are ignored.",
      });
    },
  });
}

const dayMs = 24 * 60 * 60_000;

/** `YYYY-MM-DD` → its first millisecond in UTC; undefined when not given, null when there is no such day. */
function dayStart(text: string | undefined): number | null | undefined {
  if (text === undefined) return undefined;
  return z.iso.date().safeParse(text).success ? Date.parse(text) : null;
}

function toRow(entry: AuditEntry): AuditRow {
  return {
    id: entry.id,
    at: entry.at,
    actor: entry.actor.name,
    actorKind: entry.actor.kind,
    actorToken: entry.actor.token,
    action: entry.action,
    targetKind: entry.target?.kind ?? null,
    targetId: entry.target?.id ?? null,
    targetName: entry.target?.name ?? null,
    payload: Object.keys(entry.payload).length > 0 ? entry.payload : null,
  };
}
