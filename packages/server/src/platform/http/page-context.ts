/** What every page knows of its request: who looks, in which theme, from where. Made once for each page. */

import { productVersion } from "@restic-manager/protocol/version";
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import type { AssetManifest } from "../html/assets.ts";
import type { PageContext, Theme } from "../html/scope.ts";
import { safePath } from "./forms.ts";
import type { Policy } from "./identity.ts";
import { type App, type Call, pageRoute, type Schemas } from "./route.ts";

/** Pages receive this and hand its result to their views. */
export type PageOf = (request: FastifyRequest) => PageContext;

const themeCookie = "rm_theme";
const themes = z.enum(["dark", "light", "auto"]);
const oneYearSeconds = 31_536_000;

export function createPageContext(deps: { assets: AssetManifest; clock: Clock; database: string }): PageOf {
  return (request) => {
    const { identity } = request;
    return {
      user: identity ? { name: identity.username, role: identity.role } : undefined,
      theme: themeOf(request),
      version: productVersion,
      database: deps.database,
      csrfToken: identity?.csrfToken ?? "",
      now: deps.clock.now(),
      assets: deps.assets,
      path: request.url,
    };
  };
}

/** Dark is the home theme; without a choice the system decides. */
const themeOf = (request: FastifyRequest): Theme => themes.catch("auto").parse(request.cookies[themeCookie]);

/** A page and the fragment with which it keeps itself up to date: one set of props, drawn whole or in part. */
export interface LivePage<S extends Schemas, P> {
  url: string;
  fragmentUrl: string;
  policy: Policy;
  schema: S;
  context: PageOf;
  props(call: Call<S>): Promise<P>;
  page(context: PageContext, props: P): string;
  fragment(context: PageContext, props: P): string;
}

export function livePageRoutes<S extends Schemas, P>(app: App, live: LivePage<S, P>): void {
  const { policy, schema } = live;
  const draw = (url: string, render: LivePage<S, P>["page"]) =>
    pageRoute(app, {
      method: "GET",
      url,
      policy,
      schema,
      answer: async (call) => render(live.context(call.request), await live.props(call)),
    });
  draw(live.url, live.page);
  draw(live.fragmentUrl, live.fragment);
}

/** `POST /preferences/theme`: works for visitors and without scripts. */
export function addThemeRoute(app: App, deps: { cookieSecure: boolean }): void {
  const body = z.object({ theme: themes, return_to: z.string().max(2000).optional() });
  pageRoute(app, {
    method: "POST",
    url: "/preferences/theme",
    policy: "anonymous",
    schema: { body },
    answer({ body: { theme, return_to }, reply }) {
      const options = {
        path: "/",
        maxAge: oneYearSeconds,
        sameSite: "lax",
        secure: deps.cookieSecure,
      } as const;
      return reply.setCookie(themeCookie, theme, options).redirect(safePath(return_to), 303);
    },
  });
}
