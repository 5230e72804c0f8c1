/**
 * HTML routes of "Add host". The answer to the post holds the token and perhaps a password and is the only page
 * that ever does: each form carries the id of its token, so that a reload of that answer makes no second one.
 */
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { attachment } from "../../platform/http/attachment.ts";
import { ownOrigin } from "../../platform/http/csrf.ts";
import { tryForm } from "../../platform/http/forms.ts";
import { actorOf } from "../../platform/http/identity.ts";
import type { PageOf } from "../../platform/http/page-context.ts";
import { type App, pageRoute, requireIdentity } from "../../platform/http/route.ts";
import { newId } from "../../platform/random.ts";
import { isOnline } from "../hosts/hosts.ts";
import {
  type CreatedEnrolment,
  createEnrolmentToken,
  type EnrolmentDeps,
  type EnrolmentStatus,
  getEnrolmentStatus,
} from "./enrolment.ts";
import {
  type EnrolmentStatusProps,
  renderAddHostPage,
  renderAddHostResultPage,
  renderEnrolmentPage,
  renderEnrolmentStatus,
} from "./enrolment.views.tsx";
import { announceCommand, enrolCommand, installCommand, windowsInstallCommand } from "./install-command.ts";
import { type InstallerKind, installerKinds, type ReadInstaller, takeInstaller } from "./installer.ts";
import { planForm, planOfForm, readPlanForm, typedAgain } from "./plan-form.ts";

export interface EnrolmentPageDeps extends EnrolmentDeps {
  /** The public URL, when one is set; otherwise the request's own origin goes into the install command. */
  baseUrl: string | undefined;
  page: PageOf;
  /** The installers of the release that is served. */
  readInstaller: ReadInstaller;
}

const ulid = /^[0-9A-HJKMNP-TV-Z]{26}$/;

const body = planForm.extend({ form_id: z.string().regex(ulid).optional().catch(undefined) });

const params = z.object({ tokenId: z.string().regex(/^[\w-]{1,64}$/) });

export function registerEnrolmentPages(app: App, deps: EnrolmentPageDeps): void {
  pageRoute(app, {
    method: "GET",
    url: "/hosts/new",
    policy: "operator",
    answer: ({ request }) =>
      renderAddHostPage(deps.page(request), {
        formId: newId(deps.clock.now()),
        announceCommand: announceCommand(ownOrigin(request, deps.baseUrl)),
      }),
  });
  pageRoute(app, {
    method: "POST",
    url: "/hosts/new",
    policy: "operator",
    schema: { body },
    async answer({ body: posted, identity, request, reply }) {
      const form = readPlanForm(posted);
      const formId = posted.form_id ?? newId(deps.clock.now());
      const input = { id: formId, ...planOfForm(form), actor: actorOf(requireIdentity(identity)) };
      const outcome = await tryForm(createEnrolmentToken(deps, input));
      if (outcome.done) return showResult(deps, request, outcome.value);
      const { refusal } = outcome;
      if (refusal.code === "enrolment.already_created") return reply.redirect(`/hosts/new/${formId}`, 303);
      void reply.code(refusal.status);
      return renderAddHostPage(deps.page(request), { formId, form: typedAgain(form, refusal) });
    },
  });
  registerTokenPages(app, deps);
  registerInstallerPage(app, deps);
}

const installerBody = z.object({ token: z.string().max(200), kind: z.enum(installerKinds) });

function registerInstallerPage(app: App, deps: EnrolmentPageDeps): void {
  pageRoute(app, {
    method: "POST",
    url: "/hosts/new/:tokenId/installer",
    policy: "operator",
    schema: { params, body: installerBody },
    async answer({ params: { tokenId }, body, identity, request, reply }) {
      const server = ownOrigin(request, deps.baseUrl);
      const actor = actorOf(requireIdentity(identity));
      const { fileName, text } = await takeInstaller(deps, { ...body, tokenId, server, actor });
      // Not text/plain: a browser would show the token instead of saving the file.
      void reply.type("application/octet-stream").header("cache-control", "no-store");
      return reply.header("content-disposition", attachment(fileName)).send(text);
    },
  });
}

function registerTokenPages(app: App, deps: EnrolmentPageDeps): void {
  pageRoute(app, {
    method: "GET",
    url: "/hosts/new/:tokenId",
    policy: "operator",
    schema: { params },
    async answer({ params: { tokenId }, request }) {
      const status = toStatusProps(await getEnrolmentStatus(deps, tokenId), deps.clock.now());
      return renderEnrolmentPage(deps.page(request), { status });
    },
  });
  pageRoute(app, {
    method: "GET",
    url: "/hosts/new/:tokenId/status",
    policy: "operator",
    schema: { params },
    async answer({ params: { tokenId }, request }) {
      const status = toStatusProps(await getEnrolmentStatus(deps, tokenId), deps.clock.now());
      return renderEnrolmentStatus(deps.page(request), status);
    },
  });
}

async function showResult(
  deps: EnrolmentPageDeps,
  request: FastifyRequest,
  created: CreatedEnrolment,
): Promise<string> {
  const { id, hostName, expiresAt, tags, initialPaths, token } = created;
  const server = ownOrigin(request, deps.baseUrl);
  const commands = { sh: installCommand(server, token), ps1: windowsInstallCommand(server, token) };
  const has = async (kind: InstallerKind) => (await deps.readInstaller(kind)) !== null;
  return renderAddHostResultPage(deps.page(request), {
    status: { tokenId: id, hostname: hostName, expiresAt, state: "waiting", host: null },
    token,
    installCommand: (await has("sh")) ? commands.sh : null,
    windowsCommand: (await has("ps1")) ? commands.ps1 : null,
    enrolCommand: enrolCommand(server, token),
    mintedPassword: created.repoPassword,
    htpasswdCommand: created.restHtpasswdHint,
    repositoryUrl: created.location,
    tags,
    initialPaths,
  });
}

function toStatusProps(status: EnrolmentStatus, nowMs: number): EnrolmentStatusProps {
  const { id, hostName, expiresAt, state, host } = status;
  const shared = { tokenId: id, hostname: hostName, expiresAt };
  if (state !== "connected" || !host)
    return { ...shared, state: state === "connected" ? "enrolled" : state, host: null };
  const { agentVersion, resticVersion, lastSeenAt } = host;
  const facts = { agentVersion: agentVersion ?? "unknown", resticVersion, lastSeenAt: lastSeenAt ?? nowMs };
  return { ...shared, state: "online", host: { id: host.id, ...facts, offline: !isOnline(host, nowMs) } };
}
