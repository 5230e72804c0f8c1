/** The dashboard and the host's page; its forms are in host-runs, host-repository, host-access and host-settings (.pages.tsx). */
import { z } from "zod";
import { livePageRoutes } from "../../platform/http/page-context.ts";
import type { App } from "../../platform/http/route.ts";
import { listHostsByIds } from "../hosts/hosts.ts";
import { listPendingHosts, type PendingHost, toPendingRow } from "../pending-hosts/pending-hosts.ts";
import type { FleetPictures } from "./fleet-picture.ts";
import { type HostPageProps, renderHostFragment, renderHostPage } from "./host.views.tsx";
import { type HostAccessDeps, registerHostAccess } from "./host-access.pages.tsx";
import { getHostPage, hostTabs } from "./host-page.ts";
import { registerHostRepository } from "./host-repository.pages.tsx";
import { listHostRows } from "./host-rows.ts";
import { type HostRunDeps, registerHostRuns } from "./host-runs.pages.tsx";
import { registerHostSettings } from "./host-settings.pages.tsx";
import type { HostFilter, HostRow } from "./host-table.views.tsx";
import type { OverviewDeps } from "./overview.ts";
import { type DashboardProps, renderDashboardFragment, renderDashboardPage } from "./overview.views.tsx";
import { hostParams } from "./refused-form.ts";
import type { ChartSpan } from "./size-chart.views.tsx";

export type OverviewPageDeps = HostRunDeps & HostAccessDeps & DashboardDeps;

interface DashboardDeps {
  fleet: FleetPictures;
  /** Whether a machine that announced itself is connected now. */
  isWaiting(pending: PendingHost): boolean;
}

/** Filters come from the URL and never fail: what makes no sense is left out. */
const dashboardQuery = z.object({
  search: z.string().max(253).optional().catch(undefined),
  tag: z.string().max(64).optional().catch(undefined),
  state: z.enum(["attention", "running", "offline"]).optional().catch(undefined),
  agent: z.enum(["behind"]).optional().catch(undefined),
  restic: z.enum(["behind"]).optional().catch(undefined),
  sort: z.enum(["name", "backup", "size", "snapshots"]).optional().catch(undefined),
  direction: z.enum(["asc", "desc"]).optional().catch(undefined),
  page: z.coerce.number().int().min(1).max(1_000_000).optional().catch(undefined),
});
/** Rows of one page: a few screens, and little for a browser that asks every five seconds. */
const pageSize = 50;
const hostQuery = z.object({
  tab: z.enum(hostTabs).catch("snapshots"),
  page: z.coerce.number().int().min(1).max(100_000).catch(1),
  /** How far back the repository's history goes. */
  days: z.enum(["30", "90", "365"]).transform(Number).catch(30),
  /** Set by the redirect after a form was stored. */
  saved: z.literal("1").optional().catch(undefined),
});
const savedNotice: HostPageProps["notice"] = {
  tone: "ok",
  text: "Saved. A connected agent gets it at once.",
};

async function dashboardProps(
  deps: OverviewDeps & DashboardDeps,
  { page = 1, ...query }: z.output<typeof dashboardQuery>,
): Promise<DashboardProps> {
  const filter = Object.fromEntries(Object.entries(query).filter(([, value]) => value)) as HostFilter;
  const fleet = await deps.fleet.look();
  const found = fleet.find(filter);
  const last = Math.max(1, Math.ceil(found.length / pageSize));
  const from = (Math.min(page, last) - 1) * pageSize;
  const waiting = await listPendingHosts(deps);
  const pending = waiting.map((one) => toPendingRow(one, deps.isWaiting(one)));
  return {
    pending,
    figures: fleet.figures,
    hosts: await rowsOf(
      deps,
      found.slice(from, from + pageSize).map(({ id }) => id),
    ),
    page: { page: Math.min(page, last), pageSize, total: found.length },
    filter,
    tags: fleet.tags,
  };
}

/** As the hosts are at this moment, in the order of the ids. */
async function rowsOf(deps: OverviewDeps, ids: readonly string[]): Promise<HostRow[]> {
  const hosts = new Map((await listHostsByIds(deps.db, ids)).map((host) => [host.id, host]));
  const inOrder = ids.flatMap((id) => hosts.get(id) ?? []);
  return listHostRows(deps, inOrder);
}

export function registerOverviewPages(app: App, deps: OverviewPageDeps): void {
  livePageRoutes(app, {
    url: "/",
    fragmentUrl: "/fragments/dashboard",
    policy: "viewer",
    schema: { querystring: dashboardQuery },
    context: deps.page,
    props: ({ query }) => dashboardProps(deps, query),
    page: renderDashboardPage,
    fragment: renderDashboardFragment,
  });
  livePageRoutes(app, {
    url: "/hosts/:hostId",
    fragmentUrl: "/fragments/hosts/:hostId",
    policy: "viewer",
    schema: { params: hostParams, querystring: hostQuery },
    context: deps.page,
    props: async ({ params, query, identity }) => {
      const mayOperate = identity !== null && identity.role !== "viewer";
      const props = await getHostPage(deps, params.hostId, {
        ...query,
        span: query.days as ChartSpan,
        mayOperate,
      });
      return query.saved ? { ...props, notice: savedNotice } : props;
    },
    page: renderHostPage,
    fragment: renderHostFragment,
  });
  registerHostRuns(app, deps);
  registerHostSettings(app, deps);
  registerHostRepository(app, deps);
  registerHostAccess(app, deps);
}
