/**
 * The one way to add a route: its policy is a required argument, its input and output have schemas.
 * Every route is recorded, so that a test can walk all of them with every role.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import type { z } from "zod";
import { AppError } from "../errors.ts";
import { allows, type Identity, type Policy } from "./identity.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** The signed-in user, or null. Set for every request before its policy is checked. */
    identity: Identity | null;
  }
  interface FastifyContextConfig {
    policy?: Policy;
    /** Pages answer errors as HTML and send anonymous visitors to the sign-in form. */
    page?: boolean;
  }
}

export type App = FastifyInstance;

/** The schemas of a route's input and output. */
export interface Schemas {
  params?: z.ZodObject;
  querystring?: z.ZodObject;
  body?: z.ZodType;
  response?: Record<number, z.ZodType>;
}

type Parsed<S, K extends keyof Schemas> = S extends { [key in K]: infer Z extends z.ZodType }
  ? z.output<Z>
  : undefined;

/** What a handler receives: input that has passed its schemas. */
export interface Call<S extends Schemas> {
  params: Parsed<S, "params">;
  query: Parsed<S, "querystring">;
  body: Parsed<S, "body">;
  identity: Identity | null;
  request: FastifyRequest;
  reply: FastifyReply;
}

export interface Route<S extends Schemas> {
  method: "GET" | "POST" | "PUT" | "DELETE";
  url: string;
  policy: Policy;
  /** One sentence for the API reference. Pages have none and stay out of it. */
  summary?: string;
  schema?: S;
  /** Requests a minute from one address; the app-wide limit when absent. */
  perMinute?: number;
  /** Told of each request that `perMinute` refuses. */
  onRateExceeded?: (request: FastifyRequest) => void;
  /** False: HEAD is not answered, because it would cost as much as GET. */
  answersHead?: boolean;
  answer(call: Call<S>): Promise<unknown> | unknown;
}

function add<S extends Schemas>(app: App, route: Route<S>, page: boolean): void {
  const { summary, schema, perMinute: max, onRateExceeded: onExceeded } = route;
  app.withTypeProvider<ZodTypeProvider>().route({
    method: route.method,
    url: route.url,
    exposeHeadRoute: route.method === "GET" && route.answersHead !== false,
    schema: { ...schema, ...(summary ? { summary } : {}), hide: page },
    config: {
      policy: route.policy,
      page,
      ...(max ? { rateLimit: { max, timeWindow: 60_000, ...(onExceeded && { onExceeded }) } } : {}),
    },
    handler: async (request, reply) => {
      const call = {
        params: request.params,
        query: request.query,
        body: request.body,
        identity: request.identity,
        request,
        reply,
      } as Call<S>;
      const answer = await route.answer(call);
      if (reply.sent) return reply;
      if (page && !reply.hasHeader("content-type")) void reply.type("text/html; charset=utf-8");
      // A page is a text of thousands of pieces. As bytes it is put together once, not for its length and again for the socket.
      return page && typeof answer === "string" ? Buffer.from(answer) : answer;
    },
  });
}

/** A JSON route under `/api`. `answer` returns the body; set another status through `reply.code()`. */
export const apiRoute = <S extends Schemas>(app: App, route: Route<S>): void => add(app, route, false);

/** A route of pages. `answer` returns the whole document (HTML unless it sets another type), or redirects through `reply`. */
export const pageRoute = <S extends Schemas>(app: App, route: Route<S>): void => add(app, route, true);

/** Refuses a request whose user's role does not reach the route's policy. */
export function checkPolicy(policy: Policy | undefined, identity: Identity | null): void {
  if (policy === undefined)
    throw new AppError("not_found", "request.not_found", "There is nothing at this address.");
  if (allows(policy, identity?.role ?? null)) return;
  if (!identity) throw new AppError("unauthenticated", "auth.required", "Sign in first.");
  const message = `This needs the role ${policy}; you are signed in as ${identity.role}.`;
  throw new AppError("forbidden", "auth.role_too_low", message);
}

/** The user behind a request of a route that needs one. */
export function requireIdentity(identity: Identity | null): Identity {
  if (!identity) throw new AppError("unauthenticated", "auth.required", "Sign in first.");
  return identity;
}
