/**
 * The Fastify application without any feature: security headers, limits, schemas, errors, health.
 * Order of checks for each request: rate limit, origin, identity, policy, form token, input schema.
 */
import cookie from "@fastify/cookie";
import formbody from "@fastify/formbody";
import rateLimit from "@fastify/rate-limit";
import swagger from "@fastify/swagger";
import websocket from "@fastify/websocket";
import { maxFrameBytes } from "@restic-manager/protocol";
import { productVersion } from "@restic-manager/protocol/version";
import Fastify, { type FastifyReply, type FastifyRequest, LogController } from "fastify";
import { jsonSchemaTransform, serializerCompiler, validatorCompiler } from "fastify-type-provider-zod";
import helmet from "helmet";
import type { Logger } from "pino";
import { limitKey } from "./client-address.ts";
import { checkFormToken, checkOrigin } from "./csrf.ts";
import { createErrorAnswer, type ErrorPage } from "./failure.ts";
import type { Identity, Policy } from "./identity.ts";
import { type App, checkPolicy } from "./route.ts";

export interface AppDeps {
  log: Logger;
  baseUrl: string | undefined;
  trustedProxies: string[];
  /** Reads the session cookie; null for an anonymous visitor. */
  identify(request: FastifyRequest): Promise<Identity | null>;
  errorPage: ErrorPage;
  newRequestId(): string;
}

/** One route as declared, for the generated route × role test. */
export interface DeclaredRoute {
  method: string;
  url: string;
  policy: Policy;
  page: boolean;
}

/** Above what a busy operator's tabs need, below what hurts: requests a minute from one address. */
const requestsPerMinute = 1200;
/** A form or an API call with 10,000 paths fits; backup bytes never come here. */
const maxBodyBytes = 2 * 1024 * 1024;
/** For a request to arrive as a whole, on a slow line too; Fastify would wait for ever. */
const requestTimeoutMs = 60_000;

export interface BuiltApp {
  app: App;
  /** Every route added through apiRoute, pageRoute or the agent's link. */
  declaredRoutes: DeclaredRoute[];
}

export async function buildApp(deps: AppDeps): Promise<BuiltApp> {
  const addHeaders = createHeaders();
  const answerError = createErrorAnswer(deps.errorPage);
  const app = Fastify({
    loggerInstance: deps.log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: maxBodyBytes,
    requestTimeout: requestTimeoutMs,
    trustProxy: deps.trustedProxies.length > 0 ? deps.trustedProxies : false,
    genReqId: deps.newRequestId,
    forceCloseConnections: "idle",
    // A reverse proxy goes on sending over the connections that it has: those requests are answered like any in flight.
    return503OnClosing: false,
    routerOptions: { maxParamLength: 256 },
    // An address that no router can read comes by none of the hooks below.
    frameworkErrors(error, request, reply) {
      addHeaders(request, reply);
      return answerError(error, request, reply);
    },
  }) as unknown as App;
  const declaredRoutes = recordRoutes(app);
  // Only JSON and forms: a body as plain text would be a way around the preflight of another site's script.
  app.removeContentTypeParser("text/plain");
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  await app.register(rateLimit, {
    ...{ global: true, max: requestsPerMinute, timeWindow: 60_000 },
    keyGenerator: limitKey,
  });
  await app.register(cookie);
  await app.register(formbody);
  await app.register(websocket, { options: { maxPayload: maxFrameBytes, perMessageDeflate: false } });
  await app.register(swagger, {
    openapi: { info: { title: "restic-manager", version: productVersion } },
    transform: jsonSchemaTransform,
  });
  app.decorateRequest("identity", null);
  // Not in onRequest, where these would run before the rate limit, which each route gets as a hook of its own.
  app.addHook("preParsing", async (request) => {
    checkOrigin(request, deps.baseUrl);
    if (request.is404) return;
    request.identity = await deps.identify(request);
    checkPolicy(request.routeOptions.config.policy, request.identity);
  });
  app.addHook("onRequest", createProxyHint(deps.log));
  app.addHook("preValidation", async (request) => checkFormToken(request));
  // With each answer and not with each request: an agent that dials gets none.
  app.addHook("onSend", async (request, reply) => addHeaders(request, reply));
  app.setErrorHandler(answerError);
  app.setNotFoundHandler((request, reply) =>
    answerError(Object.assign(new Error("not found"), { statusCode: 404 }), request, reply),
  );
  return { app, declaredRoutes };
}

function recordRoutes(app: App): DeclaredRoute[] {
  const declared: DeclaredRoute[] = [];
  app.addHook("onRoute", (route) => {
    if (route.method === "HEAD" || route.config?.policy === undefined) return;
    const { policy, page } = route.config;
    declared.push({ method: String(route.method), url: route.url, policy, page: page ?? false });
  });
  return declared;
}

/** Tells once when somebody forwards requests whom nobody listed: usually the operator's own reverse proxy. */
function createProxyHint(log: Logger): (request: FastifyRequest) => Promise<void> {
  let told = false;
  return async (request) => {
    const peer = request.socket.remoteAddress;
    if (told || request.headers["x-forwarded-for"] === undefined || request.ip !== peer) return;
    told = true;
    log.warn(
      { peer },
      "X-Forwarded-For is not believed from this address: if that is your reverse proxy, list it in RM_TRUSTED_PROXY",
    );
  };
}

/** What every answer has. */
function createHeaders(): (request: FastifyRequest, reply: FastifyReply) => void {
  const addSecurityHeaders = helmet(securityHeaders);
  return (request, reply) => {
    // Pages show live state and one-time secrets; only the hashed assets may be kept, and they say so themselves.
    if (!reply.hasHeader("cache-control")) void reply.header("cache-control", "no-store");
    void reply.header("x-request-id", request.id);
    addSecurityHeaders(request.raw, reply.raw, rethrow);
  };
}

const rethrow = (error?: unknown): void => {
  if (error) throw error;
};

/** Scripts and styles come from us alone; nothing may frame us; form targets stay here. */
const securityHeaders = {
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      defaultSrc: ["'none'"],
      scriptSrc: ["'self'"],
      styleSrc: ["'self'"],
      imgSrc: ["'self'", "data:"],
      fontSrc: ["'self'"],
      connectSrc: ["'self'"],
      formAction: ["'self'"],
      baseUri: ["'none'"],
      frameAncestors: ["'none'"],
      manifestSrc: ["'self'"],
    },
  },
  // The proxy that terminates TLS sets HSTS; over plain HTTP it would be ignored anyway.
  strictTransportSecurity: false,
  crossOriginEmbedderPolicy: false,
  referrerPolicy: { policy: "same-origin" as const },
};
