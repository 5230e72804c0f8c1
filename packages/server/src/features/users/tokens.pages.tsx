/** The forms of API tokens on the account page. The answer that shows a new token is drawn at once, never stored. */
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import type { PageContext } from "../../platform/html/scope.ts";
import { type Refusal, tryForm } from "../../platform/http/forms.ts";
import { type Role, roles } from "../../platform/http/identity.ts";
import { type App, pageRoute, requireIdentity } from "../../platform/http/route.ts";
import { tokenEditsPerMinute } from "./tokens.api.ts";
import { createApiToken, listApiTokens, revokeApiToken, type TokenDeps } from "./tokens.ts";
import { type TokensProps, tokenLifetimes } from "./tokens.views.tsx";
import { minPasswordLength } from "./users.ts";
import { renderAccountPage } from "./users.views.tsx";

export interface TokenPageDeps extends TokenDeps {
  /** The surroundings of a page: who looks, theme, form token. */
  page(request: FastifyRequest): PageContext;
}

const newToken = z.strictObject({
  name: z.string().max(256).default(""),
  role: z.enum(roles),
  days: z.enum(tokenLifetimes),
});

const dayMs = 24 * 60 * 60_000;

export function registerTokenPages(app: App, deps: TokenPageDeps): void {
  const draw = async (request: FastifyRequest, props: Omit<TokensProps, "tokens">) => {
    const tokens = await listApiTokens(deps, requireIdentity(request.identity));
    return renderAccountPage(deps.page(request), { minPasswordLength, apiTokens: { tokens, ...props } });
  };
  pageRoute(app, {
    method: "POST",
    url: "/settings/account/tokens",
    policy: "viewer",
    perMinute: tokenEditsPerMinute,
    schema: { body: newToken },
    async answer({ body, identity, request, reply }) {
      const { name, role, days } = body;
      const expiresAt = days === "" ? null : deps.clock.now() + Number(days) * dayMs;
      const wish = { identity: requireIdentity(identity), name, role, expiresAt };
      const outcome = await tryForm(createApiToken(deps, wish));
      if (outcome.done) {
        const { token, created } = outcome.value;
        return draw(request, { created: { name: created.name, token } });
      }
      void reply.code(outcome.refusal.status);
      return draw(request, { form: refusedForm(outcome.refusal, { name, role, days }) });
    },
  });
  pageRoute(app, {
    method: "POST",
    url: "/settings/account/tokens/:tokenId/revoke",
    policy: "viewer",
    schema: { params: z.object({ tokenId: z.string().max(64) }) },
    async answer({ params, identity, reply }) {
      await revokeApiToken(deps, { identity: requireIdentity(identity), tokenId: params.tokenId });
      return reply.redirect("/settings/account?changed=token#api-tokens", 303);
    },
  });
}

function refusedForm(
  refusal: Refusal,
  values: { name: string; role: Role; days: string },
): NonNullable<TokensProps["form"]> {
  const { errors, message } = refusal;
  return { values, errors, ...(message === undefined ? {} : { message }) };
}
