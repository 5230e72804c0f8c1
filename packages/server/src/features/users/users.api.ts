/** JSON routes of the first run, sign-in, sign-out and the password. A client that signs in gets the cookie. */
import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { clientAddress } from "../../platform/http/client-address.ts";
import { roles } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import { registerTokenRoutes } from "./tokens.api.ts";
import {
  bootstrap,
  changePassword,
  login,
  logout,
  maxPasswordLength,
  type SignedIn,
  sessionCookie,
  type UserDeps,
} from "./users.ts";

export interface UserRouteDeps extends UserDeps {
  /** Whether cookies carry the Secure flag. */
  cookieSecure: boolean;
}

/** A person needs few tries, a guesser many: sign-ins a minute from one address, whatever the names. */
export const signInsPerMinute = 30;

const password = z.string().max(maxPasswordLength);
const username = z.string().max(256);
const signedIn = z.object({ user_id: z.string(), role: z.enum(roles) });
const nothing = z.null();

export function registerUserRoutes(app: App, deps: UserRouteDeps): void {
  apiRoute(app, {
    method: "POST",
    url: "/api/bootstrap",
    policy: "anonymous",
    perMinute: signInsPerMinute,
    summary: "Make the first admin with the setup token of the server's log, and sign in.",
    schema: {
      body: z.strictObject({ token: z.string().max(256), username, password }),
      response: { 200: signedIn },
    },
    answer: async ({ body, request, reply }) =>
      answerSignedIn(deps, reply, await bootstrap(deps, { ...body, address: clientAddress(request) })),
  });
  apiRoute(app, {
    method: "POST",
    url: "/api/auth/login",
    policy: "anonymous",
    perMinute: signInsPerMinute,
    summary: "Sign in; the session is in the cookie rm_session.",
    schema: { body: z.strictObject({ username, password }), response: { 200: signedIn } },
    answer: async ({ body, request, reply }) =>
      answerSignedIn(deps, reply, await login(deps, { ...body, address: clientAddress(request) })),
  });
  apiRoute(app, {
    method: "POST",
    url: "/api/auth/logout",
    policy: "anonymous",
    summary: "End the session; nothing happens without one.",
    schema: { response: { 204: nothing } },
    async answer({ request, reply }) {
      await endSession(deps, request, reply);
      return reply.code(204).send(null);
    },
  });
  registerOwnAccountRoutes(app, deps);
  registerTokenRoutes(app, deps);
}

function registerOwnAccountRoutes(app: App, deps: UserRouteDeps): void {
  apiRoute(app, {
    method: "GET",
    url: "/api/auth/me",
    policy: "viewer",
    summary: "Who is signed in.",
    schema: { response: { 200: signedIn.extend({ username: z.string() }) } },
    answer({ identity }) {
      const { userId, username: name, role } = requireIdentity(identity);
      return { user_id: userId, username: name, role };
    },
  });
  apiRoute(app, {
    method: "PUT",
    url: "/api/auth/password",
    policy: "viewer",
    perMinute: signInsPerMinute,
    summary: "Change the own password; every other session of the user ends.",
    schema: {
      body: z.strictObject({ current_password: password, new_password: password }),
      response: { 204: nothing },
    },
    async answer({ body, identity, request, reply }) {
      await changePassword(deps, {
        identity: requireIdentity(identity),
        token: sessionToken(request),
        currentPassword: body.current_password,
        newPassword: body.new_password,
      });
      return reply.code(204).send(null);
    },
  });
}

/** The token of the request's cookie; empty without one. */
export const sessionToken = (request: FastifyRequest): string => request.cookies[sessionCookie] ?? "";

/** Lax: links from elsewhere keep working, other sites' forms and scripts get no cookie. */
const cookieOptions = (deps: UserRouteDeps) =>
  ({ path: "/", httpOnly: true, sameSite: "lax", secure: deps.cookieSecure }) as const;

/** Hands a new session to the browser. */
export function setSessionCookie(deps: UserRouteDeps, reply: FastifyReply, session: SignedIn): void {
  const expires = new Date(session.expiresAt);
  void reply.setCookie(sessionCookie, session.token, { ...cookieOptions(deps), expires });
}

/** Ends the session of the request, in the database and in the browser. */
export async function endSession(
  deps: UserRouteDeps,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  await logout(deps, sessionToken(request));
  void reply.clearCookie(sessionCookie, cookieOptions(deps));
}

function answerSignedIn(
  deps: UserRouteDeps,
  reply: FastifyReply,
  session: SignedIn,
): z.output<typeof signedIn> {
  setSessionCookie(deps, reply, session);
  return { user_id: session.user.id, role: session.user.role };
}
