/**
 * What is wrong between this machine and its server, as a code and a sentence that says what to do. The only place
 * that knows the spellings of Node's network errors and of answers that no restic-manager gives. Used by enrolment,
 * the log of `run`, and the doctor. Invariant: a sentence names no secret; foreign text is not repeated.
 */
import { AgentError } from "../platform/errors.ts";
import type { ProxyChoice } from "./proxy-choice.ts";

export type Way = {
  /** Where we wanted to. */
  target: URL;
  proxy: ProxyChoice | undefined;
};

/** An answer of somebody who may not be a restic-manager server. */
export type Answer = {
  status: number;
  location: string | null;
  contentType: string | null;
  /** Its beginning is enough. */
  body: string;
};

const problem = (code: string, message: string, cause?: unknown): AgentError =>
  new AgentError(code, message, { cause });

/** Why no answer came. An AgentError is returned as it is. */
export function explainError(error: unknown, way: Way): AgentError {
  if (error instanceof AgentError) return error;
  const { code, message, statusCode } = factsOf(error);
  if (code === "ERR_PROXY_TUNNEL") return explainTunnel(statusCode, message, way, error);
  return (
    explainCertificate(code, way, error) ??
    explainSpeech(code, message, way, error) ??
    explainReach(code, message, way, error)
  );
}

type Facts = { code: string; message: string; statusCode: number | undefined };

/** fetch hides the system's error in the cause, and several addresses tried in vain in a list. */
function factsOf(error: unknown): Facts {
  let inner = error;
  for (let depth = 0; depth < 5 && inner instanceof Error; depth += 1) {
    const next: unknown = inner instanceof AggregateError ? inner.errors[0] : inner.cause;
    if (!(next instanceof Error)) break;
    inner = next;
  }
  const read = (name: string): unknown =>
    inner instanceof Error ? (inner as unknown as Record<string, unknown>)[name] : undefined;
  const [code, statusCode] = [read("code"), read("statusCode")];
  const name = inner instanceof Error ? inner.name : "";
  return {
    code: typeof code === "string" ? code : name,
    message: inner instanceof Error ? inner.message : "the connection failed",
    statusCode: typeof statusCode === "number" ? statusCode : undefined,
  };
}

function explainTunnel(status: number | undefined, message: string, way: Way, cause: unknown): AgentError {
  const { target, proxy } = way;
  const name = proxy === undefined ? "A proxy on the way" : `The proxy ${proxy.shown} (${proxy.variable})`;
  const around = `or let this machine go around it with NO_PROXY=${target.hostname}`;
  if (status === 407)
    return problem(
      "connect.proxy_login",
      `${name} wants a name and a password: put them into HTTPS_PROXY or HTTP_PROXY, as in http://name:password@host:port.`,
      cause,
    );
  if (status === 403)
    return problem(
      "connect.proxy_forbids",
      `${name} forbids connections to ${target.host}: have it allowed there, ${around}.`,
      cause,
    );
  if (/timed out/.test(message))
    return problem("connect.proxy_failed", `${name} does not answer: check it, ${around}.`, cause);
  const answer = status === undefined ? "ended the connection" : `answered HTTP ${status}`;
  return problem(
    "connect.proxy_failed",
    `${name} ${answer} when asked for ${target.host}: it may not reach that, or not know CONNECT; check it, ${around}.`,
    cause,
  );
}

const UNKNOWN_ISSUER = [
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "CERT_UNTRUSTED",
];

/** What is wrong with a certificate, by Node's word for it; undefined for any other word. */
export function explainCertificate(code: string, way: Way, cause?: unknown): AgentError | undefined {
  const { host, hostname } = way.target;
  if (UNKNOWN_ISSUER.includes(code)) {
    const inspected =
      way.proxy === undefined ? "" : " A proxy that looks into TLS has a certificate authority of its own.";
    return problem(
      "connect.certificate_unknown",
      `Nobody whom this machine trusts has signed the certificate of ${host} (${code}): give the file of its authority as ca_file in agent.yaml (--ca-file, RM_CA_FILE), or add it to the system's store. A certificate that signed itself is its own authority.${inspected}`,
      cause,
    );
  }
  if (code === "CERT_HAS_EXPIRED")
    return problem(
      "connect.certificate_expired",
      `The certificate of ${host} has expired: renew it there, or set this machine's clock if that is ahead.`,
      cause,
    );
  if (code === "CERT_NOT_YET_VALID")
    return problem(
      "connect.certificate_not_yet_valid",
      `The certificate of ${host} is not valid yet: this machine's clock is probably behind; set it.`,
      cause,
    );
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return problem(
      "connect.certificate_name",
      `The certificate that answers at ${host} is for another name than ${hostname}: use the name that it is for, or have a certificate made for this one.`,
      cause,
    );
  return undefined;
}

