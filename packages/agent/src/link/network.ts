/**
 * How the agent reaches its server: through which proxy, and whose certificates it believes. One of these serves the
 * WebSocket, enrolment, downloads and the doctor, so all of them go the same way. Invariants: with a pin set, the
 * certificate is compared before a single byte of ours is sent; redirects are never followed, they would carry
 * secrets along; what is thrown is a sentence that names no secret.
 */
import { X509Certificate } from "node:crypto";
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Duplex } from "node:stream";
import { Readable } from "node:stream";
import { createSecureContext, getCACertificates, type SecureContext, TLSSocket } from "node:tls";
import { AgentError, reasonOf } from "../platform/errors.ts";
import { readTextIfExists } from "../platform/files.ts";
import { explainError } from "./explain.ts";
import { chooseProxy, type Environment, type ProxyChoice } from "./proxy-choice.ts";

export type NetworkOptions = {
  env: Environment;
  /** A file of certificates in PEM that are believed beside those of the system; null = none. */
  caFile: string | null;
  /** `sha256:<hex>` of the server's certificate; when set, it decides alone. */
  certPin: string | null;
  /** True only for looking at a certificate: nothing secret may be sent then. Default false. */
  believesAnyCertificate?: boolean;
};

export type Network = {
  /**
   * Opens connections for `ws` and `node:http`; keeps none. Reads `ca_file` each time: a renewed one counts at once,
   * and one that is away for a while keeps nothing but connections from working. Rejects with AgentError `connect.…`.
   */
  agentFor(target: URL): Promise<HttpAgent>;
  /** The proxy on the way to `target`. Throws AgentError `connect.proxy_invalid`. */
  proxyFor(target: URL): ProxyChoice | undefined;
  /**
   * As the global fetch, but a redirect is an answer like any other. Rejects with AgentError `connect.…`, or with
   * the signal's AbortError.
   */
  fetch: typeof fetch;
};

/** Until a connection stands; a proxy and a slow line included. */
export const CONNECT_TIMEOUT_MS = 15_000;
const MAX_CA_FILE_CHARS = 4 * 1024 * 1024;

export function createNetwork(options: NetworkOptions): Network {
  const agentFor = createAgents(options);
  const proxyFor = (target: URL) => chooseProxy(options.env, target);
  const send = async (input: Parameters<typeof fetch>[0], init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    const target = new URL(request.url);
    try {
      return await exchange(request, target, await agentFor(target));
    } catch (cause) {
      if (cause instanceof AgentError || (cause instanceof Error && cause.name === "AbortError")) throw cause;
      throw explainError(cause, { target, proxy: proxyFor(target) });
    }
  };
  return { agentFor, proxyFor, fetch: send };
}

function createAgents(options: NetworkOptions): Network["agentFor"] {
  const { env, caFile, certPin, believesAnyCertificate = false } = options;
  const trusted = createTrust(caFile);
  return async (target) => {
    const proxy = chooseProxy(env, target);
    const secure = target.protocol === "https:" || target.protocol === "wss:";
    const through = proxy === undefined ? {} : { proxyEnv: proxyEnvOf(proxy, secure) };
    const shared = { ...through, keepAlive: false, timeout: CONNECT_TIMEOUT_MS };
    if (!secure) {
      if (certPin === null) return new HttpAgent(shared);
      const message = "cert_pin is set, but the server's address is not https: correct agent.yaml.";
      throw new AgentError("connect.pin_needs_https", message);
    }
    if (certPin !== null) return new PinnedAgent({ ...shared, rejectUnauthorized: false }, certPin, proxy);
    const secureContext = await trusted();
    return new HttpsAgent({ ...shared, secureContext, rejectUnauthorized: !believesAnyCertificate });
  };
}

/** Node's own agents speak to proxies; which one, and for what, was decided here. */
function proxyEnvOf(proxy: ProxyChoice, secure: boolean): Record<string, string> {
  return { [secure ? "HTTPS_PROXY" : "HTTP_PROXY"]: proxy.url.href };
}

/** Hands out a connection only after its certificate was compared. The chain is not looked at: the pin is stricter. */
class PinnedAgent extends HttpsAgent {
  readonly #pin: string;
  readonly #direct: boolean;

  constructor(
    options: ConstructorParameters<typeof HttpsAgent>[0],
    pin: string,
    proxy: ProxyChoice | undefined,
  ) {
    super(options);
    this.#pin = pin;
    this.#direct = proxy === undefined;
  }

