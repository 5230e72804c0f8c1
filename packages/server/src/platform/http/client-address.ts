/**
 * Who sent a request: the address behind the proxies of RM_TRUSTED_PROXY, for the audit and for limits. Invariant: one
 * client has one spelling, and it is an address; what a header says counts from trusted proxies only (Fastify's
 * `trustProxy` sees to that). The audit keeps the whole address; limits count networks.
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
  if (isIP(address) !== 6) return isIP(address) === 0 ? null : address;
  return ipv4Inside(address) ?? address.toLowerCase();
}

/** As a URL spells it: short, in small letters, without the interface of a link-local address. */
const canonicalIpv6 = (address: string): string =>
  new URL(`http://[${address.replace(/%.*$/, "")}]`).hostname.slice(1, -1);

/** The IPv4 address that is spelled as hexadecimal IPv6; null when it is none. */
function ipv4Inside(address: string): string | null {
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonicalIpv6(address)) ?? [];
  if (high === undefined || low === undefined) return null;
  return [high, low]
    .flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 255])
    .join(".");
}

/** Groups of 16 bits that name a network of IPv6; the rest its owner chooses freely. */
const networkGroups = 4;
const ipv6Groups = 8;

/** By whom limits count: the client's address, and of IPv6 the network of 64 bits, all of which one client has. */
export const limitKey = (request: FastifyRequest): string => limitKeyOf(clientAddress(request));

/** @param address as `clientAddress` gives it */
export function limitKeyOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const [before = [], after] = canonicalIpv6(address)
    .split("::")
    .map((part) => part.split(":").filter((group) => group !== ""));
  const left = after === undefined ? 0 : ipv6Groups - before.length - after.length;
  const groups = [...before, ...Array<string>(left).fill("0"), ...(after ?? [])];
  return `${groups.slice(0, networkGroups).join(":")}::/64`;
}
