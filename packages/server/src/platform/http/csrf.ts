/**
 * A tab of another site can do nothing: every write of a browser, and every WebSocket of one, must come from our
 * own origin; a form carries the session's token as well. A client that is no browser sends neither Origin nor
 * Sec-Fetch-Site, and then only JSON is accepted, which a foreign form can't send. A request with an API token is
 * not asked: no site can make a browser send one.
 * Source: OWASP Cross-Site Request Forgery Prevention, "Verifying Origin" and "Fetch Metadata".
 */
import type { FastifyRequest } from "fastify";
import { AppError } from "../errors.ts";
import { apiTokenOf } from "./api-token.ts";

const safeMethods = new Set(["GET", "HEAD", "OPTIONS"]);

/** Our own origin as the browser sees it. */
export function ownOrigin(request: FastifyRequest, baseUrl: string | undefined): string {
  return baseUrl ?? `${request.protocol}://${request.host}`;
}

/** Checks the headers; runs before the body is read. */
export function checkOrigin(request: FastifyRequest, baseUrl: string | undefined): void {
  const upgrade = request.headers.upgrade?.toLowerCase() === "websocket";
  if ((safeMethods.has(request.method) && !upgrade) || apiTokenOf(request) !== null) return;
  const { origin } = request.headers;
  const site = request.headers["sec-fetch-site"];
  if (origin !== undefined) {
    if (origin === ownOrigin(request, baseUrl)) return;
    // Behind a TLS proxy that nobody declared we don't know our own scheme, but the browser knows the site.
    if (baseUrl === undefined && site === "same-origin") return;
    throw refused();
  }
  if (site === undefined ? isForm(request) : site !== "same-origin" && site !== "none") throw refused();
}

/**
 * Checks a form's token and takes it out of the body, so that no route's schema has to know it; runs when the body
 * is parsed and before it is validated. Anonymous forms (sign-in) are covered by their origin.
 */
export function checkFormToken(request: FastifyRequest): void {
  if (safeMethods.has(request.method) || !isForm(request)) return;
  const { csrf_token: token, ...fields } = (request.body ?? {}) as Record<string, unknown>;
  request.body = fields;
  if (request.identity && token !== request.identity.csrfToken) {
    throw new AppError(
      "forbidden",
      "request.form_expired",
      "This form is no longer valid. Reload the page and send it again.",
    );
  }
}

const isForm = (request: FastifyRequest): boolean =>
  request.headers["content-type"]?.toLowerCase().startsWith("application/x-www-form-urlencoded") ?? false;

const refused = (): AppError =>
  new AppError("forbidden", "request.cross_site", "This request came from another site and was refused.");
