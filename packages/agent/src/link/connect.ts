/**
 * Opens one WebSocket to the server. Invariants: with a pin set, the certificate is compared before a single
 * byte of ours, the bearer above all, is sent; no redirect is followed, since it would carry the bearer along.
 */
import { isIP } from "node:net";
import { type TLSSocket, connect as tlsConnect } from "node:tls";
import { maxFrameBytes } from "@restic-manager/protocol";
import { WebSocket } from "ws";
import { reasonOf } from "../platform/errors.ts";

export type ConnectOptions = {
  /** `https://host[:port][/prefix]` or http. */
  server: string;
  bearer: string;
  /** `sha256:<hex>`; when set, the certificate's chain is not looked at: the pin decides alone. */
  certPin: string | null;
  signal: AbortSignal;
};

export type ConnectOutcome =
  | { kind: "open"; socket: WebSocket }
  /** The server does not know our bearer. */
  | { kind: "unauthorized" }
  | { kind: "failed"; reason: string };

const CONNECT_TIMEOUT_MS = 15_000;

/** The address of the agents' endpoint below the server's address. */
export function agentSocketUrl(server: string): URL {
  const url = new URL(server);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/ws/agent`;
  return url;
}

/** Never rejects: why there is no connection is an outcome. */
export async function connectToServer(options: ConnectOptions): Promise<ConnectOutcome> {
  const url = agentSocketUrl(options.server);
  if (options.certPin !== null && url.protocol !== "wss:") {
    const reason = "cert_pin is set, but the server's address is not https; correct agent.yaml";
    return { kind: "failed", reason };
  }
  try {
    const pinned =
      options.certPin === null ? undefined : await connectPinned(url, options.certPin, options.signal);
    return await upgrade(url, options, pinned);
  } catch (error) {
    return { kind: "failed", reason: reasonOf(error) };
  }
}

function upgrade(url: URL, options: ConnectOptions, pinned: TLSSocket | undefined): Promise<ConnectOutcome> {
  const { promise, resolve } = Promise.withResolvers<ConnectOutcome>();
  const socket = new WebSocket(url, {
    headers: { authorization: `Bearer ${options.bearer}` },
    perMessageDeflate: false,
    maxPayload: maxFrameBytes,
    handshakeTimeout: CONNECT_TIMEOUT_MS,
    followRedirects: false,
    ...(pinned === undefined ? {} : { createConnection: () => pinned }),
  });
  const onAbort = () => socket.terminate();
  options.signal.addEventListener("abort", onAbort);
  if (options.signal.aborted) onAbort();
  socket.on("open", () => resolve({ kind: "open", socket }));
  socket.on("error", (error) => resolve({ kind: "failed", reason: error.message || "no connection" }));
  socket.on("unexpected-response", (request, response) => {
    request.destroy();
    pinned?.destroy();
    const { statusCode } = response;
    const reason = `the server answered HTTP ${statusCode} instead of a WebSocket; is a proxy in between that does not pass upgrades?`;
    resolve(statusCode === 401 ? { kind: "unauthorized" } : { kind: "failed", reason });
  });
  return promise.finally(() => options.signal.removeEventListener("abort", onAbort));
}

/** A connection to exactly that certificate. Rejects with a sentence. */
export async function connectPinned(url: URL, pin: string, signal: AbortSignal): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = Number(url.port || 443);
  // The chain is not looked at here because the pin is stricter: it names the one certificate that is right.
  const name = isIP(host) === 0 ? { servername: host } : {};
  const socket = tlsConnect({ host, port, ...name, rejectUnauthorized: false });
  const onAbort = () => socket.destroy(new Error("stopped"));
  signal.addEventListener("abort", onAbort);
  socket.setTimeout(CONNECT_TIMEOUT_MS, () => socket.destroy(new Error("no answer to the TLS handshake")));
  socket.once("secureConnect", () => resolve());
  socket.once("error", reject);
  try {
    if (signal.aborted) onAbort();
    await promise;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  socket.setTimeout(0);
  const fingerprint = socket.getPeerCertificate().fingerprint256?.replaceAll(":", "").toLowerCase();
  if (`sha256:${fingerprint}` === pin) return socket;
  socket.destroy();
  throw new Error(
    "the server's certificate is not the one this host was enrolled with; if it was renewed, correct cert_pin in agent.yaml",
  );
}