/** One side speaks TLS and the other does not. */
function explainSpeech(code: string, message: string, way: Way, cause: unknown): AgentError | undefined {
  const { target } = way;
  const secure = isSecure(target);
  if (
    secure &&
    (/^(EPROTO|ERR_SSL_)/.test(code) || /wrong version number|packet length too long/.test(message))
  ) {
    if (/alert|unsupported protocol|no protocols/.test(message))
      return problem(
        "connect.tls_failed",
        `${target.host} ended the TLS handshake: does its reverse proxy have a certificate for ${target.hostname}, and TLS 1.2 or newer?`,
        cause,
      );
    return problem(
      "connect.no_tls_there",
      `${target.host} does not speak TLS: give the https address of the reverse proxy; http:// is for a server on this machine only.`,
      cause,
    );
  }
  if (!secure && /^HPE_/.test(code))
    return problem(
      "connect.tls_there",
      `What answers at ${target.host} is not HTTP; it is probably TLS: begin the address with https://.`,
      cause,
    );
  return undefined;
}

function explainReach(code: string, message: string, way: Way, cause: unknown): AgentError {
  const { target, proxy } = way;
  if (proxy !== undefined && isReach(code))
    return problem(
      "connect.proxy_unreachable",
      `The proxy ${proxy.shown} (${proxy.variable}) can't be reached (${code}): correct the variable, or let this machine go around it with NO_PROXY=${target.hostname}.`,
      cause,
    );
  switch (code) {
    case "ENOTFOUND":
      return problem(
        "connect.dns_unknown",
        `There is no name ${target.hostname} (ENOTFOUND): correct the address, or this machine's DNS.`,
        cause,
      );
    case "EAI_AGAIN":
      return problem(
        "connect.dns_failed",
        `This machine's DNS does not answer for ${target.hostname} (EAI_AGAIN): check its name servers and its network.`,
        cause,
      );
    case "ECONNREFUSED":
      return problem(
        "connect.refused",
        `Nobody listens at ${hostAndPort(target)} (ECONNREFUSED): start the server or its reverse proxy, or correct the port.`,
        cause,
      );
    case "ETIMEDOUT":
    case "TimeoutError":
      return problem(
        "connect.timed_out",
        `No answer from ${hostAndPort(target)}: look for a firewall in between; where the way out leads through a proxy, set HTTPS_PROXY.`,
        cause,
      );
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return problem(
        "connect.no_route",
        `This machine has no way to ${target.hostname} (${code}): check its network, its routes and the VPN.`,
        cause,
      );
    case "ECONNRESET":
    case "EPIPE":
      return problem("connect.cut", `${cutSentence(target)} (${code}).`, cause);
    default:
      return problem("connect.failed", `${target.host} can't be reached: ${message}.`, cause);
  }
}

function cutSentence(target: URL): string {
  const start = `${hostAndPort(target)} ended the connection before it answered`;
  return isSecure(target)
    ? `${start}: does it speak TLS there, and is a firewall in between?`
    : `${start}: if it speaks TLS there, begin the address with https://`;
}

const isReach = (code: string): boolean =>
  ["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH"].includes(code);

const isSecure = (target: URL): boolean => target.protocol === "https:" || target.protocol === "wss:";

const hostAndPort = (target: URL): string =>
  `${target.hostname}:${target.port || (isSecure(target) ? "443" : "80")}`;

