/**
 * HTML routes of the sign-in card, the first run and the account. A refused form comes back with its names as they
 * were typed, never with a password.
 */
import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import type { PageContext } from "../../platform/html/scope.ts";
import { clientAddress } from "../../platform/http/client-address.ts";
import { type Refusal, safePath, tryForm } from "../../platform/http/forms.ts";
import { type App, pageRoute, requireIdentity } from "../../platform/http/route.ts";
import { registerTokenPages } from "./tokens.pages.tsx";
import { listApiTokens } from "./tokens.ts";
import {
  endSession,
  sessionToken,
  setSessionCookie,
  signInsPerMinute,
  type UserRouteDeps,
} from "./users.api.ts";
import { bootstrap, changePassword, login, minPasswordLength, needsSetup, type SignedIn } from "./users.ts";
import {
  type FirstRunProps,
  renderAccountPage,
  renderFirstRunPage,
  renderSignInPage,
  type SignInProps,
} from "./users.views.tsx";

export interface UserPageDeps extends UserRouteDeps {
  /** The surroundings of a page: who looks, theme, form token. */
  page(request: FastifyRequest): PageContext;
}

const typed = z.string().max(256).default("");
/** As long as it likes: the rule beside the field answers, not a page about a bad request. */
const secret = z.string().default("");
const path = z.string().max(2048).optional();

export function registerUserPages(app: App, deps: UserPageDeps): void {
  registerSignInPages(app, deps);
  registerFirstRunPage(app, deps);
  registerAccountPages(app, deps);
  registerTokenPages(app, deps);
  pageRoute(app, {
    method: "POST",
    url: "/logout",
    policy: "anonymous",
    async answer({ request, reply }) {
      await endSession(deps, request, reply);
      return reply.redirect("/login", 303);
    },
  });
}

function registerSignInPages(app: App, deps: UserPageDeps): void {
  pageRoute(app, {
    method: "GET",
    url: "/login",
    policy: "anonymous",
    schema: { querystring: z.object({ next: path, setup: typed }) },
    async answer({ query, identity, request, reply }) {
      if (identity) return reply.redirect(safePath(query.next), 303);
      return showCard(deps, request, {
        signIn: returningTo(query.next),
        firstRun: { form: { values: { token: query.setup } } },
      });
    },
  });
  pageRoute(app, {
    method: "POST",
    url: "/login",
    policy: "anonymous",
    perMinute: signInsPerMinute,
    schema: { body: z.strictObject({ username: typed, password: secret, return_to: path }) },
    async answer({ body, request, reply }) {
      const { username, password, return_to: next } = body;
      const outcome = await tryForm(login(deps, { username, password, address: clientAddress(request) }));
      if (outcome.done) return enter(deps, reply, outcome.value, next);
      void reply.code(outcome.refusal.status);
      const form = { ...refused(outcome.refusal), values: { username } };
      return showCard(deps, request, { signIn: { ...returningTo(next), form }, firstRun: {} });
    },
  });
}

function registerFirstRunPage(app: App, deps: UserPageDeps): void {
  pageRoute(app, {
    method: "POST",
    url: "/login/setup",
    policy: "anonymous",
    perMinute: signInsPerMinute,
    schema: { body: z.strictObject({ token: typed, username: typed, password: secret }) },
    async answer({ body, request, reply }) {
      const { token, username } = body;
      const outcome = await tryForm(bootstrap(deps, { ...body, address: clientAddress(request) }));
      if (outcome.done) return enter(deps, reply, outcome.value, "/");
      const { refusal } = outcome;
      void reply.code(refusal.status);
      const form = { ...refused(refusal), values: { token, username } };
      // Once an admin exists the same address shows the sign-in card, with the sentence about the used token.
      return showCard(deps, request, { signIn: { form: refused(refusal) }, firstRun: { form } });
    },
  });
}

function registerAccountPages(app: App, deps: UserPageDeps): void {
  pageRoute(app, {
    method: "GET",
    url: "/settings/account",
    policy: "viewer",
    schema: { querystring: z.object({ changed: z.enum(["password", "token"]).optional().catch(undefined) }) },
    answer: async ({ query, identity, request }) =>
      renderAccountPage(deps.page(request), {
        minPasswordLength,
        apiTokens: { tokens: await listApiTokens(deps, requireIdentity(identity)) },
        ...(query.changed ? { notice: { tone: "ok", text: changedWords[query.changed] } } : {}),
      }),
  });
  pageRoute(app, {
    method: "POST",
    url: "/settings/account",
    policy: "viewer",
    perMinute: signInsPerMinute,
    schema: {
      body: z.strictObject({ current_password: secret, new_password: secret, repeat_password: secret }),
    },
    async answer({ body, identity, request, reply }) {
      const input = {
        identity: requireIdentity(identity),
        token: sessionToken(request),
        currentPassword: body.current_password,
        newPassword: body.new_password,
      };
      const outcome =
        body.new_password === body.repeat_password
          ? await tryForm(changePassword(deps, input))
          : { done: false as const, refusal: notRepeated };
      if (outcome.done) return reply.redirect("/settings/account?changed=password", 303);
      void reply.code(outcome.refusal.status);
      return renderAccountPage(deps.page(request), {
        minPasswordLength,
        apiTokens: { tokens: await listApiTokens(deps, input.identity) },
        form: refused(outcome.refusal),
      });
    },
  });
}

const changedWords = {
  password: "Your password is changed. Other sessions are signed out.",
  token: "The token is revoked. Its next request is refused.",
};

const notRepeated: Refusal = {
  status: 422,
  code: "users.password_repeat",
  errors: { repeat_password: "The two new passwords differ." },
};

/** The card of /login: the first run while no admin exists, signing in afterwards. */
async function showCard(
  deps: UserPageDeps,
  request: FastifyRequest,
  props: { signIn: SignInProps; firstRun: Omit<FirstRunProps, "minPasswordLength"> },
): Promise<string> {
  const page = deps.page(request);
  if (await needsSetup(deps)) return renderFirstRunPage(page, { minPasswordLength, ...props.firstRun });
  return renderSignInPage(page, props.signIn);
}

function enter(
  deps: UserPageDeps,
  reply: FastifyReply,
  session: SignedIn,
  next: string | undefined,
): FastifyReply {
  setSessionCookie(deps, reply, session);
  return reply.redirect(safePath(next), 303);
}

/** Where to go after signing in, as the form carries it. */
function returningTo(next: string | undefined): SignInProps {
  const returnTo = safePath(next);
  return returnTo === "/" ? {} : { returnTo };
}

const refused = ({ errors, message }: Refusal) => ({ errors, ...(message === undefined ? {} : { message }) });
