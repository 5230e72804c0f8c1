/** Turns whatever a handler threw into one AppError, one log line and one answer, JSON or page. */
import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import { hasZodFastifySchemaValidationErrors } from "fastify-type-provider-zod";
import { explainDatabaseFailure } from "../db/failures.ts";
import { AppError, httpStatusOf, invalidFields } from "../errors.ts";

/** Draws an error as a page; handed in because this file knows no HTML. */
export type ErrorPage = (
  request: FastifyRequest,
  failure: { status: number; code: string; message: string; requestId: string },
) => string;

/** An error of ours, of a schema or of Fastify → AppError. Anything else becomes "Internal error". */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const explained = explainDatabaseFailure(error);
  if (explained) return explained;
  if (hasZodFastifySchemaValidationErrors(error)) {
    const problems = error.validation.map((issue) => ({
      path: issue.instancePath.split("/").filter(Boolean).join("."),
      message: issue.message ?? "is not valid",
    }));
    return invalidFields("request.invalid", problems);
  }
  // Anything can be thrown, null too.
  const { statusCode, message = "" } = (error ?? {}) as Partial<FastifyError>;
  if (statusCode === 429) return new AppError("rate_limited", "request.rate_exceeded", message);
  if (statusCode === 404)
    return new AppError("not_found", "request.not_found", "There is nothing at this address.");
  if (statusCode === 413) return new AppError("invalid", "request.too_large", "The request is too large.");
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new AppError("invalid", "request.invalid", message);
  }
  return new AppError(
    "internal",
    "internal",
    "Internal error. The server's log has the cause under this request's id.",
    {
      cause: error,
    },
  );
}

/** So much of a request that is refused for its size is read to its end and dropped. */
const mostDroppedBytes = 64 * 1024 * 1024;

/**
 * Fastify ends the connection of a body that is too large. Who still sends it, a reverse proxy above all, then meets a broken
 * connection instead of the answer. Node drops what is left of a request whose connection goes on.
 */
function keepConnection({ headers }: FastifyRequest, reply: FastifyReply): void {
  if (Number(headers["content-length"]) <= mostDroppedBytes) void reply.removeHeader("connection");
}

/** Fastify's error handler. */
export function createErrorAnswer(errorPage: ErrorPage) {
  return (thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const error = toAppError(thrown);
    const status = httpStatusOf[error.kind];
    if (status >= 500) request.log.error({ err: error.cause ?? error, code: error.code }, "request failed");
    void reply.code(status);
    if (error.code === "request.too_large") keepConnection(request, reply);
    if (!wantsPage(request)) {
      const details = error.details === undefined ? {} : { details: error.details };
      return reply.send({ code: error.code, message: error.message, ...details, request_id: request.id });
    }
    if (status === 401) return reply.redirect(signInPath(request), 303);
    const failure = { status, code: error.code, message: error.message, requestId: request.id };
    return reply.type("text/html; charset=utf-8").send(errorPage(request, failure));
  };
}

/** A refused write can't be repeated by the redirect after signing in: one returns to the page of its form. */
function signInPath(request: FastifyRequest): string {
  const page = request.method === "GET" ? request.url : formPage(request);
  return page === null ? "/login" : `/login?next=${encodeURIComponent(page)}`;
}

/** The browser tells it to our own origin only; what is no path of ours is dropped when signing in. */
function formPage(request: FastifyRequest): string | null {
  const url = URL.parse(request.headers.referer ?? "");
  return url?.host === request.host ? `${url.pathname}${url.search}` : null;
}

/** Pages, and unknown addresses opened by a browser. */
function wantsPage(request: FastifyRequest): boolean {
  if (request.routeOptions.config.page !== undefined) return request.routeOptions.config.page;
  return !request.url.startsWith("/api/") && (request.headers.accept ?? "").includes("text/html");
}
