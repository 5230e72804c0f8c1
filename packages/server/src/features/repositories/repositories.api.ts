/** JSON routes of a host's repository credentials. No answer ever holds a secret, only whether it is set. */
import { z } from "zod";
import { toInstant } from "../../platform/clock.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import {
  type CredentialsEdit,
  describeCertificates,
  editAdminCredentials,
  editCredentials,
  noAdminCredentials,
  noCredentials,
  type RedactedCredentials,
  redactedAdminCredentials,
  redactedCredentials,
  removeAdminCredentials,
  type TestDeps,
  testCredentials,
} from "./repositories.ts";

const params = z.object({ id: z.string().regex(/^[\w-]{1,64}$/) });

const wireCredentials = z.object({
  repo_url: z.string(),
  repo_username: z.string().nullable(),
  repo_password_set: z.boolean(),
  rest_password_set: z.boolean(),
  /** By the scheme of the location; null for one that is no longer known. */
  kind: z.string().nullable(),
  /** restic's variables that are no secrets. */
  environment: z.record(z.string(), z.string()),
  /** The names of those that are. */
  secrets_set: z.array(z.string()),
  /** Trusted in place of the host's own authorities. */
  ca_certificates: z.array(
    z.object({
      subject: z.string(),
      issuer: z.string(),
      expires_at: z.string(),
      fingerprint: z.string(),
    }),
  ),
  /** restic's `-o` options. */
  options: z.record(z.string(), z.string()),
  version: z.number(),
  updated_at: z.string(),
});

const toWire = (shown: RedactedCredentials): z.output<typeof wireCredentials> => ({
  repo_url: shown.location,
  repo_username: shown.restUsername,
  repo_password_set: shown.passwordSet,
  rest_password_set: shown.restPasswordSet,
  kind: shown.kind ?? null,
  environment: shown.environment,
  secrets_set: shown.secretsSet,
  ca_certificates: describeCertificates(shown.caCertificate ?? "").map(({ expiresAt, ...same }) => ({
    ...same,
    expires_at: toInstant(expiresAt),
  })),
  options: shown.options,
  version: shown.version,
  updated_at: toInstant(shown.updatedAt),
});

/** Lengths are the slice's rule, with a sentence of its own; the body's limit bounds these. */
const edit = z.strictObject({
  repo_url: z.string().optional(),
  repo_username: z.string().optional(),
  repo_password: z.string().optional(),
  rest_password: z.string().optional(),
  environment: z.record(z.string(), z.string()).optional(),
  /** PEM, one certificate or more. */
  ca_certificate: z.string().optional(),
  options: z.record(z.string(), z.string()).optional(),
});

const toEdit = (hostId: string, body: z.output<typeof edit>): Omit<CredentialsEdit, "actor"> => ({
  hostId,
  location: body.repo_url,
  restUsername: body.repo_username,
  password: body.repo_password,
  restPassword: body.rest_password,
  environment: body.environment,
  caCertificate: body.ca_certificate,
  options: body.options,
});

const wireResult = z.object({
  outcome: z.enum(["ok", "absent", "failed"]),
  code: z.string().nullable(),
  message: z.string(),
  last_lines: z.array(z.string()),
  duration_ms: z.number(),
});

const url = "/api/hosts/:id/repo-credentials";

export function registerRepositoryRoutes(app: App, deps: TestDeps): void {
  apiRoute(app, {
    method: "GET",
    url,
    policy: "viewer",
    summary: "Where the host backs up to, and which secrets are set.",
    schema: { params, response: { 200: wireCredentials } },
    async answer({ params: { id } }) {
      await deps.hosts.nameOf(deps.db, id);
      const shown = await redactedCredentials(deps.db, deps.box, id);
      if (!shown) throw noCredentials();
      return toWire(shown);
    },
  });
  apiRoute(app, {
    method: "PUT",
    url,
    policy: "operator",
    summary:
      "Change what is given and keep the rest; what is given empty is removed, of environment and options each by its name.",
    schema: { params, body: edit, response: { 200: wireCredentials } },
    async answer({ params: { id }, body, identity }) {
      const actor = actorOf(requireIdentity(identity));
      return toWire(await editCredentials(deps, { ...toEdit(id, body), actor }));
    },
  });
  registerAdminRoutes(app, deps);
  registerTestRoute(app, deps, "everyday", `${url}/test`);
  registerTestRoute(app, deps, "admin", `${url}/admin/test`);
}

function registerTestRoute(app: App, deps: TestDeps, slot: "everyday" | "admin", address: string): void {
  apiRoute(app, {
    method: "POST",
    url: address,
    policy: "operator",
    summary:
      "Let the host open the repository with what is given, and with what is stored for the rest. Saves nothing; waits up to 25 s.",
    schema: { params, body: edit, response: { 200: wireResult } },
    async answer({ params: { id }, body }) {
      const { lastLines, durationMs, ...same } = await testCredentials(deps, toEdit(id, body), slot);
      return { ...same, last_lines: lastLines, duration_ms: durationMs };
    },
  });
}

function registerAdminRoutes(app: App, deps: TestDeps): void {
  apiRoute(app, {
    method: "GET",
    url: `${url}/admin`,
    policy: "viewer",
    summary: "With what the host's prune deletes, and which secrets are set.",
    schema: { params, response: { 200: wireCredentials } },
    async answer({ params: { id } }) {
      await deps.hosts.nameOf(deps.db, id);
      const shown = await redactedAdminCredentials(deps.db, deps.box, id);
      if (!shown) throw noAdminCredentials();
      return toWire(shown);
    },
  });
  apiRoute(app, {
    method: "PUT",
    url: `${url}/admin`,
    policy: "operator",
    summary: "Set or change the admin credentials; location and password are the everyday ones until given.",
    schema: { params, body: edit, response: { 200: wireCredentials } },
    async answer({ params: { id }, body, identity }) {
      const actor = actorOf(requireIdentity(identity));
      return toWire(await editAdminCredentials(deps, { ...toEdit(id, body), actor }));
    },
  });
  apiRoute(app, {
    method: "DELETE",
    url: `${url}/admin`,
    policy: "operator",
    summary: "Remove the admin credentials; prune is refused until there are new ones.",
    schema: { params, response: { 204: z.null() } },
    async answer({ params: { id }, identity, reply }) {
      await removeAdminCredentials(deps, { hostId: id, actor: actorOf(requireIdentity(identity)) });
      return reply.code(204).send(null);
    },
  });
}
