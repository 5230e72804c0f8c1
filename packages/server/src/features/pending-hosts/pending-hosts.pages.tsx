/**
 * HTML routes of one machine that waits: compare, accept, reject, and what became of it. The fingerprint goes along with
 * the form, so that what is accepted is what was compared.
 */
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { type Refusal, tryForm } from "../../platform/http/forms.ts";
import { actorOf } from "../../platform/http/identity.ts";
import type { PageOf } from "../../platform/http/page-context.ts";
import { type App, pageRoute, requireIdentity } from "../../platform/http/route.ts";
import { planForm, planOfForm, readPlanForm, typedAgain } from "../enrolment/enrolment.ts";
import { findHost, isOnline } from "../hosts/hosts.ts";
import { acceptPendingHost, rejectPendingHost } from "./decisions.ts";
import { ownNameOf, type PendingHostRouteDeps } from "./pending-hosts.api.ts";
import { getPendingHost, isExpired, toPendingRow, type WaitingHost } from "./pending-hosts.ts";
import {
  type PendingHostPageProps,
  type PendingState,
  renderAcceptedPage,
  renderPendingHostPage,
  renderPendingStatus,
} from "./pending-hosts.views.tsx";

export interface PendingHostPageDeps extends Omit<PendingHostRouteDeps, "refusals"> {
  page: PageOf;
}

const params = z.object({ id: z.string().regex(/^[\w-]{1,64}$/) });
const acceptBody = planForm.extend({
  fingerprint: z.string().optional(),
  /** Checked: what the machine dialled is known to be ours. */
  server_name: z.string().optional(),
});
const rejectBody = z.object({ reason: z.string().default("") });

export function registerPendingHostPages(app: App, deps: PendingHostPageDeps): void {
  pageRoute(app, {
    method: "GET",
    url: "/pending-hosts/:id",
    policy: "viewer",
    schema: { params },
    async answer({ params: { id }, request }) {
      return renderPendingHostPage(deps.page(request), await propsOf(deps, request, id));
    },
  });
  pageRoute(app, {
    method: "GET",
    url: "/pending-hosts/:id/status",
    policy: "viewer",
    schema: { params },
    async answer({ params: { id }, request }) {
      const pending = await getPendingHost(deps, id);
      const state = await stateOf(deps, pending);
      return renderPendingStatus(deps.page(request), { hostname: pending.hostname, state });
    },
  });
  registerAccept(app, deps);
  registerReject(app, deps);
}

function registerAccept(app: App, deps: PendingHostPageDeps): void {
  pageRoute(app, {
    method: "POST",
    url: "/pending-hosts/:id/accept",
    policy: "operator",
    schema: { params, body: acceptBody },
    async answer({ params: { id }, body, identity, request, reply }) {
      const form = readPlanForm(body);
      const { fingerprint = "", server_name: serverName } = body;
      const outcome = await tryForm(
        acceptPendingHost(deps, {
          ...{ ...planOfForm(form), id, fingerprint, serverName },
          ownName: ownNameOf(request, deps.baseUrl),
          actor: actorOf(requireIdentity(identity)),
        }),
      );
      if (!outcome.done) {
        const { refusal } = outcome;
        void reply.code(refusal.status);
        return renderAgain(deps, request, id, { form: { ...typedAgain(form, refusal), ...said(refusal) } });
      }
      const { hostId, hostName, repoPassword, restHtpasswdHint, location, tags, initialPaths } =
        outcome.value;
      // Only a password that was made has to be shown, once, in this answer; all else is behind the address.
      if (repoPassword === null) return reply.redirect(`/pending-hosts/${id}`, 303);
      return renderAcceptedPage(deps.page(request), {
        ...{ id, hostname: hostName, state: { name: "accepted", hostId, connected: null } },
        ...{ mintedPassword: repoPassword, htpasswdCommand: restHtpasswdHint },
        ...{ repositoryUrl: location, tags, initialPaths },
      });
    },
  });
}

function registerReject(app: App, deps: PendingHostPageDeps): void {
  pageRoute(app, {
    method: "POST",
    url: "/pending-hosts/:id/reject",
    policy: "operator",
    schema: { params, body: rejectBody },
    async answer({ params: { id }, body: { reason }, identity, request, reply }) {
      const actor = actorOf(requireIdentity(identity));
      const outcome = await tryForm(rejectPendingHost(deps, { id, reason, actor }));
      if (outcome.done) return reply.redirect("/", 303);
      const { refusal } = outcome;
      void reply.code(refusal.status);
      const rejection = { values: { reason }, errors: refusal.errors, ...said(refusal) };
      return renderAgain(deps, request, id, { rejection });
    },
  });
}

const said = ({ message }: Refusal) => (message === undefined ? {} : { message });

/** The page as it is now: of a machine that was decided about meanwhile, it shows that instead of a form. */
async function renderAgain(
  deps: PendingHostPageDeps,
  request: FastifyRequest,
  id: string,
  forms: Pick<PendingHostPageProps, "form" | "rejection">,
): Promise<string> {
  return renderPendingHostPage(deps.page(request), { ...(await propsOf(deps, request, id)), ...forms });
}

async function propsOf(
  deps: PendingHostPageDeps,
  request: FastifyRequest,
  id: string,
): Promise<PendingHostPageProps> {
  const pending = await getPendingHost(deps, id);
  const { agentVersion, resticVersion, serverName } = pending;
  return {
    ...toPendingRow(pending, deps.room.isWaiting(pending)),
    ...{ agentVersion, resticVersion, serverName },
    ownName: ownNameOf(request, deps.baseUrl),
    state: await stateOf(deps, pending),
  };
}

async function stateOf(deps: PendingHostPageDeps, pending: WaitingHost): Promise<PendingState> {
  const now = deps.clock.now();
  if (pending.state === "rejected") return { name: "rejected", reason: pending.reason };
  if (pending.state === "pending") return { name: isExpired(pending, now) ? "expired" : "pending" };
  const hostId = pending.hostId ?? "";
  const host = await findHost(deps.db, hostId);
  if (host?.lastSeenAt == null) return { name: "accepted", hostId, connected: null };
  const { agentVersion, resticVersion, lastSeenAt } = host;
  const facts = { agentVersion: agentVersion ?? "unknown", resticVersion, lastSeenAt };
  return { name: "accepted", hostId, connected: { ...facts, offline: !isOnline(host, now) } };
}
