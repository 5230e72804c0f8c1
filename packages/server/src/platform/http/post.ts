/** One POST to another server of ours, by its own address: no proxy, no redirect, and never without a limit of time. */
import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";

/** For a connection to be there; another replica is near. */
const connectWithinMs = 4000;

export interface Post {
  url: string;
  body: unknown;
  /** How long the other side may be silent, before its answer and within it, milliseconds. */
  silentMs: number;
  /** Ends the request and what still comes of its answer. */
  signal?: AbortSignal | undefined;
}

/** Sends JSON. Resolves with the head of the answer. @throws Error when there is none */
export function post({ url, body, silentMs, signal }: Post): Promise<IncomingMessage> {
  const text = JSON.stringify(body);
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = url.startsWith("https:") ? requestHttps : requestHttp;
  const sent = request(url, {
    method: "POST",
    // A connection for each: none is found closed, and no setting of the environment sends it through a proxy.
    agent: false,
    headers: { "content-type": "application/json", "content-length": Buffer.byteLength(text) },
    ...(signal ? { signal } : {}),
  });
  sent.on("socket", (socket) => {
    socket.setTimeout(connectWithinMs, () => socket.destroy(new Error("the other server is silent")));
    socket.once("connect", () => socket.setTimeout(silentMs));
  });
  sent.once("response", resolve);
  sent.on("error", reject);
  sent.end(text);
  return promise;
}

/** The JSON of an answer. @throws Error when it is longer than `maxBytes`, breaks off, or is none */
export async function readJson(answer: IncomingMessage, maxBytes: number): Promise<unknown> {
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  for await (const part of answer as AsyncIterable<Buffer>) {
    sizeBytes += part.length;
    if (sizeBytes > maxBytes) throw new Error("the answer of another server is too long");
    parts.push(part);
  }
  return JSON.parse(Buffer.concat(parts).toString("utf8"));
}
