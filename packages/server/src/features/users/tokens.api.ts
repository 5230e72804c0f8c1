/** JSON routes of the own API tokens. */
import { z } from "zod";
import { fromInstant, toInstant } from "../../platform/clock.ts";
import { roles } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import { type ApiToken, createApiToken, listApiTokens, revokeApiToken, type TokenDeps } from "./tokens.ts";

/** As many as a person makes; a script that runs wild is stopped. */
export const tokenEditsPerMinute = 30;

const wireToken = z.object({
  id: z.string(),
  name: z.string(),
  role: z.enum(roles),
  created_at: z.string(),
  expires_at: z.string().nullable(),
  last_used_at: z.string().nullable(),
});

function toWire(token: ApiToken): z.output<typeof wireToken> {
  const when = (at: number | null) => (at === null ? null : toInstant(at));
  return {
    id: token.id,
    name: token.name,
    role: token.role,
    created_at: toInstant(token.createdAt),
    expires_at: when(token.expiresAt),
    last_used_at: when(token.lastUsedAt),
  };
}

export function registerTokenRoutes(app: App, deps: TokenDeps): void {
  apiRoute(app, {
    method: "GET",
    url: "/api/auth/tokens",
    policy: "viewer",
    summary: "The own API tokens, without the tokens themselves.",
    schema: { response: { 200: z.object({ tokens: z.array(wireToken) }) } },
    answer: async ({ identity }) => ({
      tokens: (await listApiTokens(deps, requireIdentity(identity))).map(toWire),
    }),
  });
  apiRoute(app, {
    method: "POST",
    url: "/api/auth/tokens",
    policy: "viewer",
    perMinute: tokenEditsPerMinute,
    summary:
      "Make an API token, with the own role at most; for who is signed in, not for a token. It is told once.",
    schema: {
      body: z.strictObject({
        name: z.string().max(256),
        role: z.enum(roles),
        expires_at: z.iso.datetime({ offset: true }).nullish().describe("Null never ends."),
      }),
      response: { 201: wireToken.extend({ token: z.string() }) },
    },
    async answer({ body, identity, reply }) {
      const { token, created } = await createApiToken(deps, {
        identity: requireIdentity(identity),
        name: body.name,
        role: body.role,
        expiresAt: body.expires_at == null ? null : fromInstant(body.expires_at),
      });
      void reply.code(201);
      return { ...toWire(created), token };
    },
  });
  apiRoute(app, {
    method: "DELETE",
    url: "/api/auth/tokens/:tokenId",
    policy: "viewer",
    summary: "Revoke an own API token; its next request is refused.",
    schema: { params: z.object({ tokenId: z.string().max(64) }), response: { 204: z.null() } },
    async answer({ params, identity, reply }) {
      await revokeApiToken(deps, { identity: requireIdentity(identity), tokenId: params.tokenId });
      return reply.code(204).send(null);
    },
  });
}