  override createConnection(
    options: Parameters<HttpsAgent["createConnection"]>[0],
    callback?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    const done = (error: Error | null, stream: Duplex) => {
      const refusal = error ?? this.#refusal(stream);
      if (refusal !== null) stream?.destroy();
      callback?.(refusal, stream);
    };
    // Through a proxy Node calls back after the handshake; without one it calls nobody.
    const socket = super.createConnection(options, done);
    if (!this.#direct || !(socket instanceof TLSSocket)) return;
    const answered = once(done);
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => socket.destroy(timedOut()));
    socket.once("secureConnect", () => {
      socket.setTimeout(0);
      answered(null, socket);
    });
    socket.once("error", (error) => answered(error, socket));
  }

  #refusal(stream: Duplex): Error | null {
    const certificate = stream instanceof TLSSocket ? stream.getPeerCertificate() : undefined;
    return fingerprintOf(certificate?.fingerprint256) === this.#pin
      ? null
      : new AgentError(
          "connect.pin_mismatch",
          "The server's certificate is not the one this host was enrolled with: if it was renewed, correct cert_pin in agent.yaml; if not, somebody sits in between.",
        );
  }
}

/** A fingerprint as Node spells it, as `cert_pin` spells it. */
export function fingerprintOf(fingerprint256: string | undefined): string {
  return `sha256:${(fingerprint256 ?? "").replaceAll(":", "").toLowerCase()}`;
}

function timedOut(): Error {
  return Object.assign(new Error("no answer to the TLS handshake"), { code: "ETIMEDOUT" });
}

/** Everybody whom the system, Node and the operator believe. Parsed anew only when the operator's file is another. */
function createTrust(caFile: string | null): () => Promise<SecureContext> {
  let last: { own: string; context: SecureContext } | undefined;
  return async () => {
    const own = caFile === null ? [] : await readCertificates(caFile);
    const key = own.join("\n");
    if (last?.own === key) return last.context;
    const known = [...getCACertificates("default"), ...getCACertificates("system"), ...own];
    last = { own: key, context: createSecureContext({ ca: [...new Set(known)] }) };
    return last.context;
  };
}

async function readCertificates(path: string): Promise<string[]> {
  const invalid = (why: string, cause?: unknown) =>
    new AgentError(
      "connect.ca_file_invalid",
      `The certificates of ca_file (${path}) can't be used: ${why}.`,
      {
        cause,
      },
    );
  let text: string | undefined;
  try {
    text = await readTextIfExists(path);
  } catch (cause) {
    throw invalid(reasonOf(cause), cause);
  }
  if (text === undefined) throw invalid("there is no such file");
  if (text.length > MAX_CA_FILE_CHARS) throw invalid("the file is larger than any list of authorities");
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (found.length === 0) throw invalid("it holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
  for (const pem of found) {
    try {
      new X509Certificate(pem);
    } catch (cause) {
      throw invalid("one of them is damaged", cause);
    }
  }
  return found;
}

async function exchange(request: Request, target: URL, agent: HttpAgent): Promise<Response> {
  const body = request.body === null ? undefined : Buffer.from(await request.arrayBuffer());
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const start = target.protocol === "https:" ? httpsRequest : httpRequest;
  const { method, signal } = request;
  const headers = Object.fromEntries(request.headers);
  const outgoing = start(target, { method, headers, agent, signal });
  // Later errors belong to the body, whose reader is told by the stream.
  outgoing.on("error", reject);
  outgoing.once("response", resolve);
  outgoing.once("upgrade", (_response, socket) => {
    socket.destroy();
    reject(new Error("the server switched to another protocol"));
  });
  outgoing.end(body);
  try {
    return toResponse(await promise);
  } catch (error) {
    // What ended the request is the signal's reason: a time-out is something else than a stop.
    throw signal.aborted ? signal.reason : error;
  }
}

const WITHOUT_BODY = [204, 205, 304];

function toResponse(incoming: IncomingMessage): Response {
  const { statusCode: status = 0, headersDistinct } = incoming;
  const headers = new Headers();
  for (const [name, values = []] of Object.entries(headersDistinct))
    for (const value of values) headers.append(name, value);
  if (!WITHOUT_BODY.includes(status))
    return new Response(Readable.toWeb(incoming) as ReadableStream<Uint8Array>, { status, headers });
  incoming.resume();
  return new Response(null, { status, headers });
}

function once<A extends unknown[], R>(operation: (...args: A) => R): (...args: A) => R {
  let result: { value: R } | undefined;
  return (...args) => {
    result ??= { value: operation(...args) };
    return result.value;
  };
}
