/** JSON routes of enrolment: an operator makes a token, an agent trades it, a client asks what became of it. */
import { enrolRequest, enrolResponse } from "@restic-manager/protocol";
import { z } from "zod";
import { toInstant } from "../../platform/clock.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import { createEnrolmentToken, type EnrolmentDeps, enrol, getEnrolmentStatus } from "./enrolment.ts";
import { planBody, toPlanInput } from "./enrolment.wire.ts";

export interface EnrolmentRouteDeps extends EnrolmentDeps {
  /** The certificate that agents should pin, `sha256:<hex>`; null when a proxy holds it. */
  certPin: string | null;
}

/** A rack of machines behind one address enrols in a minute; tokens of 256 bits can't be guessed anyway. */
export const enrolmentsPerMinute = 60;

const createdToken = z.object({
  id: z.string(),
  token: z.string(),
  expires_at: z.string(),
  repo_password: z.string().optional(),
});

const status = z.object({
  id: z.string(),
  hostname: z.string(),
  state: z.enum(["waiting", "enrolled", "connected", "expired"]),
  expires_at: z.string(),
  host_id: z.string().nullable(),
});

export function registerEnrolmentRoutes(app: App, deps: EnrolmentRouteDeps): void {
  registerTokenRoutes(app, deps);
  apiRoute(app, {
    method: "POST",
    url: "/api/agents/enroll",
    policy: "agent",
    perMinute: enrolmentsPerMinute,
    summary: "Trade a token for a host and its bearer; called by the agent.",
    schema: { body: enrolRequest, response: { 200: enrolResponse } },
    async answer({ body }) {
      const { token, hostname, os, arch } = body;
      const agent = { agentVersion: body.agent_version, resticVersion: body.restic_version ?? null };
      const { hostId, bearer } = await enrol(deps, { token, hostname, os, arch, ...agent });
      return { host_id: hostId, bearer, cert_pin: deps.certPin };
    },
  });
}

function registerTokenRoutes(app: App, deps: EnrolmentRouteDeps): void {
  apiRoute(app, {
    method: "POST",
    url: "/api/enrollment-tokens",
    policy: "operator",
    summary:
      "Make a token that enrols one host, good once and for an hour. Token and minted password are shown once.",
    schema: { body: planBody, response: { 201: createdToken } },
    async answer({ body, identity, reply }) {
      const created = await createEnrolmentToken(deps, {
        ...toPlanInput(body),
        actor: actorOf(requireIdentity(identity)),
      });
      const { id, token, expiresAt, repoPassword } = created;
      void reply.code(201);
      const minted = repoPassword === null ? {} : { repo_password: repoPassword };
      return { id, token, expires_at: toInstant(expiresAt), ...minted };
    },
  });
  apiRoute(app, {
    method: "GET",
    url: "/api/enrollment-tokens/:id",
    policy: "viewer",
    summary: "What became of a token: waiting, enrolled, connected or expired.",
    schema: { params: z.object({ id: z.string().regex(/^[\w-]{1,64}$/) }), response: { 200: status } },
    async answer({ params }) {
      const { id, hostName, state, expiresAt, host } = await getEnrolmentStatus(deps, params.id);
      return { id, hostname: hostName, state, expires_at: toInstant(expiresAt), host_id: host?.id ?? null };
    },
  });
}
