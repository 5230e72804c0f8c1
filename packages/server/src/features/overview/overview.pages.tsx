/** The dashboard and the host's page with its tabs and forms. */
import { z } from "zod";
import { AppError, fieldProblems } from "../../platform/errors.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { livePageRoutes, type PageOf } from "../../platform/http/page-context.ts";
import { type App, type Call, pageRoute, requireIdentity } from "../../platform/http/route.ts";
import { type DeleteHostDeps, deleteHost } from "../hosts/hosts.ts";
import { type RunDeps, type RunRequest, runNow } from "../jobs/jobs.ts";
import { editCredentials, type RepositoriesDeps } from "../repositories/repositories.ts";
import { type HostPageProps, renderHostFragment, renderHostPage } from "./host.views.tsx";
import { getHostPage, type HostPageQuery, hostTabs } from "./host-page.ts";
import type { HostFilter } from "./host-table.views.tsx";
import {
  filterOverview,
  listOverview,
  type OverviewDeps,
  sortOverview,
  sumFleet,
  toRow,
} from "./overview.ts";
import { type DashboardProps, renderDashboardFragment, renderDashboardPage } from "./overview.views.tsx";

export type OverviewPageDeps = OverviewDeps &
  RunDeps & { page: PageOf; repositories: RepositoriesDeps; deletion: DeleteHostDeps };

/** Filters come from the URL and never fail: what makes no sense is left out. */
const dashboardQuery = z.object({
  search: z.string().max(253).optional().catch(undefined),
  tag: z.string().max(64).optional().catch(undefined),
  state: z.enum(["attention", "running", "offline"]).optional().catch(undefined),
  sort: z.enum(["name", "backup", "size", "snapshots"]).optional().catch(undefined),
  direction: z.enum(["asc", "desc"]).optional().catch(undefined),
});
const hostQuery = z.object({
  tab: z.enum(hostTabs).catch("snapshots"),
  page: z.coerce.number().int().min(1).max(100_000).catch(1),
  /** Set by the redirect after a form was stored. */
  saved: z.literal("1").optional().catch(undefined),
});
const savedNotice: HostPageProps["notice"] = {
  tone: "ok",
  text: "Saved. A connected agent gets it at once.",
};
const hostParams = z.object({ hostId: z.string().max(64) });
const groupParams = hostParams.extend({ groupId: z.string().max(64) });

async function dashboardProps(
  deps: OverviewDeps,
  query: z.output<typeof dashboardQuery>,
): Promise<DashboardProps> {
  const filter = Object.fromEntries(Object.entries(query).filter(([, value]) => value)) as HostFilter;
  const all = await listOverview(deps);
  return {
    figures: sumFleet(all),
    hosts: sortOverview(filterOverview(all, filter), filter).map((overview) => toRow(deps, overview)),
    filter,
    tags: [...new Set(all.flatMap(({ host }) => host.tags))].sort(),
  };
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
    props: async ({ params, query }) => {
      const props = await getHostPage(deps, params.hostId, query);
      return query.saved ? { ...props, notice: savedNotice } : props;
    },
    page: renderHostPage,
    fragment: renderHostFragment,
  });
  registerRunForms(app, deps);
  registerCredentialsForm(app, deps);
  registerDeleteForm(app, deps);
}

function registerRunForms(app: App, deps: OverviewPageDeps): void {
  const run = async (
    call: Call<{ params: typeof hostParams }>,
    request: RunRequest,
    tab: HostPageQuery["tab"] = "snapshots",
  ) => {
    const { hostId } = call.params;
    const outcome = await asOutcome(
      runNow(deps, { hostId, request, actor: actorOf(requireIdentity(call.identity)) }),
    );
    if (outcome instanceof AppError) {
      return answerRefused(deps, call, { tab, page: 1 }, outcome, () => ({
        notice: { tone: "fail", text: outcome.message },
      }));
    }
    const [first, second] = outcome;
    // One job: its live page. Several: the host's list of them.
    return call.reply.redirect(first && !second ? `/jobs/${first.id}` : `/hosts/${hostId}?tab=jobs`, 303);
  };
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/run",
    policy: "operator",
    schema: { params: hostParams },
    answer: (call) => run(call, { kind: "backup" }),
  });
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/check",
    policy: "operator",
    schema: { params: hostParams },
    answer: (call) => run(call, { kind: "check" }, "repository"),
  });
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/sources/:groupId/run",
    policy: "operator",
    schema: { params: groupParams },
    answer: (call) => run(call, { kind: "backup", source_group_id: call.params.groupId }),
  });
}

function registerCredentialsForm(app: App, deps: OverviewPageDeps): void {
  const field = z.string().max(4096).default("");
  const body = z.object({
    repo_url: field,
    repo_username: field,
    repo_password: field,
    rest_password: field,
  });
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/repository",
    policy: "operator",
    schema: { params: hostParams, body },
    async answer(call) {
      const { params, body: typed, identity, reply } = call;
      const edit = editCredentials(deps.repositories, {
        hostId: params.hostId,
        actor: actorOf(requireIdentity(identity)),
        location: typed.repo_url.trim(),
        restUsername: typed.repo_username.trim(),
        // A password field left empty keeps what is stored: it is never shown, so it can't be typed again.
        ...(typed.repo_password ? { password: typed.repo_password } : {}),
        ...(typed.rest_password ? { restPassword: typed.rest_password } : {}),
      });
      const outcome = await asOutcome(edit);
      if (!(outcome instanceof AppError))
        return reply.redirect(`/hosts/${params.hostId}?tab=repository&saved=1`, 303);
      const values = { repo_url: typed.repo_url, repo_username: typed.repo_username };
      const errors = fieldProblems(outcome);
      // A sentence that stands beside its field is not said twice.
      const message = Object.keys(errors).length > 0 ? "Nothing was saved. See below." : outcome.message;
      return answerRefused(deps, call, { tab: "repository", page: 1 }, outcome, (props) => ({
        tab: { ...props.tab, form: { values, errors, message } },
      }));
    },
  });
}

function registerDeleteForm(app: App, deps: OverviewPageDeps): void {
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/delete",
    policy: "operator",
    schema: { params: hostParams, body: z.object({ confirm_name: z.string().max(253).default("") }) },
    async answer(call) {
      const { params, body, identity, reply } = call;
      const input = {
        hostId: params.hostId,
        typedName: body.confirm_name,
        actor: actorOf(requireIdentity(identity)),
      };
      const outcome = await asOutcome(deleteHost(deps.deletion, input));
      if (!(outcome instanceof AppError)) return reply.redirect("/", 303);
      return answerRefused(deps, call, { tab: "settings", page: 1 }, outcome, (props) => ({
        tab: { ...props.tab, form: { values: body, errors: fieldProblems(outcome) } },
      }));
    },
  });
}

/** Refusals that a person can mend are shown on the page that they came from; everything else is an error page. */
async function asOutcome<T>(work: Promise<T>): Promise<T | AppError> {
  return work.catch((error: unknown) => {
    if (error instanceof AppError && (error.kind === "invalid" || error.kind === "conflict")) return error;
    throw error;
  });
}

async function answerRefused(
  deps: OverviewPageDeps,
  call: Call<{ params: typeof hostParams }>,
  query: HostPageQuery,
  error: AppError,
  change: (props: HostPageProps) => Partial<Record<keyof HostPageProps, unknown>>,
): Promise<string> {
  void call.reply.code(error.kind === "conflict" ? 409 : 422);
  const props = await getHostPage(deps, call.params.hostId, query);
  return renderHostPage(deps.page(call.request), { ...props, ...change(props) } as HostPageProps);
}
