/**
 * Who sent a request: the address behind the proxies of RM_TRUSTED_PROXY, for the audit and for limits. Invariant: one
 * client has one spelling, and it is an address; what a header says counts from trusted proxies only (Fastify's
 * `trustProxy` sees to that).
 */
import { isIP } from "node:net";
import type { FastifyRequest } from "fastify";

/** The client's address. Falls back to the nearest peer where a proxy names something that is no address. */
export function clientAddress(request: FastifyRequest): string {
  return plainAddress(request.ip) ?? plainAddress(request.socket.remoteAddress ?? "") ?? "unknown";
}

/** Without the port that some proxies add, and IPv4 as IPv4, however the socket listens; null for anything else. */
function plainAddress(text: string): string | null {
  const [, inBrackets, beforePort] = /^\[([^\]]*)\](?::\d+)?$|^([^:]*):\d+$/.exec(text) ?? [];
  const address = (inBrackets ?? beforePort ?? text).replace(/^::ffff:(?=\d+\.)/i, "");
  return isIP(address) === 0 ? null : address.toLowerCase();
}
