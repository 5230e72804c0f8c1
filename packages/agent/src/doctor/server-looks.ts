/**
 * What the doctor sees of the way to the server, from the name to the agent's own WebSocket. Looks at a certificate
 * that is not believed too, and sends nothing secret while it does. Invariant: the bearer goes to the server of
 * agent.yaml only.
 */
import { lookup } from "node:dns/promises";
import { request as httpsRequest } from "node:https";
import { connect, isIP } from "node:net";
import { type PeerCertificate, TLSSocket } from "node:tls";
import { WebSocket } from "ws";
import { agentSocketUrl, connectToServer, readStart } from "../link/connect.ts";
import {
  explainAnswer,
  explainCertificate,
  explainClockSkew,
  explainError,
  explainUpgrade,
  type Way,
} from "../link/explain.ts";
import { createNetwork, fingerprintOf, type Network, type NetworkOptions } from "../link/network.ts";
import type { ProxyChoice } from "../link/proxy-choice.ts";
import type { Clock } from "../platform/clock.ts";
import { type Finding, failed, failedBy, look, ok, skipped, warning } from "./finding.ts";

export type ServerLooks = {
  clock: Clock;
  server: URL;
  network: NetworkOptions;
  /** Undefined: this host is not enrolled with that server. */
  bearer: string | undefined;
};

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;
const DAY_MS = 86_400_000;
/**
 * Certificates are renewed when a third of their time is left, a month before the end at most: who has less than half
 * of that was not renewed. One of an authority in the house may last hours.
 */
const RENEWED_BEFORE_PART = 1 / 6;
const RENEWED_BEFORE_MS = 14 * DAY_MS;

/** All lines about the way to the server, in its order. Never rejects. */
export async function lookAtServer(given: ServerLooks): Promise<Finding[]> {
  const { clock, server } = given;
  const network = createNetwork(given.network);
  let proxy: ProxyChoice | undefined;
  try {
    proxy = network.proxyFor(server);
  } catch (error) {
    return [failedBy("proxy", error), ...notLookedAt("dns", "the proxy's address is wrong")];
  }
  const proxyLine =
    proxy === undefined
      ? ok("proxy", "None on the way to the server.")
      : ok("proxy", `${proxy.shown}, by ${proxy.variable}.`);
  const way = { target: server, proxy };
  const first = endOf(proxy?.url ?? server);
  const dns = await look(clock, "dns", () => lookUp(first.host, way));
  if (dns.status !== "ok") return [proxyLine, dns, ...notLookedAt("tcp", "the name is not known")];
  const tcp = await look(clock, "tcp", (signal) => reach(first, way, signal));
  if (tcp.status !== "ok") return [proxyLine, dns, tcp, ...notLookedAt("tls", "nobody answers")];
  const [tls, http, websocket, enrolment] = await Promise.all([
    look(clock, "tls", (signal) => lookAtCertificate(given, way, signal)),
    askServer(given, network, way),
    look(clock, "websocket", (signal) => tryUpgrade(network, way, signal)),
    look(clock, "enrolment", (signal) => tryBearer(given, network, signal)),
  ]);
  return [proxyLine, dns, tcp, tls, ...http, websocket, enrolment];
}

const ORDER = ["dns", "tcp", "tls", "http", "clock", "websocket", "enrolment"];

/** Lines for everything from `from` on. */
function notLookedAt(from: string, why: string): Finding[] {
  return ORDER.slice(ORDER.indexOf(from)).map((name) => skipped(name, `Not looked at: ${why}.`));
}

function endOf(url: URL): { host: string; port: number } {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return { host, port: Number(url.port || (url.protocol === "https:" ? 443 : 80)) };
}

async function lookUp(host: string, way: Way): Promise<Finding> {
  if (isIP(host) !== 0) return ok("dns", `${host} is an address; no name is looked up.`);
  try {
    const addresses = await lookup(host, { all: true });
    return ok("dns", `${host} is ${addresses.map(({ address }) => address).join(", ")}.`);
  } catch (error) {
    return failedBy("dns", explainError(error, way));
  }
}

async function reach(end: { host: string; port: number }, way: Way, signal: AbortSignal): Promise<Finding> {
  const { promise, resolve } = Promise.withResolvers<Finding>();
  const socket = connect(end);
  const stop = () => socket.destroy();
  signal.addEventListener("abort", stop);
  const whose = way.proxy === undefined ? "" : " (the proxy)";
  socket.once("connect", () => resolve(ok("tcp", `${end.host}:${end.port}${whose} answers.`)));
  socket.once("error", (error) => resolve(failedBy("tcp", explainError(error, way))));
  try {
    return await promise;
  } finally {
    signal.removeEventListener("abort", stop);
    socket.destroy();
  }
}

async function lookAtCertificate(given: ServerLooks, way: Way, signal: AbortSignal): Promise<Finding> {
  const { target } = way;
  if (target.protocol !== "https:") {
    return LOOPBACK.test(target.hostname)
      ? ok("tls", "None: the server is on this machine.")
      : warning(
          "tls",
          "The connection is not encrypted: put a reverse proxy with a certificate in front of the server and give its https address.",
        );
  }
  const { certPin } = given.network;
  const trusting = createNetwork({ ...given.network, certPin: null, believesAnyCertificate: true });
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const agent = await trusting.agentFor(target);
  const request = httpsRequest(new URL("/healthz", target), { method: "HEAD", agent, signal });
  request.once("response", ({ socket }) => {
    if (socket instanceof TLSSocket) resolve(socket);
    else reject(new Error("the connection has no certificate"));
  });
  request.once("error", reject);
  request.end();
  try {
    return judge(await promise, certPin, way, given.clock.nowMs());
  } catch (error) {
    return failedBy("tls", explainError(error, way));
  } finally {
    request.destroy();
  }
}

