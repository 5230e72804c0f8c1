/** Settings → Agents, its forms, and the button of a host's page. */
import { updateProgram } from "@restic-manager/protocol";
import { z } from "zod";
import { ownOrigin } from "../../platform/http/csrf.ts";
import { tryForm } from "../../platform/http/forms.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { livePageRoutes, type PageOf } from "../../platform/http/page-context.ts";
import { type App, type Call, pageRoute, requireIdentity, type Schemas } from "../../platform/http/route.ts";
import {
  cancelUpdate,
  pauseUpdate,
  resumeUpdate,
  startUpdate,
  type UpdatesDeps,
  updateHost,
} from "./update-edits.ts";
import { getAgentsView } from "./update-view.ts";
import { renderAgentsFragment, renderAgentsPage } from "./updates.views.tsx";

export interface UpdatePageDeps extends UpdatesDeps {
  page: PageOf;
  /** The public URL, when one is set; otherwise the request's own origin is in the commands. */
  baseUrl: string | undefined;
}

const url = "/settings/agents";

export function registerUpdatePages(app: App, deps: UpdatePageDeps): void {
  const props = async ({ request }: Pick<Call<Schemas>, "request">) => ({
    view: await getAgentsView(deps),
    server: ownOrigin(request, deps.baseUrl),
  });
  livePageRoutes(app, {
    url,
    fragmentUrl: "/fragments/settings/agents",
    policy: "viewer",
    schema: {},
    context: deps.page,
    props,
    page: renderAgentsPage,
    fragment: renderAgentsFragment,
  });
  /** Back to the page, or the page with what was refused. */
  const answer = async (call: Pick<Call<Schemas>, "request" | "reply">, work: Promise<unknown>) => {
    const outcome = await tryForm(work);
    if (outcome.done) return call.reply.redirect(url, 303);
    void call.reply.code(outcome.refusal.status);
    return renderAgentsPage(deps.page(call.request), {
      ...(await props(call)),
      message: outcome.refusal.message,
    });
  };
  pageRoute(app, {
    method: "POST",
    url: `${url}/updates`,
    policy: "admin",
    schema: { body: z.object({ program: updateProgram }) },
    answer: (call) => {
      const actor = actorOf(requireIdentity(call.identity));
      return answer(call, startUpdate(deps, { program: call.body.program, actor }));
    },
  });
  const decisions = [
    ["pause", pauseUpdate],
    ["resume", resumeUpdate],
    ["cancel", cancelUpdate],
  ] as const;
  for (const [verb, decide] of decisions) {
    pageRoute(app, {
      method: "POST",
      url: `${url}/updates/:runId/${verb}`,
      policy: "admin",
      schema: { params: z.object({ runId: z.string().max(64) }) },
      answer: (call) => {
        const actor = actorOf(requireIdentity(call.identity));
        return answer(call, decide(deps, { runId: call.params.runId, actor }));
      },
    });
  }
  pageRoute(app, {
    method: "POST",
    url: "/hosts/:hostId/update",
    policy: "admin",
    schema: { params: z.object({ hostId: z.string().max(64) }), body: z.object({ program: updateProgram }) },
    async answer({ params: { hostId }, body: { program }, identity, reply }) {
      const job = await updateHost(deps, { hostId, program, actor: actorOf(requireIdentity(identity)) });
      return reply.redirect(`/jobs/${job.id}`, 303);
    },
  });
}
