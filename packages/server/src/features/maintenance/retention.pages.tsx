/**
 * What a retention would keep, as a page and as the fragment that a group's form shows while somebody types. The fields
 * are those of the form; without any of them it is the retention that is stored.
 */
import { z } from "zod";
import { livePageRoutes, type PageOf } from "../../platform/http/page-context.ts";
import type { App } from "../../platform/http/route.ts";
import { getHost } from "../hosts/hosts.ts";
import { checkRetention, getSourceGroup, readRetention } from "../sources/sources.ts";
import { type RetentionPageProps, renderRetentionFragment, renderRetentionPage } from "./retention.views.tsx";
import { previewRetention, type RetentionDeps } from "./retention-preview.ts";

export interface RetentionPageDeps extends RetentionDeps {
  page: PageOf;
}

/** As typed: the rules answer, not a page about a bad request. Longer than any number or duration is. */
const typed = z.string().max(200).optional();
const typedRetention = z.object({
  ...{ keep_last: typed, keep_hourly: typed, keep_daily: typed },
  ...{ keep_weekly: typed, keep_monthly: typed, keep_yearly: typed, keep_within: typed },
});

export function registerRetentionPages(app: App, deps: RetentionPageDeps): void {
  livePageRoutes(app, {
    url: "/hosts/:hostId/sources/:groupId/retention",
    fragmentUrl: "/fragments/hosts/:hostId/sources/:groupId/retention",
    policy: "viewer",
    schema: {
      params: z.object({ hostId: z.string().max(64), groupId: z.string().max(64) }),
      querystring: typedRetention,
    },
    context: deps.page,
    props: ({ params, query }) => retentionProps(deps, params, query),
    page: renderRetentionPage,
    fragment: renderRetentionFragment,
  });
}

async function retentionProps(
  deps: RetentionPageDeps,
  ids: { hostId: string; groupId: string },
  query: z.output<typeof typedRetention>,
): Promise<RetentionPageProps> {
  const host = await getHost(deps.db, ids.hostId);
  const group = await getSourceGroup(deps.db, host.id, ids.groupId);
  const isTyped = Object.values(query).some((value) => value !== undefined);
  const retention = isTyped ? readTyped(query) : group.retention;
  const around = { host: { id: host.id, name: host.name }, group: { id: group.id, name: group.name } };
  const [problem] = checkRetention(retention);
  if (problem) return { ...around, preview: { problem: problem.message } };
  const preview = await previewRetention(deps, { ...ids, retention });
  return { ...around, preview: { problem: null, ...preview } };
}

const readTyped = (query: z.output<typeof typedRetention>) =>
  readRetention({
    keep_last: countOf(query.keep_last),
    keep_hourly: countOf(query.keep_hourly),
    keep_daily: countOf(query.keep_daily),
    keep_weekly: countOf(query.keep_weekly),
    keep_monthly: countOf(query.keep_monthly),
    keep_yearly: countOf(query.keep_yearly),
    keep_within: query.keep_within?.replace(/\s/g, "").toLowerCase(),
  });

/** Null for an empty field, NaN for what is no whole number: the rules refuse that. */
function countOf(text = ""): number | null {
  const digits = text.trim();
  if (digits === "") return null;
  return /^\d+$/.test(digits) ? Number(digits) : Number.NaN;
}
