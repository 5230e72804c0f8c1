/** Opens one WebSocket to the server. Invariant: no redirect is followed, since it would carry the bearer along. */
import type { IncomingMessage } from "node:http";
import { maxFrameBytes } from "@restic-manager/protocol";
import { WebSocket } from "ws";
import type { AgentError } from "../platform/errors.ts";
import { explainError, explainUpgrade } from "./explain.ts";
import { CONNECT_TIMEOUT_MS, type Network } from "./network.ts";

export type ConnectOptions = {
  /** `https://host[:port]` or http. */
  server: string;
  /** Where a machine waits that has no bearer yet; the agents' endpoint by default. */
  path?: "/ws/agent" | "/ws/agent/pending";
  bearer: string | null;
  network: Network;
  signal: AbortSignal;
};

export type ConnectOutcome =
  | { kind: "open"; socket: WebSocket }
  /** The server does not know our bearer. */
  | { kind: "unauthorized" }
  /** `code` is one of `connect.…`; `reason` a sentence that says what to do. */
  | { kind: "failed"; code: string; reason: string };

/** Of a foreign answer only so much is looked at. */
const MAX_ANSWER_BYTES = 4096;

/** The address of an endpoint below the server's address. */
export function agentSocketUrl(server: string, path = "/ws/agent"): URL {
  const url = new URL(server);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.pathname = `${url.pathname.replace(/\/+$/, "")}${path}`;
  return url;
}

/** Never rejects: why there is no connection is an outcome. */
export async function connectToServer(options: ConnectOptions): Promise<ConnectOutcome> {
  const url = agentSocketUrl(options.server, options.path);
  try {
    return await upgrade(url, options);
  } catch (error) {
    // The settings of the way itself are wrong; the error is a sentence about them.
    return failed(explainError(error, { target: url, proxy: undefined }));
  }
}

const failed = ({ code, message }: AgentError): ConnectOutcome => ({ kind: "failed", code, reason: message });

async function upgrade(url: URL, options: ConnectOptions): Promise<ConnectOutcome> {
  const { promise, resolve } = Promise.withResolvers<ConnectOutcome>();
  const { network, bearer, signal } = options;
  const way = { target: url, proxy: network.proxyFor(url) };
  const agent = await network.agentFor(url);
  const socket = new WebSocket(url, {
    headers: bearer === null ? {} : { authorization: `Bearer ${bearer}` },
    perMessageDeflate: false,
    maxPayload: maxFrameBytes,
    handshakeTimeout: CONNECT_TIMEOUT_MS,
    followRedirects: false,
    agent,
  });
  const onAbort = () => socket.terminate();
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort();
  socket.on("open", () => resolve({ kind: "open", socket }));
  socket.on("error", (error) => resolve(failed(explainError(named(error), way))));
  socket.on("unexpected-response", (request, response) => {
    void readStart(response).then((body) => {
      request.destroy();
      const { statusCode: status = 0, headers } = response;
      const [location, contentType] = [headers.location ?? null, headers["content-type"] ?? null];
      const answer = { status, location, contentType, body };
      resolve(status === 401 ? { kind: "unauthorized" } : failed(explainUpgrade(answer, way)));
    });
  });
  return promise.finally(() => signal.removeEventListener("abort", onAbort));
}

/** ws has a sentence of its own for the end of its patience, and no code. */
function named(error: Error): Error {
  return /handshake has timed out/.test(error.message) ? Object.assign(error, { code: "ETIMEDOUT" }) : error;
}

/** The beginning of a body, for `explain…`. Resolves whatever happens; the request's own time-out bounds it. */
export function readStart(response: IncomingMessage): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let body = "";
  const end = () => resolve(body);
  response.setEncoding("utf8").on("data", (text: string) => {
    body += text;
    if (body.length >= MAX_ANSWER_BYTES) end();
  });
  response.on("end", end).on("error", end).on("close", end);
  response.setTimeout(CONNECT_TIMEOUT_MS, end);
  return promise;
}
