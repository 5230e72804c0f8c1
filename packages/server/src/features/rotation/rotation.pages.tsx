/**
 * The page of a rotation and its forms. The answer to the post that starts one holds the password, if we made it, and is
 * the only page that ever does: a reload of it finds the rotation under way, and leads to the page without it.
 */
import { z } from "zod";
import { type Refusal, tryForm } from "../../platform/http/forms.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { livePageRoutes, type PageOf } from "../../platform/http/page-context.ts";
import { type App, type Call, pageRoute, requireIdentity } from "../../platform/http/route.ts";
import { type RotationPageProps, renderRotationFragment, renderRotationPage } from "./rotation.views.tsx";
import {
  type RotationDeps,
  removeOldKeys,
  retryRotation,
  startRotation,
  stopRotation,
} from "./rotation-edits.ts";
import { getRotationView } from "./rotation-view.ts";

export type RotationPageDeps = RotationDeps & { page: PageOf };

const params = z.object({ hostId: z.string().max(64) });
type HostCall = Call<{ params: typeof params }>;
const url = "/hosts/:hostId/rotation";

export function registerRotationPages(app: App, deps: RotationPageDeps): void {
  livePageRoutes(app, {
    url,
    fragmentUrl: "/fragments/hosts/:hostId/rotation",
    policy: "viewer",
    schema: { params },
    context: deps.page,
    props: async ({ params: { hostId } }) => ({ view: await getRotationView(deps, hostId) }),
    page: renderRotationPage,
    fragment: renderRotationFragment,
  });
  registerStart(app, deps);
  registerDecisions(app, deps);
}

/** The page with what a form said. */
async function draw(deps: RotationPageDeps, call: HostCall, more: Omit<RotationPageProps, "view">) {
  const view = await getRotationView(deps, call.params.hostId);
  return renderRotationPage(deps.page(call.request), { view, ...more });
}

const backTo = (call: HostCall) => call.reply.redirect(`/hosts/${call.params.hostId}/rotation`, 303);

function registerStart(app: App, deps: RotationPageDeps): void {
  pageRoute(app, {
    method: "POST",
    url,
    policy: "operator",
    // As long as it likes: the rule beside the field answers, not a page about a bad request.
    schema: { params, body: z.object({ password: z.string().default("") }) },
    async answer(call) {
      const { params: where, body, identity } = call;
      const wish = { hostId: where.hostId, actor: actorOf(requireIdentity(identity)) };
      // An empty field is an absent one.
      const password = body.password === "" ? undefined : body.password;
      const outcome = await tryForm(startRotation(deps, { ...wish, password }));
      if (!outcome.done) return answerRefused(deps, call, outcome.refusal);
      if (outcome.value.password === null) return backTo(call);
      return draw(deps, call, { mintedPassword: outcome.value.password });
    },
  });
}

async function answerRefused(deps: RotationPageDeps, call: HostCall, refusal: Refusal) {
  if (refusal.code === "rotation.running") return backTo(call);
  void call.reply.code(refusal.status);
  const { errors, message } = refusal;
  return draw(deps, call, { form: { errors, ...(message === undefined ? {} : { message }) } });
}

function registerDecisions(app: App, deps: RotationPageDeps): void {
  const shared = { method: "POST", policy: "operator" } as const;
  const decide = async (call: HostCall, work: Promise<void>) => {
    const outcome = await tryForm(work);
    return outcome.done ? backTo(call) : answerRefused(deps, call, outcome.refusal);
  };
  const wishOf = ({ params: { hostId }, identity }: HostCall) => ({
    ...{ hostId, actor: actorOf(requireIdentity(identity)) },
  });
  pageRoute(app, {
    ...shared,
    url: `${url}/remove`,
    schema: { params, body: z.object({ confirmed: z.literal("on").optional() }) },
    answer: (call) => {
      const confirmed = call.body.confirmed === "on";
      return decide(call, removeOldKeys(deps, { ...wishOf(call), confirmed }));
    },
  });
  pageRoute(app, {
    ...shared,
    url: `${url}/stop`,
    schema: { params },
    answer: (call) => decide(call, stopRotation(deps, wishOf(call))),
  });
  pageRoute(app, {
    ...shared,
    url: `${url}/retry`,
    schema: { params },
    answer: (call) => decide(call, retryRotation(deps, wishOf(call))),
  });
}
