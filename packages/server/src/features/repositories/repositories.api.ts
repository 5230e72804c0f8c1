/** JSON routes of a host's repository credentials. No answer ever holds a secret, only whether it is set. */
import { z } from "zod";
import { toInstant } from "../../platform/clock.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import {
  editCredentials,
  noCredentials,
  type RedactedCredentials,
  type RepositoriesDeps,
  redactedCredentials,
} from "./repositories.ts";

const params = z.object({ id: z.string().regex(/^[\w-]{1,64}$/) });

const wireCredentials = z.object({
  repo_url: z.string(),
  repo_username: z.string().nullable(),
  repo_password_set: z.boolean(),
  rest_password_set: z.boolean(),
  version: z.number(),
  updated_at: z.string(),
});

const toWire = (shown: RedactedCredentials): z.output<typeof wireCredentials> => ({
  repo_url: shown.location,
  repo_username: shown.restUsername,
  repo_password_set: shown.passwordSet,
  rest_password_set: shown.restPasswordSet,
  version: shown.version,
  updated_at: toInstant(shown.updatedAt),
});

/** Lengths are the slice's rule, with a sentence of its own; the body's limit bounds these. */
const edit = z.strictObject({
  repo_url: z.string().optional(),
  repo_username: z.string().optional(),
  repo_password: z.string().optional(),
  rest_password: z.string().optional(),
});

export function registerRepositoryRoutes(app: App, deps: RepositoriesDeps): void {
  const url = "/api/hosts/:id/repo-credentials";
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
    summary: "Change what is given and keep the rest; an empty user or rest_password is removed.",
    schema: { params, body: edit, response: { 200: wireCredentials } },
    async answer({ params: { id }, body, identity }) {
      const shown = await editCredentials(deps, {
        hostId: id,
        actor: actorOf(requireIdentity(identity)),
        location: body.repo_url,
        restUsername: body.repo_username,
        password: body.repo_password,
        restPassword: body.rest_password,
      });
      return toWire(shown);
    },
  });
}