function judge(socket: TLSSocket, certPin: string | null, way: Way, nowMs: number): Finding {
  const certificate = socket.getPeerCertificate();
  const facts = describeCertificate(certificate, nowMs);
  if (certPin !== null)
    return fingerprintOf(certificate.fingerprint256) === certPin
      ? ok("tls", `${facts}; it is the one that cert_pin names.`)
      : failed(
          "tls",
          `${facts}; it is another than cert_pin names: if it was renewed, correct cert_pin in agent.yaml; if not, somebody sits in between.`,
        );
  if (!socket.authorized) {
    const word = socket.authorizationError as unknown;
    const code = word instanceof Error && "code" in word ? String(word.code) : String(word);
    const explained = explainCertificate(code, way);
    return explained === undefined
      ? failed("tls", `${facts}; it is not believed (${code}).`)
      : { ...failedBy("tls", explained), message: `${explained.message} ${facts}.` };
  }
  const endMs = Date.parse(certificate.valid_to);
  const lifetimeMs = endMs - Date.parse(certificate.valid_from);
  return endMs - nowMs < Math.min(RENEWED_BEFORE_MS, lifetimeMs * RENEWED_BEFORE_PART)
    ? warning("tls", `${facts}: it was not renewed in time; look at what renews it.`)
    : ok("tls", `${facts}.`);
}

function describeCertificate(certificate: PeerCertificate, nowMs: number): string {
  const issuer = certificate.issuer?.O ?? certificate.issuer?.CN ?? "an unnamed authority";
  const endMs = Date.parse(certificate.valid_to);
  const leftHours = Math.floor((endMs - nowMs) / 3_600_000);
  const left = Math.abs(leftHours) < 48 ? `${leftHours} hours` : `${Math.floor(leftHours / 24)} days`;
  const end = Number.isNaN(endMs) ? "an unknown day" : new Date(endMs).toISOString().slice(0, 10);
  return `The certificate is by ${plain(String(issuer))}, valid until ${end} (${left})`;
}

/** Names in a certificate are foreign text: nothing of it may steer a terminal. */
const plain = (text: string): string => text.replace(/[^\x20-\x7e]/g, "?").slice(0, 80);

/** The lines `http` and `clock`. */
async function askServer(given: ServerLooks, network: Network, way: Way): Promise<Finding[]> {
  let date: string | null = null;
  const http = await look(given.clock, "http", async (signal) => {
    const target = new URL("/api/version", way.target);
    const response = await network.fetch(target, { signal, headers: { accept: "application/json" } });
    date = response.headers.get("date");
    const body = (await response.text()).slice(0, 4096);
    const version = response.ok ? versionIn(body) : undefined;
    if (version !== undefined) return ok("http", `restic-manager server ${version} answers.`);
    const { status, headers } = response;
    const [location, contentType] = [headers.get("location"), headers.get("content-type")];
    return failedBy("http", explainAnswer({ status, location, contentType, body }, { ...way, target }));
  });
  if (date === null) return [http, skipped("clock", "Not looked at: no answer tells the time.")];
  const skew = explainClockSkew(date, given.clock.nowMs());
  const line = skew === undefined ? ok("clock", "As the server's, within 5 minutes.") : failed("clock", skew);
  return [http, line];
}

function versionIn(body: string): string | undefined {
  try {
    const { version } = JSON.parse(body) as { version?: unknown };
    return typeof version === "string" && /^[\w.+-]{1,64}$/.test(version) ? version : undefined;
  } catch {
    return undefined;
  }
}

/** Without a bearer: the server answers an upgrade that arrives with 401, and one that got lost with 426. */
async function tryUpgrade(network: Network, way: Way, signal: AbortSignal): Promise<Finding> {
  const url = agentSocketUrl(way.target.href);
  const { promise, resolve } = Promise.withResolvers<Finding>();
  const agent = await network.agentFor(url);
  const socket = new WebSocket(url, { agent, perMessageDeflate: false, followRedirects: false });
  const stop = () => socket.terminate();
  signal.addEventListener("abort", stop);
  socket.on("open", stop);
  socket.on("error", (error) => resolve(failedBy("websocket", explainError(error, { ...way, target: url }))));
  socket.on("unexpected-response", (request, response) => {
    void readStart(response).then((body) => {
      request.destroy();
      const { statusCode: status = 0, headers } = response;
      const [location, contentType] = [headers.location ?? null, headers["content-type"] ?? null];
      const answer = { status, location, contentType, body };
      const arrived = status === 401 && body.includes("link.bearer_unknown");
      const lost = () => failedBy("websocket", explainUpgrade(answer, { ...way, target: url }));
      resolve(arrived ? ok("websocket", "Upgrades arrive at the server.") : lost());
    });
  });
  try {
    return await promise;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

async function tryBearer(given: ServerLooks, network: Network, signal: AbortSignal): Promise<Finding> {
  const { bearer, server } = given;
  if (bearer === undefined)
    return warning(
      "enrolment",
      "This host is not enrolled with that server: make a token there (Add host) and run restic-manager-agent enrol.",
    );
  const outcome = await connectToServer({ server: server.href, bearer, network, signal });
  if (outcome.kind === "open") {
    outcome.socket.terminate();
    return ok("enrolment", "The server knows this host.");
  }
  if (outcome.kind === "unauthorized")
    return failed(
      "enrolment",
      "The server does not know this host's credentials: it was removed there, or the server lost its database. Enrol it again with --force, or wait until the database is restored.",
    );
  return { ...failed("enrolment", `Could not be tried: ${outcome.reason}`), code: outcome.code };
}
