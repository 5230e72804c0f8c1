/** JSON routes of enrolment: an operator makes a token, an agent trades it, a client asks what became of it. */
import { enrolRequest, enrolResponse } from "@restic-manager/protocol";
import { z } from "zod";
import { toInstant } from "../../platform/clock.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import { createEnrolmentToken, type EnrolmentDeps, enrol, getEnrolmentStatus } from "./enrolment.ts";

export interface EnrolmentRouteDeps extends EnrolmentDeps {
  /** The certificate that agents should pin, `sha256:<hex>`; null when a proxy holds it. */
  certPin: string | null;
}

/** A rack of machines behind one address enrols in a minute; tokens of 256 bits can't be guessed anyway. */
export const enrolmentsPerMinute = 60;

/** Lengths are the slice's rules, with sentences of their own; the body's limit bounds these. */
const newToken = z.strictObject({
  hostname: z.string(),
  repo_url: z.string(),
  repo_username: z.string().optional(),
  repo_password: z.string().optional(),
  rest_password: z.string().optional(),
  /** restic's variables for this kind of storage, such as AWS_ACCESS_KEY_ID. */
  environment: z.record(z.string(), z.string()).optional(),
  /** PEM, one certificate or more. */
  ca_certificate: z.string().optional(),
  /** restic's `-o` options for this kind of storage. */
  options: z.record(z.string(), z.string()).optional(),
  tags: z.array(z.string()).optional(),
  initial_paths: z.array(z.string()).optional(),
});

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
    schema: { body: newToken, response: { 201: createdToken } },
    async answer({ body, identity, reply }) {
      const created = await createEnrolmentToken(deps, {
        hostName: body.hostname,
        repoUrl: body.repo_url,
        repoUsername: body.repo_username,
        repoPassword: body.repo_password,
        restPassword: body.rest_password,
        environment: body.environment,
        caCertificate: body.ca_certificate,
        options: body.options,
        tags: body.tags,
        initialPaths: body.initial_paths,
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