/** What an answer that no restic-manager server gives says about who gave it. */
export function explainAnswer(answer: Answer, way: Way): AgentError {
  const { target, proxy } = way;
  const { status } = answer;
  if (status >= 300 && status < 400) return explainRedirect(answer, target);
  if (status === 400 && !isSecure(target) && /https/i.test(answer.body))
    return problem("connect.tls_there", `${target.host} speaks TLS: begin the address with https://.`);
  if (status === 407) return explainTunnel(407, "", way, undefined);
  if (status === 404 || status === 405)
    return problem(
      "connect.wrong_path",
      `${target.host} answered HTTP ${status} for ${target.pathname}: another program answers there, or a reverse proxy passes only some paths. restic-manager needs a host name of its own, with all paths, and no path in its address.`,
    );
  if ([502, 503, 504, 521, 522, 523].includes(status))
    return problem(
      "connect.server_down",
      `A reverse proxy answers at ${target.host} (HTTP ${status}), but not the server behind it: start that, or correct the proxy's upstream.`,
    );
  if (status === 511 || (isPage(answer) && !isSecure(target)))
    return problem(
      "connect.captive_portal",
      `A web page came instead of an answer of ${target.host} (HTTP ${status}): this network may want a login first, or another program answers at the address.`,
    );
  const page = isPage(answer) ? "with a web page" : `with HTTP ${status}`;
  const between = proxy === undefined ? "" : `, or of the proxy ${proxy.shown}`;
  return problem(
    "connect.not_restic_manager",
    `${target.host} answered ${page}, but not as a restic-manager server does: correct the address; it may also be the login page of something in between${between}.`,
  );
}

function explainRedirect(answer: Answer, target: URL): AgentError {
  const to = answer.location === null ? null : URL.parse(answer.location, target.href);
  const from = new URL(target);
  from.protocol = isSecure(target) ? "https:" : "http:";
  if (to === null || !/^https?:$/.test(to.protocol))
    return problem(
      "connect.redirected",
      `${target.host} answered with a redirect (HTTP ${answer.status}) that leads nowhere: correct the reverse proxy.`,
    );
  // Of a login page's address the query may hold anything.
  const where =
    to.pathname === target.pathname || to.origin !== from.origin ? to.origin : to.origin + to.pathname;
  if (to.origin !== from.origin)
    return problem(
      "connect.redirected",
      `${from.origin} redirects to ${where} (HTTP ${answer.status}). The agent follows no redirect, since it would carry secrets along: if that is your server, give ${where} as its address.`,
    );
  return problem(
    "connect.redirected",
    `${from.origin} redirects ${target.pathname} to ${where} (HTTP ${answer.status}): a login in front of the server, or another program. Let the agents' paths /api/agents, /ws/ and /install pass without it.`,
  );
}

/** Why a WebSocket did not come about, though somebody answered. 401 is the caller's: it is about the bearer. */
export function explainUpgrade(answer: Answer, way: Way): AgentError {
  const { host } = way.target;
  const redirected = answer.status >= 300 && answer.status < 400;
  const known = redirected || answer.status === 407 || [404, 405, 502, 503, 504].includes(answer.status);
  const plain = answer.status === 400 && /https/i.test(answer.body) && !isSecure(way.target);
  if (known || plain || answer.status === 511) return explainAnswer(answer, way);
  const where = way.proxy === undefined ? "" : ` or the proxy ${way.proxy.shown}`;
  return problem(
    "connect.upgrade_lost",
    `${host} answered HTTP ${answer.status} instead of a WebSocket: the reverse proxy${where} in between does not pass upgrades. docs/reverse-proxy.md has the lines for Caddy and nginx.`,
  );
}

/** From here on retention is in danger, and the server holds back what deletes. */
const NOTED_SKEW_MS = 5 * 60_000;

/** A sentence when this machine's clock and the other side's (its Date header) are minutes apart or more. */
export function explainClockSkew(date: string | null, nowMs: number): string | undefined {
  const theirMs = date === null ? Number.NaN : Date.parse(date);
  const skewMs = nowMs - theirMs;
  if (Number.isNaN(skewMs) || Math.abs(skewMs) < NOTED_SKEW_MS) return undefined;
  const side = skewMs > 0 ? "ahead of" : "behind";
  return `This machine's clock is ${spanOf(Math.abs(skewMs))} ${side} the server's: set it, best by NTP; retention and schedules depend on it.`;
}

/** In the unit that a person would say. By whole minutes: a clock that is a day off is seen some seconds later or earlier. */
function spanOf(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  const [name, length] = minutes >= 1440 ? ["day", 1440] : minutes >= 60 ? ["hour", 60] : ["minute", 1];
  const count = Math.round(minutes / length);
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}

const isPage = ({ contentType, body }: Answer): boolean =>
  /text\/html/i.test(contentType ?? "") || /^\s*<(!doctype|html)/i.test(body);
