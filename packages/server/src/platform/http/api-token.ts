/**
 * The API token of a request: `Authorization: Bearer rmt_…`. Where one is taken, the cookie counts for nothing, so
 * that no other site can make a browser act: it can't send this header, and the cookie alone is checked by origin.
 */
import type { FastifyRequest } from "fastify";

/** Every API token begins so: one that lies about is known for what it is, by people and by scanners. */
export const apiTokenPrefix = "rmt_";

const bearer = /^Bearer +(rmt_\S{1,200})$/i;

/** @returns null without one, and on pages and the agents' routes, which take none */
export function apiTokenOf(request: FastifyRequest): string | null {
  const { page, policy } = request.routeOptions.config;
  if (page === true || policy === "agent") return null;
  return bearer.exec(request.headers.authorization ?? "")?.[1] ?? null;
}
